"""What is kept as told is kept whole: one note of a message, not its pieces.

"아들은 중2인데 게임만 해"          -> 아들: 중2인데 게임만 해         (not 아들: 중2, 게임: 해)
"콘서트 티켓팅 7월 9일 저녁 8시"    -> 7월 9일 일정: 콘서트 티켓팅 저녁 8시
"걔 이름은 민재"                    -> 이름: 걔 이름은 민재

The value is the message without first person, fillers and marks, its days written as dates, so
that it reads the same next year.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from ohlora.memory.dates import mentions, written_on
from ohlora.memory.extract.clauses import (
    ASKED,
    LAUGH,
    QUOTED,
    READ_CHARACTERS,
    SUPPOSING,
    WHAT,
    Fact,
    asks,
    unquoted,
)
from ohlora.memory.extract.notes import (
    HEARSAY,
    IDLE,
    OWN,
    SKY,
    STRANGERS,
    SUPPOSED,
    WISHED,
    dated_note,
    habitual,
    noted_as_told,
    nouns_of,
    person_in,
    topic_places,
    under_topic,
)
from ohlora.memory.extract.plain import dated_year, listed
from ohlora.memory.extract.traits import THING
from ohlora.memory.extract.words import ASKING, FILLERS, FIRST_PERSON, OPENERS, YOU

WORDS = 24  # of a message that is one note; a longer one is kept in pieces
DAILY_TOPICS, JUDGED = listed("daily_topics"), listed("judged")
ASKS = re.compile(
    r"(?:[였댔랬]더라|[했였었랬댔캤갔왔]지|[은는인]가|까|냐|노|나유|남유|[했랬캤]제|쥬|죠)(?:요|잉)?$"
)
ASKS_DIALECT = re.compile(r"^(?:우예|왜케|뭣|무신|무사|며칠|어땠)")
PLEASE = re.compile(
    r"(?:봐|줘|주라|줄래|주세요|추천좀?|좀|싶다|싶어|싶네|겠다|겠네|겠어|려나|인가|네|구나|군|구만)(?:요)?$"
)
TELLS = re.compile(
    r"(?:[었았였했갔왔됐났졌렸샀봤]\S{0,3}|음|임|함|됨|삼|감|남|씀|님|준대|한대|[이니]다|예요|이에요|이야"
    r"|거야|거임|시작|끝|완료|합격|취소|당첨|예약|예정|목표|취미)$"
)
UNIT = re.compile(
    r"(?:원|시|키로|킬로|kg|살|명|점|층|호|번|년|개월|분|주|%|등급)(?:\W|$)|\d(?:학년|반)"
)
NAME = re.compile(  # 민수는, 지우가: two syllables of given names
    r"^[민서지현준우영수진호은유나하연주예원도윤재성경태훈혁석빈린아라솔찬규철동미희숙정승결소다혜]{2}"
    r"이?(?:는|은|가|도|랑|한테)$"
)
CHANGED = re.compile(r"나았|나음|회복|끝났|그만|퇴원")
NUMBER = re.compile(
    r"\d|[한두세네]\s|다섯|여섯|일곱|여덟|아홉|열|스물|서른|마흔|쉰|예순|일흔|여든|[일이삼사오육칠팔구십백천만]{2,}원|둘|셋|넷"
)


def said_words(message: str) -> list[str]:
    """The words of a message without marks, laughter, openers, first person and fillers."""
    text = unicodedata.normalize("NFC", message[:READ_CHARACTERS])
    text = re.sub(r"[^\w\s.:%+-]|(?<!\d)[.:]|[.:](?!\d)", " ", LAUGH.sub(" ", text))
    said = text.split()
    while len(said) > 1 and said[0] in OPENERS:
        said = said[1:]
    return [word for word in said if word not in FIRST_PERSON and word not in FILLERS]


def as_told(message: str, today: date) -> str:
    """The value of a note."""
    text = dated_year(" ".join(said_words(message)), today)
    days = [] if habitual(text) else list(mentions(text, today))
    for mention in reversed(days):
        name = written_on(mention.when, today)
        text = text[: mention.start] + name + text[mention.end :]
    return noted_as_told(" ".join(text.split()))


def folded(noted: Sequence[Fact], message: str, today: date) -> list[Fact]:
    """The notes of one message as one, with the whole message for its value."""
    if not noted or len(message.split()) > WORDS:
        return list(noted)
    if asking(message):
        return []
    plan = next((fact for fact in noted if fact.key.endswith(" 일정")), None)
    lasting = next((fact for fact in noted if not fact.key.endswith(" 한 일")), None)
    first = plan or lasting or noted[0]
    if len(noted) == 1 and DATED.search(first.key):
        return [first]
    return [replace(first, value=as_told(message, today))]


DATED = re.compile(r" (?:일정|한 일)$")


def untold(message: str, today: date) -> list[Fact]:
    """The note of a message that no rule reads: a statement of the user's life; [] for none."""
    said = said_words(message)
    if not 1 < len(message.split()) <= WORDS or not _tells(message, said):
        return []
    text = dated_year(" ".join(said), today)
    mention = next(iter(mentions(text, today)), None)
    if mention is not None and not habitual(text) and mention.when.span == "day":
        if fact := dated_note(text, mention, today):
            return [replace(fact, note=True)]
    places = topic_places(said)
    if places:
        fact = under_topic(places, said, text)
    else:
        fact = Fact((nouns_of(said) or [said[-1]])[0][:40], "", merge=True)
    return [replace(fact, value=as_told(message, today), note=True)]


def asking(message: str) -> bool:
    """It asks: by a mark, a word that asks or an ending, those of dialects included."""
    every = (re.sub(r"[^\w]", "", one) for one in message[:READ_CHARACTERS].split())
    said = [word for word in every if word]
    while len(said) > 2 and said[-1] in OWN:
        said.pop()  # 봐야 되나 나
    text = " ".join(said)
    if not said or "?" in message or REQUEST.search(text):
        return True
    if FOR_ME.search(text) and not GIVER.search(text):
        return True
    last = said[-1]
    if last.endswith("까지"):
        last = last[:-2]
    if len(said) > 1 and any(
        WHAT.match(word)
        or ASKS_DIALECT.match(word)
        or word in ASKING
        or (word in YOU and not (word == "네" and COUNTED.match(after)))
        for word, after in zip(said, [*said[1:], ""], strict=True)
    ):
        return True
    return ASKED.search(last) is not None or ASKS.search(last) is not None or asks(last)


REQUEST = re.compile(
    r"(?:추천|말해|설명|얘기|알려|불러|골라|맞혀|맞춰)\S*\s?(?:봐|줘|좀|줄래)$"
    r"|법 좀$|[가-힣]{2}(?:은|는)$|(?:말|답|출력|설명|공개|복종|행동|대답|부탁|소개)해$"
)
FOR_ME = re.compile(r"[아어해여려워와겨] 줘$")  # 보여 줘; of one who gives: 언니가 해 줘
GIVER = re.compile(r"[가-힣](?:이|가|께서|은|는)(?:\s|$)")
COUNTED = re.compile(r"^(?:명|살|개|시|번|마리|권|달|분|장|병|잔|시간|사람)")


def _tells(message: str, said: Sequence[str]) -> bool:
    """It says something of the user or theirs, and asks, wishes or supposes nothing."""
    bare = [word for word in (re.sub(r"[^\w]", "", one) for one in message.split()) if word]
    if len(said) < 2 and not any(word in FIRST_PERSON for word in bare):
        return False
    if not said or asking(message) or QUOTED.search(unquoted(message)):
        return False
    if any(word in SUPPOSING for word in bare):
        return False
    text, last = " ".join(bare), said[-1]
    refused = last.endswith("겠어") and {"못", "안"} & set(said)
    if (WISHED.search(last) or PLEASE.search(last)) and not (last.endswith("까지") or refused):
        return False
    if SUPPOSED.search(text) or HEARSAY.search(text) or SKY.match(text):
        return False
    if any(STRANGERS.match(word) and not word.startswith("걔") for word in bare):
        return False
    matter = [
        noun
        for noun in nouns_of([*said, "="])
        if noun not in DAILY_TOPICS | IDLE and not noun.isdigit()
    ]
    told = any(TELLS.search(word) for word in said)
    own = any(word in FIRST_PERSON or word in OWN and told for word in bare)
    close = any(person_in(word) or word.startswith("걔") for word in bare)
    counted = NUMBER.search(text) is not None
    day = next(iter(mentions(text, date(2000, 1, 1))), None) is not None
    if not (matter or counted or day or (own and len(said) > 2) or CHANGED.search(text)):
        return False
    named = said[0 if len(said) == 2 else -1] in THING
    judged = any(last.startswith(stem) for stem in JUDGED)
    subject = re.search(r"[가-힣](?:은|는|이가|가)$", said[0]) is not None and len(said) > 2
    close = close or NAME.match(said[0]) is not None
    own = own or any(word in OWN for word in bare) and subject
    weight = 2 * (own + named + bool(CHANGED.search(text)) + bool(refused) - judged)
    weight += close * (1 + (told or counted)) + subject * (close or day)
    unit = UNIT.search(text) is not None
    return weight + counted + unit + day + told + (len(matter) > 1) >= 2
