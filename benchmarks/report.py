"""One measured number, and the page all of them make."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """`ratio` says how many times better than `against`, both measured in the same run."""

    what: str
    value: float
    unit: str
    ratio: float | None = None
    against: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def machine() -> str:
    """Cores and kind of processor; never a host's name."""
    kind = platform.processor() or platform.machine()
    flags = ""
    try:
        text = Path("/proc/cpuinfo").read_text()
        if found := re.search(r"model name\s*: (.*)", text):
            kind = found[1].strip()
        known = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16")
        flags = ", ".join(flag for flag in known if re.search(rf"\b{flag}\b", text))
    except OSError:
        pass
    return f"{os.cpu_count()} cores, {kind}{f' ({flags})' if flags else ''}"


def page(sections: Mapping[str, Iterable[Row]], notes: Mapping[str, str]) -> str:
    """docs/benchmarks.md: one table a section, its note under the heading."""
    lines = [
        "# Benchmarks",
        "",
        f"Written by `make bench` on {date.today()}: {machine()}, Python "
        f"{platform.python_version()}. Each ratio compares two things measured side by side in "
        "one run; absolute times are of this machine and of how busy it was.",
    ]
    for title, rows in sections.items():
        lines += ["", f"## {title}", ""]
        if notes.get(title):
            lines += [notes[title], ""]
        lines += ["| what | measured | ratio |", "|---|---|---|"]
        for row in rows:
            ratio = f"{row.ratio:,.3g}x {row.against}" if row.ratio is not None else ""
            lines.append(f"| {row.what} | {number(row.value)} {row.unit} | {ratio} |")
    return "\n".join(lines) + "\n"


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
