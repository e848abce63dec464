"""`make bench`: run every benchmark in a process of its own and write docs/benchmarks.md.

python -m benchmarks                  # all
python -m benchmarks face memory      # these; the page keeps nothing of the others
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from benchmarks.report import Row, page

SECTIONS = {
    "start": "Start",
    "llm": "Her words",
    "memory": "Her memory",
    "encoder": "Sentence encoder",
    "face": "Her face",
    "vision": "Seeing faces",
    "training": "Training",
}
PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"


def main(names: list[str]) -> int:
    unknown = set(names) - set(SECTIONS)
    if unknown:
        print(f"No benchmark {', '.join(unknown)}: choose from {', '.join(SECTIONS)}.")
        return 2
    sections, notes = {}, {}
    for name in names or SECTIONS:
        print(f"measuring {name} ...", flush=True)
        run = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}"], stdout=subprocess.PIPE, text=True
        )
        if run.returncode:
            print(f"benchmarks.{name} failed: run `python -m benchmarks.{name}` to see why.")
            return 1
        sections[SECTIONS[name]] = [Row(**row) for row in json.loads(run.stdout)]
        notes[SECTIONS[name]] = getattr(import_module(f"benchmarks.{name}"), "NOTE", "")
    PAGE.write_text(page(sections, notes), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
