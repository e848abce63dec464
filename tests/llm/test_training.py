"""Training her adapter: the data it sees, the network it tunes, runs that are killed."""

from __future__ import annotations

import csv
import errno
import json
import lzma
import random
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import training_llm
from ohlora.errors import BadInput, CheckpointError, ShapeError, StoreError
from ohlora.llm.adapter import check_made_with, merge, read_adapter
from ohlora.training import llm
from ohlora.training.banmal import to_banmal
from ohlora.training.faults import TrainingError
from ohlora.training.gemma3 import Gemma3
from ohlora.training.llm_data import Mix, Row, read_chatbot_data, read_persona, reword, split
from ohlora.training.llm_rows import read_rows
from ohlora.training.llm_run import AdapterCheck
from ohlora.training.llm_tokens import embedded_coder, encode


@pytest.mark.parametrize(
    ("polite", "friendly"),
    [
        ("푹 쉬세요.", "푹 쉬어."),
        ("좋은 사람일 거예요. 힘내세요!", "좋은 사람일 거야. 힘내!"),
        ("잘 골라보세요", "잘 골라봐"),
        ("믿으세요.", "믿어."),
        ("맛있게 드세요.", "맛있게 먹어."),
        ("그건 사랑이 아니에요.", "그건 사랑이 아니야."),
        ("그건 아닙니다.", "그건 아니야."),
        ("행복하길 바랍니다.", "행복하길 바라."),
        ("좋은 친구입니다.", "좋은 친구야."),
        ("저는 괜찮아요. 제가 도울게요.", "나는 괜찮아. 내가 도울게."),
        ("당신은 멋진 사람이에요.", "너는 멋진 사람이야."),
        ("힘든가봐요.", "힘든가 봐."),
        ("어제 제 생각도 났겠죠?", "어제 내 생각도 났겠지?"),
        ("선택이 필요", "선택이 필요"),
    ],
)
def test_endings_become_friendly(polite, friendly):
    assert to_banmal(polite) == friendly


@pytest.mark.parametrize(
    "unsure", ["좋은 하루 보내시길 바랄게요.", "알뜰한 소비 하셨네요.", "필요한 것만 사세요."]
)
def test_a_form_no_rule_is_sure_of_is_left_out(unsure):
    assert to_banmal(unsure) is None


def write_chatbot_data(path: Path, rows: list[tuple[str, str, str]]) -> Path:
    with lzma.open(path, "wt", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("Q", "A", "label"), *rows])
    return path


def test_small_talk_about_the_bot_itself_and_too_much_love_are_left_out(tmp_path):
    rows = [(f"배고파 {n}", f"밥을 {n}번 먹어봐요.", "0") for n in range(40)]
    rows += [(f"헤어졌어 {n}", f"{n}번 울어도 돼요.", "1") for n in range(40)]
    rows += [("너는 누구야", "저는 위로봇이에요.", "0"), ("심심해", "저도 심심해요.", "0")]
    kept = read_chatbot_data(write_chatbot_data(tmp_path / "c.csv.xz", rows), seed=1)
    assert sum("배고파" in row.user for row in kept) == 40
    assert sum("헤어졌어" in row.user for row in kept) == 6
    assert len(kept) == 46


def test_an_answer_said_too_often_is_kept_a_few_times(tmp_path):
    rows = [(f"안녕 {n}", "반가워요.", "0") for n in range(30)]
    assert len(read_chatbot_data(write_chatbot_data(tmp_path / "c.csv.xz", rows), seed=1)) == 6


def test_leading_tags_of_a_line_are_memories(tmp_path):
    line = {"q": "[이름: 지수] [상태: 피곤함] 나 누구게?", "a": "지수잖아!", "topic": "t"}
    (tmp_path / "m.jsonl").write_text(json.dumps(line, ensure_ascii=False) + "\n\n")
    (row,) = read_persona(tmp_path)
    assert row == Row("나 누구게?", "지수잖아!", ("[이름: 지수]", "[상태: 피곤함]"))
    assert row.prompt_text() == "[이름: 지수] [상태: 피곤함] 나 누구게? (답변 시작)"
    assert row.answer_text() == " 지수잖아! (답변 종료)"


def test_a_line_that_is_no_pair_names_file_and_line(tmp_path):
    (tmp_path / "m.jsonl").write_text('{"q": "응", "a": "응"}\n{"q": "응"}\n')
    with pytest.raises(BadInput, match=r"m\.jsonl:2 has no 'a'"):
        read_persona(tmp_path)


ROWS = [Row(f"질문 {n}번이야", f"답 {n}") for n in range(200)]


def test_the_held_out_split_hangs_on_the_question_alone():
    train, held = split(ROWS)
    again, held_again = split(list(reversed(ROWS)))
    assert 2 <= len(held) <= 25 and set(held) == set(held_again)
    assert not set(train) & set(held)


def test_lines_marked_test_are_never_trained_on(tmp_path):
    marked = [
        {"q": f"{part} 질문 {n}번", "a": f"답 {n}", "topic": "t", "split": part}
        for n in range(40)
        for part in ("train", "test")
    ]
    text = "\n".join(json.dumps(line, ensure_ascii=False) for line in marked)
    (tmp_path / "everyday_town.jsonl").write_text(text, encoding="utf-8")
    train, held = split(read_persona(tmp_path))
    assert {row.split for row in train} == {"train"} and len(train) > 30
    assert sum(row.split == "test" for row in held) == 40
    seen = [row for step in range(40) for row in Mix(train, (), 1.0, 4, seed=1).rows(step)]
    assert {row.answer for row in seen} and all(row.split == "train" for row in seen)


@pytest.mark.parametrize("share", [0.25, 0.75, 1.0])
def test_her_share_of_the_rows_is_what_was_asked_for(share):
    mix = Mix(ROWS[:50], ROWS[50:], share, batch_size=8, seed=1)
    hers = {row.answer for row in ROWS[:50]}
    rows = [row for step in range(mix.window) for row in mix.rows(step)]
    assert sum(row.answer in hers for row in rows) == share * len(rows)


def test_a_batch_depends_on_seed_and_step_only_and_epochs_leave_nothing_out():
    mix = Mix(ROWS[:48], ROWS[48:], 0.5, batch_size=4, seed=1, window=4)
    assert mix.rows(7) == replace(mix).rows(7)
    assert mix.rows(7) != replace(mix, seed=2).rows(7)
    seen = [row for step in range(24) for row in mix.rows(step)]  # 96 rows: 48 of each
    assert {row.answer for row in ROWS[:48]} <= {row.answer for row in seen}


def test_rewording_keeps_answer_and_memories():
    rng = random.Random(1)
    row = Row("너 이름이 뭐야?", "오로라!", ("[이름: 지수]",))
    reworded = [reword(row, rng) for _ in range(200)]
    assert {(r.answer, r.memories) for r in reworded} == {("오로라!", ("[이름: 지수]",))}
    assert len({r.user for r in reworded}) > 5


def make_model(tiny, dtype: torch.dtype = torch.float32) -> Gemma3:
    torch.manual_seed(0)
    return Gemma3(tiny.shape, tiny.tensors, rank=4, alpha=8.0, dtype=dtype)


def test_the_network_is_transformers_gemma_and_a_fresh_adapter_changes_nothing(tiny):
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    reference = Gemma3ForCausalLM(Gemma3TextConfig(**tiny.config)).eval()
    state = {name: torch.from_numpy(tensor) for name, tensor in tiny.tensors.items()}
    reference.load_state_dict(state, strict=False)
    ids = torch.randint(4, tiny.shape.vocabulary, (3, 20))
    wanted = torch.zeros_like(ids, dtype=torch.bool)
    wanted[:, 11:] = True
    with torch.no_grad():
        got = make_model(tiny)(ids, wanted)
        want = reference(ids).logits[:, 11:].reshape(-1, tiny.shape.vocabulary)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


def test_rows_longer_than_the_window_are_refused(tiny):
    ids = torch.zeros((1, tiny.shape.window + 1), dtype=torch.long)
    with pytest.raises(ShapeError, match="T <= 512"):
        make_model(tiny)(ids, ids.bool())


def test_only_answer_tokens_have_loss(tiny):
    coder = embedded_coder(tiny.tokenizer)
    rows = [Row("안녕", "나로라"), Row("너는 나", "야")]
    ids, wanted, targets = encode(coder, rows)
    answers = [coder.tokenizer.encode(row.answer_text()).ids + [coder.end] for row in rows]
    assert targets.tolist() == [token for answer in answers for token in answer]
    assert wanted.sum() == len(targets)
    flat = ids[wanted]  # each wanted place stands before its target
    shifted = [token for answer in answers for token in answer[:-1]]
    starts = {0, len(answers[0])}
    assert [t for n, t in enumerate(flat.tolist()) if n not in starts] == shifted


@pytest.fixture
def config(tiny, tmp_path) -> llm.TrainConfig:
    lines = tmp_path / "lines"
    lines.mkdir()
    pairs = [{"q": f"너는 나{'야' * n}", "a": f"로라{'야' * (n % 3)}"} for n in range(30)]
    (lines / "a.jsonl").write_text("\n".join(json.dumps(p, ensure_ascii=False) for p in pairs))
    rows = [(f"안녕 {'가' * n}", f"나 {'가' * n} 가고 있어요.", "0") for n in range(1, 30)]
    data = write_chatbot_data(tmp_path / "c.csv.xz", rows)
    return llm.TrainConfig(
        str(data),
        str(lines),
        str(tiny.tokenizer),
        total_steps=6,
        batch_size=4,
        rank=2,
        alpha=4.0,
        warmup_steps=2,
        log_every=2,
        save_every=2,
        threads=1,
    )


def weights(adapter: Path) -> dict[str, np.ndarray]:
    return {f"{n}.{half}": m for n, pair in read_adapter(adapter).pairs.items()
            for half, m in zip("AB", pair, strict=True)}  # fmt: skip


def test_a_killed_run_ends_like_an_unbroken_one(config, tmp_path, monkeypatch):
    whole = weights(llm.train(config, tmp_path / "whole"))
    rows, killed = Mix.rows, []

    def kill(self: Mix, step: int) -> list[Row]:
        if step == 4 and not killed:
            killed.append(step)
            raise KeyboardInterrupt
        return rows(self, step)

    monkeypatch.setattr(Mix, "rows", kill)
    with pytest.raises(KeyboardInterrupt):
        llm.train(config, tmp_path / "killed")
    resumed = weights(llm.train(config, tmp_path / "killed"))
    assert killed and whole.keys() == resumed.keys()
    for name, matrix in whole.items():
        np.testing.assert_array_equal(matrix, resumed[name])


def logged(run_dir: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run_dir / "log.jsonl").read_text().splitlines()]


def test_a_run_notes_its_losses_and_keeps_two_checkpoints(config, tmp_path):
    llm.train(replace(config, total_steps=16), tmp_path / "run")
    rows = logged(tmp_path / "run")
    assert any("tokens_per_s" in row for row in rows)
    assert sum("held_own" in row for row in rows) == 2  # 45 rows a pass over her lines, and the end
    assert rows[-1]["saved_off"] < 0.01
    kept = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert kept == ["step_000014", "step_000016"]
    assert not list((tmp_path / "run").rglob("*.part"))


def test_samples_and_a_card_tell_what_was_learned(config, tmp_path):
    adapter = llm.train(config, tmp_path / "run")
    sample = (tmp_path / "run" / "samples" / "000006.txt").read_text()
    assert "(답변 시작)" in sample and "  want  로라" in sample and "  said  " in sample
    card = (adapter / "README.md").read_text()
    for piece in ("| job | answer |", "rank 2, alpha 4", "held_own", "saved, loaded, merged"):
        assert piece in card


def test_a_resumed_run_goes_on_with_the_rows_it_began_with(config, tmp_path):
    whole = weights(llm.train(config, tmp_path / "whole"))
    llm.train(replace(config, total_steps=6, save_every=6), tmp_path / "run")
    lines = Path(config.lines) / "a.jsonl"
    lines.write_text('{"q": "다른 말", "a": "딴말"}\n')
    resumed = weights(llm.train(config, tmp_path / "run"))
    for name, matrix in whole.items():
        np.testing.assert_array_equal(matrix, resumed[name])
    with pytest.raises(CheckpointError, match="holds a run with rank 2"):
        llm.train(replace(config, rank=4), tmp_path / "run")


def test_a_loss_that_is_no_number_stops_and_leaves_the_good_checkpoint(
    config, tmp_path, monkeypatch
):
    step = llm.AdapterRecipe.step

    def broken(self, batch, run):
        if run.step == 4:
            with torch.no_grad():
                self.net.layers[0].q_proj.lora_B[0, 0] = float("nan")
        return step(self, batch, run)

    with monkeypatch.context() as patch:
        patch.setattr(llm.AdapterRecipe, "step", broken)
        with pytest.raises(TrainingError, match="not a number at step 5") as caught:
            llm.train(config, tmp_path / "run")
    assert "5번째 스텝" in caught.value.ko
    whole = weights(llm.train(config, tmp_path / "whole"))
    resumed = weights(llm.train(config, tmp_path / "run"))
    for name, matrix in whole.items():
        np.testing.assert_array_equal(matrix, resumed[name])


def test_weights_that_are_no_numbers_are_never_saved(config, tmp_path, monkeypatch):
    real = llm.schedule
    with monkeypatch.context() as patch:
        patch.setattr(
            llm, "schedule", lambda at, *rest: float("nan") if at == 3 else real(at, *rest)
        )
        with pytest.raises(TrainingError, match="not a number at step 4"):
            llm.train(config, tmp_path / "run")
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step_000002"]
    llm.train(config, tmp_path / "run")


def test_a_full_disk_is_one_sentence_and_the_run_goes_on_later(config, tmp_path, monkeypatch):
    real = torch.save

    def full(state, file):
        if state["step"] == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(state, file)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(StoreError, match="No space left on device.*goes on from the last"):
            llm.train(config, tmp_path / "run")
    kept = [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()]
    assert kept == ["step_000002"]
    llm.train(config, tmp_path / "run")


def test_a_saved_adapter_that_is_not_the_trained_one_is_refused(config, tmp_path, monkeypatch):
    real = llm.export_adapter

    def wrong(folder, net, settings, coder):
        with torch.no_grad():
            kept = net.layers[0].q_proj.lora_B.clone()
            net.layers[0].q_proj.lora_B += 1.0
            real(folder, net, settings, coder)
            net.layers[0].q_proj.lora_B.copy_(kept)

    monkeypatch.setattr(llm, "export_adapter", wrong)
    with pytest.raises(AdapterCheck, match="differs from what was trained"):
        llm.train(config, tmp_path / "run")


def test_targets_choose_the_layers_and_an_unknown_one_is_named(config, tmp_path):
    folder = llm.train(replace(config, targets="q_proj,v_proj"), tmp_path / "run")
    assert {name.split(".")[-2] for name in read_adapter(folder).pairs} == {"q_proj", "v_proj"}
    with pytest.raises(BadInput, match="no layer 'query_key_value'") as caught:
        llm.train(replace(config, targets="query_key_value"), tmp_path / "other")
    assert "층이 없어요" in caught.value.ko


@pytest.mark.parametrize("job", ["memory", "expression", "summary"])
def test_each_job_trains_an_adapter_that_knows_its_job_and_tokenizer(config, tiny, tmp_path, job):
    few = tmp_path / "few.jsonl"
    entries = [{"q": f"안녕 {'나' * n}", "a": "나야"} for n in range(1, 9)]
    few.write_text("\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries))
    folder = llm.train(replace(config, job=job, data=str(few), total_steps=2), tmp_path / "run")
    assert f"| job | {job} |" in (folder / "README.md").read_text()
    check_made_with(folder, embedded_coder(tiny.tokenizer).digest(), job)
    with pytest.raises(CheckpointError, match="trained for the job"):
        check_made_with(folder, embedded_coder(tiny.tokenizer).digest(), "answer")
    with pytest.raises(CheckpointError, match="trained with tokenizer"):
        check_made_with(folder, "0123456789abcdef", job)


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")
def test_the_benchmark_trains_the_same_network_both_ways(config):
    config = replace(config, noise=0.0, log_every=100)
    ours, theirs = training_llm.measure(config, steps=3, rounds=1, clock=time.perf_counter)
    assert ours.value > 0 and theirs.value > 0
    assert ours.ratio == pytest.approx(ours.value / theirs.value)
    coder, rows = embedded_coder(Path(config.tokenizer)), read_rows(config)
    (ids, wanted, _) = encode(coder, rows.own[:3])
    with torch.no_grad():
        want = training_llm.transformers_base(coder).float()(ids).logits[wanted]
        got = llm.AdapterRecipe(config, coder, rows).net.float()(ids, wanted)
    torch.testing.assert_close(got, want, rtol=0.02, atol=0.02)


def test_the_exported_adapter_is_pefts_and_means_the_same_there_and_here(config, tiny, tmp_path):
    from peft import PeftModel
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    folder = llm.train(replace(config, lr=0.02), tmp_path / "run")
    base = Gemma3ForCausalLM(Gemma3TextConfig(**tiny.config)).eval()
    state = {name: torch.from_numpy(tensor) for name, tensor in tiny.tensors.items()}
    base.load_state_dict(state, strict=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        theirs = PeftModel.from_pretrained(base, folder).merge_and_unload().state_dict()
    ours = merge(tiny.tensors, read_adapter(folder))
    changed = 0
    for name, tensor in ours.items():
        np.testing.assert_allclose(tensor, theirs[name].numpy(), atol=1e-4)
        changed += not np.array_equal(tensor, tiny.tensors[name])
    assert changed == 7 * tiny.shape.layers
