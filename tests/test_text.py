"""Text at the door: what people type, and Korean particles."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohlora.errors import EmptyText, TextTooLong
from ohlora.text import clean_user_text, josa


@pytest.mark.parametrize(
    "text", ["", "   ", "\n\t", "\u200b\u200b", "\x00\x07", "\ud800", "\u202e", "\u3164", "\u200d"]
)
def test_text_without_a_visible_character_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(EmptyText) as caught:
        clean_user_text(text)
    assert "empty" in str(caught.value) and "빈 메시지" in caught.value.ko


def test_a_hundred_thousand_characters_are_refused_with_both_numbers() -> None:
    with pytest.raises(TextTooLong, match="100,000 characters and the limit is 2,000"):
        clean_user_text("가" * 100_000)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("안녕", "안녕"),
        (unicodedata.normalize("NFD", "안녕 로라야"), "안녕 로라야"),
        ("ＡＢＣ１２３！", "ABC123!"),
        ("ㅋㅋㅋ ㅠㅠ", "ㅋㅋㅋ ㅠㅠ"),
        ("👩‍💻 😊", "👩‍💻 😊"),
        ("❤️", "❤️"),
        ("a\x00b\x1bc", "a b c"),
        ("a\ud800b", "ab"),
        ("\u202eabc", "abc"),
        ("שלום", "שלום"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("  여러   칸  ", "여러 칸"),
        ("한 줄\r\n두 줄\n\n\n\n세 줄", "한 줄\n두 줄\n\n세 줄"),
    ],
)
def test_what_people_type_is_kept_and_made_safe(typed: str, kept: str) -> None:
    assert clean_user_text(typed) == kept


@given(st.text(max_size=200))
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    try:
        once = clean_user_text(text)
    except EmptyText:
        return
    assert clean_user_text(once) == once
    once.encode("utf-8")


@pytest.mark.parametrize(
    ("word", "pair", "expected"),
    [
        ("지은", "이야/야", "지은이야"),
        ("민수", "이/가", "민수가"),
        ("서울", "으로/로", "서울로"),
        ("부산", "으로/로", "부산으로"),
        ("카페", "을/를", "카페를"),
        ("3", "이/가", "3이"),
        ("롤 (LoL)", "을/를", "롤 (LoL)을"),
        ("", "이/가", "가"),
        ("book", "이/가", "book이"),
        ("King", "은/는", "King은"),
        ("cup", "을/를", "cup을"),
        ("back", "이/가", "back이"),
        ("BTS", "은/는", "BTS는"),
        ("URL", "으로/로", "URL로"),
        ("WebP", "이/가", "WebP가"),
        ("text", "을/를", "text를"),
        ("file", "으로/로", "file로"),
        ("name", "이/가", "name이"),
        ("'evil.com'", "이라는/라는", "'evil.com'이라는"),
        ("http://127.0.0.1:80/v1", "이/가", "http://127.0.0.1:80/v1이"),
    ],
)
def test_particles_follow_the_sound_of_the_word(word: str, pair: str, expected: str) -> None:
    assert josa(word, pair) == expected
