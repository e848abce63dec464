"""Files of pairs: what is read, and what is said of a file that cannot be trained on."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest

from ohlora.errors import BadInput
from ohlora.expression import Expression
from ohlora.expression.learned import FACES
from ohlora.llm.jobs import JOBS, NOTHING, face_said, facts_said, words_of
from ohlora.training.llm_data import Row, read_pairs
from ohlora.training.llm_jobs import job_rows, summary_of


def test_ours_and_v1s_columns_are_read_and_marked_rows_are_held_out(tmp_path: Path) -> None:
    ours, v1 = tmp_path / "a.csv", tmp_path / "b.csv.xz"
    ours.write_text(
        'q,a,split\n"[이름: 지수] 나 누구게?","지수, 맞지?",test\n', encoding="utf-8-sig"
    )
    text = ",data_type,input_data,output_data\n0,train,[상태: 좋음] 안녕,반가워\n1,valid,응,그래\n"
    v1.write_bytes(lzma.compress(text.encode()))
    assert read_pairs(ours) == [Row("나 누구게?", "지수, 맞지?", ("[이름: 지수]",), "test")]
    assert read_pairs(v1, exact=True) == [
        Row("[상태: 좋음] 안녕", "반가워"), Row("응", "그래", split="test")
    ]  # fmt: skip


CP949 = "안녕하세요".encode("cp949")
FAULTS = {
    "cp949": (b"q,a\n" + CP949 + b"," + CP949 + b"\n", r":2 is not UTF-8 \(it reads as cp949\)"),
    "no encoding": (b"q,a\n\xff\xfe\xff,\x81\n", "no Korean encoding I know"),
    "missing column": ("q,answer\n응,응\n".encode(), r":2 has no 'a'.*found 'q', 'answer'"),
    "open quote": ('q,a\n응,응\n"응,응\n그래,응\n'.encode(), r":3: the quotes are broken"),
    "stray quote": ('q,a\n"응"이,응\n'.encode(), r":2: the quotes are broken"),
    "empty answer": ("q,a\n응,응\n응,  \n".encode(), r":3: 'a' has no text"),
    "empty question": ("q,a\n,응\n".encode(), r":2: 'q' has no text"),
    "short row": ("q,a\n응\n".encode(), r":2: 'a' has no text \(None\)"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_table_is_one_sentence_with_file_and_line(tmp_path: Path, fault: str) -> None:
    data, want = FAULTS[fault]
    path = tmp_path / "pairs.csv"
    path.write_bytes(data)
    with pytest.raises(BadInput, match=want) as caught:
        read_pairs(path)
    assert str(caught.value).startswith(str(path)) and caught.value.ko != caught.value.en


@pytest.mark.parametrize(
    ("line", "want"),
    [
        ('{"q": "응", "a": "그래}', ":1: want one JSON object.*check its quotes"),
        ('["응", "그래"]', ":1: want one JSON object"),
        ('{"q": "응", "a": 3}', ":1: 'a' has no text"),
    ],
)
def test_a_broken_line_of_json_is_named(tmp_path: Path, line: str, want: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(BadInput, match=want) as caught:
        read_pairs(path)
    assert caught.value.ko != caught.value.en


def test_a_cut_archive_and_a_missing_file_are_named(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv.xz"
    path.write_bytes(lzma.compress(b"q,a\n" * 100)[:40])
    for broken in (path, tmp_path / "none.csv"):
        with pytest.raises(BadInput, match="cannot be read.*give a file that is whole"):
            read_pairs(broken)


def test_every_job_has_a_template_of_its_own_that_nobody_can_imitate() -> None:
    assert JOBS["answer"].prompt("안녕", ["[이름: 지수]"]) == "[이름: 지수] 안녕 (답변 시작)"
    for job in JOBS.values():
        typed = f"안녕 {JOBS['memory'].stop} {job.start} [이름: 철수]"
        asked = job.prompt(typed)
        assert asked.count(job.start) == 1 and asked.endswith(job.start)
        assert "[" not in asked
        assert job.answer("응") == f" 응 {job.stop}"
    assert len({job.start for job in JOBS.values()}) == len(JOBS)


def test_the_words_for_a_face_are_read_back_as_the_nearest_face() -> None:
    assert words_of(FACES["surprise"]) == "눈 아주 크게 입 아주 크게 고개 돌림 없음"
    assert words_of(FACES["refuse"]) == "눈 작게 입 보통 고개 돌림 많이"
    for face in FACES.values():
        said = face_said(words_of(face))
        assert said is not None and words_of(said) == words_of(face)
        assert abs(said.eyes - face.eyes) + abs(said.pose - face.pose) < 1.5
    assert face_said("기뻐") is None
    assert face_said("눈 크게 입 보통 고개 돌림 없음") == Expression(0.55, -0.7, -1.1)


def test_facts_are_read_from_an_answer_and_nothing_from_a_broken_one() -> None:
    assert facts_said("[이름: 지수] [나이: 25]") == [("이름", "지수"), ("나이", "25")]
    assert facts_said(NOTHING) == facts_said("[이름 지수") == facts_said("[: 지수]") == []


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lines")
    told = [f"나 {food} 좋아해" for food in ("초밥", "라면", "김밥", "떡볶이", "냉면")]
    said = [*told, "안녕", "뭐 해?", "심심하네", "잘 자", "고마워", "그래?", "ㅋㅋㅋ"]
    rows = [json.dumps({"q": turn, "a": "응", "topic": "t"}, ensure_ascii=False) for turn in said]
    rows.append('{"q": "나 만두 좋아해", "a": "응", "topic": "t", "split": "test"}')
    (folder / "a.jsonl").write_text("\n".join(rows), encoding="utf-8")
    return folder


@pytest.mark.parametrize("job", ["memory", "expression", "summary"])
def test_rows_of_a_job_come_from_the_projects_own_rules(job: str, lines: Path) -> None:
    rows = job_rows(job, lines)
    assert rows == job_rows(job, lines)
    assert not any("만두" in row.user for row in rows)  # a line marked test
    assert [row.split for row in rows[:6]] == ["test", *["train"] * 4, "test"]
    if job == "memory":
        told = [row for row in rows if row.answer != NOTHING]
        assert all(facts_said(row.answer) for row in told)
        assert len(told) == len(rows) / 2 >= 5
    elif job == "expression":
        assert all(face_said(row.answer) for row in rows)
    else:
        assert summary_of(["나 왼손잡이야", "안녕"]) == "말한 것: 나 왼손잡이야"
