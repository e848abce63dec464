"""OUT/report.html: what every stage made, in one file with all pictures and plots inside.

The page speaks English and Korean; a button switches.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ohlora.files import write_whole
from ohlora.pipeline.plots import curve, duration, read_log, shares
from ohlora.pipeline.stage import Curve, Number, Picture

if TYPE_CHECKING:
    from ohlora.pipeline.run import State

STYLE = """
:root { color-scheme: light dark;
  --paper: light-dark(#f6f4f1, #17161a); --card: light-dark(#fff, #211f26);
  --ink: light-dark(#26222b, #eceaf0); --soft: light-dark(#6d6675, #a39cad);
  --line: light-dark(#e4dfe6, #37333f); --accent: #7d6bd0; --good: #3a9d6e; --bad: #c8553d;
  --shadow: light-dark(0 1px 2px #0001, none) }
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.55 system-ui, "Noto Sans KR", sans-serif }
:root[data-lang=ko] .en, :root:not([data-lang=ko]) .ko { display: none }
header, main { max-width: 66rem; margin: 0 auto; padding: 0 1.2rem }
header { padding-top: 2.4rem }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .3rem; letter-spacing: -.02em }
p { margin: .2rem 0 }
.soft, dt, figcaption { color: var(--soft) }
button { float: right; font: inherit; color: inherit; background: var(--card); cursor: pointer;
  border: 1px solid var(--line); border-radius: 99px; padding: .25rem .9rem }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .8rem;
  margin: 1.4rem 0 }
.cards div, section { background: var(--card); border: 1px solid var(--line);
  border-radius: .8rem; box-shadow: var(--shadow) }
.cards div { padding: .8rem 1rem }
.cards b { display: block; font-size: 1.35rem; font-variant-numeric: tabular-nums }
.shares { width: 100%; height: 34px; display: block }
.shares text { fill: #fff; font-size: 13px }
.s0 { fill: #7d6bd0 } .s1 { fill: #4b86b8 } .s2 { fill: #3a9d8e }
.s3 { fill: #7a9a3c } .s4 { fill: #c08a2e } .s5 { fill: #c8553d }
nav { display: flex; flex-wrap: wrap; gap: .35rem; margin: 1rem 0 1.6rem }
nav a { color: inherit; text-decoration: none; border: 1px solid var(--line);
  border-radius: 99px; padding: .1rem .7rem; background: var(--card); font-size: .9rem }
nav a:hover { border-color: var(--accent) }
section { padding: 1.1rem 1.3rem 1.3rem; margin: 0 0 1.1rem; scroll-margin-top: 1rem }
h2 { font-size: 1.15rem; margin: 0; display: flex; flex-wrap: wrap; gap: .6rem;
  align-items: baseline }
h2 code { font-size: .85rem; color: var(--soft) }
h2 .time { margin-left: auto; font-size: .9rem; font-weight: 400; color: var(--soft) }
.state { font-size: .8rem; font-weight: 500; border-radius: 99px; padding: 0 .6rem;
  border: 1px solid currentColor }
.done { color: var(--good) } .stopped { color: var(--bad) }
.missing, .stale, .going { color: var(--soft) }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(17.5rem, 1fr));
  gap: 0 1.8rem; margin: .8rem 0 0 }
dl div { display: flex; justify-content: space-between; gap: 1rem; padding: .22rem 0;
  border-bottom: 1px solid var(--line) }
dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
dd.text { white-space: normal; overflow-wrap: anywhere }
dl div:has(.text) dt { white-space: nowrap }
figure { margin: 1rem 0 0 } figcaption { font-size: .88rem; margin-bottom: .3rem }
figure img { max-width: 100%; max-height: 46rem; border-radius: .4rem; display: block }
figure img.wide { width: 100%; object-fit: contain; object-position: left }
.svg { background: #fff; padding: .4rem }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr));
  gap: 0 1.2rem }
.plot svg { width: 100%; height: auto; display: block }
.plot b { float: right; color: var(--ink); font-variant-numeric: tabular-nums }
.plot text { fill: var(--soft); font-size: 11px }
.axis { fill: none; stroke: var(--line) }
.raw { fill: none; stroke: var(--accent); opacity: .3 }
.line { fill: none; stroke: var(--accent); stroke-width: 2; stroke-linejoin: round }
.plot circle { fill: var(--accent) }
.reached { color: var(--good) } .not { color: var(--bad) }
footer { max-width: 66rem; margin: 0 auto; padding: .6rem 1.2rem 3rem; font-size: .9rem }
@media (max-width: 48rem) { .shares text { display: none } }
@media print { button, nav { display: none } section { break-inside: avoid } }
"""
SCRIPT = """
const root = document.documentElement;
const speak = (lang) => { root.dataset.lang = lang; root.lang = lang };
speak((navigator.language || "en").startsWith("ko") ? "ko" : "en");
document.querySelector("button").onclick = () => speak(root.lang === "ko" ? "en" : "ko");
"""
WORDS = {
    "done": ("done", "완료"),
    "stopped": ("stopped", "멈춤"),
    "going": ("cut off", "끊김"),
    "stale": ("made with other options", "다른 옵션으로 만든 것"),
    "missing": ("not yet", "아직"),
}
TYPES = {"webp": "image/webp", "png": "image/png", "svg": "image/svg+xml"}


def write_report(path: Path, preset: str, settings: Sequence[str], stages: Sequence[State]) -> None:
    """Raises StoreError."""
    write_whole(path, page(preset, settings, stages).encode())


def page(preset: str, settings: Sequence[str], stages: Sequence[State]) -> str:
    done = [one for one in stages if one.state == "done"]
    total = sum(one.seconds for one in stages)
    cards = [
        (both("preset", "프리셋"), esc(preset)),
        (both("stages done", "끝난 단계"), f"{len(done)} / {len(stages)}"),
        (both("time in all", "전체 시간"), duration(total)),
        *verdicts(stages),
    ]
    title = both("Her face from nothing", "빈 폴더에서 만든 얼굴")
    changed = f"<p class=soft><code>{esc('  '.join(settings))}</code></p>" if settings else ""
    made = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    links = "".join(
        f'<a href="#{one.stage.name}">{both(one.stage.en, one.stage.ko)}</a>' for one in stages
    )
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>ohlora pipeline: {esc(preset)}</title>\n<style>{STYLE}</style>\n"
        '<header><button type="button">한국어 / English</button>\n'
        f"<h1>{title}</h1>\n<p class=soft>ohlora pipeline run · {made}</p>\n{changed}"
        f"<div class=cards>{''.join(f'<div>{name}<b>{value}</b></div>' for name, value in cards)}"
        f"</div>\n{shares([(one.stage.name, one.seconds) for one in stages])}"
        f"<nav>{links}</nav></header>\n<main>\n"
        + "".join(section(number, one) for number, one in enumerate(stages, start=1))
        + "</main>\n<footer class=soft>"
        + both(
            "Times are of this machine. Bars such as |r| at least 0.95 are the project's; "
            "what is not reached stays written here.",
            "시간은 이 컴퓨터에서 잰 것이에요. |r| 0.95 이상 같은 기준은 프로젝트의 것이고, 못 "
            "미친 것도 그대로 적어요.",
        )
        + f"</footer>\n<script>{SCRIPT}</script>\n</html>\n"
    )


def verdicts(stages: Sequence[State]) -> list[tuple[str, str]]:
    """Cards of the acceptance stage: bars that were reached."""
    (accept,) = (one for one in stages if one.stage.name == "accept")
    if accept.state != "done" or accept.record is None:
        return []
    judged = [n for n in accept.record.told.numbers if n.unit in ("reached", "not reached")]
    reached = sum(n.unit == "reached" for n in judged)
    return [(both("bars reached", "도달한 기준"), f"{reached} / {len(judged)}")]


def section(number: int, one: State) -> str:
    told = one.record.told if one.record and one.state == "done" else None
    en, ko = WORDS[one.state]
    time = duration(one.seconds) if one.seconds else ""
    parts = [
        f'<section id="{one.stage.name}"><h2>{number}. {both(one.stage.en, one.stage.ko)} '
        f'<code>{one.stage.name}</code><span class="state {one.state}">{both(en, ko)}</span>'
        f'<span class="time">{time}</span></h2>\n'
    ]
    if one.state == "stopped" and one.record:
        parts.append(f'<p class="stopped">{both(one.record.en, one.record.ko)}</p>\n')
    if told:
        if told.numbers:
            parts.append(f"<dl>{''.join(row(n) for n in told.numbers)}</dl>\n")
        plots = "".join(plotted(one.folder, c) for c in told.curves)
        parts.append(f'<div class="plots">{plots}</div>\n' if plots else "")
        parts += [shown(one.folder, picture) for picture in told.pictures]
    return "".join(parts) + "</section>\n"


def row(number: Number) -> str:
    value = f"{number.value:,}" if isinstance(number.value, int) else str(number.value)
    words = {"reached": ("reached", "도달"), "not reached": ("not reached", "미달")}
    if number.unit in words:
        verdict = number.unit.split()[0]
        unit = f' <span class="{verdict}">{both(*words[number.unit])}</span>'
    else:
        unit = f" {esc(number.unit)}" if number.unit else ""
    kind = " class=text" if len(value) > 20 else ""
    return f"<div><dt>{both(number.en, number.ko)}</dt><dd{kind}>{esc(value)}{unit}</dd></div>"


def plotted(folder: Path, wanted: Curve) -> str:
    """One plot a column."""
    log = read_log(folder / wanted.file, wanted.columns)
    return "".join(
        curve(both(f"{wanted.en}: {name}", f"{wanted.ko}: {name}"), name, points)
        for name, points in log.items()
    )


def shown(folder: Path, picture: Picture) -> str:
    """A picture inside the page; one that is no longer there is left out."""
    path = folder / picture.file
    kind = TYPES.get(path.suffix.lstrip("."))
    if kind is None or not path.is_file():
        return ""
    data = base64.b64encode(path.read_bytes()).decode()
    look = "svg" if path.suffix == ".svg" else "wide"
    return (
        f"<figure><figcaption>{both(picture.en, picture.ko)}</figcaption>"
        f'<img class="{look}" src="data:{kind};base64,{data}" alt="{esc(picture.en)}"></figure>\n'
    )


def both(en: str, ko: str) -> str:
    if en == ko:
        return esc(en)
    return f'<span class="en">{esc(en)}</span><span class="ko" lang="ko">{esc(ko)}</span>'


def esc(text: str) -> str:
    return html.escape(str(text))
