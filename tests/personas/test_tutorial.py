"""docs/your-own-persona.md works as written; training itself at toy size, marked slow."""

from __future__ import annotations

import json
import lzma
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main
from cards import write_adapter
from typer.testing import CliRunner

from ohlora.cli import app
from ohlora.errors import OhloraError
from ohlora.packs.check import problems
from ohlora.persona import load_persona

PAGE = Path(__file__).parent.parent.parent / "docs" / "your-own-persona.md"
TEXT = PAGE.read_text("utf-8")


def commands() -> list[list[str]]:
    blocks = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    return [shlex.split(line) for line in "".join(blocks).splitlines() if line.strip()]


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the page's ten.txt in it."""
    written = re.search(r"```text\n(.*?)```", TEXT, re.DOTALL)
    assert written is not None and written[1].count("A:") == 10
    (tmp_path / "ten.txt").write_text(written[1], "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def type_in(words: list[str]) -> str:
    result = CliRunner().invoke(app, words[1:])
    if isinstance(result.exception, OhloraError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_every_step_but_chat_and_training_runs_as_written(there: Path) -> None:
    ran = []
    for words in commands():
        match words[:3]:
            case ["ohlora", "persona", verb]:
                if "runs/mina/adapter" in words:
                    write_adapter(there / "runs" / "mina" / "adapter")  # what training leaves
                if "my-face/" in words:
                    make_face(there / "my-face")
                type_in(words)
                ran.append(verb)
            case ["ohlora", *rest]:
                parses(rest, words)
    assert ran == [
        "new", "validate", "script", "add", "export", "export", "import", "add",
    ]  # fmt: skip
    mina, copy = load_persona("mina"), load_persona("mina2")
    assert problems(mina.folder) == [] and problems(copy.folder) == []
    assert copy.models.engine.endswith("/mina2/adapter")


def parses(rest: list[str], words: list[str]) -> None:
    """The options of a command that is not run here exist."""
    command: Any = typer.main.get_command(app)
    for name in rest:
        if not hasattr(command, "commands") or name.startswith("-"):
            break
        command = command.commands[name]
    known = {option for one in command.params for option in one.opts}
    assert {w for w in words if w.startswith("--")} <= known


def make_face(folder: Path) -> None:
    import io

    from PIL import Image

    from ohlora.face.lattice import Axes
    from ohlora.face.pack import write_pack

    axes = Axes((0.0,), (0.0,), (0.0,))
    out = io.BytesIO()
    Image.new("RGB", (16, 16), (90, 40, 90)).save(out, "WEBP")
    write_pack(folder, axes, {cell: out.getvalue() for cell in axes}, "CC0-1.0")


def test_the_page_names_every_file_of_a_new_pack(there: Path) -> None:
    type_in(commands()[0])
    folder = load_persona("mina").folder
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names == set(re.findall(r"^\| `(\w[\w./]+)` \|", TEXT, re.MULTILINE))


@pytest.mark.slow
def test_an_adapter_is_trained_in_two_steps_and_speaks(there: Path) -> None:
    """The real base model: some 5 GB of memory and a minute."""
    pytest.importorskip("torch")
    type_in(commands()[0])
    rows = "Q,A,label\n" + "".join(f"심심해 {n},그럴 때가 있죠 {n}.,0\n" for n in range(40))
    (there / "ChatbotData.csv.xz").write_bytes(lzma.compress(rows.encode()))
    (train,) = [words for words in commands() if words[1] == "train"]
    train[train.index("--steps") + 1] = "2"
    train[train.index("--batch") + 1] = "2"
    type_in(next(words for words in commands() if words[2] == "script"))
    type_in([*train, "--threads", "1"])
    type_in(next(words for words in commands() if words[2] == "add"))
    told = (
        CliRunner()
        .invoke(app, ["chat", "--persona", "mina", "--once", "오늘 춥다", "--json"])
        .output
    )
    assert json.loads(told.strip().splitlines()[-1])["type"] == "done"
