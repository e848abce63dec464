"""Whole evaluations with a scripted language model: real turns, real store, real encoder."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ohlora.cli.eval import app
from ohlora.dialogue.prompt import Prompt
from ohlora.embedding import load_encoder
from ohlora.errors import BadInput, StoreError
from ohlora.evaluation import chat, encoder, memory, persona, report, sets
from ohlora.evaluation.report import Number, Plot, Report
from ohlora.evaluation.talk import Models
from ohlora.face import load_face
from ohlora.lines import Lines
from ohlora.llm import Sampling
from ohlora.persona import load_persona


class Echo:
    """Answers by a function of the prompt."""

    id, context_tokens = "echo", 2048

    def __init__(self, answer: Callable[[Prompt], str]) -> None:
        self.answer = answer

    def count_tokens(self, text: str) -> int:
        return len(text)

    def generate(
        self, prompt: Prompt, sampling: Sampling, stopped: Callable[[], bool]
    ) -> Generator[str, None, str]:
        yield self.answer(prompt)
        return "stopped" if stopped() else "stop"


@pytest.fixture(scope="module")
def words():
    return load_encoder()


def models(words, answer: Callable[[Prompt], str]) -> Models:
    return Models(load_persona(), Echo(answer), words, Lines([], words), load_face())


def value(result: Report, what: str) -> float:
    return next(number.value for number in result.numbers if number.what == what)


def test_who_knows_everything_gets_one_and_who_knows_nothing_zero(words) -> None:
    def wise(prompt: Prompt) -> str:
        return "난 23살, 10월 11일에 태어난 오로라야!"

    asked = sets.persona_questions("development")
    said = {q.text: wise for q in asked if q.kind in ("age", "who")}
    result = persona.evaluate(
        models(words, lambda p: said[p.user](p) if p.user in said else "글쎄 모르겠네"),
        "development",
        limit=40,
    )
    assert value(result, "facts right") > 0.4
    assert all(row["reply"] == "글쎄 모르겠네" for row in result.failures)
    assert value(result, "answered by her lines") == 0.0
    silly = persona.evaluate(models(words, lambda p: "음음"), "development", limit=40)
    assert value(silly, "facts right") == 0.0


def test_a_wrong_claim_makes_a_matching_answer_wrong(words) -> None:
    result = persona.evaluate(
        models(words, lambda p: "오로라야! 응, 사람이야."), "development", limit=5
    )
    assert value(result, "facts right") == 0.0
    assert value(result, "replies with a wrong fact") == 1.0


def test_boundaries_are_kept_by_kind_and_flaws_are_counted(words) -> None:
    caring = chat.evaluate(
        models(words, lambda p: "힘들었겠다. 109에 전화해 줘, 병원에 가서 전문가와 상담하자."),
        "development",
        limit=20,
    )
    kinds = caring.plots[0].values
    assert kinds["self-harm"] == kinds["medical"] == 1.0
    assert kinds["harmless"] == 0.0  # a hotline for "배고파서 죽을 지경이야"
    assert value(caring, "unanswered") == 0.0
    assert value(caring, "most frequent reply") == 1.0

    rude = chat.evaluate(
        models(words, lambda p: "멍청이야, 꺼져요! ] мне"), "development", limit=20
    )
    assert value(rude, "boundaries kept") < 0.2
    assert value(rude, "stray signs") == value(rude, "존댓말") == 1.0


def test_silence_counts_as_unanswered(words) -> None:
    result = chat.evaluate(models(words, lambda p: ""), "development", limit=3)
    assert value(result, "unanswered") == 1.0


def test_ratings_are_kept_for_the_same_reply_and_counted(words, tmp_path: Path) -> None:
    her = models(words, lambda p: "그랬구나, 더 얘기해 줘!")
    first = chat.evaluate(her, "development", limit=4)
    assert "sensible everyday replies" not in [n.what for n in first.numbers]
    path = tmp_path / chat.RATINGS
    chat.write_ratings(path, first.rows)
    text = path.read_text("utf-8").splitlines()
    path.write_text("\n".join([text[0], *(f"{i % 2}{row}" for i, row in enumerate(text[1:]))]))
    again = chat.evaluate(her, "development", limit=4, ratings=chat.read_ratings(path))
    assert value(again, "sensible everyday replies") == 0.5
    changed = models(words, lambda p: "다른 답이야!")
    other = chat.evaluate(changed, "development", limit=4, ratings=chat.read_ratings(path))
    assert "sensible everyday replies" not in [n.what for n in other.numbers]


def test_a_rating_that_is_no_rating_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ratings.tsv"
    path.write_text("sensible\tturn\treply\nmaybe\ta\tb\n")
    with pytest.raises(BadInput, match="ratings.tsv:2"):
        chat.read_ratings(path)


def script(*steps: dict[str, object]) -> sets.Script:
    return sets.Script("test", tuple(map(sets.step, steps)))


def test_what_was_told_is_recalled_days_later_and_what_was_deleted_is_not(words) -> None:
    her = models(words, lambda p: " ".join(p.memories) or "글쎄")
    told, gone, idle = memory.play(
        her,
        script(
            {"at": "2026-11-24 10:00"},
            {"say": "나 내일 친구랑 카페 가"},
            {"at": "2026-11-25 09:00"},
            {"ask": "나 오늘 뭐 하지?", "want": "카페"},
            {"forget": "카페"},
            {"ask": "나 오늘 뭐 하지?", "want": None, "kind": "deleted"},
            {"ask": "심심하다", "want": None},
        ),
    )
    assert told.right and told.used == ("[오늘 일정: 친구랑 카페 가기]",)
    assert told.ndcg() == pytest.approx(1.0)
    assert gone.right and gone.live == () and idle.right


def test_memory_scores_tell_a_miss_from_a_false_alarm(words) -> None:
    step = sets.Step(ask="?", want="카페")
    said = memory.Said("?", "글쎄", "llm", ())
    missed = memory.Asked("s", step, said, ("[오늘 일정: 카페 가기]",), ("[오늘 일정: 카페 가기]",))
    idle = memory.Asked(
        "s", sets.Step(ask="?"), memory.Said("?", "", "llm", ("[상태: 좋음]",)), (), ()
    )
    result = memory.report(models(words, lambda p: ""), [missed, idle])
    assert value(result, "Recall@1, at the threshold") == 0.0
    assert value(result, "Recall@1, ranking") == value(result, "NDCG@10") == 1.0
    assert value(result, "abstention precision") == value(result, "abstention recall") == 0.0
    assert len(result.failures) == 2


def test_held_out_turns_stand_in_the_folder_only_and_the_sets_share_no_file(
    words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    her = models(words, lambda p: "음음")
    monkeypatch.setattr("ohlora.cli.eval.load", lambda *args: her)
    turns = {}
    for command in ("persona", "chat", "memory"):
        for which in ("held-out", "development"):
            result = CliRunner().invoke(
                app,
                [command, "--set", which, "--limit", "1", "--out", str(tmp_path), "--json"],
            )
            printed = json.loads(result.stdout)
            kept = json.loads((tmp_path / f"{printed['name']}.json").read_text("utf-8"))
            assert printed["setting"]["set"] == kept["setting"]["set"] == which
            assert bool(printed["rows"]) == (which == "development") and kept["rows"]
            turns[printed["name"]] = {row["turn"] for row in kept["rows"]}
    assert set(turns) == {
        name + end for name in ("persona", "chat", "memory") for end in ("", "-development")
    }
    apart = all(not turns[name] & turns[f"{name}-development"] for name in ("persona", "chat"))
    assert apart
    assert {"ratings.tsv", "ratings-development.tsv"} <= {p.name for p in tmp_path.iterdir()}


def test_the_encoder_is_scored_on_the_two_sets(words, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"sts-test\.tsv"):
        encoder.evaluate(words, tmp_path)
    (tmp_path / "kor_nlu").mkdir()
    (tmp_path / "klue_dev").mkdir()
    pairs = [
        ("고양이가 잔다", "고양이가 자고 있다", 5.0),
        ("고양이가 잔다", "고양이가 논다", 2.5),
        ("고양이가 잔다", "주가가 올랐다", 0.0),
    ]
    rows = ["g\tf\ty\ti\tscore\ta\tb"] + [f"x\tx\tx\tx\t{s}\t{a}\t{b}" for a, b, s in pairs]
    (tmp_path / "kor_nlu" / "sts-test.tsv").write_text("\n".join(rows), "utf-8")
    klue = [{"sentence1": a, "sentence2": b, "labels": {"real-label": s}} for a, b, s in pairs]
    (tmp_path / "klue_dev" / "klue-sts-v1.1_dev.json").write_text(json.dumps(klue), "utf-8")
    result = encoder.evaluate(words, tmp_path)
    assert value(result, "KorSTS test, Spearman") == pytest.approx(1.0)
    assert value(result, "KLUE-STS dev, Spearman") == pytest.approx(1.0)


class Parts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_results_become_json_one_page_without_outside_parts_and_markdown(tmp_path: Path) -> None:
    result = Report(
        "persona",
        "Who she is",
        {"engine": "echo"},
        [Number("facts right", 0.9, of=10, bar=0.95), Number("time", 3.0, "ms")],
        [Plot("by fact", {"age": 1.0, "<name>": 0.5}, bar=0.95)],
        failures=[{"kind": "age", "turn": "<b>?", "reply": "&", "right": False}],
        command="ohlora eval persona",
    )
    page = report.write(tmp_path, result).read_text("utf-8")
    parts = Parts()
    parts.feed(page)
    tags = [tag for tag, _ in parts.tags]
    assert tags.count("svg") == 1 and tags.count("rect") == 2
    assert not {"script", "link", "img", "iframe", "b"} & set(tags)
    assert not [a for _, a in parts.tags if {"src", "href"} & set(a)]
    text = (tmp_path / "evaluation.md").read_text("utf-8")
    assert "| facts right | 0.900 of 10 | >= 0.95, **not reached** |" in text
    (again,) = report.read_all(tmp_path)
    assert again == result


def test_a_foreign_file_in_the_results_is_named(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text("{}")
    with pytest.raises(BadInput, match=r"package\.json is no result"):
        report.read_all(tmp_path)


def test_a_folder_that_cannot_be_made_is_refused_before_the_measuring(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = CliRunner().invoke(app, ["persona", "--out", str(tmp_path / "file" / "results")])
    assert isinstance(result.exception, StoreError)
    assert "choose another --out" in str(result.exception)
