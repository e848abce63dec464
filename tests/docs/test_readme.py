"""The documents tell the truth: every command and every linked file exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from ohlora.cli import app

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def shell_lines(page: Path) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


COMMANDS = [(page, line) for page in PAGES for line in shell_lines(page)]


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=lambda value: str(value)[-60:])
def test_every_command_in_the_documents_exists(page: Path, line: str) -> None:
    words = shlex.split(line, comments=True)
    program = words[0].removeprefix(".venv/bin/")
    if program == "make":
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert words[1] in targets
    elif program == "ohlora":
        command, rest = typer.main.get_command(app), words[1:]
        while (inner := getattr(command, "commands", None)) and rest and rest[0][0] != "-":
            assert rest[0] in inner, f"{page.name}: no command `{rest[0]}` in `{line}`"
            command, rest = inner[rest[0]], rest[1:]
        known = {name for parameter in command.params for name in parameter.opts}
        known |= {name for parameter in command.params for name in parameter.secondary_opts}
        options = [word.split("=")[0] for word in rest if re.match(r"--?[a-z]", word)]
        assert set(options) <= known | {"--help", "-h", "--version"}, f"{page.name}: {line}"
    else:
        assert program in ("pip", "python", "git", "cd", "export", "curl"), f"{page.name}: {line}"


LINKS = [
    (page, target)
    for page in PAGES
    for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8"))
    if "://" not in target
]


@pytest.mark.parametrize(("page", "target"), LINKS, ids=lambda value: str(value)[-60:])
def test_every_linked_file_exists(page: Path, target: str) -> None:
    assert (page.parent / target).exists(), f"{page.name} links {target}"


def test_the_readmes_open_with_the_two_commands() -> None:
    for name in ("README.md", "README.ko.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        first = re.search(r"```sh\n(.*?)```", text, re.DOTALL)
        assert first is not None and text.index("```sh") < 500
        assert [line.split()[1] for line in first[1].splitlines()] == ["chat", "test"]
