"""Fit the classifier of topics (ohlora.intent) to labelled turns.

    ohlora train intent ohlora

Ridge regression of one column a topic, by conjugate gradients on the normal equations
(Hestenes and Stiefel 1952), all columns at once; then the ENTRIES largest weights of the letter
runs are kept, as int8. A minute on one core for 30,000 turns.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save
from scipy import sparse

from ohlora.embedding import Encoder
from ohlora.errors import BadInput
from ohlora.files import write_whole
from ohlora.intent import BUCKETS, NONE, TOPICS, TURNS, WEIGHTS, buckets, read_topics, read_turns

RIDGE = 0.2
VECTOR = 0.3  # weight of the encoder, which has seen these turns in its own training
RARE = 0.25  # a topic with 16 times fewer turns counts each of them twice
STEPS = 20  # of conjugate gradients: more change no digit that counts
ENTRIES = 1_000_000
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Fitted:
    """Weights as ohlora.intent.Intent takes them."""

    topics: list[str]
    rarity: Floats
    counts: NDArray[np.uint8]
    column: NDArray[np.uint8]
    value: NDArray[np.int8]
    scale: Floats
    dense: Floats


def fit(turns: Sequence[tuple[str, str]], encoder: Encoder) -> Fitted:
    """Fit to (topic, turn) rows; at most 255 topics."""
    topics, target = np.unique([topic for topic, _ in turns], return_inverse=True)
    texts = [turn for _, turn in turns]
    runs = sparse.csr_matrix(present(texts))  # [turns, BUCKETS]
    seen = np.asarray(runs.sum(axis=0)).ravel()
    rarity = np.log((len(turns) + 1) / (seen + 1)).astype(np.float32)
    x = features(runs, rarity, VECTOR * encoder.encode(texts))
    wanted = np.zeros((len(turns), len(topics)), np.float32)
    wanted[np.arange(len(turns)), target] = 1.0
    count = np.bincount(target)
    worth = (count.max() / count[target]) ** RARE  # [turns]
    worth = np.sqrt(worth / worth.mean()).astype(np.float32)[:, None]
    weights = ridge(sparse.csr_matrix(x.multiply(worth)), wanted * worth)

    scale = np.abs(weights[:BUCKETS]).max(axis=0) / 127 + 1e-12
    value = np.round(weights[:BUCKETS] / scale).astype(np.int8)
    size = np.abs(weights[:BUCKETS])
    if size.size > ENTRIES:
        value[size < np.partition(size.ravel(), size.size - ENTRIES)[size.size - ENTRIES]] = 0
    row, column = np.nonzero(value)
    dense = weights[BUCKETS:] * np.array([*[VECTOR] * encoder.dim, 1.0], np.float32)[:, None]
    return Fitted(
        topics=[str(topic) for topic in topics],
        rarity=rarity,
        counts=np.bincount(row, minlength=BUCKETS).astype(np.uint8),
        column=column.astype(np.uint8),
        value=value[row, column],
        scale=scale.astype(np.float32),
        dense=dense,
    )


def present(texts: Sequence[str]) -> sparse.csr_matrix:
    """[N, BUCKETS] with 1 where a text has a letter run or word."""
    found = [buckets(text) for text in texts]
    ends = np.cumsum([0, *map(len, found)])
    column = np.concatenate([np.array(row, np.int64) for row in found])
    ones = np.ones(len(column), np.float32)
    return sparse.csr_matrix((ones, column, ends), shape=(len(texts), BUCKETS))


def features(runs: sparse.csr_matrix, rarity: Floats, vectors: Floats) -> sparse.csr_matrix:
    """[N, BUCKETS + dim + 1]: runs by rarity at length one, the encoder's vector, a constant."""
    weighted = runs @ sparse.diags(rarity)
    length = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    unit = sparse.diags(1 / np.maximum(length, 1e-6)) @ weighted
    constant = np.ones((len(vectors), 1), np.float32)
    return sparse.csr_matrix(sparse.hstack([unit, vectors, constant]), dtype=np.float32)


def ridge(x: sparse.csr_matrix, wanted: Floats) -> Floats:
    """The W [F, C] that least squares |xW - wanted|^2 + RIDGE |W|^2 asks for."""
    back = sparse.csr_matrix(x.T)
    weights = np.zeros((x.shape[1], wanted.shape[1]), np.float32)
    rest = np.asarray(back @ wanted, np.float32)
    direction, size = rest.copy(), (rest * rest).sum(axis=0)
    for _ in range(STEPS):
        image = back @ (x @ direction) + RIDGE * direction
        step = size / np.maximum((direction * image).sum(axis=0), 1e-12)
        weights += step * direction
        rest -= step * image
        size, before = (rest * rest).sum(axis=0), size
        direction = rest + (size / np.maximum(before, 1e-12)) * direction
    return weights


def write(path: Path, fitted: Fitted, encoder: Encoder) -> None:
    about = json.dumps({"topics": fitted.topics, "encoder": encoder.id}, ensure_ascii=False)
    tensors = {
        "rarity": fitted.rarity.astype(np.float16),
        "counts": fitted.counts,
        "column": fitted.column,
        "value": fitted.value,
        "scale": fitted.scale,
        "dense": fitted.dense.astype(np.float16),
    }
    write_whole(path, save(tensors, metadata={"intent": about}))


def train(folder: Path, encoder: Encoder) -> Fitted:
    """Fit the turns.tsv of a folder of lines and write the weights beside it.

    Raises BadInput when a label is no topic of topics.toml, CheckpointError for unreadable files.
    """
    topics, turns = read_topics(folder / TOPICS), read_turns(folder / TURNS)
    for number, (topic, _) in enumerate(turns, start=1):
        if topic != NONE and topic not in topics:
            raise BadInput(
                f"{folder / TURNS}:{number}: {topic!r} is no topic of {TOPICS}.",
                f"{folder / TURNS}:{number}: {TOPICS}에 {topic!r} 주제가 없어요.",
            )
    if NONE not in {topic for topic, _ in turns}:
        raise BadInput(
            f"{folder / TURNS} needs turns of other talk, labelled {NONE!r}.",
            f"{folder / TURNS}에 다른 이야기({NONE!r})도 있어야 해요.",
        )
    fitted = fit(turns, encoder)
    write(folder / WEIGHTS, fitted, encoder)
    return fitted
