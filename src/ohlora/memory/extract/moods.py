"""What holds for now: how the user feels, the weather they tell, the place they are at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date

from ohlora.memory.dates import mentions, spoken
from ohlora.memory.extract.clauses import Clause, Fact
from ohlora.memory.extract.korean import COPULA
from ohlora.memory.extract.words import FILLERS, FIRST_PERSON, OTHERS, PLACES, words

HADA = words(
    "피곤 우울 행복 심심 불안 답답 속상 서운 초조 찝찝 뿌듯 허전 울적 막막 멍 나른 억울 지루 "
    "찌뿌둥 몽롱 쓸쓸 공허 예민 무기력 편안 평온"
)
# What is felt, and the words that say so; a stem with "-" needs an ending (배고프다, 졸린데).
FEELINGS = {
    "졸림": "졸려 졸림 졸리- 졸린-",
    "배고픔": "배고파 배고픔 배고프- 배고픈-",
    "배부름": "배불러 배부름 배부르- 배부른-",
    "목마름": "목말라 목마름 목마르-",
    "슬픔": "슬퍼 슬픔 슬픈-",
    "기쁨": "기뻐 기쁨 기쁘-",
    "신남": "신나 신남 신났- 신난-",
    "외로움": "외로워 외로움 외롭- 외로운-",
    "힘듦": "힘들어 힘듦 힘들- 힘드네 힘든-",
    "지침": "지쳐 지침 지쳤- 지친-",
    "화남": "화나 화남 화났- 화난- 빡쳐 빡침 빡친- 열받아 열받네",
    "짜증남": "짜증나 짜증남 짜증났- 짜증난-",
    "긴장됨": "긴장돼 긴장됨 긴장되- 긴장된-",
    "떨림": "떨려 떨림 떨리- 떨린-",
    "무서움": "무서워 무서움",
    "설렘": "설레 설렘 설레어 설렌-",
    "바쁨": "바빠 바쁨 바쁘- 바쁜-",
    "아픔": "아파 아픔 아프- 아픈-",
    "추움": "추워 추움 춥-",
    "더움": "더워 더움 덥-",
    "어지러움": "어지러워 어지러움 어지럽-",
    "체함": "체했- 체한-",
    "다침": "다쳤- 다친-",
    "괴로움": "괴로워 괴로움 괴롭-",
    "귀찮음": "귀찮아 귀찮음 귀찮-",
} | {f"{word}함": f"{word}해 {word}함 {word}하- {word}한-" for word in HADA}
ENDED = re.compile(
    r"^(?:다|네|네요|어|어요|데|데요|는데|는데요|은데|서|니까|거든|거든요|습니다|니다|고|구|다고)$"
)
SAID_ON = re.compile(r"^(?:요|네|네요|서|서요|가지고|다|ㅂ니다|합니다|지네|죽겠어)?$")
NEEDS_ME = ("추움", "더움", "무서움", "슬픔", "귀찮음", "지루함", "답답함")  # else of a thing
STEMS = {stem: feeling for feeling, stems in FEELINGS.items() for stem in stems.split()}
BODY = words(
    "머리 배 마음 목 허리 이 이빨 다리 팔 어깨 손목 발목 무릎 눈 귀 속 위 몸 가슴 손 발 등 골반 "
    "치아 사랑니 온몸 잇몸 코 종아리 손가락 발가락 엉덩이 옆구리"
)
SETTING = (
    FIRST_PERSON
    | FILLERS
    | words(
        "오늘 지금 오늘은 지금은 요즘은 오늘도 아침부터 하루 종일 온종일 몸이 마음이 몸도 마음도 "
        "아침 저녁 밤 배가 오늘따라 기분이 방금 이렇게 다시 머리가 며칠째 어제부터 학교 회사 일 "
        "공부 때문에 덕분에 혼자 혼자라"
    )
)
CAUSE = re.compile(r"(?:서|니까|느라|라서|때문에|해가지고|더니|고)$")
DENIED = words("안 못 하나도 전혀 별로 덜 아니 그닥 그다지")
PHRASES = tuple(
    (re.compile(pattern), value)
    for pattern, value in (
        (r"감기\s?기운", "감기 기운 있음"),
        (r"감기(?:에|가)?\s?(?:걸렸|걸린|걸려|걸림|들었)", "감기 걸림"),
        (r"독감(?:에|이)?\s?(?:걸렸|걸린|걸림)", "독감 걸림"),
        (r"코로나(?:에)?\s?(?:걸렸|걸린|걸림|확진)", "코로나 걸림"),
        (r"몸살(?:이|이야|인|\s?났|\s?나|\s?기운|\s?걸)", "몸살 남"),
        (r"열(?:이)?\s?(?:나|났|난다|나네)(?:는데|어|요|네|서)?$", "열남"),
        (
            r"스트레스(?:를)?\s?(?:\S+\s)?(?:받아|받는|받네|받음|받았|쌓|심해|장난|야$|임$)",
            "스트레스 받음",
        ),
        (r"잠(?:이|을)?\s?(?:안\s?와|안\s?온다|못\s?잤|못\s?자|안\s?오네)", "잠 못 잠"),
        (r"숙취(?:가)?\s?(?:있|심|장난|때문)", "숙취 있음"),
        (r"입맛(?:이)?\s?없", "입맛 없음"),
        (r"기분(?:이)?\s?(?:안\s?좋|별로|나빠|나쁘|더러|꿀꿀|다운|최악)", "기분 안 좋음"),
        (r"기분(?:이)?\s?(?:좋|최고|짱)", "기분 좋음"),
        (r"컨디션(?:이)?\s?(?:안\s?좋|별로|나빠|최악|꽝)", "컨디션 안 좋음"),
        (r"컨디션(?:이)?\s?(?:좋|최고)", "컨디션 좋음"),
        (r"몸(?:이)?\s?(?:안\s?좋|별로|무거|으슬|쑤)", "몸 안 좋음"),
        (r"생리통(?:이|\s|$)", "생리통"),
        (r"목(?:이)?\s?말라", "목마름"),
        (r"배(?:가)?\s?고(?:파|프다|픔)", "배고픔"),
        (r"배(?:가)?\s?불러", "배부름"),
        (r"화(?:가)?\s(?:나|났|난다)", "화남"),
        (r"짜증(?:이)?\s(?:나|났|난다)", "짜증남"),
    )
)


def mood(clause: Clause) -> Iterator[Fact]:
    """상태: 피곤함, 머리 아픔, ... of the user, now."""
    said = [word for word in clause.words if word not in FILLERS or word in FIRST_PERSON]
    for fact in _mood(clause, said):
        cause = [word for word in said if word not in FIRST_PERSON]
        at = max((at for at, word in enumerate(cause[:-1]) if WHY.search(word)), default=-1)
        if 0 <= at < 6:
            yield replace(fact, value=f"{' '.join(cause[: at + 1])} {fact.value}")
        else:
            yield fact


WHY = re.compile(r"(?:(?<!에)서|때문에|땜에|느라)$")


def _mood(clause: Clause, said: list[str]) -> Iterator[Fact]:
    if len(said) > 1 and DYING.match(said[-1]):  # "배고파 죽겠어"
        said = [*said[:-2], re.sub(r"고$", "", said[-2])]
    for at, word in enumerate(said):
        before, after = said[:at], said[at + 1 :]
        feeling = _feeling(word, last=not after)
        if feeling is None:
            continue
        if feeling == "아픔" and before:
            part = before[-1] if before[-1] in BODY else re.sub(r"(?:이|가|도)$", "", before[-1])
            if part in BODY:
                feeling, before = f"{part} 아픔", before[:-1]
        alone = clause.first_person or not before and feeling not in ("추움", "더움")
        if (alone or feeling not in NEEDS_ME) and _of_the_user(before) and _stays(after):
            yield Fact("상태", feeling)
        return
    text = " ".join(said)
    for pattern, value in PHRASES:
        found = pattern.search(text)
        if found and _of_the_user(text[: found.start()].split()):
            if not TAKEN_BACK.search(text[found.start() :]):
                yield Fact("상태", value)
            return


DYING = re.compile(r"^(?:죽겠|미치겠|돌겠|쓰러지겠|뒤지겠)")
TAKEN_BACK = re.compile(r"겠|보[여이인]|않|아니|없어졌|나았|다 나|때|던|날|사람|다니")


def _feeling(word: str, last: bool) -> str | None:
    """The feeling that a word states; None for 피곤하면, 피곤해도, 피곤했어, 피곤하겠다."""
    for size in range(min(len(word), 4), 0, -1):
        head, tail = word[:size], word[size:]
        if (feeling := STEMS.get(head)) and SAID_ON.match(tail):
            return feeling
        if feeling := STEMS.get(head + "-"):
            on_noun = head[-1] in "린픈른친난운쁜든된한"  # 졸린데, but not 졸린 사람
            fits = tail in ("데", "데요", "다") if on_noun else ENDED.match(tail)
            return feeling if fits and not (last and tail in ("고", "구")) else None
    return None


def _of_the_user(before: list[str]) -> bool:
    """Nobody and nothing else feels it: only settings and causes stand in front."""
    if any(word in DENIED or word in OTHERS for word in before):
        return False
    if any(re.sub(r"(?:이|가|은|는|도|한테)$", "", word) in OTHERS for word in before):
        return False
    cause = max((at for at, word in enumerate(before) if CAUSE.search(word)), default=-1)
    return all(word in SETTING or _feeling(word, False) for word in before[cause + 1 :])


def _stays(after: list[str]) -> bool:
    """What follows does not take it back: "피곤해 보여", "피곤한 것 같아" of someone."""
    return not after or not re.match(
        r"^(?:보|하지|않|줄|적|사람|사람이|날|척|것|거|게|지|영화|노래|말|해도|하는|하다|보여|보인|보이|하겠|했|죽은|싶)",
        after[0],
    )


SKY = {
    "비": re.compile(r"^(?:비|소나기|장맛비)(?:가)?$"),
    "눈": re.compile(r"^(?:눈|함박눈|첫눈)(?:이)?$"),
}
FALLS = re.compile(
    r"^(?:와|와요|온다|오네|오네요|옴|와서|오는데|오는중|오는|온대|온대요|온다네|온다던데|온다는데|온다고|내려|내린다|내리네|내려요|내린대|오고|내리고|쏟아져|옵니다|예보)$"
)
AIR = {
    "좋음": r"좋[아다네음]",
    "맑음": r"맑[아다네음]",
    "흐림": r"흐[려리림]",
    "추움": r"추[워움웠]|춥",
    "더움": r"더[워움]|덥",
    "쌀쌀함": r"쌀쌀",
    "따뜻함": r"따뜻",
    "화창함": r"화창",
    "습함": r"습[해하함]",
    "시원함": r"시원",
    "안 좋음": r"안 좋|별로|구려|나빠",
    "바람 많이 붊": r"바람.{0,6}(?:불어|분다|부네|불고 있어|부네요|불어요)$",
    "미세먼지 심함": r"미세먼지.{0,6}(?:심해|심하네|심하다|많아|많네|나쁨|최악)",
}


def weather(clause: Clause, today: date) -> Iterator[Fact]:
    """오늘 날씨: 비; 내일 날씨: 눈."""
    days = list(mentions(clause.text, today))
    if len(days) > 1 or clause.first_person:
        return
    if days and (days[0].when.span != "day" or days[0].when.first < today):
        return
    when = spoken(days[0].when, today) if days else "오늘"
    text = clause.text if not days else clause.text[: days[0].start] + clause.text[days[0].end :]
    said = [word for word in text.split() if word not in FILLERS and word not in AROUND]
    said = [word for word in said if word not in ("은", "는", "도", "엔", "에")]
    if not said:
        return
    for value, falling in SKY.items():
        if falling.match(said[0]):
            if len(said) >= 2 and FALLS.match(said[1]) and RUNNING.match(" ".join(said[2:])):
                yield Fact(f"{when} 날씨", value)
            return
    told = re.match(r"^날씨(?:가|는|도|이)?$", said[0]) is not None
    here = bool(days) or any(word in AROUND for word in clause.words)
    rest = " ".join(said[1:] if told else said)
    if DENIED & set(said) and not told or UNSURE.search(rest):
        return
    for value, pattern in AIR.items():
        if re.match(pattern, rest):
            bodily = value in ("추움", "더움", "쌀쌀함", "따뜻함", "습함", "화창함")
            if told or (bodily and here and len(said) == 1) or value.endswith(("심함", "붊")):
                yield Fact(f"{when} 날씨", value)
            return


AROUND = words("밖에 밖 지금 여기 바깥 창밖에 밖은 여긴 여기는 지금은 서울 서울은 부산 부산은 방금")
RUNNING = re.compile(r"^(?:있\S*|중\S*|하\S{1,3}|같\S*)?$")  # 오고 있어, 온다고 하네
UNSURE = re.compile(r"[져겠]|으면|더라도|보|싶|했|웠|았|었|.{15}")


def place(clause: Clause, today: date) -> Iterator[Fact]:
    """지금 있는 곳: 도서관."""
    said = [word for word in clause.rest if word not in FILLERS]
    now = any(word in NOW for word in said)
    said = [word for word in said if word not in NOW]
    if not said or len(said) > 5 or any(True for _ in mentions(" ".join(said), today)):
        return
    if any(re.sub(r"(?:이|가|은|는|도)$", "", word) in OTHERS for word in said):
        return
    for size in (1, 2):  # words of the place: 도서관, 스터디 카페
        if size == 2 and said[0].endswith(("서", "고", "는데", "에")):
            return
        what, doing = " ".join(said[:size]), " ".join(said[size:])
        noun = COPULA.sub("", what) if not doing else re.sub(r"(?<=\S)(?:에서|에)$", "", what)
        marked = noun != what
        known = noun[-1:] != "" and (noun.split()[-1:] or [""])[0] in PLACES
        if not doing:
            known = known or (now and PLACELIKE.search(noun) is not None)
            if marked and known and (now or clause.first_person):
                yield Fact("지금 있는 곳", noun)
        elif not what.endswith("에서") and HERE.match(doing):
            if (known or PLACELIKE.search(noun) or (marked and now)) and (
                marked or not doing.startswith("있")
            ):
                yield Fact("지금 있는 곳", noun)
                return
        elif what.endswith("에서") and known and now and BUSY.search(doing):
            yield Fact("지금 있는 곳", noun)
            return


NOW = words("지금 방금 막 지금은")
PLACELIKE = re.compile(r"(?:역|공항|카페|도서관|병원|학교)$")
HERE = re.compile(
    r"^(?:있(?:어|어요|는데|음|다|거든)|왔(?:어|어요|다|음|는데)|들어왔어|도착(?:했어|했다|함)?)$"
)
BUSY = re.compile(r"(?:\s?중(?:이야|임|인데|이에요)?|고\s?있(?:어|는데|음|어요|다))$")
