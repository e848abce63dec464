"""A persona pack in memory, and how its text files are read and written.

settings   persona.toml as a dict; dates are datetime.date
lines      file stem -> rows {"q", "a", "topic", "split", ...}; other keys of a row are kept
rules      answers.toml: {"own": [topics that may answer], "always": {topic: pattern}}, or {}
card       the Character Card it came from, every key kept, or None
files      what is copied as it is: "adapter/...", "face/...", "picture.png", "assets/..."
"""

from __future__ import annotations

import io
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import IO, Any

from ohlora.errors import BadInput, CheckpointError

Row = dict[str, Any]
Opener = Callable[[], IO[bytes]]

QUESTION_CHARS = 200
ANSWER_CHARS = 400  # a spoken answer; the embedded model was trained on far shorter ones
LINES_BYTES = 32 << 20  # one file of lines
CARRIED = ("adapter", "face", "assets")  # folders copied as they are
PICTURE, CARD = "picture.png", "card.json"
ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
RESERVED = frozenset(
    ["con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))]
)  # names that Windows keeps for itself


@dataclass
class Pack:
    settings: dict[str, Any]
    lines: dict[str, list[Row]] = field(default_factory=dict)
    rules: dict[str, Any] = field(default_factory=dict)
    card: dict[str, Any] | None = None
    files: dict[str, Opener] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return str(self.settings["id"])

    @property
    def name(self) -> str:
        return str(self.settings["name"]["ko"])

    def rows(self) -> list[Row]:
        return [row for rows in self.lines.values() for row in rows]


def make_row(question: str, answer: str, topic: str = "") -> Row:
    return {"q": question, "a": answer, "topic": topic or topic_of(question), "split": "train"}


def topic_of(question: str) -> str:
    """A readable topic name for one written question."""
    return re.sub(r"\W+", "_", question).strip("_")[:32].lower() or "line"


def check_id(name: str) -> str:
    """`name` when it can name a folder, a model id and a database row. Raises BadInput."""
    if not ID.fullmatch(name) or name in RESERVED:
        raise BadInput(
            f"{name!r} cannot name a persona: use 1 to 40 of a-z, 0-9, - and _, "
            "beginning with a letter or digit.",
            f"{name!r}는 페르소나 이름으로 쓸 수 없어요. a-z, 0-9, -, _ 로 40자까지, "
            "글자나 숫자로 시작해 주세요.",
        )
    return name


def refuse(path: Path | str, en: str, ko: str) -> BadInput:
    """What is wrong with a file somebody gave us, in one sentence of each language."""
    return BadInput(f"{path}: {en}", f"{path}: {ko}")


def holding(data: bytes) -> Opener:
    return lambda: io.BytesIO(data)


def reading(path: Path) -> Opener:
    return lambda: path.open("rb")


def read_pack(folder: Path) -> Pack:
    """Read a pack for export. Raises CheckpointError or BadInput, naming file and line."""
    pack = Pack(read_toml(folder / "persona.toml"))
    for path in sorted((folder / "lines").glob("*.jsonl")):
        pack.lines[path.stem] = read_rows(path)
    if (folder / "lines" / "answers.toml").exists():
        pack.rules = read_toml(folder / "lines" / "answers.toml")
    if (folder / CARD).exists():
        from ohlora.packs.card import read_card

        pack.card = read_card(folder / CARD)
    names = [folder / PICTURE]
    names += [path for top in CARRIED for path in sorted((folder / top).rglob("*"))]
    for path in names:
        if path.is_file() and not path.is_symlink():
            pack.files[path.relative_to(folder).as_posix()] = reading(path)
    return pack


def read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            path, "is missing: a persona pack needs it.", "파일이 없어요. 페르소나 팩에 필요해요."
        ) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CheckpointError(
            path,
            f"is not readable TOML ({error}): mend the file.",
            f"TOML로 읽을 수 없어요({error}). 파일을 고쳐 주세요.",
        ) from error


def read_rows(path: Path) -> list[Row]:
    """The rows of a lines file, other keys included. Raises BadInput naming the line."""
    rows = []
    for number, text in numbered(path):
        try:
            row = json.loads(text)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict) or not all(
            isinstance(row.get(key), str) and row[key].strip() for key in ("q", "a", "topic")
        ):
            raise refuse(
                f"{path}:{number}",
                'want one JSON object {"q": ..., "a": ..., "topic": ...} with texts in it.',
                '{"q": ..., "a": ..., "topic": ...} 꼴의 JSON 한 줄이어야 해요.',
            )
        rows.append(row)
    return rows


def numbered(path: Path) -> list[tuple[int, str]]:
    """(line number, text) of every line with something on it. Raises BadInput."""
    try:
        if path.stat().st_size > LINES_BYTES:
            raise refuse(
                path,
                f"is larger than {LINES_BYTES >> 20} MB: split it.",
                f"{LINES_BYTES >> 20} MB보다 커요. 나눠 주세요.",
            )
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refuse(
            path,
            f"is not UTF-8 text (byte {error.start}): save it as UTF-8.",
            f"UTF-8 글이 아니에요({error.start}번째 바이트). UTF-8로 저장해 주세요.",
        ) from error
    except OSError as error:
        raise refuse(
            path,
            f"cannot be read ({error.strerror}).",
            f"읽을 수 없어요({error.strerror}).",
        ) from error
    lines = enumerate(text.split("\n"), start=1)
    return [(number, line.rstrip("\r")) for number, line in lines if line.strip()]


def rows_text(rows: list[Row]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def toml_text(table: Mapping[str, Any]) -> str:
    """TOML of a settings dict: plain values first, then one section for each table."""
    return "\n".join(_sections(table, "")).strip() + "\n"


def _sections(table: Mapping[str, Any], name: str) -> list[str]:
    plain = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    out = [f"\n[{name}]"] if name and (plain or not table) else []
    out += [f"{_key(key)} = {_value(value)}" for key, value in plain.items()]
    for key, value in table.items():
        if isinstance(value, Mapping):
            out += _sections(value, f"{name}.{_key(key)}" if name else _key(key))
    return out


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _string(key)


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case date():
            return value.isoformat()
        case str():
            return _string(value)
        case list() | tuple():
            items = [_value(item) for item in value]
            inline = f"[{', '.join(items)}]"
            return inline if len(inline) < 90 else "[\n    " + ",\n    ".join(items) + ",\n]"
        case Mapping():
            pairs = ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items())
            return f"{{{pairs}}}"
    raise TypeError(f"no TOML for {type(value).__name__}")


def _string(text: str) -> str:
    if "\n" not in text:
        return _escaped(text)
    inside = "\n".join(_escaped(line)[1:-1] for line in text.split("\n"))
    return f'"""\n{inside}"""'


def _escaped(text: str) -> str:
    """A basic TOML string; JSON's escapes are TOML's, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
