"""`ohlora models import FOLDER`, then `ohlora chat --persona ohlora-v1`: the whole way, offline."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import ohlora.checkpoints.measured as measured_module
from ohlora.checkpoints import load_catalog, select
from ohlora.checkpoints.bring import import_folder
from ohlora.cli import app
from ohlora.companion import V1_SAMPLING, load_companion
from ohlora.dialogue.prompt import Prompt
from ohlora.errors import CheckpointError
from ohlora.expression import v1_expression
from ohlora.llm import Sampling
from ohlora.memory.v1_file import export_file, v1_choose
from ohlora.persona import load_persona
from published.stand_in import ASK, HELLO, PLAN, TAG

GROUP = ("stylegan-v3-generator", "z-vector", "llm-adapter", "sbert", "polyglot-ko-1.3b")


def ohlora(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def test_import_then_chat_answers_remembers_and_draws_her_face(
    project: Path, own_home: Path, tmp_path: Path
) -> None:
    done = ohlora("models", "import", str(project), "--link", "--only", "ohlora-v1", "--json")
    assert {row["id"]: row["status"] for row in json.loads(done.stdout)} == dict.fromkeys(
        GROUP, "present"
    )
    picture = tmp_path / "ohlora.png"
    talk = ("chat", "--persona", "ohlora-v1", "--once")
    assert ohlora(*talk, HELLO).stdout == " 응, 안녕! \n"
    first = ohlora(*talk, PLAN, "--picture", str(picture))
    assert first.exit_code == 0, first.stderr
    assert first.stdout == "  오! 재밌게 놀아! \n"  # v1 does not trim
    assert f"+ {TAG}" in first.stderr
    with Image.open(picture) as image:
        assert (image.format, image.size) == ("PNG", (256, 256))
        surprised = np.asarray(image.convert("RGB"))
    assert surprised.std() > 10

    second = ohlora(*talk, ASK, "--picture", str(picture))
    assert second.stdout == " 친구 만나기! \n", second.stderr
    assert TAG in second.stderr  # recalled, with its score
    with Image.open(picture) as image:
        assert not np.array_equal(surprised, np.asarray(image.convert("RGB")))


def test_the_companion_of_the_persona_is_made_of_the_published_pieces(imported: Path) -> None:
    with load_companion(persona="ohlora-v1") as her:
        assert her.mode == "v1" and her.persona.models.face.startswith("generator:")
        assert her.engine.id.startswith("ct2-int8:polyglot_original+polyglot_fine_tuned@")
        assert her.encoder.id.startswith("sbert:trained_sbert_model@") and her.encoder.dim == 16
        frame = her.face.frame(her.face.nearest(v1_expression("오! 재밌게 놀아!")))
        with Image.open(BytesIO(frame)) as image:
            assert image.size == (her.face.size, her.face.size) == (256, 256)
        assert her.lines.best("너는 누구야?") is None  # v1 has no written lines


def test_the_prompt_and_the_drawing_are_v1s(
    imported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Prompt, Sampling]] = []
    with load_companion(persona="ohlora-v1") as her:
        generate = her.engine.generate

        def watch(prompt, sampling, stopped):
            asked.append((prompt, sampling))
            return generate(prompt, sampling, stopped)

        monkeypatch.setattr(her.engine, "generate", watch)
        her.store.memories.remember("오늘 일정", "친구 만나기")
        session = her.store.sessions.create().id
        typed = "[나] 오늘 뭐 하지?"
        list(her.turn(session, typed, "r1", lambda: False))
        prompt, sampling = asked[0]
        assert prompt.completion() == f"{TAG} {typed} (답변 시작)"
        room = 80 - her.engine.count_tokens(prompt.completion())
        assert (sampling.temperature, sampling.top_k, sampling.top_p) == (0.6, 50, 1.0)
        assert sampling.max_new_tokens == room and sampling.repetition_penalty == 1.0
        assert V1_SAMPLING.seed is None

        asked.clear()  # 80 tokens of prompt leave no room: thirty failures in v1
        long = list(her.turn(session, "가나다라마바사아자차카타파하 " * 9, "r2", lambda: False))
        assert long[-1].text == "(읽씹)" and not asked


def test_the_memory_is_the_one_v1_would_choose_from_its_file(imported: Path) -> None:
    with load_companion(persona="ohlora-v1", encoder="sbert:sbert", face="embedded") as her:
        for key, value in (
            ("이름", "지수"),
            ("취미", "등산"),
            ("상태", "피곤"),
            ("오늘 일정", "시험"),
        ):
            her.store.memories.remember(key, value)
        file = export_file(her.store).decode()
        for prompt in ("나 오늘 뭐 하지?", "토요일에 산에 갈까?", "[이름: 지수] 피곤해", "x"):
            (chosen,) = her._recall(prompt, [])
            assert chosen.record.text == v1_choose(file, prompt, her.encoder.encode)
            assert chosen.score >= 0.6


@pytest.mark.parametrize("name", GROUP)
def test_a_missing_piece_is_named_with_the_command_that_brings_it(
    project: Path, own_home: Path, name: str
) -> None:
    others = [one for one in GROUP if one != name]
    import_folder(project, select(load_catalog(), others), "link")
    with pytest.raises(CheckpointError) as missing:
        with load_companion(persona="ohlora-v1"):
            pass
    assert f"{name} is missing: run `ohlora models pull ohlora-v1`" in missing.value.en
    assert "ohlora models import" in missing.value.en and "\n" not in missing.value.en


def test_explicit_options_come_before_the_personas_own(imported: Path) -> None:
    with load_companion(persona="ohlora-v1", encoder="embedded", face="embedded", mode="default"):
        pass
    with load_companion(persona="ohlora-v1", encoder="embedded", face="embedded") as her:
        assert her.encoder.id.startswith("static") or "sbert" not in her.encoder.id
        assert her.mode == "v1" and her.face.id != load_persona("ohlora-v1").models.face


def test_a_pack_of_ones_own_chooses_its_models_by_paths_beside_it(own_home: Path) -> None:
    folder = own_home / "personas" / "mine"
    folder.mkdir(parents=True)
    (folder / "persona.toml").write_text(
        'id = "mine"\nname = {ko = "나", en = "Me"}\ngreeting = {ko = "안녕", en = "Hi"}\n'
        '[fallback]\nlines = ["음"]\n[models]\n'
        'engine = "hf:./base+./adapter"\nface = "generator:./g.pth;z=./z.csv"\n'
        'encoder = "sbert:/abs/folder"\n',
        encoding="utf-8",
    )
    models = load_persona("mine").models
    here = folder.resolve()
    assert models.engine == f"hf:{here}/base+{here}/adapter"
    assert models.face == f"generator:{here}/g.pth;z={here}/z.csv"
    assert (models.encoder, models.mode) == ("sbert:/abs/folder", "default")


@pytest.mark.parametrize("table", ['voice = "x"', "engine = 3"])
def test_a_models_table_that_cannot_be_read_is_one_sentence(own_home: Path, table: str) -> None:
    folder = own_home / "personas" / "mine"
    folder.mkdir(parents=True)
    (folder / "persona.toml").write_text(
        'id = "mine"\nname = {ko = "나"}\ngreeting = {ko = "안녕"}\n'
        f'[fallback]\nlines = ["음"]\n[models]\n{table}\n',
        encoding="utf-8",
    )
    with pytest.raises(CheckpointError, match="has a wrong value"):
        load_persona("mine")


def test_the_pack_that_comes_with_the_program_is_sound() -> None:
    from ohlora.packs.check import problems

    assert problems(load_persona("ohlora-v1").folder) == []


def test_nothing_sealed_was_opened_and_the_users_files_stay(project: Path, imported: Path) -> None:
    place = project / "llm/models/polyglot_fine_tuned"
    settings = json.loads((place / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"].startswith("C:\\Users\\author")
    with load_companion(persona="ohlora-v1", encoder="embedded", face="embedded") as her:
        list(her.turn(her.store.sessions.create().id, PLAN, "r1", lambda: False))
    assert json.loads((place / "adapter_config.json").read_text()) == settings


def test_her_int8_voice_needs_no_torch(imported: Path) -> None:
    talk = (
        "import sys; from ohlora.companion import load_companion\n"
        "with load_companion(persona='ohlora-v1', engine=sys.argv[1], encoder='embedded',"
        " face='embedded') as her:\n"
        f"    *_, done = her.turn(her.store.sessions.create().id, '{PLAN}', 'r', lambda: False)\n"
        "print(done.text, {'torch', 'transformers'} & set(sys.modules))"
    )
    engine = load_persona("ohlora-v1").models.engine.replace("auto:", "int8:")
    code = f"import sys; sys.path[:0] = {sys.path!r}; {talk}"
    run = subprocess.run([sys.executable, "-c", code, engine], capture_output=True, text=True)
    assert run.stdout.strip() == "오! 재밌게 놀아!  set()", run.stderr


def test_models_convert_writes_the_int8_model_ahead(imported: Path) -> None:
    done = ohlora("models", "convert", "llm-adapter", "--json")
    assert done.exit_code == 0, done.stderr
    (written,) = json.loads(done.stdout)
    assert Path(written["path"]).parent == imported / "models" and written["bytes"] > 1_000_000
    before = Path(written["path"], "model.bin").stat().st_mtime_ns
    with load_companion(persona="ohlora-v1", encoder="embedded", face="embedded") as her:
        assert her.engine.folder == Path(written["path"])
    assert Path(written["path"], "model.bin").stat().st_mtime_ns == before
    refused = ohlora("models", "convert", "gemma-2-2b").exception
    assert isinstance(refused, CheckpointError) and "models pull gemma-2-2b" in refused.en


def test_models_show_says_what_polyglot_takes() -> None:
    shown = ohlora("models", "show", "polyglot-ko-1.3b").stdout
    assert "runs as" in shown and "tokens/s" in shown and "measured on" in shown
    row = json.loads(ohlora("models", "show", "polyglot-ko-1.3b", "--json").stdout)
    assert all(run["memory_mb"] > 1000 for run in row["measured"]["runs"])


def test_what_was_measured_is_in_the_catalog_and_in_both_languages() -> None:
    file = Path(measured_module.__file__).with_suffix(".toml")
    table = tomllib.loads(file.read_text("utf-8"))
    assert set(table) - {"where"} <= set(load_catalog())
    texts = [table["where"], *(run[key] for name in set(table) - {"where"} for run in table[name]
             for key in ("runtime", "time"))]  # fmt: skip
    assert all(set(text) == {"en", "ko"} for text in texts)


def test_the_server_shows_her_and_answers_as_v1(imported: Path) -> None:
    from starlette.testclient import TestClient

    from ohlora.server.app import create_app
    from ohlora.server.settings import Settings

    with load_companion(persona="ohlora-v1", encoder="embedded") as her:
        app = create_app(her, Settings())
        with TestClient(app, base_url="http://127.0.0.1:8765") as client:
            info = client.get("/api/info").json()
            assert info["persona"]["id"] == "ohlora-v1" and info["engine"].startswith("ct2-int8:")
            cell = "-".join(map(str, info["face"]["neutral"]))
            frame = client.get(f"/api/face/frames/{cell}.webp")
            assert frame.status_code == 200 and frame.content[8:12] == b"WEBP"
            body = {"model": "ohlora-v1", "messages": [{"role": "user", "content": ASK}]}
            reply = client.post("/v1/chat/completions", json=body).json()
            assert reply["choices"][0]["message"]["content"].strip() == "글쎄…"
