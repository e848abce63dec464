"""What is done, skipped, done anew and said: on three stages that only write a file."""

from __future__ import annotations

import errno
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from ohlora.errors import BadInput
from ohlora.pipeline import run as pipeline
from ohlora.pipeline.run import Plan, StageError, Stopped, is_running, plan_of, states
from ohlora.pipeline.stage import Machine, Number, Stage, Told, Work, counted, read_record
from ohlora.training.loop import LoopConfig


@dataclass(frozen=True)
class Word:
    word: str = "a"
    loop: LoopConfig = LoopConfig(steps=3)


class Three:
    """Stages one -> two, and three beside them; `fault` is raised once, in the middle of two."""

    def __init__(self) -> None:
        self.fault: BaseException | None = None
        self.ran: list[str] = []
        self.stages = (
            Stage("one", "One", "하나", (), self.work("one")),
            Stage("two", "Two", "둘", ("one",), self.work("two")),
            Stage("accept", "Three", "셋", (), self.work("accept")),
        )

    def work(self, name: str):  # type: ignore[no-untyped-def]
        def work(work: Work[Word]) -> Told:
            self.ran.append(name)
            before = "".join((folder / "made").read_text() for folder in work.inputs.values())
            (work.folder / "half").write_text("kept")
            if name == "two" and (fault := self.fault):
                self.fault = None
                raise fault
            (work.folder / "made").write_text(before + work.options.word)
            return Told((Number("letters", "글자", 1),))

        return work


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> Three:
    made = Three()
    monkeypatch.setattr(pipeline, "STAGES", made.stages)
    monkeypatch.setattr(pipeline, "NAMES", tuple(one.name for one in made.stages))
    monkeypatch.setattr(pipeline, "PRESETS", {"tiny": {n.name: Word() for n in made.stages}})
    return made


def go(out: Path, *settings: str, **more: str) -> list[str]:
    """Run, and what was said."""
    said: list[str] = []
    pipeline.run(out, Plan("tiny", settings), tell=lambda en, ko: said.append(en), **more)
    return said


def made(out: Path, folder: str = "02-two") -> str:
    return (out / folder / "made").read_text()


def test_a_second_run_does_nothing(three: Three, tmp_path: Path) -> None:
    go(tmp_path / "her")
    assert three.ran == ["one", "two", "accept"] and made(tmp_path / "her") == "aa"
    assert all(line.endswith("is there") for line in go(tmp_path / "her"))
    assert len(three.ran) == 3


def test_a_changed_option_does_anew_what_depends_on_it(three: Three, tmp_path: Path) -> None:
    go(tmp_path)
    three.ran.clear()
    go(tmp_path, "one.word=b")
    assert three.ran == ["one", "two"] and made(tmp_path) == "ba"
    three.ran.clear()
    go(tmp_path, "one.word=b", "accept.steps=4")
    assert three.ran == ["accept"]


def test_earlier_options_find_what_they_made(three: Three, tmp_path: Path) -> None:
    go(tmp_path)
    go(tmp_path, "one.word=b")
    three.ran.clear()
    said = go(tmp_path)
    assert three.ran == [] and made(tmp_path) == "aa"
    assert sum("made earlier with these options" in line for line in said) == 2


def test_one_earlier_version_of_a_stage_is_kept(three: Three, tmp_path: Path) -> None:
    for word in "abc":
        go(tmp_path, f"one.word={word}")
    kept = sorted(path.name.partition("@")[0] for path in (tmp_path / "old").iterdir())
    assert kept == ["01-one", "02-two"]


def test_how_a_training_is_watched_changes_nothing(three: Three, tmp_path: Path) -> None:
    go(tmp_path)
    three.ran.clear()
    go(tmp_path, "one.log_every=1", "two.threads=1", "one.device=cpu")
    assert three.ran == []


def test_until_stops_and_from_does_anew_what_builds_on_it(three: Three, tmp_path: Path) -> None:
    go(tmp_path, until="one")
    assert three.ran == ["one"]
    go(tmp_path)
    three.ran.clear()
    go(tmp_path, again="one")
    assert three.ran == ["one", "two"]


@pytest.mark.parametrize(
    ("fault", "said", "kind"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device", StageError),
        (BadInput("The labels are wrong.", "라벨이 틀려요."), "The labels are wrong", StageError),
        (MemoryError(), "the memory does not suffice", StageError),
        (KeyboardInterrupt(), "it was interrupted", Stopped),
    ],
)
def test_a_stage_that_stops_says_which_why_and_how_to_go_on(
    three: Three, tmp_path: Path, fault: BaseException, said: str, kind: type[StageError]
) -> None:
    three.fault = fault
    with pytest.raises(kind) as caught:
        go(tmp_path)
    assert caught.value.en.startswith("The stage two stopped: ") and said in caught.value.en
    for text in (caught.value.en, caught.value.ko):
        assert f"`ohlora pipeline run {tmp_path}`" in text and "two" in text
    assert [one.state for one in states(tmp_path, Plan("tiny"))] == ["done", "stopped", "missing"]
    assert said in (tmp_path / "report.html").read_text()

    three.ran.clear()
    assert "[2/3] two: going on" in go(tmp_path)
    assert three.ran == ["two", "accept"] and made(tmp_path) == "aa"


def test_a_bug_keeps_its_traceback_and_the_stage_is_named(three: Three, tmp_path: Path) -> None:
    three.fault = ZeroDivisionError("oops")
    with pytest.raises(ZeroDivisionError) as caught:
        go(tmp_path)
    assert "in the stage two" in caught.value.__notes__[0]
    record = read_record(tmp_path / "02-two")
    assert record and record.state == "stopped" and "ZeroDivisionError: oops" in record.en


def test_a_fault_while_making_room_leaves_the_old_version_as_it_was(
    three: Three, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(tmp_path)

    def full(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(StageError, match="No space left"):
        patch.setattr(pipeline.os, "replace", full)
        pipeline.do(tmp_path, *waiting(tmp_path, "two.word=b"))
    assert made(tmp_path) == "aa"
    assert [one.state for one in states(tmp_path, Plan("tiny"))] == ["done"] * 3
    go(tmp_path, "two.word=b")
    assert made(tmp_path) == "ab"


def waiting(out: Path, setting: str) -> tuple[object, ...]:
    """Arguments of `do` for the stage two with another option."""
    plan = Plan("tiny", (setting,))
    nothing = lambda *_: None  # noqa: E731
    return states(out, plan)[1], plan.options()["two"], Machine(), nothing, nothing, ("", "")


def test_the_options_of_a_folder_are_remembered(three: Three, tmp_path: Path) -> None:
    go(tmp_path, "one.word=b")
    plan = plan_of(tmp_path, None, ["two.word=c"])
    assert plan == Plan("tiny", ("one.word=b", "two.word=c"))
    assert plan_of(tmp_path, "tiny", []) == Plan("tiny")


def test_two_runs_in_one_folder_are_refused(three: Three, tmp_path: Path) -> None:
    seen = []

    def second(en: str, ko: str) -> None:
        seen.append(is_running(tmp_path))
        with pytest.raises(BadInput, match="Another run works in"):
            go(tmp_path)

    pipeline.run(tmp_path, Plan("tiny"), until="one", tell=second)
    assert seen == [True] and not is_running(tmp_path)


def test_a_folder_of_something_else_is_left_alone(three: Three, tmp_path: Path) -> None:
    (tmp_path / "novel.txt").write_text("mine")
    with pytest.raises(BadInput, match="holds something else"):
        go(tmp_path)


def test_wrong_names_are_one_sentence(three: Three, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no stage 'four'"):
        go(tmp_path, until="four")
    with pytest.raises(BadInput, match="no preset 'huge'"):
        pipeline.run(tmp_path, Plan("huge"))
    (tmp_path / "pipeline.json").write_text("{")
    with pytest.raises(BadInput, match="give --preset"):
        plan_of(tmp_path, None, [])


def test_an_unreadable_record_means_the_stage_is_done_anew(three: Three, tmp_path: Path) -> None:
    go(tmp_path)
    (tmp_path / "01-one" / "stage.json").write_text('{"half')
    three.ran.clear()
    go(tmp_path)
    assert three.ran == ["one"]


def test_the_record_holds_options_and_time(three: Three, tmp_path: Path) -> None:
    go(tmp_path, "one.word=b")
    record = json.loads((tmp_path / "01-one" / "stage.json").read_text())
    assert record["options"]["word"] == "b" and record["seconds"] >= 0
    assert "threads" not in record["options"]["loop"]


def test_only_a_loop_has_uncounted_options() -> None:
    assert counted(Machine(threads=3))["threads"] == 3
    assert "device" not in counted(LoopConfig()) and counted(LoopConfig())["batch_size"] == 16
