"""One string names a face: "embedded", "pack:DIR" or "generator:FILE;z=FILE[;runtime=...]"."""

from __future__ import annotations

from pathlib import Path

from ohlora.errors import BadInput
from ohlora.face.lattice import Lattice
from ohlora.face.pack import FramePack
from ohlora.paths import embedded


def load_face(spec: str = "embedded") -> Lattice:
    """Load the face that `spec` names.

    Raises BadInput for a spec of another form, CheckpointError for files that do not work.
    """
    if spec == "embedded":
        return Lattice(FramePack(embedded() / "face" / "pack_v0"))
    kind, _, rest = spec.partition(":")
    if kind == "pack" and rest:
        return Lattice(FramePack(Path(rest).expanduser()))
    raise BadInput(
        f"Unknown face {spec!r}: write embedded, pack:DIR or generator:FILE;z=FILE.",
        f"{spec!r} 얼굴을 알 수 없어요. embedded, pack:폴더, generator:파일;z=파일 중 하나로 "
        "적어 주세요.",
    )
