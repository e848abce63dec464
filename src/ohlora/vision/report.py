"""A contact sheet to look at: every picture, its parsed face, its scores, what went wrong."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from ohlora.files import write_whole
from ohlora.models.face_parts import CLASSES
from ohlora.vision.overlay import COLOURS
from ohlora.vision.parsed import draw_overlays
from ohlora.vision.stages import SCORE_COLUMNS
from ohlora.vision.table import Row

NAMES_KO = (
    "배경",
    "피부",
    "왼 눈썹",
    "오른 눈썹",
    "왼눈",
    "오른눈",
    "코",
    "윗입술",
    "입안",
    "아랫입술",
    "머리카락",
)
STATUS_KO: dict[str, str] = {
    "ok": "얼굴 있음",
    "no-face": "얼굴 없음",
    "too-small": "너무 작음",
    "too-large": "너무 큼",
    "not-an-image": "이미지 아님",
    "damaged": "손상됨",
    "unreadable": "열 수 없음",
}
# What each score measures, by SCORE_COLUMNS; units as in vision.scores
SCORES = (
    "eye opening",
    "hair brightness",
    "hair length",
    "open part of the mouth",
    "head tilt",
    "background brightness",
    "background unevenness",
)
SCORES_KO = (
    "눈 뜬 높이",
    "머리카락 밝기",
    "머리카락 길이",
    "입 벌린 비율",
    "고개 기울기",
    "배경 밝기",
    "배경 고르지 않음",
)
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem; color: #222; background: #fafafa }
ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .4rem 1.2rem }
li i { display: inline-block; width: .9em; height: .9em; margin-right: .4em }
li i { border: 1px solid #888 }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); gap: 1rem }
main { align-items: start }
article { background: #fff; border: 1px solid #ddd; border-radius: .4rem; padding: .7rem }
article img { width: 49%; height: auto; border-radius: .2rem }
h2 { font-size: 1rem; margin: 0 0 .4rem; overflow-wrap: anywhere }
dl { display: grid; grid-template-columns: auto 1fr; gap: 0 .8rem; margin: .4rem 0 0; color: #444 }
dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums }
.note { margin: .3rem 0 0; color: #666 } .bad { border-color: #c77 } .bad .note { color: #933 }
"""


@dataclass(frozen=True)
class Card:
    title: str
    images: tuple[str, ...] = ()  # file names beside the sheet
    status: str = "ok"
    note: str = ""
    numbers: dict[str, float | None] = field(default_factory=dict)


def contact_sheet(folder: Path, measured: Mapping[str, Row]) -> list[Card]:
    """Draw all overlays of a parse folder; one card a picture, with its scores if measured."""
    cards = []
    for entry, problem in draw_overlays(folder):
        row = measured.get(entry.row["img_path"], {})
        images = (f"face_{entry.name}.png", f"parsing_visualization_{entry.name}.png")
        cards.append(
            Card(
                title=Path(entry.row["img_path"]).name,
                images=() if problem else images,
                status="damaged" if problem and entry.ok else entry.row["status"],
                note=problem or row.get("note") or entry.row["note"],
                numbers={} if problem or not row else {name: row[name] for name in SCORE_COLUMNS},
            )
        )
    return cards


def write_report(path: Path, cards: Sequence[Card], language: str = "en") -> None:
    """Write the sheet as one HTML file. Raises StoreError."""
    write_whole(path, page(cards, language).encode())


def page(cards: Sequence[Card], language: str) -> str:
    korean = language == "ko"
    title = "파싱한 얼굴" if korean else "Parsed faces"
    statuses = Counter(card.status for card in cards).most_common()
    words = [f"{STATUS_KO[name]} {n}" if korean else f"{n} {name}" for name, n in statuses]
    total = f"이미지 {len(cards)}장" if korean else f"{len(cards)} pictures"
    count = f"{total}: {', '.join(words)}"
    names = NAMES_KO if korean else CLASSES
    legend = "".join(
        f'<li><i style="background: rgb{tuple(int(c) for c in colour)}"></i>{name}</li>'
        for colour, name in zip(COLOURS, names, strict=True)
    )
    return (
        f'<!doctype html>\n<html lang="{language}">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n"
        f"<h1>{title}</h1>\n<p>{count}</p>\n<ul>{legend}</ul>\n<main>\n"
        + "".join(article(card, korean) for card in cards)
        + "</main>\n</html>\n"
    )


def article(card: Card, korean: bool) -> str:
    pictures = " ".join(
        f'<img src="{quote(name)}" alt="{html.escape(name)}" loading="lazy" width="224" '
        'height="224">'
        for name in card.images
    )
    words = dict(zip(SCORE_COLUMNS, SCORES_KO if korean else SCORES, strict=True))
    numbers = "".join(
        f"<dt>{words[name]}</dt><dd>{'' if value is None else f'{value:.4g}'}</dd>"
        for name, value in card.numbers.items()
    )
    note = f'<p class="note">{html.escape(card.note)}</p>' if card.note else ""
    status = f" ({STATUS_KO[card.status] if korean else card.status})"
    status = "" if card.status == "ok" else status
    kind = "ok" if card.status == "ok" else "bad"
    return (
        f'<article class="{kind}"><h2>{html.escape(card.title)}{status}</h2>{pictures}{note}'
        f"{f'<dl>{numbers}</dl>' if numbers else ''}</article>\n"
    )
