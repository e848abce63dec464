"""The net below the rules: a statement of the user's own life that none of them knows, as told.

"시급은 만이천원이야"            -> 시급: 만이천원
"콩이 병원 데려갔는데"           -> 콩이 병원: 데려갔음
"12월 18일에 논문 심사 있어요"   -> 12월 18일 일정: 논문 심사

The value is the sentence itself, without its topic, day and fillers; nothing is concluded from it.
What is no statement of the user's life is left out: questions, requests, proposals, promises,
exclamations, judgements about the world, hearsay of strangers, and what everybody does daily.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date

from ohlora.memory.dates import Mention, mentions, spoken
from ohlora.memory.extract.clauses import Clause, Fact, reported
from ohlora.memory.extract.korean import COPULA, FINAL_L, FINAL_N, FINAL_SS, OWN_I, final
from ohlora.memory.extract.plain import dated_year, listed
from ohlora.memory.extract.words import (
    CALLED,
    EVENTS,
    FILLERS,
    FIRST_PERSON,
    KNOWN,
    NO_VALUES,
    PEOPLE,
    PLACES,
    words,
)

OWN = FIRST_PERSON | words("내 제 우리 저희 우리집 울집 나한테 나를 날 저를 나랑 저랑 저희집")
STRANGERS = re.compile(
    r"^(?:걔|쟤|걔네|쟤네|그\s?사람|누가|누군가|사람들|뉴스|뉴스에서|그분|남들|대통령)(?:\S{0,2})$"
)
PARTICLES = re.compile(
    r"(?:이랑은|이랑|하고는|에서는|에서도|에서|에게|한테는|한테|께서|까지|부터|밖에|으로는|으로|라는|처럼"
    r"|보다|마다|이나|랑은|랑|에는|에도|에|은|는|이|가|을|를|도|와|과|만|로|의|엔)$"
)
IDLE = listed("idle_words") | listed("idle") | listed("note_idle") | NO_VALUES | FILLERS
DAILY_TOPICS, JUDGED = listed("daily_topics"), listed("judged")
DAILY_DONE = listed("daily_done")
SHORT = words(
    "잠 비 배 목 눈 코 귀 손 발 키 차 폰 술 약 일 돈 책 꿈 꽃 집 방 옷 빵 떡 "
    "회 면 개 새 닭 강 산 반 팀 형 딸"
)
TOO_SHORT = words("나 저 너 그 이 저 수 것 거 게 줄 데 때 뿐 중 안 못 더 또 다 잘 왜 좀 막 걍")
LINKED = re.compile(
    r"(?:게|고|서|지|면|히|며|니까|느라|려고|러|다가|도록|든지|자마자|면서|지만|는데|던|기)$"
)
WISHED = re.compile(
    r"(?:자|까|줘|줘요|주라|주세요|줄래|마|마요|마라|말아|봐봐|해라|어라|아라|십시오|죠|지|지요)$"
)
SEEMS = re.compile(
    r"겠|(?:^|\s)(?:보여|보인다|보이네|듯|듯해)(?:요)?$|뻔|척|려나|나\s?봐|는지|잖아"
)
EXCLAIMED = re.compile(r"(?:네|네요|구나|군|군요|구만|걸|다니)$")
HEARD = re.compile(r"[었았였했갔왔됐난간산온는한인든본]대(?:요)?$|[이]?래(?:요)?$")
FRIEND = re.compile(
    r"^\S*(?:친구|동기|선배|후배|동료|애|언니네|옆집)\S{0,3}(?:이|가|는|은)$|^친구(?:는|가)?$"
)
HEARSAY = re.compile(r"그러(?:는|던)데|그러더라|소문|기사에|방송에서|유튜브에서|인터넷에서")
PAST = re.compile(
    r"(?P<stem>\S*[가-힣])(?:어|어요|다|습니다|당|지|네|는데|는데요|거든|거든요|음|엉|슴|고|고요|더니)$"
)
HAS = re.compile(
    r"(?:이|가|도)?\s(?:있|잡혀\s?있|잡혔|생겼)(?:어|어요|음|다|는데|거든|거든요|습니다|고|당)$"
)
NUMBER = re.compile(
    r"\d|(?:^|\s)(?:한|두|세|네|다섯|여섯|일곱|여덟|아홉|열|스무|서른|마흔|첫|둘|셋|넷)(?:\s|$)"
)
BECAUSE = re.compile(r"(?:라서|아서|어서|워서|해서|려서|니까|때문에)(?:\s|$)")
MOST = re.compile(
    r"(?:^|\s)(?:제일|가장|젤|원래|평소|절대|잘|못|자주|맨날|매일|항상|보통|\S+마다)(?:\s|$)"
)
SUPPOSED = re.compile(
    r"로또|복권|당첨|다시 태어나|부자|(?:[을ㄹ]|할|갈|볼|살|먹을)\s?텐데|좋겠|어떡|어쩌"
)
ANEW = re.compile(r"바[꿨꼈]|바뀌|바뀜|바꿈|옮겼|옮김|변경|이제|이젠|대신|말고")
JUDGED_TASTE = re.compile(r"^(?:좋|싫|맛있|최고|별로)")
SKY = re.compile(
    r"^(?:오늘은?\s|내일은?\s|밖에\s|지금\s)*(?:(?:비|날씨|하늘|바람|햇살|노을|단풍|소나기|첫눈)(?:이|가|는|은|도)?\s"
    r"(?!와서|때문)|눈(?:이|은|도)?\s(?:와|온|오|내리|내려|쌓))"
)
USUAL = re.compile(
    r"매주|매달|매월|매년|마다|보통|항상|맨날|매일|평소|주로|(?:요일|주말)(?:에는|엔)|번째\s?주|째\s?주"
)
GIVEN = re.compile(r"(?:받|들|진단|나오|나왔)\S*$")


WEEKDAY = r"[월화수목금토일](?:요일|욜)"
WEEKLY = re.compile(
    rf"{WEEKDAY}에?만|{WEEKDAY}\S*\s(?:\S+\s)?{WEEKDAY}"
    rf"|(?<!번 주 )(?<!음 주 )(?<!오는 ){WEEKDAY}[은는]\s"
)


def habitual(text: str) -> bool:
    """Every week or day: 매주 토요일에, 화요일이랑 금요일에, 수요일에만; no one day is meant."""
    return USUAL.search(text) is not None or WEEKLY.search(text) is not None


def notes(clause: Clause, today: date) -> Iterator[Fact]:
    """The statement itself, under its topic, when it is one of the user's life."""
    text = " ".join(word for word in clause.words if word not in FILLERS) or clause.text
    text = dated_year(text, today)
    said = [word for word in text.split() if word not in FIRST_PERSON]
    if not _worth(clause, said):
        return
    mention = next(iter(mentions(" ".join(said), today)), None)
    if mention is not None and habitual(clause.text):
        mention = None
    if mention is not None and (fact := dated_note(" ".join(said), mention, today)):
        yield replace(fact, note=True)
    elif mention is None or mention.when.last < today or mention.when.span != "day":
        topic = topic_places(said)
        if topic:
            yield replace(under_topic(topic, said, text), note=True)


def _worth(clause: Clause, said: Sequence[str]) -> bool:
    """A statement, of the user or theirs, with a matter."""
    text, last = clause.text, said[-1] if said else ""
    if len(said) < 2 or clause.asked or SEEMS.search(text):
        return False
    if reported(clause) and (re.search(r"[다라]고(?:요)?$", last) or not GIVEN.match(last)):
        return False
    subject = any(
        re.search(r"(?:은|는|이|가|께서)$", word) and word not in KNOWN for word in said[:-1]
    )
    if WISHED.search(last) and not (subject and re.search(r"[줘]|지(?:요)?$", last)):
        return False
    if any(STRANGERS.match(word) for word in clause.around.split()) or HEARSAY.search(
        clause.around
    ):
        return False
    if (
        len(last) > 1
        and re.search(r"게(?:요)?$", last)
        and final(re.sub(r"게요?$", "", last)) == FINAL_L
    ):
        return False  # 갈게
    if clause.supposes and SUPPOSED.search(text):
        return False
    own = clause.first_person or any(word in OWN for word in clause.words)
    own = own or any(person_in(word) for word in clause.words)
    if not own and EXCLAIMED.search(last):
        return False
    if HEARD.search(last) and any(FRIEND.match(word) for word in clause.words):
        return False
    if not own and SKY.match(text):
        return False
    if not own and said[0] in ("그", "저", "이", "이런", "그런", "저런"):
        return False
    judged = any(
        last.startswith(stem) or (len(said) > 1 and said[-2].startswith(stem) and len(last) < 3)
        for stem in JUDGED
    )
    judged = judged or re.search(r"(?<![ㅆ])다$", last) is not None and _adjective(last)
    taste = JUDGED_TASTE.search(last) is not None and any(
        bare(word) in KNOWN - EVENTS - PLACES for word in said[:-1]
    )
    if (
        judged
        and not own
        and not taste
        and not (BECAUSE.search(text) or NUMBER.search(text) or MOST.search(text))
    ):
        return False
    found = nouns_of(said)
    if not found or all(noun in DAILY_TOPICS or noun.isdigit() for noun in found):
        return False
    if re.search(r"싫|싶", last) and all(noun in DAILY_DONE for noun in found):
        return False  # 집에 가고 싶다
    if _predicate(last) or subject or own and NUMBER.search(text):
        return True
    return DAY.search(text) is not None and len(said) <= 5


DAY_NAMED = re.compile(r"[월화수목금토일](?:요일|욜)|^주말|^\d+[월일](?![가-힣]{2})")
DAY = re.compile(r"\d일|요일|욜|내일|모레")


def _adjective(word: str) -> bool:
    """예쁘다, 귀엽다; not 샀다, 간다, 있다, 갑니다."""
    stem = word[:-1]
    if stem.endswith("니"):
        return False
    return final(stem) not in (FINAL_SS, FINAL_N) and stem[-1:] not in ("있", "없", "이", "는")


def _predicate(last: str) -> bool:
    """The last word ends a statement."""
    if COPULA.search(last) or PAST.match(last):
        return True
    return (
        re.search(
            r"(?:[아어해여워와봐돼대래셔려져쳐켜펴춰줘둬꿔써커퍼파나가다음임함됨옴감짐남림움봄뜀]|[가-힣]요|더라|편|중"
            r"|거든|데|고|려고|니까)(?:요)?$",
            last,
        )
        is not None
        or final(last) == 16
    )


OF_THE_USER = re.compile(
    r"(?:[가-힣]님|[가-힣]쌤|언니|오빠|누나|엄마|아빠|할머니|할아버지|이모|삼촌|고모|형부|매형|처남|제부|며느리|사위|신랑|신부"
    r"|약혼자|남편|아내|조카|손자|손녀|대리|부장|과장|팀장|사장|점장|친구)$"
)


def person_in(word: str) -> str:
    """The person of the user that a word names; "" for none."""
    who = bare(word)
    if who in PEOPLE:
        return CALLED.get(who, who)
    return who if len(who) > 1 and OF_THE_USER.search(who) else ""


def bare(word: str) -> str:
    """Without its particles: 콩이는 -> 콩이, 신랑은 -> 신랑, 작년까지는 -> 작년."""
    for _ in range(2):
        if word in KNOWN or word in PEOPLE:
            return word
        found = PARTICLES.search(word)
        if found is None:
            return word
        left = word[: found.start()]
        short = re.sub(r"(?:은|는|이|가|을|를|도|에)$", "", word)
        if len(left) == 1 and len(short) > 1 and short != word:
            left = short
        if not left or (
            len(left) == 1
            and word[1:] in ("이", "가", "도", "로", "의", "만", "과", "와", "에", "랑")
            and left not in SHORT
        ):
            return word
        word = left
    return word


def _modifier(word: str, after: str) -> bool:
    """모으는 of 모으는 게, 밤새는 of 밤새는 중."""
    return (
        re.search(r"(?:는|은|던|을)$", word) is not None
        and re.match(
            r"(?:게|건|것|거|중|편|데|곳|사람|애|걸|느낌|법|일|날)(?:이|을|은|도|이야|임|에|만)?$",
            after,
        )
        is not None
    )


def nouns_of(said: Sequence[str]) -> list[str]:
    """The words that may be nouns, bare, in order."""
    found = []
    for at, word in enumerate(said):
        is_last = at == len(said) - 1
        if word in IDLE or word in OWN or DAY_NAMED.search(word):
            continue
        if is_last:
            base = COPULA.sub("", word)
            if base.endswith(("하", "되")) and len(base) > 2:
                base = base[:-1]  # 이사하거든
            elif base == word and word[0].isalnum() and not _predicate(word):
                base = bare(word)  # 수요일은 영어
            elif base == word or not base or base.endswith(("거", "것", "중", "편")):
                made = re.match(r"^([가-힣A-Za-z]{2,})(?:하|해|했|함|됐|돼|됨|되)\S{0,3}$", word)
                if not made or made[1] in IDLE or LINKED.search(made[1]):
                    continue
                base = made[1]
        else:
            if _modifier(word, said[at + 1]):
                made = re.match(r"^([가-힣]{2,})하는$", word)
                if not made or made[1] in IDLE:
                    continue
                word = made[1]
            base = bare(word)
            marked = base != word
            if not marked and (LINKED.search(word) or not _bare_noun(word)):
                continue
        base = base or word
        if base in IDLE or base in TOO_SHORT or base in OWN or base in FIRST_PERSON:
            continue
        if re.fullmatch(r"[가-힣]*(?:하|되|있|없|같|싶)", base) or len(base) > 12:
            continue
        found.append(base)
    return found


def _bare_noun(word: str) -> bool:
    """No ending of a verb before a noun: 먹은, 가는, 갈, 예쁜."""
    if word in KNOWN or word in PEOPLE:
        return True
    ending = final(word)
    return not (
        len(word) > 1
        and word.endswith(("는", "은", "던", "운", "한", "큰", "된", "할", "갈", "을"))
        or (len(word) > 1 and ending == FINAL_SS)
    )


def dated_note(text: str, mention: Mention, today: date) -> Fact | None:
    """Under its day: 일정 for what is to come, 한 일 for what was done."""
    after = re.sub(
        r"^(?:에는|에도|에|은|는|엔|도|까지|날|쯤에|쯤|부터|으로|로|이야|인데|이고|이래|임|이에요|예요)(?=\s|$)",
        "",
        text[mention.end :],
    )
    rest = f"{text[: mention.start]} {after}".split()
    if rest and not after.strip():  # 적금 만기가 12월 10일이야
        rest[-1] = re.sub(r"(?<=\S\S)(?:은|는|이|가)$", "", rest[-1])
    if not rest or all(word in IDLE for word in rest):
        return None
    value = " ".join(rest)
    past = _is_past(rest[-1]) and not re.search(
        r"예약|예매|잡|성공|하기로|정해|정했", " ".join(rest[-2:])
    )
    when = mention.when
    if past:
        back = next(iter(mentions(text[mention.start : mention.end], today, "back")), mention).when
        near = next(iter(mentions(text[mention.start : mention.end], today, "near")), mention).when
        when = back if back.first <= today else when
        if near.first > today:
            return Fact(f"{spoken(near, today)} 일정", noted_as_told(value), merge=True)
        return (
            Fact(f"{spoken(when, today)} 한 일", noted_as_told(value), merge=True)
            if when.first <= today
            else None
        )
    if when.last < today:
        return None
    if (
        when.span in ("month", "week")
        and when.first <= today
        and not re.search(r"[을ㄹ]?\s?거[야예]|까지|려고|예정|기로|[할갈볼]", value)
    ):
        return Fact(f"{spoken(when, today)} 한 일", noted_as_told(value), merge=True)
    return Fact(f"{spoken(when, today)} 일정", noted_as_told(HAS.sub("", value)), merge=True)


def _is_past(last: str) -> bool:
    found = PAST.match(last)
    return (
        found is not None and final(found["stem"]) == FINAL_SS and found["stem"][-1:] not in "있겠"
    )


def topic_places(said: Sequence[str]) -> list[int]:
    """Places of the words that the statement is about: whom, else what is marked, else first."""
    nouns = [
        at
        for at, word in enumerate(said[:-1])
        if not _modifier(word, said[at + 1]) and nouns_of([word, "="])
    ]
    if not nouns:
        return [len(said) - 1] if nouns_of(said) else []
    people = [at for at in nouns if person_in(said[at])]
    if people:
        at = people[0]
        return [at]
    marked = [at for at in nouns if re.search(r"(?:은|는)$", said[at]) and said[at] not in KNOWN]
    marked = marked or [
        at for at in nouns if re.search(r"(?:이|가)$", said[at]) and said[at] not in KNOWN
    ]
    at = marked[0] if marked else nouns[0]
    plain = at > 0 and at - 1 in nouns and said[at - 1] == bare(said[at - 1])
    if marked and plain:
        return [at - 1, at]
    if not marked and at + 1 in nouns and said[at] == bare(said[at]) and at + 1 < len(said) - 1:
        return [at, at + 1]
    return [at]


def under_topic(topic: list[int], said: Sequence[str], text: str) -> Fact:
    base = [nouns_of([said[at], "="]) for at in topic]
    key = " ".join(found[0] for found in base if found)
    if not key:
        key = (nouns_of(said) or [said[-1]])[0]
        rest: Sequence[str] = said
    else:
        rest = [word for at, word in enumerate(said) if at not in topic]
        if topic[0] > 2 or not rest or _only_marked(said, topic):
            rest = said
    who = person_in(said[topic[0]])
    if who:
        key = CALLED.get(who, who)
    return Fact(
        key[:40],
        noted_as_told(" ".join(rest)),
        "other" if who else "user",
        merge=not ANEW.search(text),
    )


def _only_marked(said: Sequence[str], topic: list[int]) -> bool:
    """The topic has a particle that the value needs: 스트레스 받으면, 학교에서."""
    return any(
        re.search(
            r"(?:에서|에|한테|랑|이랑|하고|로|으로|와|과|까지|부터|밖에|마다|라는|이라는|보다|처럼)$",
            said[at],
        )
        and said[at] not in KNOWN
        for at in topic
    )


def noted_as_told(value: str) -> str:
    """As a note is written: 못 구했어요 -> 못 구했음, 27번이야 -> 27번; else as told."""
    *before, last = value.split()
    if _is_past(last) and (found := PAST.match(last)):
        last = found["stem"] + "음"
    elif (
        (ending := COPULA.search(last))
        and ending.start() > 0
        and not ending[0].startswith(("거든", "인데"))
    ):
        base = last[: ending.start()]
        if ending[0].startswith("이") and OWN_I.search(base + "이"):
            base += "이"  # 호랑이야
        last = base if not re.search(r"(?:거|것|중|편)$", base) or before else last
    return " ".join([*before, last])
