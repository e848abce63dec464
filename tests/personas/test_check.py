"""`ohlora persona validate`: every problem, with file and line, in both languages."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cards import write_adapter
from typer.testing import CliRunner

from ohlora.cli.persona import app
from ohlora.errors import UnknownPersona
from ohlora.packs.check import problems
from ohlora.persona import load_persona

ROW = '{"q": "q", "a": "a", "topic": "t"}'


def validate(folder: Path) -> tuple[int, list[dict[str, Any]]]:
    result = CliRunner().invoke(app, ["validate", str(folder), "--json"])
    return result.exit_code, json.loads(result.output)


def add(name: str, text: str) -> Callable[[Path], Any]:
    def write(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        old = path.read_text("utf-8") if path.exists() else ""
        path.write_text(old + text, "utf-8")

    return write


def change(name: str, old: str, new: str) -> Callable[[Path], Any]:
    def write(folder: Path) -> None:
        text = (folder / name).read_text("utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1), "utf-8")

    return write


def test_the_embedded_persona_and_a_new_one_are_sound(mina: Path) -> None:
    assert validate(mina) == (0, [])
    assert problems(load_persona().folder) == []


@pytest.mark.parametrize(
    ("spoil", "where", "said"),
    [
        (lambda f: (f / "persona.toml").unlink(), "persona.toml", "is missing"),
        (add("persona.toml", "x = \n"), "persona.toml:49", "not readable TOML"),
        (change("persona.toml", 'id = "mina"', 'id = "other"'), "persona.toml:1", "same name"),
        (change("persona.toml", 'id = "mina"', 'id = "a/b"'), "persona.toml:1", "1 to 40 of"),
        (change("persona.toml", 'ko = "미나"', "kr = 1"), "persona.toml:4", "name.ko must be a"),
        (change("persona.toml", "[greeting]", "[hello]"), "persona.toml:1", "greeting.ko must"),
        (change("persona.toml", 'license = ""', "first_year = '올해'"), "persona.toml:3",
         "first_year must be a year"),
        (change("persona.toml", 'license = ""', "born = 2003"), "persona.toml:3", "a date such as"),
        (change("persona.toml", "[fallback]", "[fall]"), "persona.toml:1", "fallback.lines must"),
        (change("persona.toml", "top_p = 0.9", "top_p = 9"), "persona.toml:47", "top_p = 9"),
        (change("persona.toml", "top_p", "warmth"), "persona.toml:47", "no setting warmth"),
        (add("persona.toml", "[models]\nengin = 'x'\n"), "persona.toml:50", "no setting engin"),
        (add("persona.toml", "[expressions]\njoy = {eyes = 9, mouth = 0, pose = 0}\n"),
         "persona.toml:50", "expressions.joy wants"),
        (add("lines/own.jsonl", "{\n"), "lines/own.jsonl:12", "want one JSON object"),
        (add("lines/own.jsonl", '{"q": "a"}\n'), "lines/own.jsonl:12", "want one JSON object"),
        (add("lines/own.jsonl", f"{ROW}\n{ROW}\n"), "lines/own.jsonl:13",
         "the same question and answer as lines/own.jsonl:12"),
        (add("lines/own.jsonl", ROW.replace('"a"}', '""}').replace('"a",', '" ",')),
         "lines/own.jsonl:12", "the answer is empty"),
        (add("lines/own.jsonl", ROW.replace('"t"', '" "')), "lines/own.jsonl:12", "topic is empty"),
        (add("lines/own.jsonl", ROW.replace('"a",', '"a\\ud800",')), "lines/own.jsonl:12",
         "half a character"),
        (add("lines/own.jsonl", ROW.replace('"a",', f'"{"a" * 401}",')), "lines/own.jsonl:12",
         "the limit is 400"),
        (add("lines/own.jsonl", ROW.replace('"a",', '"{키}야",')), "lines/own.jsonl:12", "no slot"),
        (add("lines/own.jsonl", ROW.replace('"a",', '"a (답변 종료)",')), "lines/own.jsonl:12",
         "the model's own mark"),
        (lambda f: (f / "lines/own.jsonl").write_bytes("가".encode("cp949")), "lines/own.jsonl",
         "is not UTF-8"),
        (lambda f: [path.unlink() for path in (f / "lines").iterdir()], "lines", "has no lines"),
        (change("lines/answers.toml", "own = [", "owm = ["), "lines/answers.toml:1",
         "owm names no file"),
        (change("lines/answers.toml", "어디_살아", "어디"), "lines/answers.toml:4",
         "has the topic '어디'"),
        (add("lines/answers.toml", "politic = '('\n"), None, "always.politic wants"),
        (add("lines/answers.toml", "x = \n"), None, "not readable TOML"),
        (add("lines/topics.toml", "[a]\nsay = 3\n"), "lines/topics.toml", "must be a list"),
        (add("lines/topics.toml", '[a]\nsay = ["{키}야"]\n'), "lines/topics.toml:1", "no slot"),
        (add("lines/topics.toml", '[a]\nsay = ["b"]\n'), "lines/topics.toml", "no turn reaches"),
        (add("lines/turns.tsv", "none\t안녕\na\t누구야\n"), "lines/turns.tsv:2", "is no topic of"),
        (lambda f: (f / "lines/turns.tsv").write_bytes("none\t가".encode("cp949")),
         "lines/turns.tsv", "not readable"),
        (add("lines/turns.tsv", "none 안녕\n"), "lines/turns.tsv", "line 1 must be"),
        (lambda f: write_adapter(f / "adapter", width=641), "adapter/adapter_model.safetensors",
         "does not fit the base"),
        (add("adapter/adapter_config.json", "{}"), "adapter/adapter_config.json", "no settings"),
        (add("adapter/adapter_config.json", '{"r": 2, "lora_alpha": 2}'),
         "adapter/adapter_model.safetensors", "is missing"),
        (add("face/index.json", "{}"), "face/index.json", "cannot be read"),
        (add("face/z.csv", "0\nnan\n"), "face/z.csv", "one row of numbers"),
        (add("card.json", "{"), "card.json", "not JSON"),
    ],
)  # fmt: skip
def test_each_problem_is_named_where_it_is(
    mina: Path, spoil: Callable[[Path], Any], where: str | None, said: str
) -> None:
    spoil(mina)
    code, found = validate(mina)
    assert code == 1
    told = [one for one in found if said in one["message"]]
    assert told, found
    assert where is None or told[0]["where"] == where
    for one in found:
        assert one["message"].rstrip(")").endswith((".", ":")) and "\n" not in one["message"]
        assert any("가" <= char <= "힣" for char in one["message_ko"])


def test_all_problems_are_told_at_once(mina: Path) -> None:
    add("lines/own.jsonl", "{\n{\n")(mina)
    change("persona.toml", "top_p = 0.9", "top_p = 9")(mina)
    assert len(validate(mina)[1]) == 3
    result = CliRunner().invoke(app, ["validate", "mina"])
    assert result.exit_code == 1
    assert f"{mina}/lines/own.jsonl:13: want one JSON object" in result.output


def test_an_adapter_for_another_base_is_not_measured_against_ours(mina: Path) -> None:
    write_adapter(mina / "adapter", width=2048)
    assert len(problems(mina)) == 1
    add("persona.toml", "[models]\nengine = 'hf:./base+./adapter'\n")(mina)
    assert problems(mina) == []


def test_an_unknown_persona_is_named() -> None:
    result = CliRunner().invoke(app, ["validate", "nobody"])
    assert isinstance(result.exception, UnknownPersona)
