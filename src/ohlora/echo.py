"""What the user said, said back as a listener would: "지갑을 잃어버렸어" -> "지갑을 잃어버렸구나".

Korean shows that one listened by the last clause of the other with the ending -구나. "내" becomes
"네"; an ending that this page cannot turn safely gives None, and nothing is said back.
"""

from __future__ import annotations

import re

LONGEST = 22  # characters of a clause that is said back

# Words of the speaker that the listener turns or leaves out.
TURNED = dict(
    pair.split(":")
    for pair in """
    내:네 제:네 나의:너의 날:너를 나를:너를 저를:너를 나한테:너한테 저한테:너한테 나랑:너랑
    나보고:너보고 나만:너만 저만:너만 우리:너희 나도:너도 저도:너도 나보다:너보다
    나에게:너에게 내게:네게
    """.split()
)
DROPPED = frozenset(
    """
    나 난 나는 내가 저 전 저는 제가 진짜 정말 그냥 막 근데 그런데 사실 로라야 오로라야
    드디어 결국 방금 역시 이제 벌써 왜 좀 자꾸 왠지 뭔가 그래서
    """.split()
)
SIGHS = frozenset("아 어 음 와 우와 오 헐 에휴 하 휴 아이고 있잖아 아니 야 하하 히히".split())
SENTENCE = re.compile(r"[.!?~…\n]+")
# A clause begins after one of these endings.
BREAK = re.compile(
    r"(?:,|(?<=[가-힣])(?:는데|은데|인데|한데|린데|진데|픈데|쁜데|니까|아서|어서|해서|라서|워서|려서|와서|가서|"
    r"져서|더니|지만|길래|느라|다가|면서|고(?!\s(?:있|싶|나[서니]))))\s+"
)
NOISE = re.compile(r"[^\w\s]|[ㄱ-ㅎㅏ-ㅣ]+")
QUESTION = re.compile(r"\?|(?:까|니|냐|나요|가요|래요?)$")

# Adjectives take -구나, verbs -는구나; these stems are adjectives.
ADJECTIVE_HA = tuple(
    """
    피곤 우울 불안 심심 답답 행복 속상 궁금 따뜻 편 허전 쓸쓸 막막 조용 억울 뿌듯 창피 미안
    건조 습 시원 이상 비슷 복잡 한가 심 착 귀 대단 간단 불편 초조 멍 허무 황당 뻐근 칼칼
    쌀쌀 선선 지루 서운 짜릿 훈훈 든든 느끼 짭짤 얼얼 화창 흐릿 깨끗 지저분 유명 친 못 약
    강 진 말똥말똥 침침 칙칙 허탈 부족 충분 가능 확실 애매 민망 어색 싱숭생숭 꿀꿀 찝찝
    울적 찌뿌둥 축축 한심 갑갑 뻔 만만 당연 급 죄송 감사 안전 위험 소중 특별 완벽 신기 희한
    무기력 예민 딱 딱딱 촉촉 퍽퍽 바삭 쫄깃 담백 시큼 달콤 매콤 고소 텁텁 후덥지근 포근
    아늑 번잡 산만 성실 친절 다정 뻣뻣 욱신욱신 근질근질
    """.split()
)
ADJECTIVE = tuple(
    "좋 많 싫 같 없 있 싶 작 짧 넓 높 낮 깊 얇 젊 늦 귀찮 괜찮 힘들 멀 길 재밌 "
    "맛있 맛없 옳 붉 밝 맑 굵 얕 적 낡".split()
)
VERB_WO = frozenset("싸 배 키 채 외 비 세 지 치 피 나 깨 태 재 바 메 데 끼 띄 우 거 투".split())
CONTRACTED = dict(
    pair.strip().split(":")
    for pair in """
    아파:아프구나, 고파:고프구나, 바빠:바쁘구나, 나빠:나쁘구나, 슬퍼:슬프구나,
    기뻐:기쁘구나, 예뻐:예쁘구나, 졸려:졸리는구나, 떨려:떨리는구나, 걸려:걸리는구나,
    들려:들리는구나, 힘들어:힘들구나, 내려:내리는구나, 달라:다르구나, 몰라:모르는구나,
    불러:부르는구나, 보여:보이는구나, 쌓여:쌓이는구나, 막혀:막히는구나, 느려:느리구나,
    흐려:흐리구나, 어려:어리구나, 마려:마렵구나, 나와:나오는구나, 아니야:아니구나,
    안 와:안 오는구나, 안돼:안 되는구나, 어지러워:어지럽구나, 살아:사는구나, 놀아:노는구나,
    울어:우는구나, 들어:드는구나, 만들어:만드는구나, 불어:부는구나, 팔아:파는구나,
    커:크구나, 써:쓰는구나, 꺼:끄는구나, 나가:나가는구나, 자:자는구나, 사:사는구나,
    가:가는구나, 와:오는구나, 봐:보는구나, 돼:되는구나, 나:나는구나, 쳐:치는구나,
    마셔:마시는구나, 다녀:다니는구나, 기다려:기다리는구나, 만나:만나는구나,
    떠나:떠나는구나, 끝나:끝나는구나, 그려:그리는구나, 빠져:빠지는구나, 커져:커지는구나,
    안 가:안 가는구나, 말라:마르는구나, 해:하는구나, 비싸:비싸구나, 달아:달구나, 짜:짜구나,
    아려:아리는구나, 저려:저리는구나, 쑤셔:쑤시는구나, 올라:오르는구나, 시려:시리구나,
    가려워:가렵구나, 미워:밉구나, 부러워:부럽구나, 쉬워:쉽구나, 누워:눕는구나,
    구워:굽는구나
    """.split(",")
)


def echo(text: str) -> str | None:
    """The last clause of a statement as "...구나" or "...다니"; None when it is no safe echo."""
    if QUESTION.search(text.strip()):
        return None
    sentences = [s for s in SENTENCE.split(text.strip()) if NOISE.sub("", s).strip()]
    if not sentences:
        return None
    for clause in (sentences[-1], BREAK.split(sentences[-1])[-1]):
        if back := said_back(NOISE.sub(" ", clause).split()):
            return back
    return None


def said_back(words: list[str]) -> str | None:
    """One clause, turned to the listener; None when it is too long or ends in what is no verb."""
    while words and words[0] in SIGHS:
        words.pop(0)
    words = [TURNED.get(w, w) for w in words[:-1] if w not in DROPPED] + words[-1:]
    if not words or len(" ".join(words)) > LONGEST:
        return None
    if len(words) > 1 and (pair := CONTRACTED.get(" ".join(words[-2:]))):
        return " ".join([*words[:-2], pair])
    last = listened(words[-1], alone=len(words) == 1)
    return " ".join([*words[:-1], last]) if last else None


def listened(word: str, alone: bool = False) -> str | None:
    """The last word of a clause with the listener's ending."""
    if word.endswith(("다가", "는가", "은가", "인가", "싼가", "러가")):
        return None
    if word.endswith("같애"):
        return word[:-1] + "구나"
    for ending in ("어요", "아요", "습니다", "거든", "더라", "네요", "지요"):
        if word.endswith(ending) and len(word) > len(ending):
            stem = word[: -len(ending)]
            if final(stem[-1]) in (20, 18) or stem.endswith(ADJECTIVE):  # ㅆ, ㅄ
                return stem + "구나"
            return None
    if word.endswith("니다"):
        return None
    if len(word) < 2 and word not in CONTRACTED:
        return None
    if whole := CONTRACTED.get(word):
        return whole
    for end in (word[-3:], word[-2:]):
        if len(end) < len(word) and (turned := CONTRACTED.get(end)) and end not in ("들어",):
            return word[: -len(end)] + turned
    stem, end = word[:-1], word[-1]
    if end in "어아" and stem:
        return by_stem(stem)
    if end in "다네음지" and final(stem[-1]) in (20, 18):  # 했다, 없네
        return stem + "구나"
    if end == "다":
        return plain(stem)
    if end == "해":
        return stem + ("하구나" if stem.endswith(ADJECTIVE_HA) else "하는구나") if stem else None
    if end == "돼":
        return stem + "되는구나" if stem else None
    if end == "대" and stem and final(stem[-1]) in (4, 18, 20):  # 떠난대, 없대, 했대
        return stem + "다니"
    if end == "래" and stem.endswith("이"):
        return stem + "라니"
    if end == "야" and stem and not alone:
        stem = stem.removesuffix("이") if len(stem) > 1 and stem != "아이" else stem
        return stem + ("이구나" if final(stem[-1]) else "구나")
    if end == "워" and stem and stem[-1] not in VERB_WO and not final(stem[-1]):
        return stem[:-1] + with_final(stem[-1], 17) + "구나"  # 어려워 -> 어렵구나
    if end == "워" and stem:
        return stem + "우는구나"
    if end in "가와" and stem:
        return stem + ("가는구나" if end == "가" else "오는구나")
    if end == "져" and stem:
        return stem + "지는구나"
    return None


def by_stem(stem: str) -> str | None:
    """-어 and -아: 좋아 -> 좋구나, 먹어 -> 먹는구나, 했어 -> 했구나."""
    if final(stem[-1]) in (20, 18) or stem.endswith(ADJECTIVE):
        return stem + "구나"
    if final(stem[-1]) == 0:
        return None
    if final(stem[-1]) == 8:  # 놀아 -> 노는구나
        return stem[:-1] + with_final(stem[-1], 0) + "는구나"
    return stem + "는구나"


def plain(stem: str) -> str | None:
    """-다: 간다 -> 가는구나, 먹는다 -> 먹는구나, 좋다 -> 좋구나."""
    if stem.endswith("는"):
        return stem + "구나"
    if final(stem[-1]) == 4 and stem[-1] not in "신":  # ㄴ
        return stem[:-1] + with_final(stem[-1], 0) + "는구나"
    return stem + "구나"


def final(syllable: str) -> int:
    """Index of the final consonant: 0 none, 4 ㄴ, 8 ㄹ, 17 ㅂ, 18 ㅄ, 20 ㅆ."""
    return (ord(syllable) - ord("가")) % 28 if "가" <= syllable <= "힣" else 0


def with_final(syllable: str, index: int) -> str:
    return chr(ord(syllable) - final(syllable) + index)
