"""Character cards in and out: nothing is lost on the way, and macros are said, not shown."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from cards import card_png, charx, dumped, foreign_card, in_one_sentence, png, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ohlora.embedding import Encoder
from ohlora.errors import BadInput
from ohlora.packs.card import CARD_BYTES, dump_card, examples, parse_card, say_macros, spoken
from ohlora.packs.carry import bring, export, slug
from ohlora.packs.charx import open_charx
from ohlora.packs.mapping import card_of, pack_of
from ohlora.packs.pack import read_pack
from ohlora.packs.png import card_in
from ohlora.persona import load_persona

DAY = date(2026, 11, 24)
HERE = Path("card.json")


def without_ours(card: dict[str, Any]) -> dict[str, Any]:
    card["data"]["extensions"].pop("ohlora", None)
    return card


@pytest.mark.parametrize("kind", [".json", ".png", ".charx"])
def test_a_foreign_card_comes_out_with_every_value_it_had(
    tmp_path: Path, encoder: Encoder, card: dict[str, Any], kind: str
) -> None:
    written = {".json": dumped(card), ".png": card_png(card), ".charx": charx(card)}[kind]
    (file := tmp_path / f"in{kind}").write_bytes(written)
    folder = bring(file, encoder)
    for ending, read in {
        ".json": lambda path: path.read_bytes(),
        ".png": lambda path: card_in(path.read_bytes(), path),
        ".charx": archived,
    }.items():
        out = tmp_path / f"out{ending}"
        export(folder, out, today=DAY)
        back = without_ours(json.loads(read(out)))
        if ending == ".charx":
            (icon,) = back["data"].pop("assets")
            assert icon["type"] == "icon" and icon["uri"] == "embeded://picture.png"
        assert json.dumps(back, sort_keys=True) == json.dumps(card, sort_keys=True)


def archived(path: Path) -> bytes:
    with open_charx(path) as archive:
        return archive.card


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(unknown=st.dictionaries(st.text(min_size=1).map("x_".__add__), values, max_size=4))
def test_unknown_keys_keep_their_values_whatever_they_are(unknown: dict[str, Any]) -> None:
    card = foreign_card()
    card["data"] |= unknown
    card["data"]["extensions"] |= unknown
    card |= unknown
    pack = pack_of(parse_card(dumped(card), HERE), HERE)
    pack.settings["id"] = "x"
    back = json.loads(dump_card(card_of(pack, DAY)))
    assert json.dumps(without_ours(back)) == json.dumps(card)


def test_a_card_is_read_into_a_persona_that_speaks_its_examples(
    tmp_path: Path, encoder: Encoder, card: dict[str, Any]
) -> None:
    (file := tmp_path / "sera.json").write_bytes(dumped(card))
    persona = load_persona(bring(file, encoder).name)
    assert persona.id == "sera" and persona.name["ko"] == "세라"
    assert persona.greeting["ko"] == "어서 와, 너. 나는 세라야."
    assert "세라는 항구의 등대지기다. 너를 오래 기다렸다." in persona.system
    assert "등대는 백 년 되었다." in persona.system and "숨긴" not in persona.system
    assert "{{" not in persona.system
    rows = read_pack(persona.folder).lines["examples"]
    assert [(row["q"], row["a"]) for row in rows] == [
        ("불은 언제 켜?", "해가 지면 켜. 너도 볼래?"),
        ("안 외로워?", "갈매기가 있잖아. 그리고 이제 너도 있고."),
        ("안녕", "왔구나!"),
    ]


def test_our_own_persona_comes_back_as_it_was(tmp_path: Path, encoder: Encoder, mina: Path) -> None:
    (mina / "persona.toml").write_text(
        (mina / "persona.toml").read_text("utf-8").replace("license", "born = 2001-02-03\nlicense")
        + "[expressions.joy]\neyes = 1.2\nmouth = 0.5\npose = -0.25\n",
        "utf-8",
    )
    for kind in (".json", ".png", ".charx"):
        export(mina, tmp_path / f"mina{kind}", today=DAY)
        folder = bring(tmp_path / f"mina{kind}", encoder, id="twin", replace=True)
        before, after = read_pack(mina), read_pack(folder)
        assert after.settings == before.settings | {"id": "twin"}
        assert (after.lines, after.rules) == (before.lines, before.rules)


def test_what_another_program_edited_wins_and_the_rest_stays(
    tmp_path: Path, encoder: Encoder, mina: Path
) -> None:
    export(mina, file := tmp_path / "mina.json", today=DAY)
    card = json.loads(file.read_bytes())
    card["data"]["first_mes"] = "왔어, {{user}}?"
    card["data"]["mes_example"] += "\n<START>\n{{user}}: 수영 잘해?\n{{char}}: 물개지!"
    file.write_bytes(dumped(card))
    folder = bring(file, encoder, id="edited")
    before, after = read_pack(mina), read_pack(folder)
    assert after.settings["greeting"]["ko"] == "왔어, 너?"
    assert after.settings["prompt"] == before.settings["prompt"]
    assert after.settings["name"] == before.settings["name"]
    assert after.lines["own"] == before.lines["own"]
    assert [(row["q"], row["a"]) for row in after.lines["examples"]] == [("수영 잘해?", "물개지!")]
    assert "수영_잘해" in after.rules["examples"]


def test_what_was_edited_here_reaches_the_card_and_nothing_else_does(
    tmp_path: Path, encoder: Encoder, card: dict[str, Any]
) -> None:
    (file := tmp_path / "sera.json").write_bytes(dumped(card))
    folder = bring(file, encoder)
    settings_file = folder / "persona.toml"
    text = settings_file.read_text("utf-8").replace("어서 와, 너.", "어서 와.")
    settings_file.write_text(text, "utf-8")
    export(folder, out := tmp_path / "out.json", today=DAY)
    back = without_ours(json.loads(out.read_bytes()))
    card["data"]["first_mes"] = "어서 와. 나는 세라야."
    assert json.dumps(back) == json.dumps(card)


def test_a_card_says_age_and_never_the_day(mina: Path, tmp_path: Path) -> None:
    rows = (mina / "lines" / "own.jsonl").read_text("utf-8")
    added = '{"q": "몇 살이야?", "a": "{나이}살이야!", "topic": "age", "split": "train"}\n'
    added += '{"q": "오늘 며칠?", "a": "{날짜}이야!", "topic": "date", "split": "train"}\n'
    (mina / "lines" / "own.jsonl").write_text(rows + added, "utf-8")
    (mina / "lines" / "answers.toml").unlink()
    toml = mina / "persona.toml"
    toml.write_text("born = 2001-02-03\n" + toml.read_text("utf-8"), "utf-8")
    export(mina, file := tmp_path / "mina.json", today=DAY)
    data = json.loads(file.read_bytes())["data"]
    assert "25살이야!" in data["mes_example"]
    assert "{" not in data["mes_example"].replace("{{user}}", "").replace("{{char}}", "")
    assert "{" not in data["system_prompt"] and "오늘은" not in data["system_prompt"]


def test_both_versions_are_written_and_v3_is_read_first(
    tmp_path: Path, encoder: Encoder, mina: Path, card: dict[str, Any]
) -> None:
    export(mina, file := tmp_path / "mina.png", today=DAY)
    data = file.read_bytes()
    assert b"tEXtccv3\0" in data and b"tEXtchara\0" in data
    assert json.loads(card_in(data, file))["spec"] == "chara_card_v3"
    export(mina, out := tmp_path / "mina.json", spec=2, today=DAY)
    assert json.loads(out.read_bytes())["spec"] == "chara_card_v2"


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt"])
@pytest.mark.parametrize("name", ["ccv3", "chara", "Chara"])
def test_a_card_is_found_in_every_kind_of_text_chunk(
    card: dict[str, Any], kind: bytes, name: str
) -> None:
    assert json.loads(card_in(card_png(card, kind, name), HERE)) == card


def test_the_picture_of_a_card_is_kept_and_a_new_persona_gets_her_face(
    tmp_path: Path, encoder: Encoder, card: dict[str, Any], mina: Path
) -> None:
    import io

    from PIL import Image

    (file := tmp_path / "sera.png").write_bytes(card_png(card))
    folder = bring(file, encoder)
    assert (folder / "picture.png").read_bytes() == png()
    export(folder, out := tmp_path / "out.png", today=DAY)
    with Image.open(out) as picture:
        assert picture.size == (8, 8) and picture.getpixel((0, 0)) == (90, 60, 140)
    export(mina, out, today=DAY)
    with Image.open(io.BytesIO(out.read_bytes())) as picture:
        assert picture.size == (512, 512) and picture.getextrema()[0][1] > 150


def test_an_old_card_without_a_frame_is_read_too() -> None:
    old = {key: "" for key in ("description", "personality", "scenario", "mes_example")}
    card = parse_card(dumped({**old, "name": "Old", "first_mes": "Hi"}), HERE)
    assert pack_of(card, HERE).settings["greeting"]["en"] == "Hi"


def test_nulls_are_nothing_and_come_out_as_nulls(tmp_path: Path, encoder: Encoder) -> None:
    card = foreign_card()
    for key in set(card["data"]) - {"name", "extensions"}:
        card["data"][key] = None
    (file := tmp_path / "a.json").write_bytes(dumped(card))
    for kind in (".json", ".png", ".charx"):
        folder = bring(file, encoder, id="sera", replace=True)
        export(folder, tmp_path / f"b{kind}", today=DAY)
    back = without_ours(json.loads((tmp_path / "b.json").read_bytes()))
    assert json.dumps(back) == json.dumps(card)
    card["data"] |= {"character_book": {"entries": {"0": "odd"}}, "extensions": None}
    file.write_bytes(dumped(card))
    assert bring(file, encoder, id="odd").name == "odd"


def test_a_card_with_nothing_but_a_name_talks(tmp_path: Path, encoder: Encoder) -> None:
    card = {"spec": "chara_card_v2", "spec_version": "2.0", "data": {"name": " 하 늘 / 별\n"}}
    (file := tmp_path / "a.json").write_bytes(dumped(card))
    persona = load_persona(bring(file, encoder).name)
    assert persona.id == "ha-neul-byeol" and persona.greeting["ko"] == "하 늘 / 별"
    export(persona.folder, tmp_path / "b.json", today=DAY)
    back = json.loads((tmp_path / "b.json").read_bytes())["data"]
    assert back["name"] == card["data"]["name"] and "first_mes" not in back


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{char}} meets <USER>", "세라 meets 너"),
        ("{{ CHAR }}/<bot>/{{Bot}}", "세라/세라/세라"),
        ("{{random:가,나}}{{pick::다\\,라,마}}", "가다,라"),
        ("a{{// note}}b{{hidden_key:x}}c{{comment: y}}", "abc"),
        ("{{reverse:{{char}}}}", "라세"),
        ("{{roll:d6}} {{original}} {{unknown:x}}", "1  {{unknown:x}}"),
        ("{{" * 2000, "{{" * 2000),
    ],
)
def test_macros_are_said(text: str, said: str) -> None:
    assert say_macros(text, "세라", "너") == said


def test_a_text_made_to_be_slow_is_read_in_one_pass() -> None:
    start = time.process_time()
    for text in ("{{" + "a" * 200_000, "{{a:" * 50_000, "*a" * 100_000, "a:\n" * 100_000):
        say_macros(text, "세라", "너")
        examples("{{user}}: " + text + "\n{{char}}: " + text, "세라")
        spoken(text)
    assert time.process_time() - start < 5  # quadratic would take minutes


def test_example_dialogues_pair_what_was_asked_with_what_was_answered() -> None:
    text = "<start>\n{{char}}: 먼저\n{{user}}: 하나\n세라: 답\n그리고\n{{user}}: 둘\n{{user}}: 셋\n"
    text += "{{char}}: 넷\n{{char}}: 다섯\nhttps://a.b: x"
    assert examples(text, "세라") == [("하나", "답\n그리고"), ("셋", "넷")]
    assert examples("아무 말", "세라") == []
    assert (
        spoken('*웃는다* "좋아."  *간다*') == "좋아." and spoken('"가" 와 "나"') == '"가" 와 "나"'
    )


@pytest.mark.parametrize(
    ("name", "id"),
    [("미나", "mina"), ("오로라", "orora"), ("Aqua Q.", "aqua-q"), ("김철수", "gimcheolsu"),
     ("Ünal / é", "unal-e"), ("★", ""), ("값진 삶", "gapjin-sam")],
)  # fmt: skip
def test_an_id_is_made_of_the_name(name: str, id: str) -> None:
    assert slug(name) == id


def broken(**data: Any) -> bytes:
    card = foreign_card()
    card["data"] |= data
    return dumped(card)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe{", "neither a PNG card"),
        (b"hello", "neither a PNG card"),
        (b"", "neither a PNG card"),
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a": NaN}', "not JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        ('{"name": "가"}'.encode("cp949"), "not UTF-8"),
        (b"[]", "found 'list'"),
        (b"{}", "found None"),
        (b'{"spec": "chara_card_v9"}', "found 'chara_card_v9'"),
        (b'{"spec": "chara_card_v3", "spec_version": "9.0", "data": {}}', "found '9.0'"),
        (b'{"spec": "chara_card_v3", "spec_version": "2.0", "data": {}}', "found '2.0'"),
        (b'{"spec": "chara_card_v2", "spec_version": 2, "data": {}}', "found 2"),
        (b'{"spec": "chara_card_v2", "spec_version": "2.0"}', "as data, found nothing"),
        (broken(name=""), "the character's name"),
        (broken(name=None), "the character's name"),
        (broken(first_mes=7), "a text as data.first_mes"),
        (broken(description="\ud800"), "Unicode text as data.description"),
        (broken(alternate_greetings="x"), "a list as data.alternate_greetings"),
        (broken(extensions=[1]), "an object as data.extensions"),
        (broken(extensions={"ohlora": 1}), "a wrong format"),
        (broken(extensions={"ohlora": {"format": 9}}), "a wrong format"),
        (broken(extensions={"ohlora": {"format": 1, "lines": {"../x": []}}}), "wrong lines"),
        (broken(extensions={"ohlora": {"format": 1, "lines": {"a": [{"q": "x"}]}}}), "lines.a"),
        (broken(extensions={"ohlora": {"format": 1, "born": "soon"}}), "a wrong value"),
        (broken(extensions={"ohlora": {"format": 1, "z": ["a"]}}), "no list of numbers"),
        (broken(extensions={"ohlora": {"format": 1, "sampling": {"warm": 1}}}), "no setting warm"),
        (
            broken(extensions={"ohlora": {"format": 1, "expressions": {"joy": {"eyes": 99}}}}),
            "expressions.joy wants",
        ),
        (
            broken(
                extensions={
                    "ohlora": {
                        "format": 1,
                        "lines": {"a": [{"q": "x", "a": "y", "topic": "t"}] * 2},
                    }
                }
            ),
            "the same question and answer",
        ),
    ],
)
def test_a_card_that_cannot_be_used_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, own_home: Path, content: bytes, said: str
) -> None:
    (file := tmp_path / "bad.json").write_bytes(content)
    with pytest.raises(BadInput) as caught:
        run("import", file)
    assert said in caught.value.en and in_one_sentence(caught.value)
    assert not (own_home / "personas").exists()
    assert not list((own_home / "personas.tmp").glob("*"))


def test_a_huge_card_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "huge.json"
    with file.open("wb") as out:
        out.write(b"{")
        out.truncate(2 << 30)  # a 2 GB hole
    with pytest.raises(BadInput, match="larger than 16 MB") as caught:
        run("import", file)
    assert in_one_sentence(caught.value)
    with pytest.raises(BadInput, match="larger than 16 MB"):
        parse_card(b"{" + b" " * CARD_BYTES, HERE)


def test_a_missing_file_and_an_unknown_ending_are_named(tmp_path: Path, mina: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        run("import", tmp_path / "nothing.png")
    with pytest.raises(BadInput, match="no known ending"):
        run("export", "mina", tmp_path / "mina.txt")


def test_a_pattern_from_a_card_is_never_run(
    tmp_path: Path, encoder: Encoder, make_mina: Callable[[], Any]
) -> None:
    pack = make_mina()
    pack.settings["id"] = "evil"
    kept = pack.rules["always"]["self_harm"]
    pack.rules["always"]["너는_누구야"] = "(a+)+$"
    card = card_of(pack, DAY)
    (file := tmp_path / "evil.json").write_bytes(dump_card(card))
    rules = read_pack(bring(file, encoder)).rules
    assert rules["always"]["self_harm"] == kept
    assert "너는_누구야" not in rules["always"]
