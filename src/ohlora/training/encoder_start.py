"""Where the sentence encoder starts: a tokenizer, and vectors from which words stand together.

A word's neighbours (up to five words away) are counted over all text, handed down to the
features of the word, turned into positive pointwise mutual information and factored:

    counts    [words, words]       weighted by distance
    features  [rows, words]        which features a word has
    ppmi      [rows, pieces]       features against the subwords of neighbouring words
    vectors   [rows, dim]          left factor of its truncated SVD, unit length

After Levy and Goldberg 2014, https://papers.nips.cc/paper/5477; the SVD is the randomised one of
Halko et al. 2011, https://arxiv.org/abs/0909.4061.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from ohlora.embedding.features import Featurizer, clean

Floats = NDArray[np.float32]

DISTANCE_WEIGHTS = (1.0, 0.7, 0.5, 0.35, 0.25)  # a neighbour 1, 2, ... words away


def train_tokenizer(text: Sequence[str], pieces: int, sample: int, seed: int) -> Tokenizer:
    """Byte-pair subwords; a space is the mark "▁" of the next word, digits stand alone."""
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(),
            pre_tokenizers.Punctuation(),
            pre_tokenizers.Digits(individual_digits=True),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=pieces,
        special_tokens=["[UNK]"],
        limit_alphabet=2_000,
        min_frequency=3,
        show_progress=False,
    )
    chosen = random.Random(seed).sample(list(text), min(sample, len(text)))
    tokenizer.train_from_iterator(map(clean, chosen), trainer)
    return tokenizer


def start_vectors(
    text: Sequence[str], featurizer: Featurizer, dim: int, words: int, seed: int
) -> tuple[Floats, Floats]:
    """Vectors [rows, dim] and log weights [rows]; a frequent feature weighs less."""
    documents = [clean(t).lower().split()[:60] for t in text]
    frequency = Counter(w for d in documents for w in d)
    vocabulary = [w for w, _ in frequency.most_common(words)]
    counts = neighbour_counts(documents, vocabulary)

    features = featurizer(vocabulary)
    columns = np.repeat(np.arange(len(vocabulary)), [len(rows) for rows, _ in features])
    rows = np.concatenate([np.array(rows, dtype=np.int64) for rows, _ in features])
    has = csr_matrix(
        (np.ones(len(rows), np.float32), (rows, columns)),
        shape=(featurizer.rows, len(vocabulary)),
    )
    together = (has @ (counts @ has[: featurizer.pieces].T)).tocoo()  # [rows, pieces]

    total_row = np.asarray(together.sum(axis=1)).ravel() + 1e-6
    total_column = np.asarray(together.sum(axis=0)).ravel() + 1e-6
    # The power 0.75 keeps rare neighbours from dominating (Levy et al. 2015, sec. 3.2).
    chance = total_column**0.75 / (total_column**0.75).sum()
    information = np.log(together.data / (total_row[together.row] * chance[together.col]))
    keep = information > 0
    ppmi = csr_matrix(
        (information[keep].astype(np.float32), (together.row[keep], together.col[keep])),
        shape=together.shape,
    )
    vectors = left_factor(ppmi, dim, seed)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-6
    log_weights = -np.log1p(total_row / total_row.sum() * 2_000)
    log_weights[featurizer.pieces : featurizer.memory_row] -= 1.0  # many runs to one subword
    return vectors.astype(np.float32), log_weights.astype(np.float32)


def neighbour_counts(documents: list[list[str]], vocabulary: list[str]) -> csr_matrix:
    """[words, words], symmetric: how often two words stand near, nearer counting more."""
    number = {w: i for i, w in enumerate(vocabulary)}
    reach = len(DISTANCE_WEIGHTS)
    gap = [-1] * reach  # no window crosses a sentence border
    ids = np.array([i for d in documents for i in [number.get(w, -1) for w in d] + gap])
    counts = csr_matrix((len(vocabulary), len(vocabulary)), dtype=np.float32)
    for distance, weight in enumerate(DISTANCE_WEIGHTS, start=1):
        left, right = ids[:-distance], ids[distance:]
        both = (left >= 0) & (right >= 0)
        values = np.full(int(both.sum()), weight, np.float32)
        counts = counts + csr_matrix((values, (left[both], right[both])), shape=counts.shape)
    return counts + counts.T


def left_factor(matrix: csr_matrix, dim: int, seed: int) -> Floats:
    """U sqrt(S) of the best rank-`dim` approximation."""
    rng = np.random.default_rng(seed)
    sketch = matrix @ rng.standard_normal((matrix.shape[1], dim + 32)).astype(np.float32)
    for _ in range(3):
        sketch = matrix @ (matrix.T @ np.linalg.qr(sketch)[0])
    basis = np.linalg.qr(sketch)[0]
    u, s, _ = np.linalg.svd((matrix.T @ basis).T, full_matrices=False)
    factor: Floats = (basis @ u[:, :dim]) * np.sqrt(s[:dim])
    return factor
