"""Run the pipeline: do what is missing or out of date, skip the rest, say what went wrong.

    OUT/pipeline.json       the preset and what differs from it
    OUT/01-synthesise/ ...  a folder a stage; stage.json remembers what made it
    OUT/old/                what other options made: found again when they come back
    OUT/report.html

A stage that was cut off goes on inside its folder: trainings, data sets and tables resume by
themselves.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ohlora.errors import BadInput, OhloraError, StoreError
from ohlora.files import write_whole
from ohlora.pipeline.options import changed
from ohlora.pipeline.presets import PRESETS
from ohlora.pipeline.report import write_report
from ohlora.pipeline.stage import (
    Machine,
    Progress,
    Record,
    Stage,
    Work,
    begun,
    fingerprint_of,
    read_record,
    worked,
)
from ohlora.pipeline.stages import NAMES, STAGES
from ohlora.text import josa

PLAN, OLD, REPORT = "pipeline.json", "old", "report.html"
Tell = Callable[[str, str], None]  # what happens, in English and Korean


class StageError(OhloraError):
    """A stage ended early; says which, why, and how to go on."""

    code = "stage"


class Stopped(StageError):
    """By a person, or the system: Ctrl-C, SIGTERM."""

    code = "stopped"


@dataclass(frozen=True)
class Plan:
    """Which options; `settings` are texts such as "base.steps=2000"."""

    preset: str
    settings: tuple[str, ...] = ()

    def options(self) -> dict[str, Any]:
        """Raises BadInput."""
        if self.preset not in PRESETS:
            raise BadInput(
                f"There is no preset {self.preset!r}: use {', '.join(PRESETS)}.",
                f"{self.preset!r} 프리셋은 없어요. {', '.join(PRESETS)} 중에서 고르세요.",
            )
        return changed(PRESETS[self.preset], self.settings)


@dataclass(frozen=True)
class State:
    """Where a stage stands: "done", "stale" (made with other options), "stopped", "going" (at
    work, or cut off), "missing"."""

    stage: Stage
    folder: Path
    fingerprint: str
    state: str
    record: Record | None
    seconds: float


def plan_of(out: Path, preset: str | None, settings: Sequence[str]) -> Plan:
    """A preset that is given starts anew; without one OUT's own goes on. Raises BadInput."""
    path = out / PLAN
    if preset is None and path.is_file():
        try:
            there = json.loads(path.read_text(encoding="utf-8"))
            return Plan(str(there["preset"]), (*map(str, there["settings"]), *settings))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadInput(
                f"{path} cannot be read ({error}): give --preset and --set again.",
                f"{josa(str(path), '을/를')} 읽을 수 없어요({error}). --preset과 --set을 다시 "
                "적어 주세요.",
            ) from error
    return Plan(preset or "cpu", tuple(settings))


def states(out: Path, plan: Plan) -> list[State]:
    """Every stage in order. Raises BadInput."""
    options, prints, found = plan.options(), dict[str, str](), []
    for number, stage in enumerate(STAGES, start=1):
        above = {name: prints[name] for name in stage.needs}
        prints[stage.name] = fingerprint_of(stage, options[stage.name], above)
        folder = out / f"{number:02d}-{stage.name}"
        record = read_record(folder)
        state = "missing" if record is None else record.state
        if record and record.fingerprint != prints[stage.name]:
            state = "stale"
        seconds = worked(folder, record)
        found.append(State(stage, folder, prints[stage.name], state, record, seconds))
    return found


def run(
    out: Path,
    plan: Plan,
    machine: Machine = Machine(),
    *,
    until: str | None = None,
    again: str | None = None,
    tell: Tell = lambda en, ko: None,
    progress: Progress = lambda what, fraction: None,
) -> Path:
    """Bring OUT up to date, to the end or to the stage `until`; returns the report page.

    again: do this stage and all that build on it anew, even where nothing changed. Raises
    BadInput, StoreError, StageError.
    """
    for name in (until, again):
        check_stage(name)
    out = out.absolute()
    options = plan.options()
    with only_run(out):
        remember(out, plan)
        if again:
            forget(out, plan, again)
        try:
            for number, one in enumerate(states(out, plan), start=1):
                en, ko = f"[{number}/{len(STAGES)}] {one.stage.name}: ", one.stage.ko
                if one.state == "done":
                    tell(f"{en}is there", f"{en}{ko}, 이미 있어요")
                else:
                    do(out, one, options[one.stage.name], machine, tell, progress, (en, en + ko))
                if one.stage.name == until:
                    break
        finally:
            page = report(out, plan)
    return page


def do(
    out: Path, one: State, options: Any, machine: Machine, tell: Tell, progress: Progress,
    title: tuple[str, str],
) -> None:  # fmt: skip
    """One stage, from where its folder stands. Raises StageError, Stopped."""
    stage, folder, started = one.stage, one.folder, time.monotonic()
    en, ko = title
    record: Record | None = None
    try:
        seconds = one.seconds
        if one.state in ("stale", "missing"):
            seconds = make_room(out, folder, one.fingerprint)
            if (found := read_record(folder)) and found.done:
                tell(f"{en}made earlier with these options", f"{ko}, 전에 만든 것이 있어요")
                return
        else:
            tell(f"{en}going on", f"{ko}, 이어서 해요")
        record = begun(one.fingerprint, options, seconds)
        record.write(folder)
        tell(f"{en}{stage.en}", ko)
        inputs = {name: folder_of(out, name) for name in stage.needs}
        told = stage.run(Work(options, folder, inputs, machine, progress))
        took = round(seconds + time.monotonic() - started, 1)
        replace(record, state="done", seconds=took, told=told).write(folder)
        for spent in list(folder.rglob("checkpoints")):  # most of the disk, and nobody goes on
            shutil.rmtree(spent, ignore_errors=True)
    except (Exception, KeyboardInterrupt) as error:
        why = reason(error, folder)
        if record:
            took = round(record.seconds + time.monotonic() - started, 1)
            with suppress(OSError):  # a full disk must not hide the reason
                replace(record, state="stopped", seconds=took, en=why[0], ko=why[1]).write(folder)
        if isinstance(error, OhloraError | OSError | MemoryError):
            raise stopped(stage, out, why) from error
        if isinstance(error, KeyboardInterrupt):
            raise stopped(stage, out, why, Stopped) from error
        error.add_note(f"in the stage {stage.name} of {out}")
        raise


def reason(error: BaseException, folder: Path) -> tuple[str, str]:
    """Why a stage ended, in English and Korean."""
    if isinstance(error, OhloraError):
        return error.en, error.ko
    if isinstance(error, KeyboardInterrupt):
        return "it was interrupted.", "사람이나 시스템이 중단했어요."
    if isinstance(error, MemoryError):
        return (
            "the memory does not suffice: close other programs or choose smaller options.",
            "메모리가 모자라요. 다른 프로그램을 닫거나 옵션을 줄여 주세요.",
        )
    if isinstance(error, OSError):
        what, words = error.filename or folder, error.strerror or str(error)
        return (
            f"{what} cannot be read or written ({words}): make room or see to its rights.",
            f"{what}에 읽거나 쓸 수 없어요({words}). 공간이나 권한을 확인해 주세요.",
        )
    what = f"{type(error).__name__}: {error}"
    return f"a bug, {what}", f"버그예요, {what}"


def stopped(
    stage: Stage, out: Path, why: tuple[str, str], kind: type[StageError] = StageError
) -> StageError:
    command = f"`ohlora pipeline run {out}`"
    return kind(
        f"The stage {stage.name} stopped: {why[0].rstrip('.')}; what is done is kept, go on with "
        f"{command}.",
        f"{stage.name} 단계가 멈췄어요: {why[1].rstrip('.')}. 해 둔 것은 남아 있으니 "
        f"{josa(command, '으로/로')} 이어서 하세요.",
    )


def folder_of(out: Path, name: str) -> Path:
    return out / f"{NAMES.index(name) + 1:02d}-{name}"


def make_room(out: Path, folder: Path, fingerprint: str) -> float:
    """Set aside what other options made, take back what these made before; its seconds."""
    old = out / OLD
    there = read_record(folder)
    if folder.exists():
        for dead in old.glob(f"{folder.name}@*"):  # one earlier version of each stage is kept
            if dead.name != f"{folder.name}@{fingerprint}":
                shutil.rmtree(dead)
        old.mkdir(exist_ok=True)
        target = old / f"{folder.name}@{there.fingerprint if there else 'unknown'}"
        shutil.rmtree(target, ignore_errors=True)
        os.replace(folder, target)
    before = old / f"{folder.name}@{fingerprint}"
    if before.is_dir():
        os.replace(before, folder)
    return worked(folder, read_record(folder))


def forget(out: Path, plan: Plan, name: str) -> None:
    """Remove what `name` made, and all that build on it."""
    dropped = {name}
    for one in states(out, plan):
        if one.stage.name == name or dropped & set(one.stage.needs):
            dropped.add(one.stage.name)
            for folder in (one.folder, out / OLD / f"{one.folder.name}@{one.fingerprint}"):
                shutil.rmtree(folder, ignore_errors=True)


def check_stage(name: str | None) -> None:
    if name is not None and name not in NAMES:
        raise BadInput(
            f"There is no stage {name!r}: there are {', '.join(NAMES)}.",
            f"{name!r} 단계는 없어요. 단계: {', '.join(NAMES)}.",
        )


def remember(out: Path, plan: Plan) -> None:
    """Raises BadInput for a folder that is something else."""
    others = [path.name for path in out.iterdir() if path.name not in (PLAN, ".lock")]
    if others and not (out / PLAN).is_file():
        raise BadInput(
            f"{out} holds something else ({others[0]}): name a new folder.",
            f"{out}에 다른 것({others[0]})이 있어요. 새 폴더를 적어 주세요.",
        )
    body = {"preset": plan.preset, "settings": list(plan.settings)}
    with writing(out):
        write_whole(out / PLAN, (json.dumps(body, indent=1) + "\n").encode())


def report(out: Path, plan: Plan) -> Path:
    """Write the page; with a full disk the old one stays."""
    page = out / REPORT
    with suppress(StoreError):
        write_report(page, plan.preset, plan.settings, states(out, plan))
    return page


@contextmanager
def only_run(out: Path) -> Iterator[None]:
    """Raises BadInput when another process works in OUT, StoreError when it cannot be made."""
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise BadInput(
                f"Another run works in {out}: wait for it, or name another folder.",
                f"다른 실행이 {out}에서 일하고 있어요. 기다리거나 다른 폴더를 적어 주세요.",
            ) from error
    try:
        yield
    finally:
        lock.release()


def is_running(out: Path) -> bool:
    if not (out / ".lock").is_file():
        return False
    try:
        with FileLock(out / ".lock").acquire(timeout=0):
            return False
    except Timeout:
        return True


@contextmanager
def writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{out} cannot be written ({error.strerror or error}): make room or name another "
            "folder.",
            f"{out}에 쓸 수 없어요({error.strerror or error}). 공간을 비우거나 다른 폴더를 적어 "
            "주세요.",
        ) from error
