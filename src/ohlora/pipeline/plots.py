"""Plots as SVG, for a page in light or dark: colours come from its style sheet."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

Points = list[tuple[float, float]]
WIDE, HIGH, LEFT, LOW = 320, 130, 44, 20  # pixels: of a plot, and of the room for its figures
MOST = 240  # points drawn


def read_log(path: Path, columns: Sequence[str]) -> dict[str, Points]:
    """step and value of each column of a log.jsonl; columns it has not are left out."""
    found: dict[str, Points] = {name: [] for name in columns}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:  # cut in half by a kill
            continue
        for name, points in found.items():
            value = row.get(name)
            if isinstance(value, int | float) and math.isfinite(value):
                points.append((float(row["step"]), float(value)))
    return {name: points for name, points in found.items() if points}


def curve(caption: str, name: str, points: Points) -> str:
    """One column over the steps: every value faint, their running mean on top. caption: HTML."""
    points = thinned(points)
    xs, ys = np.array(points, float).T
    log = bool(ys.min() > 0 and ys.max() > 30 * ys.min())
    shown = np.log(ys) if log else ys
    low, high = float(shown.min()), float(shown.max())
    room = (high - low) or max(1.0, abs(high)) * 0.1
    first, last = float(xs[0]), float(xs[-1])

    def at(x: float, y: float) -> str:
        across = (x - first) / ((last - first) or 1.0)
        return f"{LEFT + across * (WIDE - LEFT - 8):.1f},{8 + (high - y) / room * HIGH:.1f}"

    raw = " ".join(at(x, y) for x, y in zip(xs, shown, strict=True))
    mean = running_mean(shown)
    smooth = " ".join(at(x, y) for x, y in zip(xs, mean, strict=True))
    end_x, end_y = at(last, float(mean[-1])).split(",")
    scale = ", log" if log else ""
    labels = (
        figure(LEFT - 6, 14, readable(float(ys.max())), "end"),
        figure(LEFT - 6, HIGH + 8, readable(float(ys.min())), "end"),
        figure(LEFT, HIGH + 8 + LOW - 4, readable(first), "start"),
        figure(WIDE - 8, HIGH + 8 + LOW - 4, readable(last), "end"),
    )
    return (
        f'<figure class="plot"><figcaption>{caption}{scale} <b>{readable(float(ys[-1]))}</b>'
        "</figcaption>\n"
        f'<svg viewBox="0 0 {WIDE} {HIGH + 8 + LOW}" role="img" aria-label="{html.escape(name)}">'
        f'<path class="axis" d="M{LEFT} 8V{HIGH + 8}H{WIDE - 8}"/>'
        f'<polyline class="raw" points="{raw}"/><polyline class="line" points="{smooth}"/>'
        f'<circle cx="{end_x}" cy="{end_y}" r="3"/>{"".join(labels)}</svg></figure>\n'
    )


def thinned(points: Points) -> Points:
    """At most MOST points, each the mean of its neighbours."""
    if len(points) <= MOST:
        return points
    return [
        (float(part[:, 0].mean()), float(part[:, 1].mean()))
        for part in np.array_split(np.array(points, float), MOST)
    ]


def running_mean(values: np.ndarray) -> np.ndarray:
    """Over a tenth of the points, shorter at the ends."""
    reach = len(values) // 20
    return np.array([
        values[max(0, i - reach) : i + reach + 1].mean() for i in range(len(values))
    ])  # fmt: skip


def figure(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{text}</text>'


def readable(value: float) -> str:
    """About three digits."""
    if value == int(value) and abs(value) < 1e7:
        return f"{int(value):,}"
    return f"{value:.3g}"


def shares(parts: Sequence[tuple[str, float]]) -> str:
    """A bar of the time each stage took; names where there is room for them."""
    total = sum(seconds for _, seconds in parts)
    if total <= 0:
        return ""
    across, pieces = 0.0, []
    for number, (name, seconds) in enumerate(parts):
        wide = 1000 * seconds / total
        title = f"{html.escape(name)}: {duration(seconds)}"
        pieces.append(
            f'<g><title>{title}</title><rect class="s{number % 6}" x="{across:.1f}" y="0" '
            f'width="{max(0.0, wide - 1.5):.1f}" height="34" rx="3"/>'
            + (
                f'<text x="{across + wide / 2:.1f}" y="22" text-anchor="middle">'
                f"{html.escape(name)}</text>"
                if wide > 9 * len(name)
                else ""
            )
            + "</g>"
        )
        across += wide
    return (
        '<svg class="shares" viewBox="0 0 1000 34" preserveAspectRatio="none" role="img" '
        f'aria-label="time of each stage">{"".join(pieces)}</svg>\n'
    )


def duration(seconds: float) -> str:
    """ "45 s", "3 min 20 s", "2 h 05 min" """
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
