"""`python serve_small.py HOST PORT PAUSE`: ohlora serve with the small companion."""

from __future__ import annotations

import sys

from ohlora.errors import OhloraError
from ohlora.paths import home
from ohlora.server.run import run
from server.small import Teller, small_companion

if __name__ == "__main__":
    host, port, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    engine = Teller(" " + "가나다라마바사아자차카타파하" * 4, pause)
    try:
        run(
            lambda: small_companion(home(), engine),
            host=host,
            port=port,
            open_browser=False,
            say=lambda line: print(line, flush=True),
        )
    except OhloraError as error:
        sys.exit(f"ohlora: {error}")
