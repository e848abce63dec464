"""The whole pipeline at toy size, once; then what happens around it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.numpy import load_file
from typer.testing import CliRunner

from ohlora.cli.pipeline import app
from ohlora.errors import BadInput
from ohlora.face.load import load_face
from ohlora.pipeline.run import Plan, State, folder_of, run, states
from ohlora.pipeline.stage import Machine
from ohlora.pipeline.stages import NAMES
from ohlora.vision.normalise import Normalisation
from ohlora.vision.stages import SCORE_COLUMNS

TINY = Plan("tiny")
# Every stage trains: alone on a core a minute or two, on a busy machine much longer.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OHLORA_HOME", str(tmp_path_factory.mktemp("home")))
        out = tmp_path_factory.mktemp("pipeline") / "her"
        run(out, TINY)
    return out


def numbers(one: State) -> dict[str, float | str]:
    assert one.record is not None
    return {number.en: number.value for number in one.record.told.numbers}


def rows(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_stage_is_done_for_real(whole: Path) -> None:
    found = {one.stage.name: one for one in states(whole, TINY)}
    assert [one.state for one in found.values()] == ["done"] * len(NAMES)
    assert numbers(found["synthesise"])["pictures"] == 48
    assert len(list((whole / "03-cnn" / "models").glob("*_model_*.pt"))) == 10
    kept = numbers(found["filter"])["pictures kept"]
    assert kept == len(list((whole / "04-filter" / "synthesize_results_filtered").iterdir())) > 10
    for name in ("measures", "judges"):
        assert (whole / "05-parser" / name / "face_parser.safetensors").is_file()
    assert not list(whole.rglob("checkpoints"))  # a stage that is done needs none
    scale = Normalisation.load(whole / "07-score" / "statistics.json")
    assert set(scale.means) == set(SCORE_COLUMNS)
    assert numbers(found["accept"])["domain: z that pass all six thresholds"].endswith("/ 2")  # type: ignore[union-attr]


def test_fine_tuning_moves_the_mapping_net_only(whole: Path) -> None:
    base, v1, v4 = (
        load_file(folder_of(whole, name) / "run" / "generator.ema.safetensors")
        for name in ("base", "v1", "v4")
    )
    same = [key for key in base if key.startswith("synthesis.")]
    assert same and all((base[key] == v1[key]).all() and (v1[key] == v4[key]).all() for key in same)
    assert (base["mapping.dense7.weight"] != v1["mapping.dense7.weight"]).any()
    assert v1["mapping.label_weight"].shape[0] == 7 and v4["mapping.label_weight"].shape[0] == 3


def test_the_taught_generator_learns(whole: Path) -> None:
    log = rows(whole / "14-domain" / "run" / "log.jsonl")
    quality = [row["held_psnr"] for row in log if "held_psnr" in row]
    assert quality[-1] > quality[0] + 3  # decibels


def test_the_pack_is_a_face(whole: Path) -> None:
    face = load_face(f"pack:{whole / '17-pack' / 'pack'}")
    assert face.manifest()["frames"] == 3 * 2 * 3 and face.manifest()["size"] == 32
    assert face.closed_eyes == 0
    face.close()


def test_the_report_is_one_file_with_every_stage(whole: Path) -> None:
    page = (whole / "report.html").read_text()
    assert all(f'<section id="{name}">' in page for name in NAMES)
    assert page.count('src="data:image/') >= 10 and page.count("<polyline") > 20
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)  # nothing from outside


def test_a_second_run_does_nothing(whole: Path) -> None:
    said: list[str] = []
    run(whole, TINY, tell=lambda en, ko: said.append(en))
    assert [line.endswith("is there") for line in said] == [True] * len(NAMES)


def test_show_tells_every_stage(whole: Path) -> None:
    shown = CliRunner().invoke(app, ["show", str(whole), "--json"])
    told = json.loads(shown.stdout)
    assert told["preset"] == "tiny" and not told["running"]
    assert [row["stage"] for row in told["stages"]] == list(NAMES)
    assert sum(row["seconds"] for row in told["stages"]) > 1
    assert "parser" in CliRunner().invoke(app, ["show", str(whole)]).stdout


def test_show_of_a_folder_without_a_pipeline_is_one_sentence(tmp_path: Path) -> None:
    wrong = CliRunner().invoke(app, ["show", str(tmp_path)])
    assert isinstance(wrong.exception, BadInput) and "holds no pipeline" in str(wrong.exception)


def test_an_option_makes_stale_what_depends_on_it(whole: Path) -> None:
    changed = states(whole, Plan("tiny", ("v4.steps=9",)))
    assert [one.stage.name for one in changed if one.state == "stale"] == ["v4", "accept", "pack"]


def test_a_killed_run_ends_like_one_that_was_not(whole: Path, tmp_path: Path) -> None:
    settings = ("v1.steps=60", "v1.log_every=1", "v1.save_every=5")
    cut, straight = tmp_path / "cut", tmp_path / "straight"
    for out in (cut, straight):
        shutil.copytree(whole, out, ignore=shutil.ignore_patterns("1[1-7]-*"))
    words = ["pipeline", "run", str(cut), "--until", "v1", "--threads", "1"]
    words += [word for setting in settings for word in ("--set", setting)]
    process = subprocess.Popen(
        [sys.executable, "-c", "from ohlora.cli import main; main()", *words],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ},
    )  # fmt: skip
    folder = folder_of(cut, "v1")
    while process.poll() is None and not list((folder / "run" / "checkpoints").glob("step_00001*")):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL

    plan = Plan("tiny", settings)
    (killed,) = (one for one in states(cut, plan) if one.stage.name == "v1")
    assert killed.state == "going" and killed.seconds > 0
    machine = Machine(threads=1)
    said: list[str] = []
    for out in (cut, straight):
        run(out, plan, machine, until="v1", tell=lambda en, ko: said.append(en))
    assert "[10/17] v1: going on" in said
    steps = [row["step"] for row in rows(folder / "run" / "log.jsonl") if "d_loss" in row]
    assert steps == list(range(1, 61))
    ends = [load_file(folder_of(out, "v1") / "run" / "generator.safetensors")
            for out in (cut, straight)]  # fmt: skip
    assert all((ends[0][key] == ends[1][key]).all() for key in ends[0])
