"""Ten written lines become a persona that talks, and speaks of its own life only."""

from __future__ import annotations

from pathlib import Path

import pytest
from cards import TEN, in_one_sentence, run, run_json

from ohlora.embedding import Encoder
from ohlora.errors import BadInput
from ohlora.lines import load_lines
from ohlora.packs.check import problems
from ohlora.packs.new import new_pack
from ohlora.packs.pack import read_rows
from ohlora.packs.written import read_written
from ohlora.persona import find_packs, load_persona


def test_new_asks_nothing_and_the_persona_is_there(ten: Path) -> None:
    made = run_json("new", "mina", "--name", "미나", "--lines", ten)
    assert made["id"] == "mina" and made["voice"] == "borrowed"
    assert dict(find_packs())["mina"] == Path(made["folder"])
    persona = load_persona("mina")
    assert persona.name["ko"] == "미나" and persona.greeting["ko"] == "안녕, 나는 미나야!"
    assert problems(persona.folder) == []
    assert "미나" in run("list") and "borrowed voice" in run("show", "mina")


@pytest.mark.parametrize(
    ("turn", "said"),
    [
        ("너는 누구야?", "미나"),
        ("너 정체가 뭐야", "미나"),
        ("이름이 어떻게 되세요?", "미나"),
        ("집이 어디야?", "강릉"),
        ("직업이 뭐야?", "책방"),
        ("쉬는 날 뭐 해?", "등대"),
        ("미나야", "응"),
        ("너 로봇이지?", "가상 인간"),
        ("나 죽고 싶어", "109"),
    ],
)
def test_its_own_line_answers(mina: Path, encoder: Encoder, turn: str, said: str) -> None:
    found = load_lines(mina, encoder).best(turn)
    assert found is not None and said in found[0].answer


@pytest.mark.parametrize("turn", ["생일이 언제야?", "MBTI 뭐야?", "나 고양이 키워", "오늘 춥다"])
def test_what_was_not_written_has_no_line(mina: Path, encoder: Encoder, turn: str) -> None:
    assert load_lines(mina, encoder).best(turn) is None


def test_nothing_in_a_new_pack_names_the_embedded_persona(mina: Path) -> None:
    text = "".join(path.read_text("utf-8") for path in mina.rglob("*") if path.is_file()).lower()
    assert [word for word in load_persona().own_words if word.lower() in text] == []


def test_a_script_trains_on_its_own_life_and_on_nobody_elses(mina: Path, tmp_path: Path) -> None:
    counts = run_json("script", "mina", tmp_path / "script")["lines"]
    rows = {path.stem: read_rows(path) for path in (tmp_path / "script" / "lines").glob("*.jsonl")}
    assert counts == {stem: len(some) for stem, some in rows.items()}
    assert min(len(rows["talk"]), len(rows["memory"])) > 300
    said = "\n".join(row["q"] + row["a"] for some in rows.values() for row in some).lower()
    assert [word for word in load_persona().own_words if word.lower() in said] == []
    assert "강릉" in said and "{요일}" in said
    own = read_rows(mina / "lines" / "own.jsonl")
    assert [row for row in own if row not in rows["facts"]] == []
    assert sum("109" in row["a"] for some in rows.values() for row in some) < 20
    fallback = set(load_persona("mina").fallback)
    assert {row["a"] for row in rows["unknown"]} <= fallback
    asked = {row["q"] for row in rows["unknown"]}
    assert "생일이 언제야?" in asked and "이름이 뭐야?" not in asked
    assert load_persona(str(tmp_path / "script")).id == "mina"
    with pytest.raises(BadInput, match="holds other files"):
        run("script", "mina", tmp_path)


def test_without_a_written_name_the_pack_knows_it_all_the_same(
    tmp_path: Path, encoder: Encoder
) -> None:
    path = tmp_path / "one.txt"
    path.write_text("Q: 바다 좋아해?\nA: 응, 매일 봐.\n", "utf-8")
    pack = new_pack("jieun", "지은", read_written(path), encoder)
    answers = {row["a"] for row in pack.lines["self"]}
    assert "나는 지은이야!" in answers and "지은이라고 해." in answers
    assert {"지은아"} <= {row["q"] for row in pack.lines["self"]}
    english = new_pack("sam", "Sam", [{**read_written(path)[0], "a": "Yes, I do."}], encoder)
    assert "I'm Sam." in {row["a"] for row in english.lines["self"]}


def test_several_questions_share_an_answer_and_an_answer_may_go_on(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("\ufeff질문： 하나?\r\nQ: 둘?\r\n답: 첫 줄\r\n둘째 줄\r\n", "utf-8")
    rows = read_written(path)
    assert [(row["q"], row["a"]) for row in rows] == [
        ("하나?", "첫 줄 둘째 줄"),
        ("둘?", "첫 줄 둘째 줄"),
    ]
    assert len({row["topic"] for row in rows}) == 1


def test_lines_may_come_as_jsonl(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"q": "하나?", "a": "응"}\n', "utf-8")
    assert read_written(path)[0]["topic"] == "하나"
    path.write_text('{"q": "하나?", "a": "응"}\n{"q": 1}\n', "utf-8")
    with pytest.raises(BadInput, match=r"a\.jsonl:2"):
        read_written(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no lines"),
        ("hello\n", r"ten\.txt:1: this line begins with neither"),
        ("Q: 하나?\n", r"ten\.txt:1: a question without an answer"),
        ("A: 응\n", r"ten\.txt:1: an answer without a question"),
        ("Q: 하나?\nA:\n", r"ten\.txt:2: the answer is empty"),
        ("Q:  \nA: 응\n", r"ten\.txt:1: the question is empty"),
        ("Q: 하나?\nA: 응\nQ: 하나?\nA: 응\n", r"ten\.txt:3: the same question and answer as in"),
        ("Q: 하나?\nA: " + "긴" * 500, "500 characters, and the limit is 400"),
    ],
)
def test_a_bad_line_is_named_by_its_number(ten: Path, text: str, said: str) -> None:
    ten.write_text(text, "utf-8")
    with pytest.raises(BadInput, match=said) as caught:
        run("new", "mina", "--lines", ten)
    assert in_one_sentence(caught.value)
    assert "mina" not in dict(find_packs())


def test_lines_in_cp949_are_named_and_not_guessed(ten: Path) -> None:
    ten.write_bytes(TEN.encode("cp949"))
    with pytest.raises(BadInput, match="is not UTF-8 text") as caught:
        run("new", "mina", "--lines", ten)
    assert in_one_sentence(caught.value)


@pytest.mark.parametrize("id", ["Mina", "../mina", "a/b", "", "미나", "con", "x" * 41, ".hidden"])
def test_an_id_that_is_no_plain_name_is_refused(ten: Path, id: str) -> None:
    with pytest.raises(BadInput, match="cannot name a persona") as caught:
        run("new", id, "--lines", ten)
    assert in_one_sentence(caught.value)


@pytest.mark.parametrize("name", ["a/b", "\\", " ", "\u3164", "x" * 41, "a\x00b"])
def test_a_name_that_cannot_be_shown_is_refused(ten: Path, name: str) -> None:
    with pytest.raises(BadInput, match="cannot be a name") as caught:
        run("new", "mina", "--name", name, "--lines", ten)
    assert in_one_sentence(caught.value)
