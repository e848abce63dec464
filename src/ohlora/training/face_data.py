"""Faces to train on: pictures, labels, class masks; read once, then mapped from the disk.

    data = FaceData.from_synth(folder, ("score_eyes", "score_mouth", "score_pose"), size=128)
    data = data.standardised()               labels in standard deviations, data.scale to undo it
    train_part, rest = data.subset(rows), data.subset(others)
    batch = data.batch(step, 16, seed)       pure: the same step sees the same faces
    batch.pixels()                           float32 [B, 3, R, R], -1..1

The stream of batches is one shuffled pass after another, end to end: batches are always full.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ohlora.errors import BadInput
from ohlora.files import write_whole
from ohlora.training.face_files import (
    cached,
    csv_pictures,
    find_picture,
    open_picture,
    read_columns,
    read_csv,
    read_manifest,
    short_hash,
    synth_pictures,
)


@dataclass(frozen=True)
class Batch:
    images: Tensor  # uint8 [B, 3, R, R], RGB
    labels: Tensor  # float32 [B, L]
    masks: Tensor | None  # uint8 [B, R, R], class 0..10
    persons: Tensor  # int64 [B]
    rows: Tensor  # int64 [B], places in the FaceData

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device) -> Batch:
        def move(t: Tensor) -> Tensor:
            return t.to(device, non_blocking=True)

        masks = None if self.masks is None else move(self.masks)
        rest = (move(self.persons), move(self.rows))
        return Batch(move(self.images), move(self.labels), masks, *rest)

    def pixels(self, low: float = -1.0) -> Tensor:
        """float32 [B, 3, R, R], low..1; low 0 is what the gender and quality CNNs were made for."""
        return self.images.float().mul_((1 - low) / 255).add_(low)


@dataclass(frozen=True)
class LabelScale:
    """Mean and sample standard deviation by which labels were standardised."""

    names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def apply(self, raw: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        return ((raw - np.array(self.mean)) / np.array(self.std)).astype(np.float32)

    def undo(self, label: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        return (label * np.array(self.std) + np.array(self.mean)).astype(np.float32)

    def save(self, path: Path) -> None:
        write_whole(path, (json.dumps(asdict(self), indent=1) + "\n").encode())

    @classmethod
    def load(cls, path: Path) -> LabelScale:
        """Raises BadInput."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return cls(*(tuple(found[key]) for key in ("names", "mean", "std")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadInput(
                f"{path} holds no label scale (names, mean, std): {error}.",
                f"{path}에 라벨 기준(names, mean, std)이 없어요: {error}.",
            ) from error


class Picked:
    """Some rows of a stored array, without copying it."""

    def __init__(self, store: NDArray[Any] | Picked, rows: NDArray[np.int64]) -> None:
        if isinstance(store, Picked):
            store, rows = store.store, store.rows[rows]
        self.store, self.rows = store, rows
        self.shape = (len(rows), *store.shape[1:])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        found: NDArray[Any] = self.store[self.rows[index]]
        return found


@dataclass(frozen=True)
class FaceData:
    images: NDArray[np.uint8] | Picked  # [N, 3, R, R], RGB
    labels: NDArray[np.float32]  # [N, L]
    names: tuple[str, ...]  # of the labels
    masks: NDArray[np.uint8] | Picked | None  # [N, R, R], class 0..10
    persons: NDArray[np.int64]  # [N], pictures of one person share it
    numbers: NDArray[np.int64]  # [N], index in the data set, or img_no
    digest: str  # of pictures, label names and size
    scale: LabelScale | None = None  # set: labels are standardised
    _orders: dict[tuple[int, int], NDArray[np.int64]] = field(default_factory=dict, compare=False)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> int:
        return int(self.images.shape[-1])

    @classmethod
    def from_synth(
        cls, folder: Path, columns: Sequence[str] = (), size: int | None = None
    ) -> FaceData:
        """A folder of `ohlora synth dataset`. size: pixels, None as drawn.

        Keeps the pictures as arrays in folder/cache, made on first use. Raises BadInput for a
        missing column, or a shard that is missing or cut off; StoreError for a full disk.
        """
        manifest = read_manifest(folder)
        native, count = int(manifest["plan"]["size"]), int(manifest["plan"]["count"])
        size = size or native
        table = read_columns(folder, count, ("index", "person", *columns))
        digest = short_hash([manifest["digest"], count, size])
        store = cached(
            folder / "cache" / digest, count, size, True, lambda: synth_pictures(folder, size)
        )
        labels = np.array([table[name] for name in columns], np.float32)
        return cls(
            images=store["images"],
            labels=np.ascontiguousarray(labels.reshape(len(columns), count).T),
            names=tuple(columns),
            masks=store["masks"],
            persons=np.array(table["person"], np.int64),
            numbers=np.array(table["index"], np.int64),
            digest=short_hash([digest, list(columns)]),
        )

    @classmethod
    def from_csv(
        cls,
        images_dir: Path,
        table: Path,
        columns: Sequence[str] = (),
        size: int | None = None,
    ) -> FaceData:
        """v1's layout: 000000.jpg (or .png) in images_dir, a CSV with img_no and the columns.

        size: pixels, None that of the first picture. The arrays are kept in a folder beside
        images_dir. Raises BadInput for a missing picture, column or number.
        """
        numbers, labels = read_csv(table, columns)
        paths = [find_picture(images_dir, number) for number in numbers]
        if size is None:
            with open_picture(paths[0]) as first:
                size = first.width
        stamps = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
        digest = short_hash([stamps, size])
        cache = images_dir.with_name(images_dir.name + ".cache") / digest
        store = cached(cache, len(paths), size, False, lambda: csv_pictures(paths, size))
        return cls(
            images=store["images"],
            labels=labels,
            names=tuple(columns),
            masks=None,
            persons=np.arange(len(paths)),
            numbers=numbers,
            digest=short_hash([digest, list(columns)]),
        )

    def standardised(self, scale: LabelScale | None = None) -> FaceData:
        """Labels with mean 0 and sample deviation 1, or by a given scale. Raises BadInput."""
        self.check()
        if scale is None:
            std = self.labels.astype(np.float64).std(axis=0, ddof=1 if len(self) > 1 else 0)
            if flat := [name for name, s in zip(self.names, std, strict=True) if s < 1e-12]:
                raise BadInput(
                    f"The label {flat[0]} is the same for every picture: nothing to learn from it.",
                    f"{flat[0]} 라벨이 모든 그림에서 같아서 배울 것이 없어요.",
                )
            mean = self.labels.astype(np.float64).mean(axis=0)
            scale = LabelScale(self.names, tuple(mean.tolist()), tuple(std.tolist()))
        if scale.names != self.names:
            raise BadInput(
                f"The label scale is of {', '.join(scale.names)}, the data of "
                f"{', '.join(self.names)}.",
                f"라벨 기준은 {', '.join(scale.names)}인데 데이터는 {', '.join(self.names)}이에요.",
            )
        return replace(self, labels=scale.apply(self.labels), scale=scale)

    def subset(self, rows: NDArray[Any] | Sequence[int]) -> FaceData:
        """Only these rows (numbers or a mask of truths); pictures are not copied."""
        picked = np.arange(len(self))[np.asarray(rows)]
        return replace(
            self,
            images=Picked(self.images, picked),
            labels=self.labels[picked],
            masks=None if self.masks is None else Picked(self.masks, picked),
            persons=self.persons[picked],
            numbers=self.numbers[picked],
            digest=short_hash([self.digest, picked.tolist()]),
            _orders={},
        )

    def check(self, labels: int | None = None, size: int | None = None) -> None:
        """Raises BadInput on a label that is no finite number, or counts other than wanted."""
        if labels is not None and self.labels.shape[1] != labels:
            raise BadInput(
                f"The network takes {labels} labels, the data has {self.labels.shape[1]} "
                f"({', '.join(self.names) or 'none'}): pick the columns that fit.",
                f"신경망에는 라벨 {labels}개가 필요한데 데이터에는 {self.labels.shape[1]}개"
                f"({', '.join(self.names) or '없음'})예요. 맞는 열을 골라 주세요.",
            )
        if size is not None and self.size != size:
            raise BadInput(
                f"The network takes pictures of {size} pixels, the data has {self.size}: give the "
                "size when the data is read.",
                f"신경망은 {size}픽셀 그림을 쓰는데 데이터는 {self.size}픽셀이에요. 데이터를 읽을 "
                "때 크기를 정해 주세요.",
            )
        wrong = np.argwhere(~np.isfinite(self.labels))
        if len(wrong):
            row, column = wrong[0]
            raise BadInput(
                f"The label {self.names[column]} of picture {self.numbers[row]} is "
                f"{self.labels[row, column]} ({len(wrong)} such labels in all): leave such "
                "pictures out.",
                f"{self.numbers[row]}번 그림의 {self.names[column]} 라벨이 "
                f"{self.labels[row, column]}이에요(모두 {len(wrong)}개). 그런 그림을 빼 주세요.",
            )

    def batch(self, number: int, size: int, seed: int) -> Batch:
        """Batch `number` of the endless stream."""
        return self.take(self.stream(number * size, size, seed))

    def take(self, rows: NDArray[np.int64] | Sequence[int]) -> Batch:
        rows = np.asarray(rows, np.int64)
        return Batch(
            images=torch.from_numpy(np.ascontiguousarray(self.images[rows])),
            labels=torch.from_numpy(self.labels[rows]),
            masks=None if self.masks is None else torch.from_numpy(self.masks[rows]),
            persons=torch.from_numpy(self.persons[rows]),
            rows=torch.from_numpy(rows),
        )

    def batches(self, size: int) -> Iterator[Batch]:
        """All rows once, in order; the last batch may be smaller."""
        for start in range(0, len(self), size):
            yield self.take(np.arange(start, min(start + size, len(self))))

    def stream(self, first: int, count: int, seed: int) -> NDArray[np.int64]:
        """Places first .. first + count of the shuffled passes laid end to end."""
        parts = []
        while count:
            epoch, place = divmod(first, len(self))
            part = self.order(epoch, seed)[place : place + count]
            parts.append(part)
            first, count = first + len(part), count - len(part)
        return np.concatenate(parts)

    def order(self, epoch: int, seed: int) -> NDArray[np.int64]:
        key = (epoch, seed)
        if key not in self._orders:
            if len(self._orders) > 3:
                self._orders.clear()
            self._orders[key] = np.random.default_rng([seed, epoch]).permutation(len(self))
        return self._orders[key]
