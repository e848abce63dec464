"""Character Card V2 and V3: read, check, write; macros and example dialogues in their texts.

    {"spec": "chara_card_v3", "spec_version": "3.0", "data": {"name": ..., "first_mes": ..., ...}}

After https://github.com/kwaroran/character-card-spec-v3 and
https://github.com/malfoyslastname/character-card-spec-v2. A card is kept as the JSON it was:
keys that nobody here knows come out again with the values they had.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

from ohlora.errors import BadInput
from ohlora.packs.pack import refuse

Card = dict[str, Any]
Spec = Literal[2, 3]

CARD_BYTES = 16 << 20  # JSON
SPECS: dict[str, str] = {"chara_card_v2": "2", "chara_card_v3": "3"}  # and their major version
V1_KEYS = ("name", "description", "personality", "scenario", "first_mes", "mes_example")
TEXTS = (*V1_KEYS, "creator_notes", "system_prompt", "post_history_instructions", "creator",
         "character_version", "nickname")  # fmt: skip
LISTS = ("alternate_greetings", "tags", "group_only_greetings", "assets")
REQUIRED: Card = {
    "name": "", "description": "", "personality": "", "scenario": "", "first_mes": "",
    "mes_example": "", "creator_notes": "", "system_prompt": "", "post_history_instructions": "",
    "alternate_greetings": [], "tags": [], "creator": "", "character_version": "",
    "extensions": {},
}  # fmt: skip


def read_card(path: Path) -> Card:
    """Read a card's JSON file. Raises BadInput."""
    try:
        if path.stat().st_size > CARD_BYTES:
            raise too_large(path)
        data = path.read_bytes()
    except OSError as error:
        raise refuse(
            path, f"cannot be read ({error.strerror}).", f"읽을 수 없어요({error.strerror})."
        ) from error
    return parse_card(data, path)


def parse_card(data: bytes, path: Path) -> Card:
    """The checked card in these bytes. Raises BadInput, naming `path` and what is wrong.

    A card of the first version, which has no frame around its fields, gets V2's.
    """
    if len(data) > CARD_BYTES:
        raise too_large(path)
    try:
        card: Card = json.loads(data.decode("utf-8-sig"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise refuse(
            path,
            f"its card is not UTF-8 (byte {error.start}): save it as UTF-8.",
            f"카드가 UTF-8이 아니에요({error.start}번째 바이트). UTF-8로 저장해 주세요.",
        ) from error
    except (ValueError, RecursionError) as error:
        said = "nested too deep" if isinstance(error, RecursionError) else error
        raise refuse(
            path,
            f"its card is not JSON ({said}): fetch it again.",
            f"카드가 JSON이 아니에요({said}). 다시 받아 주세요.",
        ) from error
    if isinstance(card, dict) and "spec" not in card and all(key in card for key in V1_KEYS):
        card = {"spec": "chara_card_v2", "spec_version": "2.0", "data": {**REQUIRED, **card}}
    _check(card, path)
    return card


def dump_card(card: Card, spec: Spec = 3) -> bytes:
    """The card as JSON of V2 or V3. ASCII, so that even what is no Unicode text comes out again."""
    framed = {**card, "spec": f"chara_card_v{spec}", "spec_version": f"{spec}.0"}
    if card.get("spec") == framed["spec"]:
        framed["spec_version"] = card["spec_version"]
    if spec == 3:
        framed["data"] = {**card["data"]}
        framed["data"].setdefault("group_only_greetings", [])
    return json.dumps(framed, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def too_large(path: Path) -> BadInput:
    limit = CARD_BYTES >> 20
    return refuse(
        path,
        f"its card is larger than {limit} MB: cards are a few hundred kB.",
        f"카드가 {limit} MB보다 커요. 카드는 보통 수백 kB예요.",
    )


def _check(card: Any, path: Path) -> None:
    if not isinstance(card, dict) or card.get("spec") not in SPECS:
        spec = card.get("spec") if isinstance(card, dict) else type(card).__name__
        raise refuse(
            path,
            f'want "spec": "chara_card_v2" or "chara_card_v3", found {spec!r}: this is no '
            "character card of these versions.",
            f'"spec"이 "chara_card_v2"나 "chara_card_v3"이어야 하는데 {spec!r}예요.',
        )
    version, major = card.get("spec_version"), SPECS[card["spec"]]
    if not isinstance(version, str) or version.partition(".")[0] != major:
        raise refuse(
            path,
            f'{card["spec"]} wants "spec_version": "{major}.0", found {version!r}.',
            f'{card["spec"]}의 "spec_version"은 "{major}.0"이어야 하는데 {version!r}예요.',
        )
    data = card.get("data")
    if not isinstance(data, dict):
        raise _field(path, "data", "an object", "객체", data)
    if not isinstance(data.get("name"), str) or not data["name"].strip():
        raise _field(path, "data.name", "the character's name", "캐릭터의 이름", data.get("name"))
    for key in TEXTS:  # null is what some programs write for nothing
        if not isinstance(data.get(key) or "", str):
            raise _field(path, f"data.{key}", "a text", "글", data[key])
        if re.search("[\ud800-\udfff]", data.get(key) or ""):
            raise _field(path, f"data.{key}", "Unicode text", "유니코드 글", "half a character")
    for key in LISTS:
        if not isinstance(data.get(key) or [], list):
            raise _field(path, f"data.{key}", "a list", "목록", data[key])
    for key in ("extensions", "character_book"):
        if not isinstance(data.get(key) or {}, dict):
            raise _field(path, f"data.{key}", "an object", "객체", data[key])


def _field(path: Path, name: str, want: str, want_ko: str, found: Any) -> BadInput:
    shown = "nothing" if found is None else ascii(found)[:40]
    shown_ko = "없어요" if found is None else f"{ascii(found)[:40]}예요"
    return refuse(
        path,
        f"its card wants {want} as {name}, found {shown}.",
        f"카드의 {name}에는 {want_ko}이 있어야 하는데 {shown_ko}.",
    )


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


# Possessive throughout: a text that looks like a macro for megabytes costs one pass.
_MACRO = re.compile(r"\{\{\s*+(//|\w++)\s*+:{0,2}+\s*+((?:(?!\{\{|\}\}).)*+)\}\}", re.DOTALL)


def say_macros(text: str, char: str, user: str) -> str:
    """`text` as it would be said: {{char}}, {{user}} and the other macros of V3 worked out.

    A choice ({{random:a,b}}) takes its first; {{original}} and comments are nothing; a macro
    that nobody knows stays as it is.
    """
    text = re.sub(r"<(?:BOT|CHAR)>", "{{char}}", text, flags=re.IGNORECASE)
    text = re.sub(r"<USER>", "{{user}}", text, flags=re.IGNORECASE)

    def put(match: re.Match[str]) -> str:
        name, rest = match[1].lower(), match[2].strip()
        choices = re.split(r"(?<!\\),", rest)
        match name:
            case "char" | "bot":
                return char
            case "user":
                return user
            case "random" | "pick":
                return choices[0].replace("\\,", ",").strip()
            case "roll":
                return "1"
            case "reverse":
                return rest[::-1]
            case "original" | "//" | "comment" | "hidden_key" | "trim" | "noop":
                return ""
            case "newline":
                return "\n"
        return match[0]

    for _ in range(8):  # macros inside macros
        before, text = text, _MACRO.sub(put, text)
        if text == before:
            break
    return text


_SPEAKER = re.compile(r"^\s*(\{\{\s*(?:user|char)\s*\}\}|<(?:USER|BOT|CHAR)>|[^:\n]{1,40})\s*:\s*",
                      re.IGNORECASE)  # fmt: skip


def examples(text: str, char: str) -> list[tuple[str, str]]:
    """(what the user said, what the character answered) of a mes_example, macros left in.

    Blocks begin with <START>; a turn begins with "{{user}}:" or "{{char}}:" (or the character's
    name) and may run over several lines.
    """
    pairs = []
    for block in re.split(r"<START>", text, flags=re.IGNORECASE):
        turns: list[tuple[bool, str]] = []  # (is it the character, text)
        for line in block.strip().splitlines():
            speaker = _SPEAKER.match(line)
            who = _who(speaker[1], char) if speaker else None
            if speaker and who is not None:
                turns.append((who, line[speaker.end() :].strip()))
            elif turns and line.strip():
                turns[-1] = turns[-1][0], f"{turns[-1][1]}\n{line.strip()}".strip()
        for (first, asked), (second, answered) in zip(turns, turns[1:], strict=False):
            if second and not first and asked and answered:
                pairs.append((asked, answered))
    return pairs


def _who(speaker: str, char: str) -> bool | None:
    name = speaker.strip("{}<> \t").lower()
    if name in ("char", "bot", char.lower()):
        return True
    return False if name in ("user", "you", "나", "너") else None


def spoken(text: str) -> str:
    """What is said aloud in a line of role play: without *gestures*, without outer quotes."""
    text = re.sub(r"\*[^*\n]{1,400}\*", " ", text)
    text = re.sub(r"\s+", " ", text).strip()
    if (
        len(text) > 1
        and text[0] in '"“'
        and text[-1] in '"”'
        and not re.search('["“”]', text[1:-1])
    ):
        text = text[1:-1].strip()
    return text
