"""Pictures and labels from a synthetic set or v1's folder, and the arrays they are kept in.

read_manifest, read_columns     a folder of `ohlora synth dataset`: its plan, its label columns
synth_pictures, csv_pictures    image [R, R, 3] and class mask [R, R] or None, one by one
cached(folder, ...)             the same as arrays mapped from the disk, made on first use
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ohlora.errors import BadInput, StoreError

Pixels = NDArray[np.uint8]


def short_hash(what: Any) -> str:
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]


def cached(
    folder: Path, count: int, size: int, masks: bool,
    pictures: Callable[[], Iterator[tuple[Pixels, Pixels | None]]],
) -> dict[str, NDArray[np.uint8]]:  # fmt: skip
    """images [count, 3, size, size] and perhaps masks [count, size, size], mapped from `folder`.

    Made first if missing, and named when whole. Raises StoreError.
    """
    shapes: dict[str, tuple[int, ...]] = {"images": (count, 3, size, size)}
    if masks:
        shapes["masks"] = (count, size, size)
    if not folder.is_dir():
        part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
        try:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            with ExitStack() as stack:
                # Written as a file, not through a map: a full disk is then an error, not a crash.
                files = {
                    name: stack.enter_context(start_array(part / f"{name}.npy", shape))
                    for name, shape in shapes.items()
                }
                for image, mask in pictures():
                    files["images"].write(np.ascontiguousarray(image.transpose(2, 0, 1)).tobytes())
                    if masks and mask is not None:
                        files["masks"].write(mask.tobytes())
                for file in files.values():
                    file.flush()
                    os.fsync(file.fileno())
            os.replace(part, folder)
        except OSError as error:
            if not folder.is_dir():  # else another process was faster
                raise StoreError(
                    f"The pictures cannot be kept in {folder} ({error.strerror or error}): make "
                    f"room for {count * size * size * (4 if masks else 3) / 1e9:.1f} GB.",
                    f"{folder}에 그림을 저장할 수 없어요({error.strerror or error}). "
                    f"{count * size * size * (4 if masks else 3) / 1e9:.1f} GB를 비워 주세요.",
                ) from error
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in shapes}


def start_array(path: Path, shape: tuple[int, ...]) -> io.BufferedWriter:
    """A .npy file of uint8 with its header written."""
    file = path.open("wb")
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file


def read_manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
        manifest["plan"]["size"], manifest["plan"]["count"], manifest["digest"]
        return manifest
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"{folder} is not a data set of `ohlora synth dataset`: it has no readable "
            "manifest.json.",
            f"{folder}은(는) `ohlora synth dataset`의 데이터셋이 아니에요. 읽을 수 있는 "
            "manifest.json이 없어요.",
        ) from error


def shards(folder: Path, columns: Sequence[str]) -> Iterator[dict[str, list[Any]]]:
    """The columns, shard by shard in order. Raises BadInput on a damaged one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in sorted((folder / "shards").glob("*.parquet")):
        try:
            with pq.ParquetFile(path) as file:
                missing = set(columns) - set(file.schema_arrow.names)
                if not missing:
                    yield file.read(columns=list(columns)).to_pydict()
                    continue
                known = [n for n in file.schema_arrow.names if n not in ("image", "mask", "face")]
        except (OSError, pa.ArrowException) as error:
            raise damaged_shards(path) from error
        raise BadInput(
            f"{folder} has no column {', '.join(sorted(missing))}: there are {', '.join(known)}.",
            f"{folder}에 {', '.join(sorted(missing))} 열이 없어요. 있는 열: {', '.join(known)}.",
        )


def damaged_shards(what: Path) -> BadInput:
    return BadInput(
        f"{what} is missing rows or cut off: run `ohlora synth dataset` with the same options to "
        "draw them again.",
        f"{what}이(가) 잘렸거나 빠진 그림이 있어요. 같은 옵션으로 `ohlora synth dataset`을 다시 "
        "실행하세요.",
    )


def read_columns(folder: Path, count: int, columns: Sequence[str]) -> dict[str, list[Any]]:
    table: dict[str, list[Any]] = {name: [] for name in columns}
    for shard in shards(folder, columns):
        for name, values in shard.items():
            table[name] += values
    if table["index"] != list(range(count)):
        raise damaged_shards(folder)
    return table


def synth_pictures(folder: Path, size: int) -> Iterator[tuple[Pixels, Pixels | None]]:
    for shard in shards(folder, ("image", "mask")):
        for image, mask in zip(shard["image"], shard["mask"], strict=True):
            yield (
                resized(Image.open(io.BytesIO(image)).convert("RGB"), size),
                resized(Image.open(io.BytesIO(mask)), size, Image.Resampling.NEAREST),
            )


def csv_pictures(paths: list[Path], size: int) -> Iterator[tuple[Pixels, Pixels | None]]:
    for path in paths:
        with open_picture(path) as image:
            yield resized(image.convert("RGB"), size), None


def open_picture(path: Path) -> Image.Image:
    try:
        image = Image.open(path)
        image.load()
    except (OSError, UnidentifiedImageError) as error:
        raise BadInput(
            f"{path} is not a whole picture: make it again or leave it out.",
            f"{path}은(는) 온전한 그림이 아니에요. 다시 만들거나 빼 주세요.",
        ) from error
    if image.width != image.height:
        raise BadInput(
            f"{path} is {image.width} x {image.height} pixels and must be square.",
            f"{path}은(는) {image.width} x {image.height}픽셀인데 정사각형이어야 해요.",
        )
    return image


def resized(
    image: Image.Image, size: int, method: Image.Resampling = Image.Resampling.LANCZOS
) -> Pixels:
    return np.asarray(image if image.width == size else image.resize((size, size), method))


def find_picture(folder: Path, number: int) -> Path:
    for suffix in (".jpg", ".png"):
        if (path := folder / f"{number:06d}{suffix}").is_file():
            return path
    raise BadInput(
        f"{folder} has no picture {number:06d}.jpg, which the table names.",
        f"표에 있는 {number:06d}.jpg가 {folder}에 없어요.",
    )


def read_csv(table: Path, columns: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """img_no [N] and the columns [N, L]. Raises BadInput."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        numbers = [int(row["img_no"]) for row in rows]
        labels = [[float(row[name]) for name in columns] for row in rows]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise BadInput(
            f"{table} is not a table with numbers in img_no, {', '.join(columns)}: {error}.",
            f"{table}: img_no, {', '.join(columns)} 열에 숫자가 있는 표가 아니에요: {error}.",
        ) from error
    if not numbers:
        raise BadInput(f"{table} has no rows.", f"{table}에 행이 없어요.")
    return np.array(numbers, np.int64), np.array(labels, np.float32).reshape(len(rows), -1)
