"""From a message to the plain statements of the user in it.

Questions, conditions, quotations and sentences about her are dropped here, so that the rules
further on see only what someone says of themselves or of people they know.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ohlora.memory.extract.korean import COPULA, FINAL_L, FINAL_N, FINAL_SS, final, plain_stem
from ohlora.memory.extract.words import ASKING, EVENTS, FIRST_PERSON, OPENERS, YOU, words
from ohlora.memory.records import Subject

READ_CHARACTERS = 2_000  # of a message; the rest is not looked at
CLAUSES = 60  # of a message; one that only repeats another counts for nothing
CLAUSE_WORDS = 24  # a longer clause is a story, not a fact


@dataclass(frozen=True)
class Fact:
    """What to remember. A time word in front of the key is resolved by the store."""

    key: str
    value: str
    subject: Subject = "user"
    merge: bool = False  # the value joins those the key has ("좋아하는 음식: 마라탕, 떡볶이")
    note: bool = False  # as told, under its topic (notes.py)


@dataclass(frozen=True)
class Forget:
    """What holds no longer, or is not to be kept. Neither key nor value: everything."""

    key: str | None = None  # None: whatever the key; "일정" without a day: of any day
    value: str | None = None  # None: all of the key; else what has these words
    subject: Subject | None = None  # None: anyone's
    last: bool = False  # what was told last, whatever it is
    instead: Fact | None = None  # kept when there was nothing to forget: then it is news


@dataclass(frozen=True)
class Amend:
    """A word of what was told last turns into another: "화요일이 아니라 수요일이야"."""

    new: str  # "수요일", "7시", "강릉"
    old: str = ""  # what it replaces; "": the hour of the plan, or nothing
    thing: str = ""  # of which plan: "약속"


@dataclass(frozen=True)
class Clause:
    words: tuple[str, ...]  # without openers ("아", "근데") and her name
    first_person: bool  # 나, 내가, ... is its subject
    last: bool = True  # ends its sentence; False before 는데, 니까, a comma
    instead: tuple[str, str] | None = None  # "화요일이 아니라 수요일이야": 화요일, 수요일
    supposes: bool = False  # "우유 마시면 배 아파": a whole sentence with its condition
    asked: bool = field(default=False, compare=False)  # its sentence ends as a question
    around: str = field(default="", compare=False)  # its sentence

    @property
    def text(self) -> str:
        return " ".join(self.words)

    @property
    def rest(self) -> tuple[str, ...]:
        """The words after the first person."""
        return self.words[1:] if self.words[:1] and self.words[0] in FIRST_PERSON else self.words


QUOTED = re.compile(r"[\"“”][^\"“”]{0,200}[\"“”]\S*|[‘'][^‘’']{1,200}[’']\S*|https?://\S+")
QUOTE_MARK = "“"  # stays where a quotation was: what stands around it is no fact
LAUGH = re.compile(r"[ㄱ-ㅎㅏ-ㅣ^]+")
SENTENCE = re.compile(r"((?:[^.!?~…\n;,。！？]|(?<=\d)\.(?=\d))+)([.!?~…\n;,。！？\s]*)")
ALSO = re.compile(r"[가-힣](?:이고|이라|이라서)$")
JOINT = re.compile(r"(?:거든|니까|지만|길래|거든요)$")  # and 는데, 인데, 아닌데, ... see _joins
NOUNS_IN_MYEON = words(
    "면 라면 컵라면 냉면 물냉면 비빔냉면 짜장면 자장면 쫄면 비빔면 당면 밀면 화면 수면 장면 정면 "
    "측면 반면 가면"
)
SUPPOSING = {"만약", "만약에", "만일", "혹시", "가령", "만약엔"}
REPORTED = re.compile(
    r"(?:다고|냐고|자고|라고|라구|다구|다며|라며|다던데|라던데|다더라|라더라|란다)(?:요|는|도)?$"
)


def clauses(message: str) -> Iterator[Clause]:
    """The statements of a message, in order."""
    text = unicodedata.normalize("NFC", message[:READ_CHARACTERS])
    text = QUOTED.sub(f" {QUOTE_MARK} ", unquoted(text)).replace("ㄹㅇ", "진짜")
    text = "".join(char if _readable(char) else "\n" for char in text)  # emoji end a sentence
    text = LAUGH.sub("\n", re.sub(r"[\[\](){}<>〔〕/|·]", " ", text))
    seen: set[Clause] = set()
    for sentence, marks in SENTENCE.findall(text):
        asked, comma = "?" in marks or "？" in marks, set(marks) <= {",", " "} and "," in marks
        for clause in _statements(sentence.split(), asked, comma):
            if len(seen) < CLAUSES and clause not in seen:
                seen.add(clause)
                yield clause
        if len(seen) == CLAUSES:
            return


def unquoted(text: str) -> str:
    """A name in quotation marks is a word like others: '오후네시'로 정했어."""
    return QUOTED_NAME.sub(r"\1", text)


QUOTED_NAME = re.compile(
    r"[\"“‘']([^\s\"“”‘’']{1,8}(?: [^\s\"“”‘’']{1,3})?)[\"”’'](?!\s?(?:라|하|이래|래|고))"
)


def _readable(char: str) -> bool:
    return char in "~^+" or unicodedata.category(char)[0] in "LNPZ"


def _statements(said: list[str], asked: bool, comma: bool) -> Iterator[Clause]:
    if QUOTE_MARK in said or any(word in SUPPOSING for word in said):
        return
    if any(_supposes(word) for word in said):
        clause = None if asked or asks(said[-1]) else _clause(said, not comma)
        if clause is not None:
            yield replace(clause, supposes=True, around=" ".join(said))
        return
    parts: list[list[str]] = [[]]
    for at, word in enumerate(said[: 4 * CLAUSE_WORDS]):
        if parts[-1] and (word == "이름은" or ANOTHER.match(word)) and _tells(parts[-1][-1]):
            if word == "이름은" or CLOSED.search(parts[-1][-1]):
                parts.append([])  # "고양이 키워 이름은 나비야"
        parts[-1].append(word)
        if _joins(word) or _ended(word, said[at + 1 :]) or (not asked and _says_also(word)):
            parts.append([])
    parts = [part for part in parts if part]
    asked = asked or (bool(parts) and asks(parts[-1][-1]))
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        clause = _clause(part, last and not comma)
        if clause is not None and not (last and asked):
            yield replace(clause, asked=asked, around=" ".join(said))


def _tells(word: str) -> bool:
    """A verb that ends a statement: 키워, 키우고 있어."""
    return len(word) > 1 and word not in YOU and plain_stem(word) is not None


def _joins(word: str) -> bool:
    """The clause ends here, the sentence goes on: 있는데, 시험인데, 졸린데, 먹었거든."""
    before = re.sub(r"데요?$", "", word)
    if before != word:
        return final(before) == FINAL_N and word not in ("가운데", "그런데")
    return len(word) > 2 and JOINT.search(word) is not None


def _ended(word: str, after: list[str]) -> bool:
    """A past form closes its statement wherever it stands: "회사 옮겼어 이제 네이버 다녀"."""
    if after and NOTED.search(word):
        return True
    before = re.sub(r"어요?$", "", word)
    if after and re.search(r"(?:로|에|에서|를|을|랑|하고)$", after[-1]):
        return False  # "나 이사했어 대구로"
    return before != word and final(before) == FINAL_SS and before[-1] not in "있겠"


NOTED = re.compile(r"(?:[었았였했됐갔왔]음|바꿈|바뀜|있음|없음)$")
ANOTHER = re.compile(r"(?!부르|하시|보시)[가-힣]{2,}[은는]$")
CLOSED = re.compile(r"(?:해|이야|있어|없어|다녀|워)$")


def _says_also(word: str) -> bool:
    """A statement of its own before the next: 25살이고, 시험이라, "내일 발표야 떨려"."""
    event = re.sub(r"이?야$", "", word)
    return ALSO.search(word) is not None or (event != word and event in EVENTS)


def _supposes(word: str) -> bool:
    word = re.sub(r"(?<=면)(?:은|요|서|서도)$", "", word)
    return word in SUPPOSING or (word.endswith("면") and word not in NOUNS_IN_MYEON)


def asks(word: str) -> bool:
    """A last word that asks or proposes without a question mark: 갈까, 가니, 갈래, 가자, 갔던가."""
    if ASKED.search(word):
        return True
    if re.search(
        r"(?:까요?|[가-힣]니|냐|(?<![끝만])나요|[인은는]가요?|죠|자고|줄래요?|볼래요?|[하가보먹놀쉬자타읽쓰시나치오리내추두지말]자)$",
        word,
    ):
        return word not in ("언니", "어머니", "할머니", "사자", "여자", "타자", "환자")
    return bool(re.search(r"래요?$", word)) and final(word[: word.rindex("래")]) == FINAL_L


ASKED = re.compile(r"던가|[댔랬]지|(?:[있없했었았였됐갔왔하되맞않]|계시)나$|[가-힣]려나$")
WHAT = re.compile(
    r"무슨|몇|언제(?!나)|어디(?!선가|든)|누구(?!나)|누가|무엇|뭐|뭘|뭔|얼마(?!전|\s)|어느(?!\s?정도|새|날)"
    r"|어떤|어떻|어데|워디|어케|우짜|우째|왤케|왜(?!냐)|며칠(?:이|인|로|야|부터|날)"
)


def _clause(said: list[str], last: bool) -> Clause | None:
    turned = said[0] in NOW_I
    while len(said) > 1 and said[0] in OPENERS | NOW_I:
        if said[0] == "네" and said[1] not in FIRST_PERSON:
            break
        said = said[1:]
    if len(said) > 1 and _ended(said[-2], []) and re.search(r"(?:로|에|에서|랑|하고)$", said[-1]):
        said = [*said[:-2], said[-1], said[-2]]  # 이사했어 대구로
    said, instead = _corrected(said)
    if not said or len(said) > CLAUSE_WORDS:
        return None
    if any(word in YOU or word in ASKING or WHAT.match(word) for word in said):
        return None
    return Clause(tuple(said), turned or said[0] in FIRST_PERSON, last, instead)


def _corrected(said: list[str]) -> tuple[list[str], tuple[str, str] | None]:
    """ "나 23살 아니고 25살이야" -> "나 25살이야"; the topic before the denied word stays."""
    at = next((at for at, word in enumerate(said[:-1]) if word in NOT_BUT), 0)
    if at < 1:
        return said, None
    topics = [
        number
        for number, word in enumerate(said[: at - 1])
        if word in FIRST_PERSON or word.endswith(("은", "는"))
    ]
    old = re.sub(r"(?<=\S)(?:이|가)$", "", said[at - 1]) if said[at] != "말고" else said[at - 1]
    new = re.sub(r"(?:였어|이었어|라니까|이라니까)요?$", "", COPULA.sub("", said[at + 1]))
    new = re.sub(r"(?<=\S)(?:으로|로|에|을|를)$", "", new)
    return said[: topics[-1] + 1 if topics else 0] + said[at + 1 :], (old, new)


NOW_I = words("이제 이젠 이제는")  # 이제 요리사야: what changed is the user
NOT_BUT = words("아니고 아니라 아니구 말고")


def reported(clause: Clause) -> bool:
    """Someone's words rather than a fact: "내일 온다고 했어", "간대"."""
    return any(REPORTED.search(word) for word in clause.words)
