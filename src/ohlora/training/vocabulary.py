"""Prune Gemma's 262,144 tokens to the Korean ones a conversation needs.

The result is an ordinary BPE of the `tokenizers` library with byte fallback, so it can spell any
text. It is closed under merging: whatever full-vocabulary BPE does on the way to a kept token
uses kept tokens only, so text made of kept tokens is cut exactly as Gemma cuts it.

Tokens carry real spaces instead of SentencePiece's U+2581, so that character survives too.
No token is special to the tokenizer: typed "<eos>" is text, not a control token.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from tokenizers import Tokenizer, decoders, models

from ohlora.llm.gguf_file import GGUF

CONTROL = ("<pad>", "<eos>", "<bos>", "<unk>")
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
_NORMAL, _USER_DEFINED = 1, 4  # llama.cpp's token kinds


def to_ours(token: str) -> str:
    """A SentencePiece token as text: U+2581 is a space."""
    return token.replace("▁", " ")


def full_tokenizer(tokens: Sequence[str], kinds: Sequence[int]) -> Tokenizer:
    """Gemma's own cut of text, with real spaces; merges follow the tokens' order in the GGUF."""
    merged = [
        to_ours(token)
        for token, kind in zip(tokens, kinds, strict=True)
        if kind == _NORMAL or (kind == _USER_DEFINED and token in ("\n", "\t"))
    ]
    order = list(CONTROL) + list(BYTES) + [t for t in merged if t not in CONTROL]
    return make_bpe(order)


def make_bpe(order: Sequence[str]) -> Tokenizer:
    """A BPE over the tokens in order: earlier merged tokens are merged first."""
    vocabulary = {token: index for index, token in enumerate(order)}
    plain = [token for token in order if token not in _UNMERGED]
    known = set(plain)
    merges = []
    for token in plain:
        splits = (
            (token[:cut], token[cut:])
            for cut in range(1, len(token))
            if token[:cut] in known and token[cut:] in known
        )
        merges += sorted(splits, key=lambda pair: (vocabulary[pair[0]], vocabulary[pair[1]]))
    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    return tokenizer


_UNMERGED = frozenset(CONTROL) | frozenset(BYTES)


def prune(
    full: Tokenizer, always: Iterable[str], counted: Iterable[str], characters: str, size: int
) -> list[str]:
    """Choose about `size` tokens, in the full vocabulary's order.

    `always`: texts whose every token is kept; `counted`: texts whose commonest tokens fill the
    rest; `characters`: single characters kept where the full vocabulary has them.
    """
    keep = set(CONTROL) | set(BYTES) | {c for c in characters if full.token_to_id(c) is not None}
    for encoding in _encoded(full, always):
        keep.update(encoding)
    closed = _close(full, keep)
    counts: Counter[str] = Counter()
    for encoding in _encoded(full, counted):
        counts.update(encoding)
    for token, _ in counts.most_common():
        if len(closed) >= size:
            break
        closed |= _close(full, {token})
    return sorted(closed, key=lambda token: full.token_to_id(token) or 0)


def _encoded(full: Tokenizer, texts: Iterable[str]) -> Iterable[list[str]]:
    for encoding in full.encode_batch(list(texts)):
        yield encoding.tokens


def _close(full: Tokenizer, tokens: Iterable[str]) -> set[str]:
    """The tokens and everything BPE passes through while it builds them."""
    closed: set[str] = set()
    for token in tokens:
        closed.add(token)
        if token not in _UNMERGED and len(token) > 1:
            closed |= _merge_path(full, token)
    return closed


def _merge_path(full: Tokenizer, token: str) -> set[str]:
    parts = list(token)
    passed = {part for part in parts if full.token_to_id(part) is not None}
    while len(parts) > 1:
        ranked = [
            (rank, at)
            for at in range(len(parts) - 1)
            if (rank := full.token_to_id(parts[at] + parts[at + 1])) is not None
        ]
        if not ranked:
            break
        _, at = min(ranked)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
        passed.add(parts[at])
    return passed


def needed_characters() -> str:
    """ASCII, every Hangul syllable and letter, common marks and emoji."""
    ranges = ((0x20, 0x7F), (0xAC00, 0xD7A4), (0x3131, 0x318F), (0x1F300, 0x1F650))
    ranges += ((0x1F680, 0x1F6FD), (0x1F900, 0x1F9FF), (0x2600, 0x27C0))
    marks = "\n\t·…“”‘’「」『』〔〕《》〈〉※♡♥★☆♪♬→←↑↓✨⭐️\u200d。、！？（）~℃°×÷½"
    return "".join(chr(c) for first, last in ranges for c in range(first, last)) + marks


def build_tokenizer(
    gguf: GGUF, always: Iterable[str], counted: Iterable[str], size: int
) -> tuple[Tokenizer, Tokenizer]:
    """The pruned tokenizer for these texts, and Gemma's full one to compare it with."""
    settings = gguf.settings
    full = full_tokenizer(settings["tokenizer.ggml.tokens"], settings["tokenizer.ggml.token_type"])
    order = prune(full, always, counted, needed_characters(), size)
    return make_bpe(order), full
