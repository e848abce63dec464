"""A data set of synthetic faces: Parquet shards that can be stopped and taken up again.

    OUT/manifest.json            the Plan and, when done, counts and versions
    OUT/shards/00000.parquet     `shard_size` rows each, written whole or not at all

A row: index, person (seed), image (PNG bytes, damaged as in life), mask (PNG bytes, class
0..10), face (JSON of parameters.Face: the exact recipe), gender (of the person drawn: 1 woman,
0 man) and one column per measured label; v1's seven v2 scores are the columns score_*.
Row i is a function of the Plan and i only, so the number of workers, or a restart, changes
nothing.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ohlora.errors import BadInput, StoreError
from ohlora.files import write_whole
from ohlora.synth.near import sample_near, seed_of_scene
from ohlora.synth.parameters import Face, from_dict, to_dict
from ohlora.synth.render import Renderer
from ohlora.synth.sample import sample_person, sample_scene

FORMAT = 2
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Plan:
    """What is drawn. The same plan gives the same data set."""

    count: int
    size: int = 128  # pixels
    oversample: int = 3
    seed: int = 0
    pictures_per_person: int = 4  # their hair is grown once
    shard_size: int = 48
    who: str = "anyone"  # "anyone", or "her": she and people near her, see near.py
    spread: float = 1.0  # with "her": 0 she alone .. 1 people near her
    own_share: float = 0.35  # with "her": of the people, how many are she herself

    def check(self) -> None:
        """Raises BadInput."""
        if min(self.count, self.pictures_per_person, self.shard_size) < 1:
            raise BadInput(
                "A data set needs at least one picture, one picture per person and one per shard.",
                "데이터셋에는 그림, 사람당 그림, 조각당 그림이 하나 이상 있어야 해요.",
            )
        if self.who not in ("anyone", "her"):
            raise BadInput(
                f"There is nobody called {self.who!r}: use anyone or her.",
                f"{self.who!r}은(는) 없어요. anyone 또는 her를 쓰세요.",
            )

    @property
    def shards(self) -> int:
        return -(-self.count // self.shard_size)

    def rows(self, shard: int) -> range:
        first = shard * self.shard_size
        return range(first, min(first + self.shard_size, self.count))

    def face(self, index: int) -> Face:
        person_seed = self.person_seed(index)
        scene_seed = self.scene_seed(index)
        if self.who == "her":
            return sample_near(person_seed, scene_seed, self.spread, self.own_share)
        return Face(sample_person(person_seed), sample_scene(scene_seed))

    def scene_seed(self, index: int) -> int:
        return seed_of_scene(self.seed, index)

    def person_seed(self, index: int) -> int:
        return self.seed * 1_000_003 + index // self.pictures_per_person

    @property
    def digest(self) -> str:
        """Changes with anything that changes a row. `count` does not: a set can grow."""
        fixed = {k: v for k, v in asdict(self).items() if k != "count"}
        return hashlib.sha256(json.dumps([FORMAT, fixed], sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Sample:
    index: int
    person: int
    image: NDArray[np.uint8]  # [S, S, 3]
    mask: NDArray[np.uint8]  # [S, S]
    face: Face
    labels: dict[str, Any]


def make_dataset(
    out: Path,
    plan: Plan,
    *,
    workers: int = 1,
    device: str = "cpu",
    progress: Progress | None = None,
) -> int:
    """Draw what is missing in `out`; returns how many pictures were drawn now.

    Whole shards are kept; a damaged or cut one is drawn again. Raises BadInput when the folder
    holds another plan's data, StoreError when it cannot be written.
    """
    plan.check()
    report = progress or (lambda what, fraction: None)
    try:
        (out / "shards").mkdir(parents=True, exist_ok=True)
        claim(out, plan)
        missing = [i for i in range(plan.shards) if not is_whole(shard_path(out, i), plan, i)]
        total = sum(len(plan.rows(i)) for i in missing)
        drawn = 0
        for shard in draw_shards(out, plan, missing, workers, device):
            drawn += len(plan.rows(shard))
            report(f"drawing faces: {drawn} of {total}", drawn / total)
        manifest = {"format": FORMAT, "plan": asdict(plan), "digest": plan.digest,
                    "pictures": plan.count, "complete": True, "versions": versions()}  # fmt: skip
        write_whole(out / "manifest.json", json.dumps(manifest, indent=1).encode())
    except OSError as error:
        raise StoreError(
            f"The data set in {out} cannot be written ({error.strerror or error}): what is there "
            "stays; free some space or pick another folder and run the same command again.",
            f"{out}에 데이터셋을 쓸 수 없어요({error.strerror or error}). 만든 것은 그대로 있으니 "
            "공간을 비우거나 폴더를 바꾼 뒤 같은 명령을 다시 실행해 주세요.",
        ) from error
    return drawn


def draw_shards(
    out: Path, plan: Plan, shards: list[int], workers: int, device: str
) -> Iterator[int]:
    """Draw in this process, or in `workers` fresh ones; yields each shard once it is on disk."""
    if workers <= 1 or len(shards) <= 1:
        renderer = Renderer(device) if shards else None
        for shard in shards:
            assert renderer is not None
            draw_shard(out, plan, shard, renderer)
            yield shard
        return
    context = get_context("spawn")  # a forked process must not use CUDA or Warp
    with ProcessPoolExecutor(min(workers, len(shards)), context) as pool:
        running: dict[Future[None], int] = {}
        waiting = list(reversed(shards))
        try:
            while waiting or running:
                while waiting and len(running) < 2 * workers:
                    shard = waiting.pop()
                    running[pool.submit(draw_in_worker, out, plan, shard, device)] = shard
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    shard = running.pop(done)
                    done.result()
                    yield shard
        finally:
            pool.shutdown(cancel_futures=True)


_renderers: dict[str, Renderer] = {}  # of a worker process


def draw_in_worker(out: Path, plan: Plan, shard: int, device: str) -> None:
    if device not in _renderers:
        import torch

        torch.set_num_threads(1)  # many spinning threads were ten times slower
        _renderers[device] = Renderer(device)
    draw_shard(out, plan, shard, _renderers[device])


def draw_shard(out: Path, plan: Plan, shard: int, renderer: Renderer) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = []
    for index in plan.rows(shard):
        face = plan.face(index)
        shot = renderer.render(face, plan.size, plan.oversample)
        labels = shot.labels.to_dict()
        scores = {f"score_{name}": value for name, value in labels.pop("scores").items()}
        rows.append({
            "index": index, "person": plan.person_seed(index), "image": png(shot.image),
            "mask": png(shot.mask), "face": json.dumps(to_dict(face)),
            "gender": int(face.person.gender >= 0.5), **labels, **scores,
        })  # fmt: skip
    table = pa.Table.from_pylist(rows).replace_schema_metadata({"digest": plan.digest})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="none")  # PNG does not shrink further
    write_whole(shard_path(out, shard), sink.getvalue())


def is_whole(path: Path, plan: Plan, shard: int) -> bool:
    """The shard is there, readable to its end, of this plan and with all its rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            metadata = file.schema_arrow.metadata or {}
            index = file.read(columns=["index"]).column("index").to_pylist()
    except (OSError, pa.ArrowException):
        return False
    return metadata.get(b"digest") == plan.digest.encode() and index == list(plan.rows(shard))


def claim(out: Path, plan: Plan) -> None:
    """Write the manifest, or make sure the one there is of the same plan."""
    path = out / "manifest.json"
    if path.exists():
        there = read_manifest(out)
        if there.get("digest") != plan.digest:
            raise BadInput(
                f"{out} holds a data set of another plan ({json.dumps(there.get('plan'))}): give "
                "the same options, or another folder.",
                f"{out}에는 다른 설정의 데이터셋이 있어요. 같은 옵션을 주거나 다른 폴더를 쓰세요.",
            )
    started = {"format": FORMAT, "plan": asdict(plan), "digest": plan.digest, "complete": False}
    write_whole(path, json.dumps(started, indent=1).encode())


def read_manifest(out: Path) -> dict[str, Any]:
    """Raises BadInput when `out` is no data set."""
    try:
        manifest: dict[str, Any] = json.loads((out / "manifest.json").read_text())
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{out} is not a data set of faces: it has no readable manifest.json.",
            f"{out}은(는) 얼굴 데이터셋이 아니에요. 읽을 수 있는 manifest.json이 없어요.",
        ) from error
    return manifest


def read_dataset(out: Path) -> Iterator[Sample]:
    """Every sample in order. Raises BadInput on a missing or damaged shard."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    plan = Plan(**read_manifest(out)["plan"])
    for shard in range(plan.shards):
        path = shard_path(out, shard)
        try:
            rows = pq.read_table(path).to_pylist()
        except (OSError, pa.ArrowException) as error:
            raise BadInput(
                f"{path} is missing or cut off: run `ohlora synth dataset` with the same options "
                "to draw it again.",
                f"{path} 조각이 없거나 잘렸어요. 같은 옵션으로 `ohlora synth dataset`을 다시 "
                "실행하세요.",
            ) from error
        for row in rows:
            yield Sample(
                index=row.pop("index"),
                person=row.pop("person"),
                image=np.asarray(Image.open(io.BytesIO(row.pop("image")))),
                mask=np.asarray(Image.open(io.BytesIO(row.pop("mask")))),
                face=from_dict(json.loads(row.pop("face"))),
                labels=row,
            )


def shard_path(out: Path, shard: int) -> Path:
    return out / "shards" / f"{shard:05d}.parquet"


def png(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "warp-lang", "numpy", "pyarrow")}
