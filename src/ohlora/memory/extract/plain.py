"""The plain form of a statement: its words with the last verb as a stem, whatever the politeness.

운전면허 땄어요      -> 운전면허 따+      "+" for the past
피아노 배우고 있어   -> 피아노 배우
차는 흰색이에요      -> 차는 흰색 =       "=" for "is"
유럽 갈 거야         -> 유럽 가~          "~" for what is intended
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from datetime import date
from functools import cache
from pathlib import Path

from ohlora.memory.dates import mentions
from ohlora.memory.extract.clauses import Clause
from ohlora.memory.extract.korean import (
    COPULA,
    FINAL_L,
    FINAL_SS,
    OWN_I,
    build,
    feeling_form,
    final,
    parts,
    plain_stem,
    stem_of_future,
    stem_of_polite,
    with_final,
)
from ohlora.memory.extract.words import FILLERS, words

LISTS = tomllib.loads((Path(__file__).parent / "lists.toml").read_text("utf-8"))


def listed(name: str) -> frozenset[str]:
    """The words of that name in lists.toml."""
    return words(LISTS["words"][name])


@cache
def _endings(name: str) -> re.Pattern[str]:
    said = LISTS["endings"][name].split()
    return re.compile(rf"(?:{'|'.join(said).replace('_', ' ')})$")


def ends(name: str, value: str) -> bool:
    """The value ends as words of that kind do."""
    return _endings(name).search(value) is not None


WHENEVER, IDLE_VERBS = listed("whenever"), listed("idle_verbs")
IDLE_ENDS = tuple(listed("idle_ends"))
GONE_BY = re.compile(
    r"\S+기\s전에\s|\S+고\s나서\s"
    r"|(?:얼마 전|어릴 때|어렸을 때|며칠 전|몇 년 전|몇 달 전|오래 전)(?:에|부터)?\s"
)
HONORED = re.compile(r"(?:(?<=[하니가오사])|으)시(?=\+?$)")
SOFT = re.compile(
    r"(?<=[았었했갔왔됐봤졌렸샀땄났켰])(?:잖아요?|더라고요?|더라|지\s?뭐야|는데요?|거든요?)$"
    r"|(?<=[가-힣])(?:잖아요?|더라고요?)$"
)
HELPING = re.compile(r"^(?:놨|놓았|뒀|두었|버렸|냈)(?:어요?|음|다|습니다)$")
AHEAD = re.compile(
    r"^(?:거|꺼|예정|계획|생각)(?:야|임|이야|예요|에요|이에요|다|입니다|거든|거든요)$"
)
BECAME = re.compile(r"^(?:됐|되었)(?:어요?|음|다|습니다)?$")
STATES = {  # told without a verb that plain_stem knows
    "없": re.compile(r"^없(?:어요?|음|다|는데요?|거든요?|습니다)$"),
    "있": re.compile(r"^있(?:어요?|음|다|는데요?|거든요?|습니다|지)$"),
    "싶": re.compile(r"^싶(?:어요?|음|다|은데요?|습니다|거든요?)$"),
}


def plain(said: Sequence[str]) -> str:
    """The plain form; "" when the words do not end as a statement does."""
    text = GONE_BY.sub("", " ".join(said))
    kept = [word for word in text.split() if word not in FILLERS and word not in WHENEVER]
    if not kept:
        return ""
    kept[-1] = SOFT.sub("", kept[-1])
    if kept[-1].endswith(("라니까", "라니까요", "다니까", "다니까요", "라고", "라구")):
        kept[-1] = re.sub(r"(?:라니까|라고|라구)요?$", "야", kept[-1])
        kept[-1] = re.sub(r"다니까요?$", "다", kept[-1])
    verb = _joined(kept[-2], kept[-1]) if len(kept) > 1 else None
    if verb is not None:
        return " ".join([*kept[:-2], verb])
    *before, last = kept
    ended = _ended(last, bool(before))
    return " ".join([*before, *ended]) if ended else ""


def _joined(verb: str, last: str) -> str | None:
    """The plain form of a verb of two words: 예약해 놨어, 갈 거야, 다니게 됐어, 배우고 있어."""
    if HELPING.match(last) and (stem := stem_of_polite(verb)):
        return stem + "+"
    if AHEAD.match(last) and (stem := stem_of_future(verb)):
        return stem + "~"
    if BECAME.match(last) and verb.endswith("게"):
        return verb[:-1] + "+"
    if last.startswith("편") and verb.endswith("는"):
        return verb[:-1]
    if verb.endswith("고") and re.match(r"있(?!었)|계[시셔]", last):
        return verb[:-1]
    return None


def _ended(last: str, more: bool) -> list[str]:
    """The plain form of the last word; [] when it ends no statement."""
    for stem, forms in STATES.items():
        if forms.match(last):
            return [stem]
    ending = COPULA.search(last)
    if ending and (ending.start() or more):
        base = last[: ending.start()]
        hangul = "가" <= base[-1:] <= "힣"
        if hangul and ending[0][0] == "이" and (not final(base) or OWN_I.search(base + "이")):
            base += "이"  # 떡볶이야, 왼손잡이야
        return [base, "="] if base else ["="]
    told = plain_stem(last)
    if told is None:
        return []
    stem, tense = told
    return [HONORED.sub("", stem + "+" * (tense == "past"))]


def without_days(clause: Clause, today: date) -> str:
    """The plain form; of what is past without its day, of what is to come "": that is a plan."""
    text = " ".join(clause.rest)
    found = list(mentions(text, today))
    for mention in reversed(found):
        after = re.sub(r"^(?:에는|에|부터|날)(?=\s)", "", text[mention.end :])
        text = text[: mention.start] + after
    said = plain(text.split())
    return said if not found or said.endswith("+") else ""


def dated_year(text: str, today: date) -> str:
    """내년에 -> 2027년에: what is kept must not move with the years."""
    for said, years in (("내후년", 2), ("내년", 1), ("올해", 0)):
        text = text.replace(said, f"{today.year + years}년")
    return text.replace("년는 ", "년에는 ").replace("년엔 ", "년에는 ")


def noted(verb: str) -> str:
    """The note form of a plain verb: 따+ -> 땄음, 다니 -> 다님, 듣 -> 들음."""
    if verb.endswith("+"):
        return _past_note(verb.rstrip("+"))
    return {"듣": "들음", "걷": "걸음", "만들": "만듦", "알": "앎"}.get(verb, feeling_form(verb))


def _past_note(stem: str) -> str:
    if stem.endswith("하"):
        return stem[:-1] + "했음"
    onset, vowel, last = parts(stem[-1])
    if last:
        stem = {"듣": "들", "걷": "걸"}.get(stem, stem)
        return stem + ("았음" if parts(stem[-1])[1] in "ㅏㅗ" else "었음")
    if stem.endswith("르") and len(stem) > 1:
        return with_final(stem[:-1], FINAL_L) + "랐음"
    if not onset:
        return stem + "음"
    turned = {"ㅗ": "ㅘ", "ㅜ": "ㅝ", "ㅣ": "ㅕ", "ㅡ": "ㅓ", "ㅚ": "ㅙ"}.get(vowel, vowel)
    return stem[:-1] + build(onset, turned, FINAL_SS) + "음"
