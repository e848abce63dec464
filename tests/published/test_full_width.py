"""Every model that v1's product and scoring load, once at full width, with random weights.

    pytest -m slow -s tests/published/test_full_width.py      prints docs/benchmarks-published.md

Needs 6 GB of memory and 5 GB of disk, and takes some minutes on two cores.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from published.measure import KINDS, write_full

# kind -> most MiB it may take at its peak
LIMITS = {
    "int8_write": 2500,
    "int8": 2500,
    "bf16": 6500,
    "sbert": 2000,
    "face_openvino": 1500,
    "face_torch": 1500,
    "parser": 2000,
}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_published_models_fit_and_run_at_full_width(
    tmp_path_factory: pytest.TempPathFactory, own_home: Path
) -> None:
    folder = tmp_path_factory.mktemp("full")
    write_full(folder)
    assert set(LIMITS) == set(KINDS)
    print()
    for kind in KINDS:
        load = os.getloadavg()[0]
        run = subprocess.run(
            [sys.executable, "-m", "published.measure", kind, str(folder)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert run.returncode == 0, run.stderr[-2000:]
        measured = json.loads(run.stdout.splitlines()[-1])
        shown = {key: round(value, 2) for key, value in measured.items()}
        print(f"{kind:<14} {shown} (load {load:.1f})", flush=True)
        assert measured["peak_mib"] < LIMITS[kind], kind
        assert all(value > 0 for value in measured.values()), kind
