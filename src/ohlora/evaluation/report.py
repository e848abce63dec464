"""Results: NAME.json each, one page index.html with all of a folder, and evaluation.md.

The page is one file without outside parts: style and plots (SVG) are inside.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ohlora.errors import BadInput, StoreError
from ohlora.files import write_whole

ORDER = ("persona", "persona-llm-only", "chat", "chat-llm-only", "memory", "memory-llm-only",
         "encoder", "face")  # fmt: skip
STYLE = """
:root { color-scheme: light dark; --line: #8884; --good: #3a9d6e; --bad: #c8553d; --bar: #7d6bd0 }
body { font: 15px/1.55 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100%; margin: .6rem 0 1.4rem }
td, th { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid var(--line) }
td, th { vertical-align: top; overflow-wrap: anywhere }
td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.good { color: var(--good) } .bad { color: var(--bad) }
.note { opacity: .7; font-size: .9em } details { margin: .6rem 0 2rem }
svg, img { max-width: 100%; height: auto } svg text { fill: currentColor; font: 13px system-ui }
"""


@dataclass(frozen=True)
class Number:
    """One measured number; `bar` is what was asked for, `of` how many things were counted."""

    what: str
    value: float
    unit: str = ""  # "" for a share of 0..1
    of: int | None = None
    bar: float | None = None
    lower_is_better: bool = False
    note: str = ""

    @property
    def passed(self) -> bool | None:
        if self.bar is None or self.of == 0:
            return None
        return self.value <= self.bar if self.lower_is_better else self.value >= self.bar

    def text(self) -> str:
        if self.unit:
            return f"{self.value:g} {self.unit}"
        if self.of == 0:
            return "none"
        return f"{self.value:.3f}" if self.of is None else f"{self.value:.3f} of {self.of:,}"


@dataclass(frozen=True)
class Plot:
    """Horizontal bars from 0 to 1."""

    title: str
    values: dict[str, float]
    bar: float | None = None  # a line at the wanted value


@dataclass(frozen=True)
class Picture:
    """A file beside the results that the page shows: .svg, .webp or .png."""

    title: str
    file: str  # its name in the folder of the results


@dataclass
class Report:
    name: str
    title: str
    setting: Mapping[str, object]
    numbers: list[Number]
    plots: list[Plot] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    command: str = ""
    date: str = field(default_factory=lambda: datetime.now().astimezone().date().isoformat())

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def write(folder: Path, report: Report) -> Path:
    """Add a report to a folder of results; returns the page. Raises StoreError, BadInput."""
    open_folder(folder)
    try:
        text = json.dumps(report.to_dict(), ensure_ascii=False, indent=1)
        write_whole(folder / f"{report.name}.json", (text + "\n").encode())
        reports = read_all(folder)
        write_whole(folder / "evaluation.md", markdown(reports).encode())
        write_whole(folder / "index.html", page(reports, folder).encode())
    except OSError as error:
        raise unwritable(folder, error) from error
    return folder / "index.html"


def open_folder(folder: Path) -> None:
    """Make the folder, and see that all in it can be read: before an hour of measuring, not after.

    Raises StoreError, BadInput.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "index.html", page(read_all(folder), folder).encode())
    except OSError as error:
        raise unwritable(folder, error) from error


def unwritable(folder: Path, error: OSError) -> StoreError:
    return StoreError(
        f"The results cannot be written to {folder} ({error.strerror}): choose another --out.",
        f"결과를 {folder}에 쓸 수 없어요({error.strerror}). --out을 바꿔 주세요.",
    )


def read_all(folder: Path) -> list[Report]:
    """All reports of a folder in reading order. Raises BadInput for a file of another kind."""
    reports = []
    for path in folder.glob("*.json"):
        try:
            raw = json.loads(path.read_text("utf-8"))
            raw["numbers"] = [Number(**number) for number in raw["numbers"]]
            raw["plots"] = [Plot(**plot) for plot in raw["plots"]]
            raw["pictures"] = [Picture(**picture) for picture in raw.get("pictures", [])]
            reports.append(Report(**raw))
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput(
                f"{path} is no result of `ohlora eval` ({error}): move it out of the folder.",
                f"{path}는 `ohlora eval` 결과가 아니에요({error}). 다른 곳으로 옮겨 주세요.",
            ) from error
    place = {name: i for i, name in enumerate(ORDER)}
    return sorted(reports, key=lambda r: (place.get(r.name, len(ORDER)), r.name))


def markdown(reports: Sequence[Report]) -> str:
    """A section for the model card."""
    parts = ["## Evaluation\n"]
    for report in reports:
        setting = ", ".join(f"{key} `{value}`" for key, value in report.setting.items())
        parts.append(f"### {report.title}\n\n`{report.command}`, {report.date}; {setting}.\n")
        parts.append("| measure | value | wanted | |\n|---|---|---|---|")
        for number in report.numbers:
            parts.append(f"| {number.what} | {number.text()} | {wanted(number)} | {number.note} |")
        parts.append("")
    return "\n".join(parts)


def wanted(number: Number) -> str:
    if number.bar is None:
        return ""
    sign = "<=" if number.lower_is_better else ">="
    verdict = {True: ", reached", False: ", **not reached**", None: ""}[number.passed]
    return f"{sign} {number.bar:g}{verdict}"


def page(reports: Sequence[Report], folder: Path) -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>ohlora eval</title>\n<style>{STYLE}</style>\n<h1>ohlora eval</h1>\n"
        + "".join(section(report, folder) for report in reports)
        + "</html>\n"
    )


def section(report: Report, folder: Path) -> str:
    setting = " · ".join(f"{key} {value}" for key, value in report.setting.items())
    rows = "".join(
        f"<tr><td>{esc(n.what)}<td class=n>{esc(n.text())}"
        f'<td class="{ {True: "good", False: "bad", None: ""}[n.passed] }">'
        f"{esc(wanted(n).replace('*', ''))}<td class=note>{esc(n.note)}</tr>\n"
        for n in report.numbers
    )
    return (
        f"<h2>{esc(report.title)}</h2>\n<p class=note>{esc(report.date)} · {esc(report.command)}"
        f"<br>{esc(setting)}</p>\n<table>{rows}</table>\n"
        + "".join(bars(plot) for plot in report.plots)
        + "".join(shown(picture, folder) for picture in report.pictures)
        + failures(report)
    )


def shown(picture: Picture, folder: Path) -> str:
    """A picture inside the page; one that is no longer there is left out."""
    path = folder / Path(picture.file).name
    if not path.is_file():
        return ""
    kind, data = path.suffix.lstrip("."), path.read_bytes()
    if kind == "svg":
        kind = "svg+xml"
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return (
        f"<figure><figcaption>{esc(picture.title)}</figcaption>\n"
        f'<img src="{source}" alt="{esc(picture.title)}"></figure>\n'
    )


def bars(plot: Plot) -> str:
    """An SVG of horizontal bars."""
    left, width, step = 190, 460, 24
    height = step * len(plot.values) + 8
    parts = []
    for row, (name, value) in enumerate(plot.values.items()):
        y, length = row * step + 4, max(0.0, min(1.0, value)) * width
        low = plot.bar is not None and value < plot.bar
        parts.append(
            f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{esc(name)}</text>'
            f'<rect x="{left}" y="{y + 2}" width="{length:.1f}" height="{step - 7}" rx="2" '
            f'fill="var(--{"bad" if low else "bar"})"/>'
            f'<text x="{left + length + 6:.1f}" y="{y + 15}">{value:.2f}</text>'
        )
    if plot.bar is not None:
        x = left + plot.bar * width
        parts.append(f'<path d="M{x:.1f} 0V{height}" stroke="var(--good)" stroke-dasharray="4 3"/>')
    return (
        f"<figure><figcaption>{esc(plot.title)}</figcaption>\n"
        f'<svg viewBox="0 0 {left + width + 60} {height}" width="{left + width + 60}" role="img" '
        f'aria-label="{esc(plot.title)}">{"".join(parts)}</svg></figure>\n'
    )


def failures(report: Report) -> str:
    """Every reply that failed, in a table."""
    if not report.failures:
        return ""
    columns = [name for name in report.failures[0] if name not in ("right", "seconds")]
    head = "".join(f"<th>{esc(name)}" for name in columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{esc(cell(row.get(name)))}" for name in columns) + "</tr>\n"
        for row in report.failures
    )
    return (
        f"<details><summary>{len(report.failures)} to look at</summary>\n"
        f"<table><tr>{head}</tr>\n{rows}</table></details>\n"
    )


def cell(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if value is None or value is False:
        return ""
    return "yes" if value is True else str(value)


def esc(text: str) -> str:
    return html.escape(str(text))
