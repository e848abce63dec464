"""How well a memory answers a message: numbers of both, which scorer.py weighs.

    look(message) -> Look        content words, verbs, what kind of answer it asks for
    seen(record)  -> Seen        the same of a memory, once
    measures(...) -> [F]         cosines, words in common, words that are missing, order NAMES
    of_turn(...)  -> [T]         of the message alone, order TURN

Words are compared without particles (콩이는, 콩이가), verbs by their root (아파, 아프다고).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ohlora.memory.asking import COMMON, PARTICLE, Ask, Topic, same, table
from ohlora.memory.extract.korean import build, parts
from ohlora.memory.extract.notes import bare
from ohlora.memory.extract.traits import THING
from ohlora.memory.extract.words import ANIMALS, KINDS, KNOWN, PEOPLE, PLACES, REGIONS, YOU
from ohlora.memory.extract.words import JOBS as WORK
from ohlora.memory.records import MemoryRecord

NAMES = (
    "cosine value_cosine named excluded guarded covered matched lacking verb kind kind_missed unit"
    " concept person stranger day planned newest stale sour in_value linked linked_share"
).split()
TURN = "asks own told you words memories nearest bias".split()
WORD = re.compile(r"[가-힣]+|[A-Za-z]+|\d+")
ENDINGS = re.compile(
    r"(?:(?:었|았|였|했|겠)?(?:더라고|더라|던가|댔지|랬지|다고|라고|냐고|자고|는지|은지|을지|려나|려고|는데|은데"
    r"|거든|잖아|습니다|세요|던|지|죠|니|냐|나|까|게|요|어|아|음|기|고|서|면|는|은|을|러|다|네|대|래|자|시|며))$"
)
LIGHT = frozenset("하 해 가 보 오 있 되 없 주 이 지 나 말 그 알 기 뭐 같 싶 좀 했 할 한 돼".split())
VERBAL = re.compile(
    r"(?:더라|던가|댔지|랬지|다고|라고|냐고|는지|[가-힣]지|죠|냐|까|게|요|어|아|음|기|고|서|면|는|은|던|을|러|다|네"
    r"|대|래|자|며|려고|는데|해|했|워|져|려|여|봐|와|줘|쳐|써|켜)$"
)
ASKED_FOR = {  # a kind of answer: what asks for it, and what in a memory may be it
    "when": (
        r"언제|며칠|날짜|무슨 요일|몇 ?시|몇 ?월|몇 ?일",
        r"\d+[월일시년]|요일|[월화수목금토일]{2,}에|월욜|[화수목금토일]욜|오전|오후|매달|매주|"
        r"일정|한 일|생일|주말",
    ),
    "where": (
        r"어디|어느 (?:동네|나라|도시|쪽|학교|회사|병원|대학)|위치|장소|무슨 (?:동|역|시)",
        r"여행|놀러|(?:에서|에|으로|쪽)(?:\s|\]|$|는|도)|(?:동|구|시|역|군|면|로|원룸|대학교?|대|회사|학교|병원)(?:\s|\]|에|으로|$)",
    ),
    "who": (r"누구|누가|누굴", r"[가-힣](?:이랑|랑|하고|님|이가|한테)|" + "|".join(sorted(PEOPLE))),
    "number": (
        r"몇|얼마",
        r"\d|[한두세네]\s|다섯|여섯|일곱|여덟|아홉|열|스물|서른|마흔|[천만백]|둘|셋|넷|하나",
    ),
    "name": (r"이름|성함|뭐라고 불러", r"이름|성함|라는|라고|별명"),
}
UNIT = re.compile(
    r"몇\s?([가-힣]{1,3}?)(?=이|인|에|로|로|까|야|더|였|라|예|을|를|나|랬|댔|있|\s|\?|$)"
)
UNITS = {
    "월": "월",
    "일": "일",
    "시": "시",
    "살": "살|세$|세\\b",
    "명": "명|넷|셋|둘|하나",
    "킬로": "키로|킬로|kg",
    "키로": "키로|킬로|kg",
}
ANSWERED = {name: (re.compile(asks), re.compile(has)) for name, (asks, has) in ASKED_FOR.items()}


@dataclass(frozen=True)
class Look:
    """A message as recall sees it."""

    nouns: tuple[str, ...] = ()
    either: tuple[tuple[str, str], ...] = ()  # words that may be nouns, with their root as verbs
    roots: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()  # of answer: when, where, ...
    unit: re.Pattern[str] | None = None  # 몇 층 -> 층
    you: bool = False
    sour: bool = False  # it asks what is disliked, or whether something will do
    links: frozenset[str] = frozenset()  # what its words may mean (recall.toml)


@dataclass(frozen=True)
class Seen:
    """A memory as recall sees it."""

    words: frozenset[str]
    parts: frozenset[str]  # beginnings and endings of its longer words
    roots: frozenset[str]
    concepts: frozenset[str]
    text: str
    kinds: frozenset[str]
    value: frozenset[str]  # words of the value alone
    change: bool  # it says that something ended or turned
    sour: bool  # disliked, not eaten, given up
    links: frozenset[str]  # what its words belong to (recall.toml)


@lru_cache(maxsize=20_000)
def root(word: str) -> str:
    """What the forms of a verb share: 아파, 아프다고 -> 아ㅍ; 먹었더라, 먹기 -> 먹; "" of 하다."""
    for _ in range(3):
        left = ENDINGS.sub("", word)
        if not left or left == word:
            break
        word = left
    onset, vowel, last = parts(word[0]) if word else ("", "", 0)
    if not onset:
        return ""
    if len(word) == 1:
        if last == 20 or vowel in "ㅘㅝㅕㅙ":
            turned = {"ㅘ": "ㅗ", "ㅝ": "ㅜ", "ㅕ": "ㅣ", "ㅙ": "ㅚ"}.get(vowel, vowel)
            word = build(onset, turned, 0 if last in (20, 4, 8, 16, 17) else last)
        elif last in (4, 8, 16, 17) and vowel:
            word = build(onset, vowel)
        return "" if word in LIGHT else word
    following = parts(word[1])[0]
    return word[0] + following if following else word[0]


@lru_cache(maxsize=20_000)
def named(word: str) -> str:
    """The one name of a word: without its particle, 핸드폰 for 폰, 생일 for 생신."""
    word = word.lower()
    found = same().get(word) or synonyms().get(word)
    if found:
        return found
    left = bare(word)
    if left == word and len(word) > 2:
        left = PARTICLE.sub("", word) or word
    return same().get(left) or synonyms().get(left) or left


@lru_cache(maxsize=1)
def synonyms() -> dict[str, str]:
    return {word: name for name, said in table()["synonyms"].items() for word in said.split()}


@lru_cache(maxsize=1)
def idle() -> frozenset[str]:
    return COMMON | frozenset(table()["idle"]["words"].split())


@lru_cache(maxsize=1)
def concepts() -> dict[str, frozenset[str]]:
    """Word -> what it is a kind of: 기타 -> 악기."""
    found: dict[str, set[str]] = {}
    for members, name in (
        *KINDS,
        (WORK, "직업"),
        (REGIONS, "곳"),
        (PLACES, "곳"),
        (PEOPLE, "사람"),
    ):
        for word in members:
            found.setdefault(word, set()).add(name)
    for name, said in table()["kinds"].items():
        for word in said.split():
            found.setdefault(word, set()).add(name)
    return {word: frozenset(names) for word, names in found.items()}


@lru_cache(maxsize=1)
def called() -> dict[str, frozenset[str]]:
    """Word of a question -> the kinds it may mean: 노래 -> 가수."""
    found: dict[str, set[str]] = {}
    for name, said in table()["means"].items():
        for word in (name, *said.split()):
            found.setdefault(word, set()).add(name)
    return {word: frozenset(names) for word, names in found.items()}


def look(message: str) -> Look:
    said = [re.sub(r"(?<=[은는이가])요$", "", word) for word in WORD.findall(message)]
    nouns, either, roots = dict[str, None](), dict[str, str](), dict[str, None]()
    for at, word in enumerate(said):
        name = named(word)
        if word in idle() or name in idle() or word in YOU:
            continue
        after = said[at + 1] if at + 1 < len(said) else ""
        known = name in nouns_known() and (len(name) > 1 or name in SINGLE)
        verbal = SURELY.search(word) or (re.search(r"[는은던을]$", word) and OF_VERB.match(after))
        if known:
            nouns[name] = None
        elif verbal:
            roots[root(word)] = None
        elif VERBAL.search(word) and (name == word or at == len(said) - 1):
            either[name] = root(word)
        elif len(name) > 1 or name in SINGLE:
            nouns[name] = None
    roots.pop("", None)
    unit = UNIT.search(message)
    return Look(
        tuple(nouns),
        tuple(either.items()),
        tuple(roots),
        tuple(name for name, (asks, _) in ANSWERED.items() if asks.search(message)),
        re.compile(UNITS.get(unit[1], re.escape(unit[1]))) if unit else None,
        any(word in YOU for word in said),
        SOUR_ASK.search(message) is not None,
        linked(squares(said), 1),
    )


@lru_cache(maxsize=2)
def links(side: int) -> dict[str, frozenset[str]]:
    """Word -> what it belongs to; side 0: words of memories, 1: words of messages."""
    found: dict[str, set[str]] = {}
    for name, sides in table()["links"].items():
        for word in sides[side].split():
            found.setdefault(word, set()).add(name)
    return {word: frozenset(names) for word, names in found.items()}


def linked(said: Iterable[str], side: int) -> frozenset[str]:
    """What words belong to, or the beginnings and endings of longer ones."""
    known = links(side)
    return frozenset(
        name
        for word in said
        for at in range(1, len(word) + 1)
        for piece in ((word[:at], word[at:]) if at < len(word) else (word,))
        if len(piece) > 1 or at == len(word) or bare(word) == piece
        for name in known.get(piece, ())
    )


def squares(said: Sequence[str]) -> list[str]:
    """The words, and neighbours written together: 몇 살 -> 몇살."""
    short = [word.lower()[:12] for word in said]
    return [*short, *(one + other for one, other in zip(short, short[1:], strict=False))]


SOUR_ASK = re.compile(
    r"싫|못\s|안\s|피해야|먹어도|마셔도|괜찮|넣|알레르기|알러지|끊|무서|먹을까|마실까|할까|갈래|갈까|먹을래"
)
SURELY = re.compile(
    r"(?:[아어해봐가와려져]야|더라|던가|[댔랬]지|[다라냐]고|는지|려고|는데|은데|습니다|[하되싶있없]지|죠|냐|[을]까|[었았였했겠][어음다지던냐나니네을]\S*"
    r"|하고|하면|해서|하는|해야|해도|[하되]게|했\S*|됐\S*|갔\S*|왔\S*|봤\S*|샀\S*|났\S*|졌\S*|줬\S*|려나)$"
)
OF_VERB = re.compile(
    r"(?:게|건|것|거|중|편|데|곳|사람|애|걸|날|적|이유|일)(?:이|을|은|도|이야|에|만|누구|뭐)?$"
)


@lru_cache(maxsize=1)
def nouns_known() -> frozenset[str]:
    return frozenset(
        {*concepts(), *called(), *KNOWN, *PEOPLE, *ANIMALS, *THING, *synonyms().values()}
    )


SINGLE = frozenset(
    (
        "개 잠 키 차 폰 술 약 돈 꿈 집 방 옷 팀 반 형 딸 목 배 눈 귀 손 발 볼 열 일 과 책 색 꽃 면"
    ).split()
)


@lru_cache(maxsize=20_000)
def _seen(text: str) -> Seen:
    words, roots = set[str](), set[str]()
    for word in WORD.findall(text):
        name = named(word)
        words |= {word.lower(), name}
        if VERBAL.search(word) and (found := root(word)):
            roots.add(found)
        if len(word) > 1 and (found := root(word)):
            roots.add(found)
    pieces = {
        piece
        for word in words
        if 3 <= len(word) <= 10
        for at in range(1, len(word))
        for piece in (word[:at], word[at:])
        if len(piece) > 1
    }
    kinds = {kind for word in words for kind in concepts().get(word, ())}
    kinds |= {kind for piece in pieces for kind in concepts().get(piece, ())}
    kinds |= {kind for word in words for ending, kind in BY_ENDING if ending.search(word)}
    has = {name for name, (_, holds) in ANSWERED.items() if holds.search(text)}
    if "곳" in kinds:
        has.add("where")
    if any(GIVEN.match(word) for word in WORD.findall(text)):
        has |= {"who", "name"}
    return Seen(
        frozenset(words),
        frozenset(pieces),
        frozenset(roots),
        frozenset(kinds),
        text,
        frozenset(has),
        frozenset(named(word) for word in WORD.findall(text.partition(":")[2])),
        CHANGE.search(text) is not None,
        SOUR.match(text) is not None,
        linked([word[:12] for word in WORD.findall(text)], 0),
    )


CHANGE = re.compile(
    r"그만|끊|관[두뒀]|접[었음]|취소|헤어|나았|나음|회복|끝[났냈]|팔았|바[꿨꼈뀌꿈뀜]|옮[겼김기]|이제|말고|대신|화해|찾았|퇴원|성공|밀[렸림]|미뤄|변경"
    r"|결국|드디어|다시|새로|갈아|늘[었렸어]|올[렸림랐]|줄[었였]|풀었|갚|팔렸|구했|붙었|떨어졌|늦어"
)
SOUR = re.compile(r"\[(?:싫어하는|못 |안 |끊은|무서워하는|약한)")


NAMED_BY = (
    "민서지현준우영수진호은유나하연주예원도윤재성경태훈혁석빈린아라솔찬규철동미희숙정승결소다혜"
)
GIVEN = re.compile(  # 지윤, 강민철, 민재는: syllables of given names
    rf"^[김이박최정강조윤장임한오서신권황안송류홍]?[{NAMED_BY}]{{2}}이?(?:는|은|가|도|랑|한테|래|야|고|라고)?$"
)
BY_ENDING = (
    (re.compile(r"[가-힣]{1,}(?:학과|공학|교육과|[가-힣]{2}과|학부)$"), "전공"),
    (re.compile(r"[가-힣](?:대|대학교|여대|고등학교|중학교|초등학교)$"), "학교"),
    (re.compile(r"[가-힣]{2,}(?:동|구|시|역|원룸|오피스텔)$"), "곳"),
)


def seen(record: MemoryRecord) -> Seen:
    return _seen(record.text)


def measures(
    found: Look,
    asked: Ask,
    memory: Seen,
    topic: Topic,
    cosine: float,
    value_cosine: float,
    day: bool,
    newest: float,
    stale: bool,
) -> list[float]:
    """The numbers NAMES of one message and one memory.

    cosine   with the memory, above the encoder's threshold; value_cosine with its value alone
    day      the memory is of a day that the message names
    newest   0 for the oldest memory that may come, 1 for the newest
    stale    a newer one says that this ended or turned
    """
    hits = [_hit(noun, memory) for noun in found.nouns]
    loose = [
        max(_hit(word, memory), 0.7 * (verb in memory.roots and verb != ""))
        for word, verb in found.either
    ]
    wanted = len(hits) + 0.5 * len(loose)
    verbs = sum(one in memory.roots for one in found.roots) + sum(hit > 0 for hit in loose)
    kind = [one in memory.kinds for one in found.kinds]
    meant = {one for noun in found.nouns for one in called().get(noun, ())}
    concept = bool(meant & memory.concepts)
    people = [noun for noun in found.nouns if noun in PEOPLE or noun in ANIMALS]
    near = [_hit(one, memory) > 0 for one in people]
    links = len(found.links & memory.links)
    return [
        cosine,
        value_cosine,
        float(asked.names_topic(topic, day)),
        float(asked.excludes(topic) and not concept),
        float(topic.guarded),
        (sum(hits) + 0.5 * sum(loose)) / wanted if wanted else 0.0,
        min(sum(hits), 2.0),
        float(sum(hit == 0 for hit in loose) + sum(one not in memory.roots for one in found.roots)),
        min(float(verbs), 1.0),
        float(any(kind)),
        float(bool(kind) and not any(kind)),
        float(found.unit is not None and found.unit.search(memory.text) is not None),
        float(concept),
        float(any(near)),
        float(bool(people) and not all(near)),
        float(day and not asked.sky),
        float(topic.planned and asked.plans),
        newest,
        float(stale),
        float(memory.sour and not found.sour),
        float(
            any(
                noun in memory.value
                or _hit(noun, memory) >= 0.6
                and not memory.text.startswith(f"[{noun}")
                for noun in found.nouns
            )
        ),
        min(links, 3) / 3,
        links / max(1, len(found.links)),
    ]


def of_turn(found: Look, asked: Ask, memories: int, nearest: float) -> list[float]:
    """The numbers TURN of a message: how many memories may come, and the nearest one's cosine."""
    wanted = len(found.nouns) + 0.5 * len(found.either)
    return [
        float(asked.asks),
        float(asked.own),
        float(asked.told),
        float(found.you and not asked.own),
        min(wanted, 4.0) / 4.0,
        math.log1p(memories),
        nearest,
        1.0,
    ]


def turns(newer: Seen, older: Seen) -> bool:
    """The newer one says that what the older one tells ended or turned: they share a matter."""
    shared = newer.words & older.words
    return newer.change and any(len(word) > 1 and word not in idle() for word in shared - NO_MATTER)


NO_MATTER = frozenset("일정 습관 상태 음식 좋아하는 싫어하는 이름".split())


def _hit(noun: str, memory: Seen) -> float:
    if noun in memory.words:
        return 1.0
    if noun in memory.parts:
        return 0.8
    if len(noun) > 2 and any(
        piece in memory.words
        for at in range(2, len(noun))
        for piece in (noun[:at], noun[-at:])
        if piece not in idle()
    ):
        return 0.6
    return 0.0
