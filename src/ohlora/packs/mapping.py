"""Between a character card and a pack.

    card                                        pack
    name, nickname                              name.ko, and what {{char}} stands for
    first_mes                                   greeting
    system_prompt, description, personality,    prompt.system, for models that read one
      scenario, character_book, post_history_instructions
    mes_example, short alternate_greetings      lines/examples.jsonl
    extensions.ohlora                           all that a card has no field for (see `extension`)
    everything else                             card.json, untouched, and out again

What a field held when we wrote the card is remembered as a hash in extensions.ohlora.seen: a field
that another program edited since wins over ours, one that is as we left it does not. Going back, a
field of the card changes only when the pack's own value did.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from ohlora.packs.card import REQUIRED, Card, examples, say_macros, spoken
from ohlora.packs.pack import ANSWER_CHARS, QUESTION_CHARS, Pack, Row, make_row, refuse, toml_text
from ohlora.persona import fill, life_slots

FORMAT = 1
BOOK_CHARS = 4_000  # of the lore book that go into the system prompt
GREETING_CHARS = 120  # a longer alternate greeting is a scene, no answer to "안녕"
SHOWN_LINES = 24  # in mes_example
KEPT = ("license", "born", "first_year", "own_words", "name", "greeting", "about", "prompt",
        "fallback", "sampling", "expressions")  # fmt: skip
FALLBACK_KO = [
    "그건 아직 나도 잘 몰라. 너는 어때?",
    "그 얘기는 다음에 들려줄게. 다른 것도 물어봐 줘!",
    "음, 그건 더 생각해 볼게. 네 얘기를 먼저 들려줄래?",
]
FALLBACK_EN = [
    "I can't say yet. What about you?",
    "Let me tell you that another day. Ask me something else!",
    "Let me think about that. Tell me about yourself first?",
]


def pack_of(card: Card, name_of_file: Path) -> Pack:
    """The pack that a card describes; its files (adapter, face) are the caller's to add.

    Raises BadInput for an extensions.ohlora that cannot be used.
    """
    data = card["data"]
    ours = _ours(card, name_of_file)
    settings, lines = from_fields(data)
    rules: dict[str, Any] = {}
    if ours:
        seen = ours.get("seen", {})
        untouched = {field for field in seen if seen[field] == _hash(data.get(field, ""))}
        held = {key: ours[key] for key in KEPT if key in ours}
        for key, field in (
            ("name", "name"),
            ("greeting", "first_mes"),
            ("prompt", "system_prompt"),
        ):
            if field not in untouched:
                held.pop(key, None)
        settings |= held
        own = ours.get("lines", {})
        added = {}
        if "mes_example" not in untouched:
            known = {(row["q"], row["a"]) for rows in own.values() for row in rows}
            rows = [row for row in lines.get("examples", []) if (row["q"], row["a"]) not in known]
            added = {"examples": [*own.get("examples", []), *rows]} if rows else {}
        lines = {**own, **added}
        rules = ours.get("answers", {})
        if added and rules:
            topics = {row["topic"] for row in added["examples"]}
            rules = {**rules, "examples": sorted({*rules.get("examples", ()), *topics})}
    settings = {"id": ours.get("id", ""), "version": FORMAT, **settings}
    if isinstance(settings.get("born"), str):
        settings["born"] = date.fromisoformat(settings["born"])
    return Pack(settings, lines, rules, card=_bare(card))


def from_fields(data: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, list[Row]]]:
    """Settings and lines from the card's own fields. The same card gives the same."""
    data = {key: value for key, value in data.items() if value is not None}
    name = " ".join(data["name"].split())
    char = (data.get("nickname") or "").strip() or name
    korean = is_korean(data.get("first_mes", "") + data.get("description", ""))
    you = "너" if korean else "you"

    def said(text: str) -> str:
        return say_macros(text, char, you).strip()

    rows: list[Row] = []
    for asked, answered in examples(data.get("mes_example", ""), name):
        question, answer = spoken(said(asked)), spoken(said(answered))
        if 0 < len(question) <= QUESTION_CHARS and 0 < len(answer) <= ANSWER_CHARS:
            rows.append(make_row(question, answer))
    for text in data.get("alternate_greetings", []):
        if isinstance(text, str) and 0 < len(short := spoken(said(text))) <= GREETING_CHARS:
            rows.append(make_row("안녕" if korean else "Hello", short, "greeting"))
    rows = list({(row["q"], row["a"]): row for row in rows}.values())
    hello = said(data.get("first_mes", "")) or name
    about = _first_sentence(said(data.get("description", ""))) or name
    settings = {
        "name": {"ko": name, "en": name},
        "greeting": {"ko": hello, "en": hello},
        "about": {"ko": about, "en": about},
        "prompt": {"system": _system(data, said)},
        "fallback": {"lines": FALLBACK_KO if korean else FALLBACK_EN},
    }
    return settings, {"examples": rows} if rows else {}


def card_of(pack: Pack, today: date) -> Card:
    """The card of a pack: the one it came from with what changed since, or a new one."""
    card = copy.deepcopy(pack.card) if pack.card else _new_card()
    data = card["data"]
    before, before_lines = from_fields(data) if pack.card else ({}, {})
    now = pack.settings
    if _differs(before, now, "name"):
        data["name"] = pack.name
    if _differs(before, now, "greeting"):
        data["first_mes"] = fill(now["greeting"]["ko"], _lasting(pack, today))
    if _differs(before, now, "prompt"):
        system = now.get("prompt", {}).get("system", "").strip()
        data["system_prompt"] = _portable(system, _lasting(pack, today))
    if before_lines.get("examples", []) != pack.lines.get("examples", []) or not pack.card:
        data["mes_example"] = _examples_text(pack, today)
    if not pack.card:
        data["description"] = now.get("about", {}).get("ko", "")
        data["creator_notes"] = now.get("about", {}).get("en", "")
        data["tags"] = ["ohlora"]
    data["extensions"] = extensions = data.get("extensions") or {}
    previous = extensions.get("ohlora")
    kept = previous if isinstance(previous, dict) else {}
    extensions["ohlora"] = {**kept, **extension(pack, data)}
    return card


def extension(pack: Pack, data: Mapping[str, Any]) -> dict[str, Any]:
    """data.extensions.ohlora: settings, lines and rules as JSON, and hashes of what we wrote.

    Adapter, face and z are added by the writer of the file, which knows what it carries.
    """
    ours: dict[str, Any] = {"format": FORMAT, "id": pack.id}
    for key in KEPT:
        if key in pack.settings:
            value = pack.settings[key]
            ours[key] = value.isoformat() if isinstance(value, date) else value
    ours["lines"], ours["answers"] = pack.lines, pack.rules
    fields = ("name", "first_mes", "system_prompt", "mes_example")
    ours["seen"] = {field: _hash(data.get(field, "")) for field in fields}
    return ours


def is_korean(text: str) -> bool:
    letters = re.findall(r"[A-Za-z가-힣]", text)
    return not letters or sum("가" <= char for char in letters) * 4 > len(letters)


def _ours(card: Card, path: Path) -> dict[str, Any]:
    """extensions.ohlora, checked; {} when there is none."""
    ours = (card["data"].get("extensions") or {}).get("ohlora")
    if ours is None:
        return {}

    def wrong(what: str) -> Exception:
        return refuse(
            path,
            f"extensions.ohlora of its card has a wrong {what}: export the persona again.",
            f"카드의 extensions.ohlora에서 {what} 값이 잘못됐어요. 페르소나를 다시 내보내 주세요.",
        )

    if not isinstance(ours, dict) or ours.get("format") != FORMAT:
        raise wrong("format")
    for key in ("lines", "answers", "seen", "name", "greeting", "about", "prompt", "fallback",
                "sampling", "expressions"):  # fmt: skip
        if not isinstance(ours.get(key, {}), dict):
            raise wrong(key)
    for stem, rows in ours.get("lines", {}).items():
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,39}", stem) or not isinstance(rows, list):
            raise wrong(f"lines.{stem[:40]!a}")
        for row in rows:
            if not isinstance(row, dict) or not all(
                isinstance(row.get(key), str) and row[key].strip() for key in ("q", "a", "topic")
            ):
                raise wrong(f"lines.{stem}")
    try:
        toml_text({key: ours[key] for key in KEPT if key in ours}).encode()
        tomllib.loads(toml_text(ours.get("answers", {})))
        json.dumps(ours.get("lines", {}), ensure_ascii=False).encode()
        date.fromisoformat(ours.get("born", "2000-01-01"))
        # This is what load_persona will read.
        for key in ("name", "greeting", "about"):
            if key in ours and not all(isinstance(ours[key].get(one), str) for one in ("ko", "en")):
                raise ValueError(key)
        if not isinstance(ours.get("prompt", {}).get("system", ""), str):
            raise ValueError("prompt")
    except (ValueError, TypeError, RecursionError) as error:
        raise wrong(f"value ({error})") from error
    return ours


def _bare(card: Card) -> Card:
    """The card without what the pack keeps elsewhere; keys of a newer format stay."""
    card = copy.deepcopy(card)
    extensions = card["data"].get("extensions") or {}
    if isinstance(ours := extensions.get("ohlora"), dict):
        known = {"format", "id", "lines", "answers", "seen", "adapter", "face", "z", *KEPT}
        if rest := {key: value for key, value in ours.items() if key not in known}:
            extensions["ohlora"] = rest
        else:
            del extensions["ohlora"]
    return card


def _new_card() -> Card:
    return {"spec": "chara_card_v3", "spec_version": "3.0", "data": copy.deepcopy(REQUIRED)}


def _differs(before: Mapping[str, Any], now: Mapping[str, Any], key: str) -> bool:
    return key in now and before.get(key) != now[key]


def _hash(text: Any) -> str:
    return hashlib.sha256(json.dumps(text).encode()).hexdigest()[:16]


def _system(data: Mapping[str, Any], said: Any) -> str:
    """One system prompt out of the fields other programs send in parts."""
    parts = [data.get("system_prompt", ""), data.get("description", "")]
    parts += [data.get("personality", ""), data.get("scenario", ""), _book(data)]
    parts.append(data.get("post_history_instructions", ""))
    return "\n".join(text for part in parts if (text := said(part)))


def _book(data: Mapping[str, Any]) -> str:
    """The enabled entries of the lore book, constant ones first, up to BOOK_CHARS."""
    entries = data.get("character_book", {}).get("entries")
    texts = [
        (not entry.get("constant"), str(entry.get("content", "")).strip())
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict) and entry.get("enabled", True)
    ]
    book = ""
    for _, text in sorted(texts, key=lambda pair: pair[0]):
        if text and len(book) + len(text) < BOOK_CHARS:
            book += text + "\n"
    return book.strip()


def _first_sentence(text: str) -> str:
    first = re.split(r"(?<=[.!?])\s|\n", text.strip())[0]
    return first if len(first) <= 160 else first[:159] + "…"


def _lasting(pack: Pack, today: date) -> dict[str, str]:
    """Slots that hold for months: age and school year."""
    return life_slots(today, pack.settings.get("born"), pack.settings.get("first_year"))


def _portable(text: str, slots: Mapping[str, str]) -> str:
    """`text` for programs that know no slots: without the lines that speak of this very day."""
    lines = [line for line in text.split("\n") if not re.search(r"\{(요일|날짜|계절)\}", line)]
    return fill("\n".join(lines), dict(slots))


def _examples_text(pack: Pack, today: date) -> str:
    """Some of the lines, one of each topic, as example dialogues."""
    shown: dict[str, str] = {}
    slots = _lasting(pack, today)
    written = [row for stem in ("own", "examples") for row in pack.lines.get(stem, [])]
    for row in [*written, *pack.rows()]:
        question, answer = row["q"], fill(row["a"], slots)
        if row["topic"] in shown or question.startswith("[") or re.search(r"\{\w+\}", answer):
            continue
        shown[row["topic"]] = f"<START>\n{{{{user}}}}: {question}\n{{{{char}}}}: {answer}"
        if len(shown) == SHOWN_LINES:
            break
    return "\n".join(shown.values())
