"""Persona packs: who speaks. One folder each.

    persona.toml     id, name, born, greeting, system prompt, sampling, models of its own
    lines/*.jsonl    her own written lines: {"q", "a", "topic", "split"}

Packs come with ohlora-embedded (the default, "ohlora") and from OHLORA_HOME/personas/.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from ohlora import paths
from ohlora.errors import CheckpointError, UnknownPersona
from ohlora.llm import Sampling

DEFAULT = "ohlora"
WEEKDAYS = "월요일", "화요일", "수요일", "목요일", "금요일", "토요일", "일요일"
SEASONS = "겨울", "봄", "여름", "가을"  # by (month % 12) // 3


@dataclass(frozen=True)
class Models:
    """What a persona runs on, as load_engine, load_encoder, load_face and Companion read it."""

    engine: str = "embedded"
    encoder: str = "embedded"
    face: str = "embedded"
    mode: str = "default"


@dataclass(frozen=True)
class Persona:
    """One persona pack, read and checked."""

    id: str
    name: dict[str, str]  # by language: "ko", "en"
    greeting: dict[str, str]
    about: dict[str, str]
    system: str  # with {slots}
    fallback: tuple[str, ...]
    sampling: Sampling
    folder: Path
    license: str = ""
    born: date | None = None
    first_year: int | None = None
    models: Models = Models()
    own_words: tuple[str, ...] = ()  # that name her life: no other persona may say them
    extra: dict[str, object] = field(default_factory=dict)

    def slots(self, today: date) -> dict[str, str]:
        """What {나이}, {학년}, {요일}, {날짜} and {계절} stand for on `today`."""
        day = {
            "요일": WEEKDAYS[today.weekday()],
            "날짜": f"{today.month}월 {today.day}일",
            "계절": SEASONS[today.month % 12 // 3],
        }
        return day | life_slots(today, self.born, self.first_year)

    def system_on(self, today: date) -> str:
        return fill(self.system, self.slots(today))


def life_slots(today: date, born: date | None, first_year: int | None) -> dict[str, str]:
    """{나이} and {학년} on `today`, as far as they are known."""
    slots = {}
    if born:
        had_birthday = (today.month, today.day) >= (born.month, born.day)
        slots["나이"] = str(today.year - born.year - (not had_birthday))
    if first_year:
        started = today.year - (today.month < 3)  # the school year begins in March
        slots["학년"] = str(min(4, max(1, started - first_year + 1)))
    return slots


def fill(text: str, slots: dict[str, str]) -> str:
    """Replace every known {slot}; unknown ones stay."""
    return re.sub(r"\{(\w+)\}", lambda match: slots.get(match[1], match[0]), text)


def load_persona(name: str = DEFAULT) -> Persona:
    """Read the pack called `name`, or the pack in the folder `name`.

    Raises UnknownPersona, or CheckpointError for a pack that cannot be read.
    """
    folders = dict(find_packs())
    folder = folders.get(name) or Path(name).expanduser()
    file = folder / "persona.toml"
    if not file.is_file():
        raise UnknownPersona(name, tuple(folders))
    try:
        raw = tomllib.loads(file.read_text(encoding="utf-8"))
        return Persona(
            id=raw["id"],
            name=raw["name"],
            greeting=raw["greeting"],
            about=raw.get("about", {"ko": "", "en": ""}),
            system=raw.get("prompt", {}).get("system", "").strip(),
            fallback=tuple(raw["fallback"]["lines"]),
            sampling=Sampling(**raw.get("sampling", {})),
            folder=folder,
            license=raw.get("license", ""),
            born=raw.get("born"),
            first_year=raw.get("first_year"),
            models=read_models(raw.get("models", {}), folder),
            own_words=tuple(raw.get("own_words", ())),
        )
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(
            file,
            f"is not readable TOML ({error}); mend the file.",
            f"TOML로 읽을 수 없어요({error}).",
        ) from error
    except KeyError as error:
        raise CheckpointError(
            file, f"lacks the field {error}; add it.", f"{error} 항목이 빠져 있어요."
        ) from error
    except TypeError as error:
        raise CheckpointError(
            file, f"has a wrong value ({error}); mend it.", f"잘못된 값이 있어요({error})."
        ) from error


def read_models(table: dict[str, str], folder: Path) -> Models:
    """The table [models]: "./" at the beginning of a path is the pack's own folder.

    Raises TypeError for what is no such table.
    """
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise TypeError(f"[models] wants texts, found {table}")
    here = f"{folder.resolve()}/"

    def placed(spec: str) -> str:
        # A path begins the text or follows ":", "+" or "=": "hf:./base+./adapter".
        return re.sub(r"(?<![^:+=])\./", lambda _: here, spec)

    return Models(**{key: placed(spec) for key, spec in table.items()})


def find_packs() -> Iterator[tuple[str, Path]]:
    """(id, folder) of every pack on this machine; the user's own come last and win."""
    for root in (paths.embedded() / "personas", paths.home() / "personas"):
        for file in sorted(root.glob("*/persona.toml")):
            yield file.parent.name, file.parent
