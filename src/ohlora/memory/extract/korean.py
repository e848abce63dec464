"""Just enough Korean morphology to turn what people type into a key and a value.

Verbs as chat writes them go back to their stem ("먹어" -> "먹") and on to the form a memory is
written in ("먹기"). Works on Unicode syllables; no dictionary beyond the irregular verbs of
daily plans.
"""

from __future__ import annotations

import re

VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
ONSETS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
FINAL_N, FINAL_L, FINAL_M, FINAL_B, FINAL_SS = 4, 8, 16, 17, 20  # numbers of ㄴ ㄹ ㅁ ㅂ ㅆ


def parts(syllable: str) -> tuple[str, str, int]:
    """Onset, vowel and number of the final consonant (0: none); ("", "", 0) if no syllable."""
    code = ord(syllable) - 0xAC00
    if not 0 <= code < 11172:
        return "", "", 0
    return ONSETS[code // 588], VOWELS[code % 588 // 28], code % 28


def build(onset: str, vowel: str, final: int = 0) -> str:
    return chr(0xAC00 + (ONSETS.index(onset) * 21 + VOWELS.index(vowel)) * 28 + final)


def final(word: str) -> int:
    return parts(word[-1])[2] if word else 0


def without_final(word: str) -> str:
    onset, vowel, _ = parts(word[-1])
    return word[:-1] + build(onset, vowel) if onset else word


def with_final(word: str, number: int) -> str:
    onset, vowel, _ = parts(word[-1])
    return word[:-1] + build(onset, vowel, number) if onset else word


# Stems that the rules below would get wrong, by how their -아/어 form ends.
IRREGULAR = {
    "시켜": "시키",
    "모아": "모으",
    "들어": "듣",
    "걸어": "걷",
    "물어": "묻",
    "실어": "싣",
    "도와": "돕",
    "누워": "눕",
    "구워": "굽",
    "주워": "줍",
    "켜": "켜",
    "펴": "펴",
    "놔": "놓",
    "따라": "따르",
    "치러": "치르",
    "들러": "들르",
    "잠가": "잠그",
    "담가": "담그",
    "지어": "짓",
    "저어": "젓",
    "퍼": "푸",
    "에요": "이",
}
L_STEMS = (
    "놀",
    "만들",
    "팔",
    "열",
    "풀",
    "벌",
    "졸",
    "돌",
    "빌",
    "밀",
    "빨",
    "썰",
    "쓸",
    "털",
    "갈아",
)


def stem_of_polite(word: str) -> str | None:
    """The stem of an -아/어 form: 가 -> 가, 먹어 -> 먹, 봐 -> 보, 해 -> 하, 마셔 -> 마시."""
    for ending, stem in IRREGULAR.items():
        if word.endswith(ending):
            return word[: -len(ending)] + stem
    onset, vowel, last = parts(word[-1]) if word else ("", "", 0)
    if not onset or last:
        return None
    before = word[:-1]
    if onset == "ㅎ" and vowel in "ㅐㅕ":
        return before + "하"
    if onset == "ㅇ" and vowel in "ㅏㅓ":
        return before if before and "가" <= before[-1] <= "힣" else None
    if onset == "ㄹ" and vowel in "ㅏㅓ" and final(before) == FINAL_L:
        return without_final(before) + "르"  # 골라 -> 고르, 불러 -> 부르
    turned = {"ㅘ": "ㅗ", "ㅝ": "ㅜ", "ㅕ": "ㅣ", "ㅙ": "ㅚ"}.get(vowel)
    if turned:
        return before + build(onset, turned)
    if vowel == "ㅓ":  # 써 -> 쓰, 꺼 -> 끄, 떠 -> 뜨; 서 and 건너 stay
        return before + build(onset, "ㅡ") if onset in "ㅆㄲㄸㅋ" else word
    return word if vowel in "ㅏㅐㅔ" else None


def stem_of_past(word: str) -> str | None:
    """The stem of a form that ends in ㅆ: 갔 -> 가, 먹었 -> 먹, 했 -> 하."""
    if final(word) != FINAL_SS:
        return None
    if word.endswith("었") and final(word[:-1]) == FINAL_SS:
        word = word[:-1]  # 갔었어
    return stem_of_polite(without_final(word))


def stem_of_future(word: str) -> str | None:
    """The stem of a form that ends in ㄹ: 갈 -> 가, 먹을 -> 먹, 놀 -> 놀, 들을 -> 듣."""
    if final(word) != FINAL_L:
        return None
    if word.endswith(L_STEMS):
        return word
    if word.endswith("을") and len(word) > 1 and final(word[:-1]):
        before = word[:-1]
        return with_final(before, 7) if before.endswith(("들", "걸", "물", "실")) else before
    if word.endswith("울") and word[-2:-1] in "도누구주":
        return with_final(word[:-1], FINAL_B)
    return without_final(word)


def plain_stem(word: str) -> tuple[str, str] | None:
    """Stem and tense ("now", "past") of a verb that ends a statement; None for anything else.

    가, 가요, 간다, 갑니다, 감, 가거든, 가는데, 가려고 -> ("가", "now"); 갔어 -> ("가", "past")
    """
    if not word or not all("가" <= char <= "힣" for char in word):
        return None
    if word.endswith(("거든요", "는데요", "거든", "는데", "네요")):
        word = re.sub(r"(?:거든|는데|네)요?$", "", word)
        if final(word) == FINAL_SS:
            return _tensed(stem_of_past(word), "past")
        return _tensed(word, "now")  # 가거든, 먹는데: the stem itself
    if final(word[:-1]) == FINAL_SS and word[-1] in "어다음지고네":
        return _tensed(stem_of_past(word[:-1]), "past")
    if len(word) > 2 and word.endswith("어요") and final(word[:-2]) == FINAL_SS:
        return _tensed(stem_of_past(word[:-2]), "past")
    if len(word) > 2 and word.endswith("습니다"):
        if final(word[:-3]) == FINAL_SS:
            return _tensed(stem_of_past(word[:-3]), "past")
        return _tensed(word[:-3], "now")
    if len(word) > 2 and word.endswith("니다") and final(word[:-2]) == FINAL_B:
        return _tensed(without_final(word[:-2]), "now")
    if len(word) > 2 and word.endswith("는다"):
        return _tensed(word[:-2], "now")
    if len(word) > 1 and word.endswith("다") and final(word[:-1]) == FINAL_N:
        stem = without_final(word[:-1])  # 간다, 만든다
        return _tensed({"만드": "만들", "노": "놀"}.get(stem, stem), "now")
    if word.endswith(("려고", "려구", "려")) and len(word) > 2:
        return _tensed(re.sub(r"으?려[고구]?$", "", word), "now")
    if word in ("감", "옴", "함", "먹음", "만남", "다녀옴", "나감"):
        return _tensed({"먹음": "먹"}.get(word) or without_final(word), "now")
    if word.endswith("요") and len(word) > 1:
        word = word[:-1]
    return _tensed(stem_of_polite(word), "now")


def _tensed(stem: str | None, tense: str) -> tuple[str, str] | None:
    return (stem, tense) if stem else None


def noun_form(stem: str) -> str:
    """먹 -> 먹기."""
    return stem + "기"


def feeling_form(stem: str) -> str:
    """The -(으)ㅁ form of a state: 피곤하 -> 피곤함, 먹 -> 먹음, 졸리 -> 졸림."""
    return stem + "음" if final(stem) else with_final(stem, FINAL_M)


# Words that end in 이 themselves, so that "떡볶이야" is 떡볶이 and "지은이야" is 지은.
OWN_I = re.compile(
    r"(?:볶이|고양이|호랑이|멍멍이|야옹이|원숭이|부엉이|달팽이|지렁이|어린이|걸이|잡이|돌이|순이|맹이|둥이"
    r"|쟁이|덩이|뚱이|길이|놀이|높이|깊이|넓이|종이|오이|아이|나이|차이|사이|거북이|꾸러기|뽕이|팽이|튀김이)$"
)


def without_copula(word: str) -> str:
    """The noun before 야 / 이야 when 야 is gone: 지은이 -> 지은, 떡볶이 -> 떡볶이, 민수 -> 민수."""
    if word.endswith("이") and final(word[:-1]) and not OWN_I.search(word):
        return word[:-1]
    return word


# The end of "N is": 민수야, 지은이에요, 시험인데, 25살이고.
COPULA = re.compile(
    r"(?:입니다|이셔|이세요|이십니다|이신데|이에요|이예요|에요|예요|이야|야|임|인데요?|이거든요?|거든요?|이고요?|이라서|라서|이라구?|이다)$"
)
