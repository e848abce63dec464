"""Read a row's files and say whether they are sound.

Per file: its digest against the catalog, or against the one recorded at first use; then what is
inside: tensors (judge.py), JSON, pictures. Sealed files (training_args.bin) are hashed and never
opened. Across rows: the synthesis.* tensors of every fine-tuned generator equal the original's
bit for bit, because only the mapping was trained.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

from ohlora.checkpoints.catalog import File, Row
from ohlora.checkpoints.judge import Verdict, WrongVariant, judge, judge_shards
from ohlora.checkpoints.records import Record, key_of, read_records, remember
from ohlora.checkpoints.state import file_path
from ohlora.checkpoints.tensors import NeedsTorch
from ohlora.errors import CheckpointError

Progress = Callable[[str, float], None]
BLOCK = 1 << 22


@dataclass
class Finding:
    """One file: status is ok, missing, damaged, wrong-variant or sealed."""

    row: str
    file: str
    status: str
    en: str = ""
    ko: str = ""
    sha256: str = ""


@dataclass
class Report:
    row: str
    status: str  # ready, partial, missing, damaged, wrong-variant
    findings: list[Finding] = field(default_factory=list)
    synthesis: str = ""


def digest_of(path: Path, progress: Progress | None = None) -> str:
    """SHA-256 of a file in hex; progress gets its name and the share read."""
    digest, done, size = hashlib.sha256(), 0, max(1, path.stat().st_size)
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
            done += len(block)
            if progress:
                progress(path.name, done / size)
    return digest.hexdigest()


def verify_rows(
    rows: Iterable[Row], progress: Progress | None = None, accept: bool = False
) -> list[Report]:
    """Verify every row, and compare each generator with the original.

    With accept, files that changed since they were first seen are recorded anew.
    """
    reports = [verify_row(row, progress, accept=accept) for row in rows]
    for report in reports:
        compare_with_family(report)
    return reports


def verify_row(
    row: Row, progress: Progress | None = None, *, accept: bool = False, source: str = "here"
) -> Report:
    """Read all files of a row in their place; sound ones are recorded."""
    if row.kind == "embedded":
        return _verify_embedded(row)
    paths = {file: file_path(row, file) for file in row.files}
    if row.images:
        return check_images(row, row.folder(), progress)
    report = check_files(row, paths, progress, {} if accept else read_records())
    sound = {
        paths[file]: finding.sha256
        for file, finding in zip(row.files, report.findings, strict=True)
        if finding.status in ("ok", "sealed")
    }
    remember(sound, source)
    return report


def check_files(
    row: Row,
    paths: Mapping[File, Path],
    progress: Progress | None = None,
    records: Mapping[str, Record] | None = None,
) -> Report:
    """Judge files wherever they lie (in place, freshly downloaded, or in a user's folder)."""
    findings = [_check_one(row, file, paths[file], progress, records or {}) for file in row.files]
    report = Report(row.id, "ready", findings)
    report.synthesis = _check_inside(row, paths, findings)
    report.status = _status(row, findings)
    return report


def _status(row: Row, findings: list[Finding]) -> str:
    needed = [f for file, f in zip(row.files, findings, strict=True) if not file.optional]
    bad = [f.status for f in findings if f.status in ("damaged", "wrong-variant")]
    if bad:
        return "damaged" if "damaged" in bad else "wrong-variant"
    missing = [f for f in needed if f.status == "missing"]
    if not missing:
        return "ready"
    return "missing" if len(missing) == len(needed) else "partial"


def _check_one(
    row: Row,
    file: File,
    path: Path,
    progress: Progress | None,
    records: Mapping[str, Record],
) -> Finding:
    """Presence, size, digest, and for small text files that they can be read."""
    finding = Finding(row.id, file.name, "ok")
    if not path.is_file():
        finding.status = "missing"
        return finding
    converted = path.suffix == ".safetensors" and not file.name.endswith(".safetensors")
    record = None if converted else _record_of(records, path)
    try:
        check_size(path, None if converted else file.bytes)
        finding.sha256 = digest_of(path, progress)
        if file.sha256 and not converted:
            check_digest(path, file.sha256, finding.sha256)
        elif record:
            check_digest(path, record.sha256, finding.sha256, record.when)
        if file.sealed:
            finding.status = "sealed"
        elif path.suffix == ".json":
            check_json(path)
    except CheckpointError as error:
        finding.status, finding.en, finding.ko = "damaged", error.en, error.ko
    return finding


def _record_of(records: Mapping[str, Record], path: Path) -> Record | None:
    try:
        return records.get(key_of(path))
    except ValueError:  # outside our folder
        return None


def check_size(path: Path, expected: int | None) -> None:
    actual = path.stat().st_size
    if actual == 0 or (expected is not None and actual != expected):
        want = f"{expected:,} bytes" if expected else "a file with something in it"
        want_ko = f"{expected:,}바이트" if expected else "내용이 있는 파일"
        raise CheckpointError(
            path,
            f"damaged: expected {want}, found {actual:,} bytes; get it again.",
            f"손상된 파일이에요. {want_ko}여야 하는데 {actual:,}바이트예요. 다시 받아 주세요.",
        )


def check_digest(path: Path, expected: str, found: str, when: str = "") -> None:
    if expected == found:
        return
    since = f" as first seen on {when[:10]}" if when else ""
    then = (
        "if you changed it on purpose, run `ohlora models verify --accept`"
        if when
        else "get it again"
    )
    raise CheckpointError(
        path,
        f"damaged: expected sha256 {expected[:16]}...{since}, found {found[:16]}...; {then}.",
        f"손상된 파일이에요. sha256이 {expected[:16]}...이어야 하는데 {found[:16]}...이에요. "
        + (
            "일부러 바꿨다면 `ohlora models verify --accept`를 실행해 주세요."
            if when
            else "다시 받아 주세요."
        ),
    )


def check_json(path: Path) -> None:
    try:
        json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            path,
            f"damaged: expected JSON, found something else ({type(error).__name__}); get it again.",
            f"손상된 파일이에요. JSON이 아니에요({type(error).__name__}). 다시 받아 주세요.",
        ) from error


def check_vector(path: Path) -> Verdict:
    """One row of finite numbers under a header. Raises CheckpointError."""
    try:
        lines = path.read_text("utf-8-sig").split()
        header, numbers = (line.split(",") for line in lines)
        if len(header) == len(numbers) and all(isfinite(float(number)) for number in numbers):
            return Verdict(1)
        found = "a row that does not fit its header, or no finite numbers"
    except (OSError, ValueError) as error:
        found = f"something else ({type(error).__name__})"
    raise CheckpointError(
        path,
        f"damaged: expected a header and one row of numbers, found {found}; get it again.",
        "손상된 파일이에요. 머리글과 숫자 한 줄이 있는 CSV여야 해요. 다시 받아 주세요.",
    )


def _check_inside(row: Row, paths: Mapping[File, Path], findings: list[Finding]) -> str:
    """Open every weights file that is still thought sound; returns a generator's digest."""
    by_name = {finding.file: finding for finding in findings}
    files = [file for file in row.files if file.weights and not file.sealed]
    sound = [file for file in files if by_name[file.name].status == "ok"]
    shards = row.kind == "language-model" and len(files) > 1 and bool(files[0].nets)
    synthesis = ""
    if shards:
        if len(sound) == len(files):
            together = [by_name[file.name] for file in files]
            _judged(together, lambda: judge_shards([paths[f] for f in files], files[0].nets[0]))
        return ""
    for file in sound:

        def look(file: File = file) -> Verdict:
            if row.kind == "vector":
                return check_vector(paths[file])
            return judge(paths[file], file.nets)

        verdict = _judged([by_name[file.name]], look)
        synthesis = (verdict and verdict.synthesis) or synthesis
    return synthesis


def _judged(findings: list[Finding], look: Callable[[], Verdict]) -> Verdict | None:
    try:
        verdict = look()
    except NeedsTorch:
        findings[0].en = f"{findings[0].file}: not looked into, PyTorch is not installed"
        findings[0].ko = f"{findings[0].file}: PyTorch가 없어서 안을 확인하지 못했어요"
        return None
    except CheckpointError as error:
        bad = "wrong-variant" if isinstance(error, WrongVariant) else "damaged"
        hit = [f for f in findings if error.path.name == Path(f.file).name] or findings
        for finding in hit:
            finding.status, finding.en, finding.ko = bad, error.en, error.ko
        return None
    findings[0].en, findings[0].ko = verdict.en, verdict.ko
    return verdict


def compare_with_family(report: Report) -> None:
    """Compare one v1 generator's synthesis.* with those that lie here; the original counts most.

    A difference turns the report to damaged.
    """
    from ohlora.checkpoints.catalog import load_catalog

    if not report.synthesis or report.status != "ready":
        return
    catalog = load_catalog()
    if catalog[report.row].edition != "v1":
        return
    others = [row for row in catalog.values() if _is_generator(row) and row.id != report.row]
    present = [row for row in others if file_path(row, row.files[0]).is_file()]
    reference = next((row for row in present if row.id == "stylegan-original"), None)
    for row in [reference] if reference else present[:1]:
        try:
            digest = judge(file_path(row, row.files[0]), row.files[0].nets[:1], False).synthesis
        except CheckpointError:
            continue  # that one is damaged itself
        if digest != report.synthesis:
            finding = report.findings[0]
            report.status = finding.status = "damaged"
            finding.en = (
                f"{finding.file}: expected the same synthesis tensors as {row.id}, found others; "
                "get both again."
            )
            finding.ko = (
                f"{finding.file}: synthesis 텐서가 {row.id}과(와) 같아야 하는데 달라요. "
                "둘 다 다시 받아 주세요."
            )


def _is_generator(row: Row) -> bool:
    nets = [net.name for file in row.files for net in file.nets]
    return row.edition == "v1" and "stylegan-generator" in nets


def check_images(row: Row, folder: Path, progress: Progress | None = None) -> Report:
    """Count, names, and that each one is a whole 256 x 256 JPEG."""
    assert row.images is not None
    paths = sorted(folder.glob("[0-9]*.jpg")) if folder.is_dir() else []
    report = Report(row.id, "ready")
    for number, path in enumerate(paths, start=1):
        try:
            check_image(path)
        except CheckpointError as error:
            report.findings.append(Finding(row.id, path.name, "damaged", error.en, error.ko))
        if progress and number % 50 == 0:
            progress(row.id, number / len(paths))
    names = {path.name for path in paths}
    short = row.images.count - len(paths)
    ends = [name for name in (row.images.first, row.images.last) if name not in names]
    if report.findings:
        report.status = "damaged"
    elif not paths:
        report.status = "missing"
    elif short > 0 or ends:
        report.status = "partial"
        report.findings.append(
            Finding(
                row.id,
                ends[0] if ends else row.images.first,
                "missing",
                f"expected {row.images.count:,} images, found {len(paths):,}",
                f"이미지 {row.images.count:,}장이 있어야 하는데 {len(paths):,}장이 있어요",
            )
        )
    return report


def check_image(path: Path) -> None:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            found = f"{image.format} {image.width} x {image.height}"
            if image.format == "JPEG" and image.size == (256, 256):
                image.load()
                return
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError, SyntaxError) as error:
        found = f"something that cannot be decoded ({type(error).__name__})"
    raise CheckpointError(
        path,
        f"damaged: expected a JPEG of 256 x 256, found {found}; get it again.",
        f"손상된 이미지예요. 256 x 256 JPEG여야 하는데 {found}이에요. 다시 받아 주세요.",
    )


def _verify_embedded(row: Row) -> Report:
    """Read what came with the program the way it is read when she runs."""
    from ohlora.checkpoints.embedded import check_embedded, embedded_state

    state = embedded_state(row)
    if state.status != "ready":
        finding = Finding(row.id, row.id, state.status, state.en, state.ko)
        return Report(row.id, state.status, [finding])
    try:
        check_embedded(row)
    except CheckpointError as error:
        finding = Finding(row.id, row.id, "damaged", error.en, error.ko)
        return Report(row.id, "damaged", [finding])
    return Report(row.id, "ready", [Finding(row.id, row.id, "ok")])
