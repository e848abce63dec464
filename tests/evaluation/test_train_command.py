"""`ohlora train`: what it shows and refuses before it trains."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ohlora.cli.train import app
from ohlora.errors import BadInput, CheckpointError
from ohlora.paths import embedded
from ohlora.persona import load_persona
from ohlora.training.llm_data import Row
from ohlora.training.llm_tokens import Coder, embedded_coder
from ohlora.training.preview import preview


@pytest.fixture(scope="module")
def coder() -> Coder:
    return embedded_coder(embedded() / "llm" / "tokenizer.json")


def test_only_the_answer_and_its_end_carry_loss(coder: Coder) -> None:
    (one,) = preview(coder, [Row("나 내일 뭐 하지?", "카페 가잖아!", ("[내일 일정: 카페]",))])
    assert one.text == (
        "<bos>[내일 일정: 카페] 나 내일 뭐 하지? (답변 시작)⟦ 카페 가잖아! (답변 종료)<eos>⟧"
    )
    assert 0 < one.trained < one.tokens


def test_a_row_without_an_answer_stops_the_training(coder: Coder) -> None:
    with pytest.raises(BadInput, match="carries loss"):
        preview(coder, [Row("안녕", "")])


def persona(folder: Path, *rows: dict[str, str]) -> Path:
    (folder / "lines").mkdir()
    (folder / "persona.toml").write_bytes((load_persona().folder / "persona.toml").read_bytes())
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / "lines" / "own.jsonl").write_text(text, encoding="utf-8")
    return folder


def invoke(folder: Path, *more: str):
    corpus = folder / "ChatbotData.csv.xz"
    corpus.write_bytes(lzma.compress("Q,A,label\n심심해,영화 봐요.,0\n".encode()))
    arguments = ["llm", str(folder / "run"), "--chatbot-data", str(corpus), "--persona"]
    return CliRunner().invoke(app, [*arguments, str(folder), "--preview-only", *more])


def test_the_preview_shows_rows_and_trains_nothing(tmp_path: Path) -> None:
    persona(tmp_path, {"q": "뭐 하지 그럼", "a": "산책하자!", "topic": "t"})
    result = invoke(tmp_path)
    assert result.exit_code == 0, result.output
    assert "⟦ 산책하자! (답변 종료)<eos>⟧" in result.output
    assert not (tmp_path / "run").exists()


def test_lines_without_answers_and_no_lines_are_refused(tmp_path: Path) -> None:
    persona(tmp_path, {"q": "뭐 하지 그럼", "a": " ", "topic": "t"})
    assert "own.jsonl:1: 'a' has no text" in str(invoke(tmp_path).exception)
    (tmp_path / "lines" / "own.jsonl").write_text("")
    assert "no line to train on" in str(invoke(tmp_path).exception)


def test_a_corpus_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["llm", str(tmp_path / "run"), "--chatbot-data", str(tmp_path / "none.xz")]
    )
    assert isinstance(result.exception, CheckpointError)
    assert "none.xz" in str(result.exception)


def test_a_job_shows_rows_of_its_own_template(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("q,a\n나 내일 카페 가,[내일 일정: 카페 가기]\n", encoding="utf-8")
    result = CliRunner().invoke(
        app,
        ["llm", str(tmp_path / "run"), "--job", "memory", "--data", str(pairs), "--preview-only"],
    )
    assert result.exit_code == 0, result.exception
    want = "나 내일 카페 가 (기억 시작)⟦ [내일 일정: 카페 가기] (기억 종료)<eos>⟧"
    assert want in result.output


@pytest.mark.parametrize(
    ("option", "value"), [("--job", "poem"), ("--preset", "v9")], ids=["job", "preset"]
)
def test_a_job_or_preset_nobody_knows_is_named(tmp_path: Path, option: str, value: str) -> None:
    result = CliRunner().invoke(app, ["llm", str(tmp_path / "run"), option, value])
    assert isinstance(result.exception, BadInput)
    assert f"There is no {option[2:]} '{value}': choose among" in str(result.exception)
