"""Import a folder laid out as the original's: judge every file there, then copy or link it in.

    DIR/llm/models/polyglot_fine_tuned/adapter_config.json ...
    DIR/llm/models/memory_sbert/trained_sbert_model/...
    DIR/stylegan_and_segmentation/stylegan_modified/stylegan_gen_fine_tuned_v3_ckpt_0005_gen.pth

DIR may be the project folder, the repository that holds several of them, or a plain folder with the
single files side by side. The user's files are only read. What is damaged, of another variant or
incomplete is reported and not brought in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ohlora.checkpoints.catalog import File, Row
from ohlora.checkpoints.place import alone, bring, check_disk, mend_adapter
from ohlora.checkpoints.records import key_of, read_records, remember
from ohlora.checkpoints.state import file_path, state_of
from ohlora.checkpoints.verify import (
    Finding,
    Report,
    check_files,
    check_images,
    compare_with_family,
    digest_of,
)
from ohlora.errors import BadInput

Progress = Callable[[str, float], None]

PROJECTS = {
    "v1": "2025_04_08_OhLoRA",
    "v2": "2025_05_02_OhLoRA_v2",
    "v3": "2025_05_26_OhLoRA_v3",
    "v4": "2025_06_24_OhLoRA_v4",
}


@dataclass
class Imported:
    """status: present, partial, missing, damaged or wrong-variant, as found in the folder.

    action: what was done: linked, reflinked, copied, already (the same is here), kept (another
    sound version is here), or "" when nothing was.
    """

    row: str
    status: str
    action: str = ""
    bytes: int = 0
    findings: list[Finding] = field(default_factory=list)


def import_folder(
    root: Path,
    rows: Iterable[Row],
    how: str = "auto",
    *,
    edition: str = "",
    force: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> list[Imported]:
    """Judge and bring in every row found under root.

    edition says which version's layout root has, when its name does not. Raises BadInput when
    root is no folder, CheckpointError when the disk cannot hold the copies.
    """
    root = root.expanduser()
    if not root.is_dir():
        raise BadInput(
            f"There is no folder {root}: give the one that holds llm/ and "
            "stylegan_and_segmentation/.",
            f"{root} 폴더가 없어요. llm/과 stylegan_and_segmentation/이 들어 있는 폴더를 "
            "적어 주세요.",
        )
    found = []
    for row in rows:
        if row.kind != "embedded":
            found.append(_look(row, root, edition, progress))
    if not dry_run:
        sound = [one for one in found if one[1].status == "ready"]
        if how != "link":
            check_disk(sum(_bytes(paths) for _, _, paths in sound))
        return [_take(row, report, paths, root, how, force) for row, report, paths in found]
    return [_told(row, report, paths) for row, report, paths in found]


Looked = tuple[Row, Report, dict[File, Path]]


def _look(row: Row, root: Path, edition: str, progress: Progress | None) -> Looked:
    folder = _project(row, root, edition)
    if row.images:
        place = folder / row.place if folder else root / row.place
        report = check_images(row, place, progress)
        names = sorted(path.name for path in place.glob("[0-9]*.jpg"))
        return row, report, {File(name, name): place / name for name in names}
    paths = {file: _find(row, file, root, folder) for file in row.files}
    report = check_files(row, paths, progress)
    compare_with_family(report)
    return row, report, paths


def _project(row: Row, root: Path, edition: str) -> Path | None:
    """The folder under root that has the layout of the row's version."""
    name = PROJECTS[row.edition]
    for inside in (name, f"ohlora-{row.edition}"):
        if (root / inside).is_dir():
            return root / inside
    known = {project: version for version, project in PROJECTS.items()}
    own = edition or known.get(root.resolve().name) or root.name.removeprefix("ohlora-")
    return root if own == row.edition or (own not in PROJECTS and row.edition == "v1") else None


def _find(row: Row, file: File, root: Path, folder: Path | None) -> Path:
    """Where a file is; single weight files may also lie in root itself, by name."""
    candidates = []
    if folder:
        place = folder / row.place / file.name
        candidates += [place, place.with_suffix(".safetensors")]
    if row.kind in ("state-dict", "vector") and row.edition == "v1":
        candidates += [root / file.name, root / Path(file.source).name]
    nowhere = root / PROJECTS[row.edition] / row.place / file.name
    return next((path for path in candidates if path.is_file()), nowhere)


def _bytes(paths: dict[File, Path]) -> int:
    return sum(p.stat().st_size for file, p in paths.items() if p.is_file() and not file.skip)


def _told(row: Row, report: Report, paths: dict[File, Path]) -> Imported:
    status = "present" if report.status == "ready" else report.status
    return Imported(row.id, status, "", _bytes(paths), _worth_telling(report))


def _worth_telling(report: Report) -> list[Finding]:
    """What is wrong first, then notes."""
    several = report.status in ("partial", "damaged", "wrong-variant")
    told = [f for f in report.findings if f.en or (several and f.status == "missing")]
    return sorted(told, key=lambda finding: finding.status == "ok")


def _take(
    row: Row, report: Report, paths: dict[File, Path], root: Path, how: str, force: bool
) -> Imported:
    told = _told(row, report, paths)
    if told.status != "present":
        return told
    wanted = {file: path for file, path in paths.items() if path.is_file() and not file.skip}
    digests = {finding.file: finding.sha256 for finding in report.findings}
    targets = {
        file: (row.folder() / file.name).with_suffix(path.suffix)
        if file.weights
        else (row.folder() / file.name)
        for file, path in wanted.items()
    }
    with alone(row):
        told.action = _decide(row, wanted, targets, digests, force)
        if told.action:
            return told
        done = {bring(path, targets[file], how) for file, path in wanted.items()}
        if not row.images:
            sound = {targets[file]: digests[file.name] for file in wanted}
            remember(sound, f"import {root}")
        if mend_adapter(row):
            config = row.folder() / "adapter_config.json"
            remember({config: digest_of(config)}, f"import {root}, base path mended")
    told.action = "copied" if "copied" in done else min(done, default="")
    return told


def _decide(
    row: Row,
    wanted: dict[File, Path],
    targets: dict[File, Path],
    digests: dict[str, str],
    force: bool,
) -> str:
    """ "already" when the same is in place, "kept" when another sound one is, else ""."""
    if any(_same_file(path, targets[file]) for file, path in wanted.items()):
        return "already"
    if row.images:
        return "already" if state_of(row).status == "ready" and not force else ""
    if state_of(row).status != "ready":
        return ""
    records = read_records()
    weights = [file for file in wanted if file.weights]
    same = all(
        key_of(targets[file]) in records
        and records[key_of(targets[file])].sha256 == digests[file.name]
        and records[key_of(targets[file])].still_fits(targets[file])
        for file in weights
    )
    if same:
        return "already"
    intact = all(file_path(row, file).is_file() for file in weights)
    return "kept" if intact and not force else ""


def _same_file(source: Path, target: Path) -> bool:
    """True when the user points at our own folder; then there is nothing to copy."""
    return target.exists() and source.resolve() == target.resolve()
