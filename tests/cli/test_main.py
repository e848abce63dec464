"""The command line as a person meets it: real processes, one sentence for every fault."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("prepared_home")
MAIN = "from ohlora.cli import main; main()"


def ohlora(*words: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", MAIN, *words],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "OHLORA_LANG": "en", **env},
    )


def test_help_is_instant_and_loads_nothing_heavy() -> None:
    probe = "import sys; from ohlora.cli import app; print([m for m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    loaded = set(json.loads(run.stdout.replace("'", '"')))
    heavy = {"torch", "transformers", "numpy", "ctranslate2", "openvino", "fastapi", "sqlite3"}
    assert loaded & heavy == set()


def test_one_question_is_answered_in_korean_and_in_character() -> None:
    run = ohlora("chat", "--once", "너는 누구야?")
    assert run.returncode == 0
    assert any(word in run.stdout for word in ("오로라", "로라", "가상 인간"))
    assert "Traceback" not in run.stderr


def test_talking_on_a_cpu_imports_neither_torch_nor_transformers() -> None:
    talk = (
        "import sys; from ohlora.companion import load_companion\n"
        "with load_companion() as her:\n"
        "    list(her.turn(her.store.sessions.create().id, '안녕', 'r', lambda: False))\n"
        "print({'torch', 'transformers'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", talk], capture_output=True, text=True, timeout=100)
    assert run.stdout.strip() == "set()", run.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("chat", "--once", ""), "The message is empty"),
        (("chat", "--once="), "The message is empty"),
        (("chat", "--once", "가" * 3000), "3,000 characters and the limit is 2,000"),
        (("chat", "--persona", "nobody", "--once", "안녕"), "no persona 'nobody'"),
        (("chat", "--session", "nope", "--once", "안녕"), "no conversation 'nope'"),
        (("chat", "--engine", "foo", "--once", "안녕"), "no language model 'foo'"),
        (("chat", "--encoder", "foo", "--once", "안녕"), "foo"),
        (("chat", "--mode", "v9", "--once", "안녕"), "mode 'v9' is unknown"),
        (("serve", "--face", "foo", "--no-browser"), "Unknown face 'foo'"),
        (("face", "render", "--generator", "no.pth", "--seed", "1", "--out", "a.png"), "no.pth"),
        (("memory", "rm", "99"), "99"),
        (("persona", "show", "nobody"), "no persona 'nobody'"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_1(words: tuple[str, ...], said: str) -> None:
    run = ohlora(*words)
    assert run.returncode == 1, run.stdout + run.stderr
    last = run.stderr.strip().splitlines()[-1]
    assert said in last and last.startswith("ohlora: ")
    assert "Traceback" not in run.stderr


def test_errors_are_korean_for_a_korean_terminal() -> None:
    run = ohlora("chat", "--once", "", OHLORA_LANG="ko_KR.UTF-8")
    assert run.stderr.strip() == "ohlora: 빈 메시지예요. 보이는 글자를 하나 이상 입력해 주세요."


def test_a_data_folder_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    run = ohlora("chat", "--once", "안녕", OHLORA_HOME=str(tmp_path / "file"))
    assert run.returncode == 1 and "set OHLORA_HOME" in run.stderr


def test_a_bug_is_one_sentence_too_and_keeps_its_traceback_for_the_report(tmp_path: Path) -> None:
    code = (
        "import ohlora.companion as companion\n"
        "def boom(**kwargs): raise ZeroDivisionError('inside')\n"
        f"companion.load_companion = boom\n{MAIN}"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, "chat", "--once", "안녕"],
        capture_output=True,
        text=True,
        env={**os.environ, "OHLORA_LANG": "en", "OHLORA_HOME": str(tmp_path)},
    )
    assert run.returncode == 70 and "Traceback" not in run.stderr
    assert "ZeroDivisionError" in (tmp_path / "ohlora-bug.txt").read_text()


def test_chat_as_json_is_json_line_by_line() -> None:
    run = ohlora("chat", "--json", stdin="너는 누구야?\n")
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    assert rows[-1]["type"] == "done" and rows[-1]["reason"] == "complete"


def test_every_command_that_prints_data_takes_json() -> None:
    for words in (("memory", "list"), ("persona", "list"), ("persona", "show"), ("face", "info")):
        json.loads(ohlora(*words, "--json").stdout)


def test_doctor_finds_everything_in_place_and_says_what_is_not() -> None:
    assert ohlora("models", "prepare").returncode == 0
    run = ohlora("doctor", "--port", "1", "--json")  # port 1 may be closed to us, or free for root
    found = {row["what"]: row for row in json.loads(run.stdout)}
    assert found["python"]["ok"] and found["disk"]["ok"] and found["model"]["ok"]
