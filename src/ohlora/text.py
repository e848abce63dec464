"""Text as people type it: cleaning at the door, and Korean particles."""

from __future__ import annotations

import re
import unicodedata

from ohlora.errors import EmptyText, TextTooLong

MAX_CHARS = 2_000  # a message in the page and the terminal; far above a spoken turn

# Controls that change how other text is drawn; nobody types them on purpose.
_BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"
_HIDDEN = re.compile(f"[{_BIDI}\u200b\u2060\ufeff\ud800-\udfff\ufffe\uffff]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_WIDE = re.compile(r"[\uff01-\uff5e\u3000]+")  # full-width ASCII


def clean_user_text(text: str, limit: int = MAX_CHARS) -> str:
    """Return `text` fit to store, show and feed to a model.

    NFC; full-width Latin in its usual width; control, bidi and
    zero-width characters and lone surrogates gone; runs of spaces and blank lines closed up.
    Raises TextTooLong (counted before cleaning, so that work is bounded) and EmptyText.
    """
    if len(text) > limit:
        raise TextTooLong(len(text), limit)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _HIDDEN.sub("", text)
    text = _CONTROL.sub(" ", text)
    text = _WIDE.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)
    text = unicodedata.normalize("NFC", text)
    text = re.sub(r"[^\S\n]+", " ", text)
    text = re.sub(r" ?\n ?", "\n", text)
    text = re.sub(r"\n{3,}", "\n\n", text).strip()
    if not any(is_visible(char) for char in text):
        raise EmptyText
    return text


def is_visible(char: str) -> bool:
    """Letters, digits, marks of punctuation and symbols; not spaces, joiners or fillers."""
    return unicodedata.category(char)[0] in "LNPS" and char not in "\u115f\u1160\u3164\uffa0"


_FINALS = {"0": 1, "1": 8, "3": 1, "6": 1, "7": 8, "8": 8}  # digits read aloud: 영 일 삼 육 칠 팔


_LETTERS = {"L": 8, "M": 16, "N": 4, "R": 8}  # names of letters that close: 엘 엠 엔 알
# Ends of Latin words as Korean says them, the first that fits: 파일, 네임 킹, 북 백 컵.
_ENDS = (
    (re.compile(r"le?$"), 8),
    (re.compile(r"(me?|ne?|ng)$"), 4),
    (re.compile(r"(ck|ook|(^|[^aeiou])[aeiou][bckpt])$"), 1),
)


def latin_final(word: str) -> int:
    """final_consonant of a word in Latin letters; capitals at its end are said one by one."""
    if word[-1].isupper():
        return _LETTERS.get(word[-1], 0)
    return next((final for end, final in _ENDS if end.search(word.lower())), 0)


def final_consonant(word: str) -> int:
    """Index of the last sound's final consonant: 0 none, 8 is ㄹ; of Latin words a good guess."""
    if latin := re.search(r"([A-Za-z]+)[^\w]*$", word):
        return latin_final(latin[1])
    for char in reversed(word):
        if "가" <= char <= "힣":
            return (ord(char) - ord("가")) % 28
        if char.isdigit():
            return _FINALS.get(char, 0)
        if char.isalpha():
            return 0
    return 0


def josa(word: str, pair: str) -> str:
    """`word` with the particle that fits its sound.

    >>> josa("지은", "이야/야"), josa("민수", "이/가"), josa("서울", "으로/로")
    ('지은이야', '민수가', '서울로')
    """
    closed, opened = pair.split("/")
    final = final_consonant(word)
    if final == 8 and closed.startswith("으로"):
        return word + opened
    return word + (closed if final else opened)
