"""Persona packs: the default one, one's own, and what goes wrong with them."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from ohlora.errors import CheckpointError, UnknownPersona
from ohlora.persona import find_packs, load_persona


@pytest.mark.parametrize(
    ("today", "slots"),
    [
        (date(2025, 10, 10), {"나이": "21", "학년": "3", "요일": "금요일", "계절": "가을"}),
        (date(2025, 10, 11), {"나이": "22", "학년": "3", "날짜": "10월 11일"}),
        (date(2026, 1, 5), {"나이": "22", "학년": "3", "계절": "겨울"}),
        (date(2026, 11, 24), {"나이": "23", "학년": "4", "요일": "화요일"}),
        (date(2035, 5, 1), {"나이": "31", "학년": "4", "계절": "봄"}),
    ],
)
def test_her_age_and_school_year_follow_the_date(today: date, slots: dict[str, str]) -> None:
    got = load_persona().slots(today)
    assert {name: got[name] for name in slots} == slots
    assert "{" not in load_persona().system_on(today)


def test_an_unknown_persona_is_named_with_the_known_ones() -> None:
    with pytest.raises(UnknownPersona, match="no persona 'nobody': known personas are ohlora"):
        load_persona("nobody")


def own_pack(home: Path, text: str) -> Path:
    folder = home / "personas" / "mine"
    folder.mkdir(parents=True)
    (folder / "persona.toml").write_text(text, encoding="utf-8")
    return folder


def test_a_folder_of_ones_own_is_a_persona(own_home: Path) -> None:
    folder = own_pack(
        own_home,
        'id = "mine"\nname = {ko = "나", en = "Me"}\ngreeting = {ko = "안녕", en = "Hi"}\n'
        '[fallback]\nlines = ["음"]\n[sampling]\ntemperature = 0.1\n',
    )
    assert dict(find_packs())["mine"] == folder
    persona = load_persona("mine")
    assert (persona.name["ko"], persona.sampling.temperature) == ("나", 0.1)
    assert "나이" not in persona.slots(date(2026, 1, 1))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id = ", "not readable TOML"),
        ('id = "mine"', "lacks the field 'name'"),
        (
            'id="m"\nname={ko="a"}\ngreeting={ko="b"}\n[fallback]\nlines=["x"]\n[sampling]\nwarm=1',
            "has a wrong value",
        ),
    ],
)
def test_a_pack_that_cannot_be_read_names_the_file(own_home: Path, text: str, said: str) -> None:
    own_pack(own_home, text)
    with pytest.raises(CheckpointError, match=said) as caught:
        load_persona("mine")
    assert "persona.toml" in str(caught.value)
