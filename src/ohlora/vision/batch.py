"""Run a stage over many pictures: in batches, resumable, stopped by no picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ohlora.vision.images import Picture, UnusablePicture, image_number, open_picture, path_text
from ohlora.vision.notes import Note, Status, join
from ohlora.vision.stages import NO_FACE, Result
from ohlora.vision.table import Results, Row

Stage = Callable[[Sequence[Picture]], list[Result]]
Read = list[tuple[Path, Picture | UnusablePicture]]


def run(
    paths: Sequence[Path],
    stage: Stage,
    results: Results,
    *,
    batch_size: int = 8,
    language: str = "en",  # of the notes
    progress: Callable[[str, float], None] | None = None,
) -> Counter[str]:
    """Add a row for each path that has none yet, then write the table. Count rows by status.

    Raises StoreError when nothing more can be written; the rows so far are kept.
    """
    done = results.done
    todo = [path for path in paths if path_text(path) not in done]
    try:
        for count, read in read_ahead(todo, batch_size):
            results.add(rows(read, stage, language))
            if progress:
                progress("pictures", count / len(todo))
        results.finish()
    finally:
        results.close()
    ours = {path_text(path) for path in paths}
    return Counter(row["status"] for row in results.rows if row["img_path"] in ours)


def read_ahead(paths: Sequence[Path], batch_size: int) -> Iterator[tuple[int, Read]]:
    """Batches of opened pictures; the next one is read while the caller works on this one."""
    batches = [paths[i : i + batch_size] for i in range(0, len(paths), batch_size)]
    with ThreadPoolExecutor(max_workers=1) as reader:
        futures = [reader.submit(read, batch) for batch in batches[:1]]
        count = 0
        for i, batch in enumerate(batches):
            ready = futures.pop().result()
            futures = [reader.submit(read, following) for following in batches[i + 1 : i + 2]]
            count += len(batch)
            yield count, ready


def read(paths: Sequence[Path]) -> Read:
    opened: Read = []
    for path in paths:
        try:
            opened.append((path, open_picture(path)))
        except UnusablePicture as problem:
            opened.append((path, problem))
    return opened


def rows(read: Read, stage: Stage, language: str) -> Iterator[Row]:
    good = [picture for _, picture in read if isinstance(picture, Picture)]
    results = iter(stage(good) if good else [])
    for path, picture in read:
        if isinstance(picture, UnusablePicture):
            yield row(path, None, picture.status, (picture.note,), language)
            continue
        result = next(results)
        status: Status = "no-face" if result.fields is None else "ok"
        notes = (NO_FACE,) if result.fields is None else result.notes
        yield row(path, result.fields, status, (*picture.notes, *notes), language)


def row(
    path: Path, fields: Row | None, status: Status, notes: tuple[Note, ...], language: str
) -> Row:
    head = {"img_no": image_number(path), "img_path": path_text(path)}
    faces = {"faces": 0} if status == "no-face" else {}
    return head | faces | (fields or {}) | {"status": status, "note": join(notes, language)}
