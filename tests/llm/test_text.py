"""The shipped tokenizer, and tokens turning into text that may be shown."""

from __future__ import annotations

import json
import random

import pytest
from tokenizers import Tokenizer

from ohlora.llm.decode import AnswerText, StopText, TokenText
from ohlora.paths import embedded
from ohlora.training.vocabulary import BYTES, CONTROL, make_bpe, prune

MARK = "(답변 종료)"


@pytest.fixture(scope="module")
def shipped() -> Tokenizer:
    return Tokenizer.from_file(str(embedded() / "llm" / "tokenizer.json"))


ANYTHING = [
    "안녕! 나 내일 친구랑 카페 가 ☕",
    "뷁쀍 똠방각하 ㅋㅋㅋㅠㅠ",
    "👩‍👩‍👧‍👦 🇰🇷 🏳️‍🌈 ✨",
    "नमस्ते مرحبا こんにちは 你好 \u202eabc",
    "  두  칸\t탭\n\n줄 ▁▁ <eos><bos><0x0A> [a: b] {나이}",
    "\x00\x01\x7f\ufeff\ufffd",
    "",
]


@pytest.mark.parametrize("text", ANYTHING)
def test_the_shipped_tokenizer_gives_any_text_back(shipped, text):
    tokens = shipped.encode(text).tokens
    decoder = TokenText()
    shown = "".join(decoder.feed(token) for token in tokens)
    assert shipped.decode(shipped.encode(text).ids, skip_special_tokens=False) == text
    assert shown == text.replace("\ufffd", "")


def test_random_unicode_comes_back_too(shipped):
    rng = random.Random(3)
    for _ in range(200):
        codes = [rng.choice([rng.randrange(0x20, 0xD800), rng.randrange(0xE000, 0x110000)])
                 for _ in range(12)]  # fmt: skip
        text = "".join(map(chr, codes))
        assert shipped.decode(shipped.encode(text).ids, skip_special_tokens=False) == text


def test_typed_control_tokens_are_text(shipped):
    for token in (*CONTROL, "<0xEC>"):
        ids = shipped.encode(token).ids
        assert len(ids) > 1 and not set(ids) & {0, 1, 2, 3}


def test_her_own_lines_need_no_byte_spelling(shipped):
    lines = embedded() / "personas" / "ohlora" / "lines"
    rows = [
        json.loads(line)
        for path in sorted(lines.glob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    spelled = [row for row in rows if set(shipped.encode(row["a"]).tokens) & set(BYTES)]
    assert len(rows) > 600 and len(spelled) < len(rows) * 0.01


def test_a_pruned_vocabulary_cuts_its_texts_as_the_full_one_does():
    letters = list("abcdefgh ")
    merged = ["ab", "cd", "abcd", "ef", "efg", " a", " ab", "gh", "bc", "fgh", "abc"]
    full = make_bpe([*CONTROL, *BYTES, *merged, *letters])
    texts = ["abcd efgh", "ab abcd", "efg abc"]
    pruned = make_bpe(prune(full, texts, [], "abcdefgh", size=0))
    assert pruned.get_vocab_size() < full.get_vocab_size()
    for text in texts:
        assert pruned.encode(text).tokens == full.encode(text).tokens


def test_the_commonest_tokens_fill_what_room_is_left():
    full = make_bpe([*CONTROL, *BYTES, "ab", "cd", "ef", *"abcdef"])
    kept = prune(full, [], ["abab cdcd ab"], "", size=len(CONTROL) + len(BYTES) + 3)
    assert "ab" in kept and "ef" not in kept


def feed_all(pieces: list[str], stop: StopText) -> str:
    return "".join(stop.feed(piece) for piece in pieces) + stop.finish()


def test_bytes_wait_until_their_character_is_whole():
    decoder = TokenText()
    pieces = [decoder.feed(f"<0x{byte:02X}>") for byte in "🌈".encode()]
    assert pieces == ["", "", "", "🌈"]


def test_bytes_that_never_become_a_character_are_dropped():
    decoder = TokenText()
    tokens = ["<0xF0>", "<0x9F>", "안", "<0xFF>", "녕", "\ufffd", "<0xEC>"]
    assert "".join(decoder.feed(token) for token in tokens) == "안녕"


def test_the_mark_is_never_shown_wherever_the_pieces_are_cut():
    text = f" 나는 오로라야! {MARK} 더는 없어"
    for cut in range(1, len(text)):
        assert feed_all([text[:cut], text[cut:]], StopText([MARK])) == "나는 오로라야!"
    assert feed_all(list(text), StopText([MARK])) == "나는 오로라야!"


def test_what_only_begins_like_the_mark_is_shown_after_all():
    assert feed_all(list("괄호 (답변은 없어)"), StopText([MARK])) == "괄호 (답변은 없어)"
    assert feed_all(["끝 (답변"], StopText([MARK])) == "끝 (답변"


def test_nothing_follows_the_mark():
    stop = StopText([MARK])
    stop.feed(f"응 {MARK}")
    assert stop.ended and stop.feed("더") == "" and stop.finish() == ""


def answer_of(tokens: list[str], stop: tuple[str, ...] = (), exact: bool = False) -> str:
    text, shown = AnswerText("".join, stop, exact), ""
    for token in tokens:
        shown += text.feed(token)
        if text.ended:
            break
    return shown + text.finish()


def test_stop_tokens_end_an_answer_and_a_part_of_them_is_shown_after_all():
    stop = ("답변", " 종료", ")")
    assert answer_of([" 응", "!", " (", *stop, "더"], stop) == "응!"
    assert answer_of([" 답변", "답변", " 종료", "일"], stop) == "답변답변 종료일"
    assert answer_of([" 응", "답변"], stop) == "응답변"


def test_an_exact_answer_is_every_character_that_was_drawn():
    stop = ("답변", " 종료", ")")
    drawn = [" 응 \ufffd", "\u200b", " (", *stop]
    assert answer_of([*drawn, "더"], stop, exact=True) == "".join(drawn)
    assert answer_of([" 응 ", MARK, "더"], exact=True) == f" 응 {MARK}"
    # v1 stopped at these ids only: the mark spelt with other tokens did not end its answer.
    assert answer_of([" 응 ", MARK, "더"], stop, exact=True) == f" 응 {MARK}더"
