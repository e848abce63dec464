"""A folder of parsed faces: what `ohlora vision parse` leaves, or the original's own results.

    parse.csv                           one row for each picture (the original has none)
    parsing_NNNNNN.png                  uint8 [224, 224], the class of each pixel
    face_NNNNNN.png                     uint8 [224, 224, 3], the crop that was parsed
    parsing_visualization_NNNNNN.png    both, blended

Nothing here needs a network or torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ohlora.errors import BadInput
from ohlora.files import write_whole
from ohlora.vision.batch import row
from ohlora.vision.images import UnusablePicture, image_number, open_picture, path_text
from ohlora.vision.notes import split
from ohlora.vision.overlay import COLOURS, overlay
from ohlora.vision.scores import SIZE
from ohlora.vision.stages import PARSED, png_bytes, scored, whole
from ohlora.vision.table import Results, Row, read_table

Pixels = NDArray[np.uint8]
TABLE = "parse.csv"
BATCH = 64  # rows between two writes


@dataclass(frozen=True)
class Entry:
    name: str  # NNNNNN
    row: Row  # of the parse table

    @property
    def ok(self) -> bool:
        return bool(self.row["status"] == "ok")


def is_parse_folder(path: Path) -> bool:
    return path.is_dir() and ((path / TABLE).is_file() or any(path.glob("parsing_[!v]*.png")))


def entries(folder: Path) -> list[Entry]:
    """All pictures of the folder, those without a face too. Raises BadInput for a wrong table."""
    if (folder / TABLE).is_file():
        rows = read_table(folder / TABLE, PARSED)
        return [Entry(name_of(one["parsing_path"] or one["img_path"]), one) for one in rows]
    found = []
    for path in sorted(folder.glob("parsing_*.png")):
        if path.stem.startswith("parsing_visualization_"):
            continue
        number, name = image_number(path), name_of(path.name)
        one = {"img_no": number, "img_path": path_text(path), "status": "ok", "note": ""}
        found.append(Entry(name, one))
    return found


def name_of(path: str) -> str:
    return Path(path).stem.removeprefix("parsing_")


def load(folder: Path, entry: Entry) -> tuple[Pixels, Pixels]:
    """Classes and face of one entry. Raises UnusablePicture."""
    path = folder / f"parsing_{entry.name}.png"
    try:
        with Image.open(path) as image:
            classes = np.asarray(image)
    except FileNotFoundError as error:
        raise UnusablePicture(
            "unreadable", f"{path.name} is missing", f"{path.name} 파일이 없음"
        ) from error
    except Exception as error:  # as in images.open_picture
        raise UnusablePicture(
            "damaged", f"{path.name} is damaged", f"{path.name} 파일이 손상됨"
        ) from error
    if classes.shape != (SIZE, SIZE) or classes.dtype != np.uint8 or classes.max() >= len(COLOURS):
        raise UnusablePicture(
            "damaged",
            f"{path.name} is no class map of {SIZE} x {SIZE}",
            f"{path.name}: {SIZE} x {SIZE} 클래스 맵이 아님",
        )
    face = open_picture(folder / f"face_{entry.name}.png").pixels
    if face.shape != (SIZE, SIZE, 3):
        raise UnusablePicture(
            "damaged",
            f"face_{entry.name}.png is not {SIZE} x {SIZE}",
            f"face_{entry.name}.png: {SIZE} x {SIZE} 크기가 아님",
        )
    return classes, face


def score_folder(
    folder: Path,
    results: Results,
    version: str,
    *,
    originals: Path | None = None,
    language: str = "en",
) -> Counter[str]:
    """Score every parsed face; v1's rules also read the original pictures. Then write the table.

    Raises BadInput when v1 finds no original at all, StoreError when nothing can be written.
    """
    done = results.done
    todo = [entry for entry in entries(folder) if entry.row["img_path"] not in done]
    try:
        for start in range(0, len(todo), BATCH):
            some = todo[start : start + BATCH]
            results.add([score_entry(folder, e, version, originals, language) for e in some])
        results.finish()
    finally:
        results.close()
    return Counter(one["status"] for one in results.rows)


def score_entry(
    folder: Path, entry: Entry, version: str, originals: Path | None, language: str
) -> Row:
    path = Path(entry.row["img_path"])
    if not entry.ok:
        return {**entry.row, "img_no": image_number(path)}
    try:
        classes, image = load(folder, entry)
        if version == "v1":
            image = whole(open_picture(original_of(entry, originals)).pixels)
        result = scored(classes, image, version, entry.row.get("faces"))
    except UnusablePicture as problem:
        return row(path, None, problem.status, (problem.note,), language)
    return row(path, result.fields, "ok", (*split(entry.row["note"]), *result.notes), language)


def original_of(entry: Entry, originals: Path | None) -> Path:
    """The picture that was parsed. Raises UnusablePicture when it cannot be found."""
    if originals is None:
        path = Path(entry.row["img_path"])
        if not path.stem.startswith("parsing_"):
            return path
    else:
        for found in sorted(originals.glob(f"{glob_safe(entry.name)}.*")):
            return found
    raise UnusablePicture(
        "unreadable",
        f"the original of {entry.name} is not there; v1's rules measure colours on it",
        f"{entry.name}의 원본이 없음; v1 규칙은 원본에서 색을 잼",
    )


def glob_safe(name: str) -> str:
    import glob

    return glob.escape(name)


def draw_overlays(folder: Path) -> Iterator[tuple[Entry, str]]:
    """Write the overlay of every parsed face; yield each entry and what is wrong with it."""
    found = entries(folder)
    if not found:
        raise BadInput(
            f"{folder} holds no parsed faces: `ohlora vision parse` makes them.",
            f"{folder}에 파싱 결과가 없어요. `ohlora vision parse`로 만들 수 있어요.",
        )
    for entry in found:
        if not entry.ok:
            yield entry, entry.row["note"]
            continue
        try:
            classes, face = load(folder, entry)
        except UnusablePicture as problem:
            yield entry, str(problem)
            continue
        name = f"parsing_visualization_{entry.name}.png"
        write_whole(folder / name, png_bytes(overlay(face, classes)))
        yield entry, ""
