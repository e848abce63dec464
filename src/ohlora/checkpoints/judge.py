"""Is a tensor file what its row says? Keys, shapes, finite values; if not, what is it instead?

    verdict = judge(path, file)        Verdict, or CheckpointError with one sentence

A file that is sound but of another row is called by its name ("this is stylegan-v1-generator"); a
sound net of other widths is accepted with a note, so small stand-ins run through the same doors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ohlora.checkpoints.catalog import Net
from ohlora.checkpoints.shapes import NETS, OPTIONAL, expected_tensors
from ohlora.checkpoints.sizes import sizes_of
from ohlora.checkpoints.tensors import TensorFile, open_tensors
from ohlora.errors import CheckpointError
from ohlora.text import josa

Shape = tuple[int, ...]
GENERATORS = {
    (0, 0): "original",
    (7, 16): "FineTune-v1",
    (7, 24): "FineTune-v3",
    (3, 16): "FineTune-v4",
}
SAME_KIND = ("labels", "embedding")  # numbers that make a variant; the others are widths


class WrongVariant(CheckpointError):
    """A sound file of another kind than the one that belongs here."""


@dataclass(frozen=True)
class Verdict:
    tensors: int
    en: str = ""  # a note: what differs from the published file, though it is sound
    ko: str = ""
    synthesis: str = ""  # digest of all synthesis.* tensors of a generator


def judge(path: Path, nets: tuple[Net, ...], finite: bool = True) -> Verdict:
    """Check one file that holds whole networks. Raises CheckpointError or WrongVariant."""
    if not nets:
        opened = open_tensors(path)
        _check_finite(opened, finite)
        return Verdict(len(opened.tensors))
    count, note, digest = 0, ("", ""), ""
    for net in nets:
        opened = open_tensors(path, net.part)
        note = check_shapes(path, net, opened.shapes)
        _check_finite(opened, finite)
        count += len(opened.tensors)
        if net.name == "stylegan-generator":
            digest = synthesis_digest(opened)
    return Verdict(count, *note, synthesis=digest)


def judge_shards(paths: Sequence[Path], net: Net, finite: bool = True) -> Verdict:
    """Check one network that is spread over several files."""
    shapes: dict[str, Shape] = {}
    for path in paths:
        opened = open_tensors(path)
        twice = shapes.keys() & opened.shapes.keys()
        if twice:
            key = min(twice)
            raise CheckpointError(
                path,
                f"damaged: expected {key} in one file, found it in two; get it again.",
                f"손상된 파일이에요. {josa(key, '이/가')} 두 파일에 있어요. 다시 받아 주세요.",
            )
        _check_finite(opened, finite)
        shapes |= opened.shapes
    return Verdict(len(shapes), *check_shapes(paths[0], net, shapes))


def check_shapes(path: Path, net: Net, shapes: Mapping[str, Shape]) -> tuple[str, str]:
    """Compare with the published shapes; returns a note (en, ko) when only widths differ."""
    found = _comparable(shapes)
    expected = net.tensors()
    if found == expected:
        return "", ""
    sizes = sizes_of(net.name, found)
    if sizes and _comparable(expected_tensors(net.name, **sizes)) == found:
        other = {key: value for key, value in sizes.items() if key in SAME_KIND}
        if all(net.numbers.get(key, value) == value for key, value in other.items()):
            return _width_note(net, sizes)
    name, want = name_of(found), words(net.name, net.numbers)
    if name and name != want:
        raise WrongVariant(
            path,
            f"wrong variant: expected {want}, found {name}; get the right file.",
            f"다른 종류의 파일이에요. {want}이어야 하는데 {name}이에요. 맞는 파일을 받아 주세요.",
        )
    if sizes:  # the nearer of the published network and one of the file's own widths
        kind = {key: value for key, value in net.numbers.items() if key in SAME_KIND}
        own = _comparable(expected_tensors(net.name, **{**sizes, **kind}))
        expected = min(expected, own, key=lambda shapes: len(shapes.items() ^ found.items()))
    en, ko = _difference(expected, found)
    raise CheckpointError(
        path, f"damaged: {en}; get it again.", f"손상된 파일이에요. {ko}. 다시 받아 주세요."
    )


def _comparable(shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """Without the keys that some writers add, and without a "roberta." in front."""
    plain = {key.removeprefix("roberta."): shape for key, shape in shapes.items()}
    return {key: shape for key, shape in plain.items() if not OPTIONAL.search(key)}


def name_of(shapes: Mapping[str, Shape]) -> str:
    """Which known network these tensors are, "" when none."""
    found = _comparable(shapes)
    for name in NETS:
        sizes = sizes_of(name, found)
        if sizes is not None and _comparable(expected_tensors(name, **sizes)) == found:
            return words(name, sizes)
    return ""


def words(name: str, numbers: Mapping[str, int]) -> str:
    """A network by the name its users know: "StyleGAN generator FineTune-v3 (7 labels, ...)"."""
    labels, embedding = numbers.get("labels", 0), numbers.get("embedding", 0)
    if name == "stylegan-generator":
        kind = GENERATORS.get((labels, embedding), "of another kind")
        return f"StyleGAN generator {kind} ({labels} labels, embedding {embedding})"
    if name == "stylegan-discriminator":
        return f"StyleGAN discriminator ({labels} labels)"
    return name


def _width_note(net: Net, sizes: Mapping[str, int]) -> tuple[str, str]:
    published = sizes_of(net.name, net.tensors()) or {}
    odd = {key: value for key, value in sizes.items() if published.get(key) != value}
    if not odd:
        return "", ""
    found = ", ".join(f"{key} {value}" for key, value in odd.items())
    want = ", ".join(f"{published.get(key)}" for key in odd)
    return (
        f"not the published size: {found} (published {want})",
        f"공개된 크기와 달라요: {found} (공개 {want})",
    )


def _difference(expected: Mapping[str, Shape], found: Mapping[str, Shape]) -> tuple[str, str]:
    missing = [key for key in expected if key not in found]
    extra = [key for key in found if key not in expected]
    if missing:
        first = missing[0]
        return (
            f"expected {len(expected)} tensors, found {len(found)}: "
            f"{len(missing)} are missing, first {first}",
            f"텐서 {len(expected)}개가 있어야 하는데 {len(found)}개예요. "
            f"{first} 등 {len(missing)}개가 없어요",
        )
    if extra:
        return (
            f"expected {len(expected)} tensors, found {len(found)}: {extra[0]} does not belong",
            f"텐서 {len(expected)}개가 있어야 하는데 {len(found)}개예요. "
            f"{josa(extra[0], '은/는')} 있으면 안 돼요",
        )
    key = next(key for key in expected if expected[key] != found[key])
    want, got = list(expected[key]), list(found[key])
    turned = sorted(want) == sorted(got)
    return (
        f"expected {key} {want}, found {got}{' (transposed)' if turned else ''}",
        f"{key} 모양이 {want}이어야 하는데 {got}이에요{'(전치됨)' if turned else ''}",
    )


def _check_finite(opened: TensorFile, wanted: bool) -> None:
    key = next(opened.not_finite(), None) if wanted else None
    if key:
        raise CheckpointError(
            opened.path,
            f"damaged: expected finite numbers, found NaN or infinity in {key}; get it again.",
            f"손상된 파일이에요. 유한한 수여야 하는데 {key}에 NaN이나 무한대가 있어요. "
            "다시 받아 주세요.",
        )


def synthesis_digest(opened: TensorFile) -> str:
    """SHA-256 over all synthesis.* tensors; equal for the original and every fine-tuned one."""
    digest = hashlib.sha256()
    for key in sorted(opened.tensors):
        if key.startswith("synthesis."):
            tensor = opened.tensors[key]
            digest.update(f"{key} {tensor.dtype} {tensor.shape}".encode())
            digest.update(opened.read(key).tobytes())
    return digest.hexdigest()
