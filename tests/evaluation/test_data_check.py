"""`ohlora data check` on lines with one fault each, and on her own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ohlora.cli.data import app
from ohlora.errors import BadInput, CheckpointError
from ohlora.evaluation import data_check, sets
from ohlora.evaluation.facts import contradictions, load_facts
from ohlora.persona import Persona, load_persona


@pytest.fixture
def persona(tmp_path: Path) -> Persona:
    """Her rules, without her lines."""
    own = load_persona()
    (tmp_path / "lines").mkdir()
    (tmp_path / "facts.toml").write_bytes((own.folder / "facts.toml").read_bytes())
    return replace(own, folder=tmp_path)


def rules(persona: Persona, *rows: object) -> dict[str, str]:
    """Rule -> level of the problems found in one file of these rows."""
    text = "".join(
        (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)) + "\n"
        for row in rows
    )
    (persona.folder / "lines" / "own.jsonl").write_text(text, encoding="utf-8")
    return {p.rule: p.level for p in data_check.check(persona)}


def line(q: str, a: str) -> dict[str, str]:
    return {"q": q, "a": a, "topic": "t", "split": "train"}


def test_good_lines_have_no_problem(persona: Persona) -> None:
    rows = (
        line("너는 몇 살인 거니", "난 {나이}살이야 😊"),
        line("[학교: 한빛고등학교] 나 어느 학교 다니게?", "한빛고등학교 다니잖아!"),
        line("너는 몇 살인 거니", "올해로 {나이}살이 됐어!"),
    )
    assert rules(persona, *rows) == {}


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        (line("몇 살인 거니", "난 23살이야"), "contradiction"),
        (line("어디 나왔더라", "난 한국고등학교를 나왔어"), "contradiction"),
        (line("유형이 뭐더라", "난 INFP야"), "contradiction"),
        (line("단짝이 있던가", "내 단짝은 민지야!"), "contradiction"),
        (line("사람 같은데", "응, 사람이야!"), "contradiction"),
        (line("오늘 며칠", "오늘은 {달력}이야"), "slot"),
        (line("{나이}살이야?", "응!"), "slot"),
        (line("[열쇠 없음] 뭐 하지", "글쎄!"), "tag"),
        (line("뭐 하지 그럼", "[상태: 좋음] 글쎄!"), "tag"),
        (line("뭐 하지 그럼", "가" * 65), "long answer"),
        (line("뭐" * 300, "응!"), "long question"),
        (line("\u1112\u1161\u11ab\u1100\u1173\u11af 알아?", "응!"), "not NFC"),
        (line("뭐 하지 그럼", "같이 놀아요!"), "존댓말"),
        (line("뭐 하지 그럼", "놀자 http://a.b"), "stray sign"),
        ('{"q": "안녕", "a": ', "json"),
        ({"q": "안녕", "topic": "t"}, "columns"),
        (line("안녕", " "), "columns"),
        ([1, 2], "columns"),
    ],
)
def test_each_fault_is_found_by_its_rule(persona: Persona, row: object, rule: str) -> None:
    assert set(rules(persona, row)) == {rule}


def test_lines_may_be_tuned_on_the_development_sets_and_are_told_so(persona: Persona) -> None:
    turn = sets.persona_questions("development")[0].text
    assert rules(persona, line(turn, "나 오로라야!")) == {"evaluation leak": "warning"}


def test_one_broken_line_does_not_hide_the_next(persona: Persona) -> None:
    assert set(rules(persona, "{", line("몇 살인 거니", "난 23살이야"))) == {
        "json",
        "contradiction",
    }


def test_a_line_twice_is_an_error_and_a_second_answer_is_not(persona: Persona) -> None:
    twice = line("잠이 안 오네", "따뜻한 우유 어때?")
    assert rules(persona, twice, twice) == {"duplicate": "error"}
    assert rules(persona, twice, line("잠이 안 오네", "음악 들어 봐!")) == {}


def test_a_file_in_cp949_is_named_as_such(persona: Persona) -> None:
    path = persona.folder / "lines" / "old.jsonl"
    path.write_bytes(json.dumps(line("안녕", "안녕!"), ensure_ascii=False).encode("cp949"))
    (problem,) = data_check.check(persona)
    assert problem.rule == "encoding" and "cp949" in problem.what


def test_a_persona_without_lines_is_refused(persona: Persona) -> None:
    with pytest.raises(BadInput, match="no .jsonl file"):
        data_check.check(persona)


def test_broken_rules_name_their_file(persona: Persona) -> None:
    (persona.folder / "facts.toml").write_text("[[fact]]\nname = 'x'\nclaims = '('\nright = ''\n")
    with pytest.raises(CheckpointError, match=r"facts\.toml"):
        load_facts(persona.folder)


@pytest.mark.parametrize(
    "text",
    [
        "난 {나이}살이고 ENTJ야!",
        "난 사람이 아니라 가상 인간이야",
        "네가 다닌 고등학교는 어디야?",
        "서울대학교는 안 다녀! 난 샘올대학교 학생이야",
        "구글이 만든 Gemma 위에 만들어졌어",
        "내 단짝은 혜나야",
    ],
)
def test_true_claims_and_denials_are_no_contradiction(text: str) -> None:
    assert contradictions(text, load_facts(load_persona().folder), {"나이": "23"}) == []


def test_her_own_lines_need_no_mending() -> None:
    problems = data_check.withhold(data_check.check(load_persona()))
    found = [p for p in problems if p.level == "error"]
    assert [f"{p.file}:{p.number} {p.rule}: {p.what}" for p in found] == []


def test_a_held_out_turn_among_the_lines_is_told_by_its_place_only(persona: Persona) -> None:
    turn = sets.persona_questions("held-out")[0].text
    rules(persona, line("잠이 안 오네", "따뜻한 우유 어때?"), line(turn, "난 23살이야"))
    (persona.folder / "persona.toml").write_bytes(
        (load_persona().folder / "persona.toml").read_bytes()
    )
    command = ["check", str(persona.folder), "--all"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    assert "own.jsonl:2: error: evaluation leak: a held-out turn" in result.output
    assert "own.jsonl:2: error: contradiction: age: 23" in result.output
    assert "1  of these with a held-out turn" in result.output
    # `in` outside of assert: a failing test must not print the turn
    quiet = turn not in result.output + CliRunner().invoke(app, [*command, "--json"]).output
    assert quiet
    told = turn in CliRunner().invoke(app, [*command, "--show-turns"]).output
    assert told


def test_the_command_counts_and_fails_on_errors(persona: Persona) -> None:
    rules(persona, line("몇 살인 거니", "난 23살이야"))
    (persona.folder / "persona.toml").write_bytes(
        (load_persona().folder / "persona.toml").read_bytes()
    )
    result = CliRunner().invoke(app, ["check", str(persona.folder)])
    assert result.exit_code == 1
    assert "contradiction: age: 23" in result.output
    (found,) = json.loads(CliRunner().invoke(app, ["check", str(persona.folder), "--json"]).stdout)
    assert (found["rule"], found["number"]) == ("contradiction", 1)
