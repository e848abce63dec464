"""해요체 to 반말 by rule, for answers that should sound like a friend.

`to_banmal` turns the ending of each sentence and returns None where no rule is sure, so what it
returns may be trusted and the rest is left out of training:

    푹 쉬세요.               푹 쉬어.
    힘든 하루였겠네요.        힘든 하루였겠네.
    좋은 사람일 거예요.       좋은 사람일 거야.
"""

from __future__ import annotations

import re

_SENTENCE_END = re.compile(r"(?<=[.!?~…])\s+")
_TAIL = re.compile(r"^(.*?)([.!?~…ㅋㅎㅠ\s]*)$", re.DOTALL)

# A polite form in the middle of a sentence, or an honorific the endings below do not reach.
_LEFT_OVER = re.compile(
    r"(?:세요|어요|아요|해요|네요|지요|까요|예요|에요|니다|습니까)(?:\s|[,.!?~]|$)|[셨십셔]|드리|시는|시길|시면|시고"
)
_PRONOUNS = (
    (re.compile(r"(?<![가-힣])저는"), "나는"),
    (re.compile(r"(?<![가-힣])전 "), "난 "),
    (re.compile(r"(?<![가-힣])제가"), "내가"),
    (re.compile(r"(?<![가-힣])저도"), "나도"),
    (re.compile(r"(?<![가-힣])저를"), "나를"),
    (re.compile(r"(?<![가-힣])저한테"), "나한테"),
    (re.compile(r"(?<![가-힣])저의"), "나의"),
    (re.compile(r"(?<![가-힣])제 "), "내 "),
    (re.compile(r"당신은"), "너는"),
    (re.compile(r"당신이"), "네가"),
    (re.compile(r"당신"), "너"),
)
# Longest first; the plain 요 is handled last.
_ENDINGS = (
    ("아니에요", "아니야"),
    ("아니예요", "아니야"),
    ("아닙니다", "아니야"),
    ("거예요", "거야"),
    ("거에요", "거야"),
    ("이에요", "이야"),
    ("이예요", "이야"),
    ("예요", "야"),
    ("에요", "야"),
    ("군요", "구나"),
    ("지요", "지"),
    ("죠", "지"),
)
# Verbs whose form before -세요 hides the stem.
_HONORIFIC = (
    ("드세요", "먹어"),
    ("주무세요", "자"),
    ("계세요", "있어"),
    ("마세요", "마"),
    ("만드세요", "만들어"),
    ("노세요", "놀아"),
    ("푸세요", "풀어"),
    ("우세요", None),
    ("사세요", None),
    ("아세요", None),
    ("이세요", None),
    ("으세요", ""),
)
_VOWELS, _FINALS = 21, 28
_A, _AE, _EO, _E, _YEO, _O, _WA, _WAE, _OE, _U, _WO = 0, 1, 4, 5, 6, 8, 9, 10, 11, 13, 14
_EU, _I = 18, 20
_CONTRACTED = {_A: _A, _AE: _AE, _EO: _EO, _E: _E, _YEO: _YEO}
_CONTRACTED |= {_O: _WA, _U: _WO, _I: _YEO, _OE: _WAE}
_PIEUP = 17


def to_banmal(answer: str) -> str | None:
    """The answer in 반말, or None when a sentence ends in a form no rule covers."""
    sentences = []
    for sentence in _SENTENCE_END.split(answer.strip()):
        body, tail = _TAIL.match(sentence).groups()  # type: ignore[union-attr]
        plain = _plain_ending(body) if body else ""
        if plain is None:
            return None
        for polite, friendly in _PRONOUNS:
            plain = polite.sub(friendly, plain)
        if _LEFT_OVER.search(plain):
            return None
        sentences.append(plain + tail.strip())
    return " ".join(sentences) or None


def _plain_ending(body: str) -> str | None:
    if body.endswith("세요"):
        return _without_honorific(body)
    for polite, friendly in _ENDINGS:
        if body.endswith(polite):
            return body[: -len(polite)] + friendly
    if body.endswith("습니다"):
        return _join(body[:-3])
    if body.endswith("니다"):
        return _formal(body[:-2])
    if body.endswith(("나봐요", "가봐요")):
        return body[:-2] + " 봐"
    return body[:-1] if body.endswith("요") and not body.endswith("필요") else body


def _without_honorific(body: str) -> str | None:
    for polite, friendly in _HONORIFIC:
        if body.endswith(polite):
            if polite == "으세요":
                return _join(body[:-3])
            return None if friendly is None else body[: -len(polite)] + friendly
    return _join(body[:-2])


def _formal(stem: str) -> str | None:
    """A stem with ㅂ under its last syllable: 합, 됩, 바랍; 입 is the copula."""
    if not stem or not _is_syllable(stem[-1]):
        return None
    initial, vowel, final = _split(stem[-1])
    if final != _PIEUP or stem[-1] in "답랍" and not stem.endswith("바랍"):
        return None
    if stem.endswith("입"):
        noun = stem[:-1].rstrip()
        if not noun or not _is_syllable(noun[-1]):
            return None
        return noun + ("이야" if _split(noun[-1])[2] else "야")
    return _join(stem[:-1] + _syllable(initial, vowel, 0))


def _join(stem: str) -> str | None:
    """Verb stem + 아/어, contracted: 보 -> 봐, 쉬 -> 쉬어, 믿 -> 믿어, 하 -> 해."""
    if not stem or not _is_syllable(stem[-1]):
        return None
    head, last = stem[:-1], stem[-1]
    initial, vowel, final = _split(last)
    if final:
        return stem + ("아" if vowel in (_A, _O, 2) else "어")
    if last == "하":
        return head + "해"
    if last == "르":  # 고르 -> 골라, 부르 -> 불러
        if not head or not _is_syllable(head[-1]) or _split(head[-1])[2]:
            return None
        before = _split(head[-1])
        bright = before[1] in (_A, _O)
        return head[:-1] + _syllable(before[0], before[1], 8) + ("라" if bright else "러")
    if vowel in _CONTRACTED:
        return head + _syllable(initial, _CONTRACTED[vowel], 0)
    if vowel == _EU:
        bright = bool(head) and _is_syllable(head[-1]) and _split(head[-1])[1] in (_A, _O)
        return head + _syllable(initial, _A if bright else _EO, 0)
    return stem + "어"  # 쉬 -> 쉬어


def _is_syllable(character: str) -> bool:
    return "가" <= character <= "힣"


def _split(syllable: str) -> tuple[int, int, int]:
    code = ord(syllable) - ord("가")
    return code // (_VOWELS * _FINALS), code // _FINALS % _VOWELS, code % _FINALS


def _syllable(initial: int, vowel: int, final: int) -> str:
    return chr(ord("가") + (initial * _VOWELS + vowel) * _FINALS + final)
