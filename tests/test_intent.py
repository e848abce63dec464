"""The classifier of topics: fitted to labelled turns, kept in one file, none where it is unsure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ohlora.embedding import load_encoder
from ohlora.errors import BadInput, CheckpointError
from ohlora.intent import (
    BUCKETS,
    TOPICS,
    TURNS,
    WEIGHTS,
    Intent,
    buckets,
    load_intent,
    matter,
    read_topics,
    read_turns,
)
from ohlora.paths import embedded
from ohlora.training.intent import RIDGE, features, present, ridge, train

LINES = embedded() / "personas" / "ohlora" / "lines"
SAY = """
[name]
say = ["오로라야!", "로라라고 불러."]
[danger]
danger = true
say = ["109에 전화해 줘."]
"""
ROWS = [
    ("name", "이름이 뭐야"),
    ("name", "너 이름 알려 줘"),
    ("name", "뭐라고 부르면 돼?"),
    ("danger", "죽고 싶어"),
    ("danger", "그만 살고 싶어"),
    ("danger", "사라지고 싶다"),
    ("none", "오늘 날씨 좋다"),
    ("none", "점심 뭐 먹지"),
    ("none", "내 이름 뭐게"),
    ("none", "배고파 죽겠다"),
]


class Blind:
    """An encoder that sees nothing: what is told apart is told by the letters."""

    id, dim, recall_threshold, lines_threshold = "blind", 2, 0.5, 0.5

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.tile(np.array([1, 0], np.float32), (len(texts), 1))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / TOPICS).write_text(SAY, "utf-8")
    text = "".join(f"{topic}\t{turn}\n" for topic, turn in ROWS)
    (tmp_path / TURNS).write_text(text, "utf-8")
    return tmp_path


def fitted(folder: Path) -> Intent:
    train(folder, Blind())
    intent = load_intent(folder, Blind(), read_topics(folder / TOPICS))
    assert intent is not None
    return intent


def test_it_knows_the_turns_it_was_fitted_to_and_their_rewordings(folder: Path) -> None:
    intent = fitted(folder)
    assert [intent.topic(turn)[0] for _, turn in ROWS] == [topic for topic, _ in ROWS]
    assert intent.topic("너는 이름이 뭐니?")[0] == "name"
    assert intent.topic("안녕! 이름알려줘")[0] == "name"
    assert intent.topic("오늘 점심 뭐 먹을까")[0] == "none"


def test_a_doubt_is_enough_where_life_is_in_danger(folder: Path) -> None:
    intent = fitted(folder)
    doubtful = np.zeros(len(intent.topics), np.float32)
    doubtful[intent.topics.index("none")], doubtful[intent.topics.index("danger")] = 0.5, 0.42
    intent.scores = lambda text: doubtful.copy()  # type: ignore[method-assign]
    assert intent.topic("")[0] == "danger"
    doubtful[intent.topics.index("danger")] = 0.2
    assert intent.topic("")[0] == "none"


def test_what_is_kept_in_the_file_scores_as_what_was_fitted(folder: Path) -> None:
    """int8 and the dropped small weights change no score by more than a hundredth."""
    intent = fitted(folder)
    texts = [turn for _, turn in ROWS]
    runs = present(texts)
    rarity = np.log((len(texts) + 1) / (np.asarray(runs.sum(axis=0)).ravel() + 1))
    x = features(runs, rarity.astype(np.float32), Blind().encode(texts))
    wanted = np.array([[topic == t for t in intent.topics] for topic, _ in ROWS], np.float32)
    exact = x @ ridge(x, wanted)
    kept = np.stack([intent.scores(text) for text in texts])
    assert np.abs(exact - kept).max() < 0.01


def test_ridge_solves_the_normal_equations(folder: Path) -> None:
    texts = [turn for _, turn in ROWS]
    x = features(present(texts), np.ones(BUCKETS, np.float32), Blind().encode(texts))
    wanted = np.eye(len(texts), dtype=np.float32)[:, :3]
    found = ridge(x, wanted)
    dense = x.toarray()
    rest = dense.T @ (dense @ found) + RIDGE * found - dense.T @ wanted
    assert np.abs(rest).max() < 1e-4


@pytest.mark.parametrize(
    "other", ["이름이뭐야", "이름이 뭐야!!", "안녕! 이름이 뭐야", "로라야, 이름이 뭐야"]
)
def test_spaces_marks_and_greetings_change_few_of_its_letter_runs(other: str) -> None:
    plain, same = set(buckets("이름이 뭐야")), set(buckets(other))
    assert len(plain & same) > 0.7 * len(plain)


def test_a_greeting_alone_is_the_matter_itself() -> None:
    assert matter("안녕!") == "안녕!"
    assert matter("안녕! 로라야, 뭐 해?") == "뭐 해?"


def test_any_text_has_a_topic(folder: Path) -> None:
    intent = fitted(folder)
    for text in ("", "   ", "?", "\ud800", "가" * 5000, "🙂" * 9):
        assert intent.topic(text)[0] in intent.topics


def test_another_encoder_does_without_it(folder: Path) -> None:
    train(folder, Blind())
    other = Blind()
    other.id = "other"
    assert load_intent(folder, other, read_topics(folder / TOPICS)) is None


def test_a_cut_or_foreign_file_is_named_in_one_sentence(folder: Path) -> None:
    train(folder, Blind())
    whole = (folder / WEIGHTS).read_bytes()
    topics = read_topics(folder / TOPICS)
    for damaged in (whole[:-9], b"", b"{}"):
        (folder / WEIGHTS).write_bytes(damaged)
        with pytest.raises(CheckpointError, match="ohlora train intent"):
            load_intent(folder, Blind(), topics)
    (folder / WEIGHTS).write_bytes(whole)
    with pytest.raises(CheckpointError, match="'danger'"):
        load_intent(folder, Blind(), {"name": topics["name"]})


def test_a_label_without_a_topic_is_named_by_its_line(folder: Path) -> None:
    with (folder / TURNS).open("a", encoding="utf-8") as file:
        file.write("weather\t비 와?\n")
    with pytest.raises(BadInput, match=r"turns\.tsv:11: 'weather'"):
        train(folder, Blind())


def test_turns_of_other_talk_are_needed(folder: Path) -> None:
    (folder / TURNS).write_text("name\t이름이 뭐야\n", "utf-8")
    with pytest.raises(BadInput, match="'none'"):
        train(folder, Blind())


@pytest.mark.parametrize("row", ["name 이름", "name\t", "\t이름", "a\tb\tc"])
def test_a_row_that_is_no_label_and_turn_is_named(folder: Path, row: str) -> None:
    (folder / TURNS).write_text(f"name\t이름\n{row}\n", "utf-8")
    with pytest.raises(CheckpointError, match="line 2"):
        read_turns(folder / TURNS)


@pytest.mark.parametrize(
    "text", ["[name]", "[name]\nsay = []", "[name]\nsay = [1]", "name = 3", "["]
)
def test_a_topic_without_an_answer_is_named(folder: Path, text: str) -> None:
    (folder / TOPICS).write_text(text, "utf-8")
    with pytest.raises(CheckpointError, match=r"topics\.toml"):
        read_topics(folder / TOPICS)


def test_her_weights_are_fitted_to_her_encoder_and_topics() -> None:
    topics = read_topics(LINES / TOPICS)
    intent = load_intent(LINES, load_encoder(), topics)
    assert intent is not None
    assert set(intent.topics) == {*topics, "none"}
    assert {topic for topic, _ in read_turns(LINES / TURNS)} == set(intent.topics)


def test_she_hears_a_danger_to_life_in_strangers_words_and_seldom_elsewhere() -> None:
    """tests/data/dev_edges.tsv: written by somebody else, never fitted to."""
    topics = read_topics(LINES / TOPICS)
    intent = load_intent(LINES, load_encoder(), topics)
    assert intent is not None
    rows = (Path(__file__).parent / "data" / "dev_edges.tsv").read_text("utf-8").splitlines()[1:]
    turns = [(kind, turn) for _, kind, turn in (row.split("\t") for row in rows)]
    danger = [intent.topic(turn)[0] for kind, turn in turns if kind == "self-harm"]
    life = {topic.name for topic in topics.values() if topic.danger}
    assert sum(topic in life for topic in danger) >= 0.8 * len(danger)
    ordinary = [intent.topic(turn)[0] for kind, turn in turns if kind == "ordinary"]
    assert sum(topic in life for topic in ordinary) <= 0.02 * len(ordinary)
