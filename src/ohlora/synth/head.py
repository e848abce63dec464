"""The head: from a person's shape and a scene's expression to posed meshes.

The baked asset (bake.py) holds MakeHuman's neutral head and its morph targets; a shape is a
weighted sum, posed by four bones from neck to head with linear skinning, then made smooth by
one Catmull-Clark step kept as a constant sparse matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ohlora.errors import CheckpointError
from ohlora.synth.bake import MASKS, NOSE
from ohlora.synth.geometry import rotation, subdivide, triangles_of, vertex_normals
from ohlora.synth.parameters import Person, Scene

PARTS = ("body", "tongue", "upper_teeth", "lower_teeth")
BONE_SHARE = (0.15, 0.2, 0.2, 0.45)  # of the turn, neck01 to head
OPPOSITES = (("incr", "decr"), ("up", "down"), ("out", "in"), ("in", "out"),
             ("forward", "backward"))  # fmt: skip


@dataclass(frozen=True)
class Part:
    """One mesh after subdivision."""

    points_from: Tensor  # sparse [N, V]: smooth points from the asset's vertices
    triangles: Tensor  # [T, 3] int32
    uv_triangles: Tensor  # [T, 3] int64 into uv
    uv: Tensor  # [U, 2]


@dataclass(frozen=True)
class Shape:
    """A head in space, metres."""

    vertices: Tensor  # [V, 3] of the asset, posed
    parts: dict[str, Tensor]  # smooth points of each of PARTS
    normals: Tensor  # of the body
    turn: Tensor  # [3, 3] rotation of the head
    moved: Tensor  # [3]: a point x of the unposed head goes to turn @ x + moved
    eye_centers: Tensor  # [2, 3], left then right
    eye_radii: Tensor  # [2]


class Head:
    """The asset on a device. Read-only after construction."""

    def __init__(self, path: Path, device: torch.device) -> None:
        data = read_asset(path)
        self.device = device
        self.names = {str(name): i for i, name in enumerate(data["targets"])}
        self.base = self._tensor(data["base"])
        self.deltas = self._tensor(data["deltas"].astype(np.float32))
        self.skin = self._tensor(data["skin"].astype(np.float32))
        self.pivots = self._tensor(data["pivots"])
        self.eye_hulls = self._tensor(data["eyes"], torch.int64)
        self.lashes = self._tensor(data["lashes"], torch.int64)
        self.masks = {name: self._tensor(data[f"mask_{name}"]) / 255 for name in MASKS}
        self.parts = {name: self._part(data, name) for name in PARTS}

        body = self.parts["body"]
        self.rest = body.points_from @ self.base  # [N, 3] template, smooth
        self.mouth_drop = self._reach(["action/jawOpen"])  # [N] 0..1, moves with the jaw
        self.nose = self._reach([f"local/{name}" for name in NOSE])  # [N] 0..1
        self.lid_line = self._lid_line()
        center_uv = body.uv[body.uv_triangles].mean(1)
        self.inside_mouth = self.sample("inside-mouth", center_uv) > 0.5  # [T]
        self.ears = self._ears(data)  # [V] 0..1

    def weights(self, person: Person, scene: Scene | None) -> Tensor:
        """[T] morph weights. Unknown morph names raise KeyError."""
        weight = dict[str, float]()
        heavy = {"min": max(0.0, 1 - 2 * person.weight), "max": max(0.0, 2 * person.weight - 1)}
        heavy["average"] = 1 - heavy["min"] - heavy["max"]
        races = {"african": person.african, "asian": person.asian, "caucasian": person.caucasian}
        for gender, g in (("female", person.gender), ("male", 1 - person.gender)):
            for age, a in (("young", 1 - person.age), ("old", person.age)):
                for name, h in heavy.items():
                    weight[f"macro/{gender}-{age}-{name}"] = g * a * h
                for name, share in races.items():
                    weight[f"macro/{name}-{gender}-{age}"] = g * a * share
        for name, value in person.shape.items():
            for full in self.sided(name):
                weight[f"local/{full if value >= 0 else opposite(full)}"] = abs(value)
        for name, value in (actions(scene) if scene else {}).items():
            weight[f"action/{name}"] = value
        out = torch.zeros(len(self.names), device=self.device)
        for name, value in weight.items():
            out[self.names[name]] = value
        return out

    def sided(self, name: str) -> tuple[str, ...]:
        """ "eye-scale-incr" means both eyes, "l-eye-scale-incr" the left one."""
        return (name,) if f"local/{name}" in self.names else (f"l-{name}", f"r-{name}")

    def shape(self, person: Person, scene: Scene | None = None) -> Shape:
        """The posed head; without a scene, the neutral unposed one."""
        vertices = self.base + torch.einsum("t,tvc->vc", self.weights(person, scene), self.deltas)
        if person.hair.covers_ears:
            vertices = self._flatten_ears(vertices)
        turn, moved = torch.eye(3, device=self.device), torch.zeros(3, device=self.device)
        if scene is not None:
            vertices, turn, moved = self._pose(vertices, scene)
        parts = {name: part.points_from @ vertices for name, part in self.parts.items()}
        hulls = vertices[self.eye_hulls]  # [2, E, 3]
        local = hulls @ turn  # measured upright, so a turned head has the same eyes
        size = local.amax(1) - local.amin(1)
        return Shape(
            vertices=vertices,
            parts=parts,
            normals=vertex_normals(parts["body"], self.parts["body"].triangles),
            turn=turn,
            moved=moved,
            eye_centers=hulls.mean(1),
            eye_radii=(size[:, 0] + size[:, 2]) / 4,
        )

    def sample(self, mask: str, uv: Tensor) -> Tensor:
        """A uv mask at uv [N, 2] -> [N] in 0..1, bilinear."""
        grid = torch.stack([uv[:, 0] * 2 - 1, 1 - 2 * uv[:, 1]], -1)[None, None]
        image = self.masks[mask][None, None]
        return torch.nn.functional.grid_sample(image, grid, align_corners=False)[0, 0, 0]

    def _pose(self, vertices: Tensor, scene: Scene) -> tuple[Tensor, Tensor, Tensor]:
        """Turn the head by shares of the angle at each bone; linear blend skinning."""
        # Bones move with the head's size: keep their place relative to the eyes.
        shift = vertices[self.eye_hulls].mean((0, 1)) - self.base[self.eye_hulls].mean((0, 1))
        turn, moved = torch.eye(3, device=self.device), torch.zeros(3, device=self.device)
        out = vertices * (1 - self.skin.sum(1, keepdim=True))
        for bone, share in enumerate(BONE_SHARE):
            step = rotation(scene.yaw * share, scene.pitch * share, scene.roll * share)
            at = self.pivots[bone] + shift
            step = step.to(self.device)
            moved = turn @ (at - step @ at) + moved
            turn = turn @ step
            out = out + self.skin[:, bone : bone + 1] * (vertices @ turn.T + moved)
        return out, turn, moved

    def _part(self, data: Mapping[str, np.ndarray], name: str) -> Part:
        quads, uv_quads = data[f"faces_{name}"].astype(int), data[f"uvs_{name}"].astype(int)
        new, points_from = subdivide(quads, len(data["base"]), smooth=True)
        new_uv, uv_from = subdivide(uv_quads, len(data["uv"]), smooth=False)
        # Every asset vertex comes first in the stack; keep only those the part uses.
        used, new = np.unique(new, return_inverse=True)
        return Part(
            self._sparse(points_from[used]),
            self._tensor(triangles_of(new.reshape(-1, 4)), torch.int32),
            self._tensor(triangles_of(new_uv), torch.int64),
            self._tensor(uv_from @ data["uv"]),
        )

    def _sparse(self, matrix: Any) -> Tensor:
        coo = matrix.tocoo()
        index = torch.as_tensor(np.stack([coo.row, coo.col]).astype(np.int64))
        values = torch.as_tensor(coo.data.astype(np.float32))
        return torch.sparse_coo_tensor(
            index, values, coo.shape, check_invariants=False
        ).coalesce().to(self.device)  # fmt: skip

    def _tensor(self, array: np.ndarray, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(array), dtype=dtype).to(self.device)

    def _reach(self, targets: list[str]) -> Tensor:
        """[N] 0..1: how far the farthest-moving of these morphs moves each body point."""
        total = torch.zeros(len(self.rest), device=self.device)
        for name in targets:
            moved = self.parts["body"].points_from @ self.deltas[self.names[name]]
            distance = -moved[:, 2] if name == "action/jawOpen" else moved.norm(dim=1)
            total = torch.maximum(total, distance / distance.max())
        return total

    def _ears(self, data: Mapping[str, np.ndarray]) -> Tensor:
        where = torch.zeros(len(self.base), 2, device=self.device)
        uv = self._tensor(data["uv"])
        corner = self._tensor(data["faces_body"], torch.int64).reshape(-1)
        where[corner] = uv[self._tensor(data["uvs_body"], torch.int64).reshape(-1)]
        ear = (self.sample("ears", where) > 0.5).float()
        ear[torch.bincount(corner, minlength=len(ear)) == 0] = 0
        return ear

    def _flatten_ears(self, vertices: Tensor) -> Tensor:
        """Press the ears to the skull, as hair that hangs over them does."""
        out = vertices.clone()
        for side in (1.0, -1.0):
            rows = (self.ears > 0.5) & (vertices[:, 0] * side > 0)
            x = vertices[rows, 0] * side
            root = x.quantile(0.1)
            out[rows, 0] = side * torch.where(x > root, root + 0.35 * (x - root), x)
        return out

    def _lid_line(self) -> Tensor:
        """[N] 0..1: 1 on the upper lash line, falling off over a millimetre."""
        upper = self.lashes[self.lashes[:, 4] == 1][:, :2].unique()  # type: ignore[no-untyped-call]
        near = torch.cdist(self.rest, self.base[upper]).amin(1)
        return torch.exp(-(((near - 0.0004).clamp_min(0) / 0.0009) ** 2))


def opposite(name: str) -> str:
    stem, _, last = name.rpartition("-")
    return f"{stem}-{dict(OPPOSITES)[last] if last != 'decr' else 'incr'}"


def actions(scene: Scene) -> dict[str, float]:
    """Facial action units (ARKit names) of a scene."""
    shut, wide = 1 - min(1.0, scene.eyes), max(0.0, scene.eyes - 1) / 0.4
    lift = min(1.0, 3 * scene.jaw)
    up, down = max(0.0, scene.brows_up), max(0.0, -scene.brows_up)
    out = {"jawOpen": scene.jaw, "browInnerUp": min(1.0, 0.4 * wide + 0.6 * up)}
    for side in ("Left", "Right"):
        out[f"eyeBlink{side}"] = shut
        out[f"eyeWide{side}"] = min(1.0, wide)
        out[f"eyeSquint{side}"] = 0.25 * scene.smile
        out[f"cheekSquint{side}"] = 0.35 * scene.smile
        out[f"mouthSmile{side}"] = scene.smile
        out[f"mouthUpperUp{side}"] = 0.40 * lift
        out[f"browOuterUp{side}"] = min(1.0, 0.3 * wide + 0.6 * up)
        out[f"browDown{side}"] = 0.4 * down
    return out


def read_asset(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
            return dict(data)
    except FileNotFoundError as error:
        raise CheckpointError(
            path, "there is no head asset: make it with `ohlora synth bake`.",
            "머리 모형 파일이 없어요. `ohlora synth bake`로 만들어 주세요.",
        ) from error  # fmt: skip
    except Exception as error:  # zipfile, zlib, value and key errors of a damaged file
        raise CheckpointError(
            path, f"not a whole head asset ({error}): make it with `ohlora synth bake`.",
            "머리 모형 파일이 온전하지 않아요. `ohlora synth bake`로 다시 만들어 주세요.",
        ) from error  # fmt: skip


def default_asset() -> Path:
    """The asset baked into ohlora-embedded, or one baked into the data folder."""
    from ohlora.paths import embedded, home

    baked = home() / "models" / "synth-head.npz"
    return baked if baked.exists() else embedded() / "synth" / "head.npz"


@lru_cache(maxsize=2)
def load_head(path: Path | None = None, device: str = "cpu") -> Head:
    """Read the asset once per process and device. Raises CheckpointError."""
    return Head(path or default_asset(), torch.device(device))
