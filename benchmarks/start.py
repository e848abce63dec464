"""How long until she is there: `ohlora --help`, and a second `ohlora serve` until the page comes.

    python -m benchmarks.start [--repeat 3]

The models are prepared first, so this is what a person waits on every day but the first.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.report import Row

OHLORA = [sys.executable, "-c", "from ohlora.cli import main; main()"]


def help_seconds() -> float:
    started = time.perf_counter()
    subprocess.run([*OHLORA, "--help"], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def serve_seconds() -> tuple[float, float]:
    """Seconds from the start of the process to the page, and to the models (page and engine)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = time.perf_counter()
    server = subprocess.Popen(
        [*OHLORA, "serve", "--port", str(port), "--no-browser"],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OHLORA_LANG": "en"},
    )
    try:
        page = until(f"http://127.0.0.1:{port}/", started)
        info = until(f"http://127.0.0.1:{port}/api/info", started)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(10)
    return page, info


def until(url: str, started: float) -> float:
    while time.perf_counter() - started < 60:
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                answer.read()
            return time.perf_counter() - started
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"{url} did not answer within 60 seconds")


def talking_megabytes() -> float:
    """Peak memory of a process that loaded everything and answered one turn."""
    code = (
        "import resource\n"
        "from ohlora.companion import load_companion\n"
        "with load_companion() as her:\n"
        "    list(her.turn(her.store.sessions.create().id, '오늘 뭐 했어', 'r', lambda: False))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)"
    )
    with TemporaryDirectory() as folder:
        environment = {**os.environ, "OHLORA_HOME": folder}
        run = [sys.executable, "-c", code]
        subprocess.run(run, env=environment, stdout=subprocess.DEVNULL, check=True)  # prepares
        answer = subprocess.run(
            [sys.executable, "-c", code.replace("'r'", "'r2'")],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return float(answer.stdout)


def rows(repeat: int = 3) -> list[Row]:
    subprocess.run([*OHLORA, "models", "prepare"], stdout=subprocess.DEVNULL, check=True)
    helps = [help_seconds() for _ in range(repeat)]
    served = [serve_seconds() for _ in range(repeat)]
    return [
        Row("`ohlora --help`", median(helps), "s"),
        Row("second start, process to page", median(page for page, _ in served), "s"),
        Row("second start, process to models", median(info for _, info in served), "s"),
        Row("memory of a process that answered a turn", talking_megabytes(), "MB"),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=3)
    print(json.dumps([row.to_dict() for row in rows(parser.parse_args().repeat)], indent=2))
