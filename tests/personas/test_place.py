"""A pack arrives whole or not at all, and the old one stays until then."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cards import card_png, charx, dumped, foreign_card, in_one_sentence, png, run, write_adapter

from ohlora.embedding import Encoder
from ohlora.errors import BadInput, StoreError
from ohlora.packs import place as place_module
from ohlora.packs.carry import bring, export
from ohlora.packs.pack import Pack, read_pack
from ohlora.packs.place import place
from ohlora.persona import find_packs, load_persona


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def left_over(home: Path) -> list[Path]:
    return list((home / "personas.tmp").glob("*"))


def test_a_persona_that_is_here_is_replaced_only_when_asked(
    tmp_path: Path, own_home: Path, mina: Path, ten: Path
) -> None:
    before = tree(mina)
    ten.write_text("Q: 바다 좋아해?\nA: 매일 봐.\n", "utf-8")
    with pytest.raises(BadInput, match="is here already") as caught:
        run("new", "mina", "--lines", ten)
    assert in_one_sentence(caught.value) and tree(mina) == before
    with pytest.raises(BadInput, match="'ohlora' is here already"):
        run("new", "ohlora", "--lines", ten)
    run("new", "mina", "--lines", ten, "--replace")
    assert [row["a"] for row in read_pack(mina).lines["own"]] == ["매일 봐."]
    assert left_over(own_home) == []


def test_an_import_over_a_persona_needs_replace_or_another_name(
    tmp_path: Path, own_home: Path, mina: Path
) -> None:
    before = tree(mina)
    run("export", "mina", file := tmp_path / "mina.charx")
    with pytest.raises(BadInput, match="--as"):
        run("import", file)
    run("import", file, "--as", "twin")
    assert {"mina", "twin"} <= set(dict(find_packs()))
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(BadInput, match="no whole zip"):
        run("import", file, "--replace")
    assert tree(mina) == before


@pytest.mark.parametrize("after", [0, 3, 20])
def test_a_full_disk_is_one_sentence_and_the_old_pack_stays(
    own_home: Path, mina: Path, make_mina: Callable[[], Pack], monkeypatch: pytest.MonkeyPatch,
    after: int,
) -> None:  # fmt: skip
    before = tree(mina)
    pack = make_mina()
    pack.files = {f"assets/{n}": lambda: open(os.devnull, "rb") for n in range(30)}
    real, calls = shutil.copyfileobj, []

    def full(*args: Any) -> None:
        calls.append(1)
        if len(calls) > after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(*args)

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(StoreError, match="No space left on device") as caught:
        place(pack, replace=True)
    assert in_one_sentence(caught.value)
    assert tree(mina) == before and left_over(own_home) == []


def test_a_real_full_disk_at_export_keeps_the_file_that_was_there(
    tmp_path: Path, mina: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file := tmp_path / "mina.json").write_bytes(b"the old one")
    real = Path.write_bytes

    def cut(path: Path, data: bytes) -> int:
        real(path, data[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", cut)
    with pytest.raises(StoreError, match="No space left"):
        export(mina, file)
    assert file.read_bytes() == b"the old one"
    assert [path.name for path in tmp_path.iterdir() if "mina" in path.name] == ["mina.json"]


@pytest.mark.parametrize("step", ["before", "between", "after"])
def test_a_kill_while_replacing_leaves_the_old_or_the_new_persona(
    own_home: Path, mina: Path, make_mina: Callable[[], Pack], monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:  # fmt: skip
    """The process dies at each of the two renames; the next command mends."""
    before = tree(mina)
    pack = make_mina()
    pack.settings["greeting"] = {"ko": "새 인사", "en": "new"}

    class Killed(BaseException):
        pass

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    target = {"before": (os, "replace"), "between": (os, "rename"), "after": (shutil, "rmtree")}
    with monkeypatch.context() as patch:
        patch.setattr(*target[step], die)
        if step != "after":
            patch.setattr(shutil, "rmtree", lambda *_, **__: None)  # the dead do not tidy up
        with pytest.raises(Killed):
            place(pack, replace=True)
    for left in left_over(own_home):  # as if another process had written it
        if left.name.endswith(f".{os.getpid()}"):
            left.rename(left.with_suffix(".999999999"))
    run("list")
    now = tree(mina)
    assert now == before if step != "after" else "새 인사".encode() in now["persona.toml"]
    assert left_over(own_home) == []


def test_two_at_once_are_not_mixed(
    own_home: Path, make_mina: Callable[[], Pack], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process places the same id while this one is writing."""
    pack, real = make_mina(), place_module.write_folder

    def slowly(pack: Pack, folder: Path) -> None:
        real(pack, folder)
        if not (own_home / "personas" / "mina").exists():
            shutil.copytree(folder, own_home / "personas" / "mina")
            (own_home / "personas" / "mina" / "theirs").touch()

    monkeypatch.setattr(place_module, "write_folder", slowly)
    with pytest.raises(BadInput, match="is here already"):
        place(pack)
    assert (own_home / "personas" / "mina" / "theirs").exists()
    assert left_over(own_home) == []


def test_adapter_and_face_travel_in_an_archive_and_are_named_in_a_picture(
    tmp_path: Path, encoder: Encoder, mina: Path
) -> None:
    write_adapter(mina / "adapter")
    shutil.copytree(small_face(tmp_path), mina / "face")
    (mina / "face" / "z.csv").write_text("0,1,2\n0.5,-1.25,3e-05\n")
    export(mina, tmp_path / "mina.charx")
    folder = bring(tmp_path / "mina.charx", encoder, id="twin")
    assert {k: v for k, v in tree(folder).items() if k.startswith(("adapter", "face"))} == {
        k: v for k, v in tree(mina).items() if k.startswith(("adapter", "face"))
    }
    twin = load_persona("twin")
    assert twin.models.engine == f"embedded:{folder.resolve()}/adapter"
    assert twin.models.face == f"pack:{folder.resolve()}/face"
    left_out = export(mina, tmp_path / "mina.png").left_out
    assert "adapter/adapter_model.safetensors" in left_out
    bare = bring(tmp_path / "mina.png", encoder, id="bare")
    assert not (bare / "adapter").exists() and load_persona("bare").models.engine == "embedded"
    assert (bare / "face" / "z.csv").read_text() == "0,1,2\n0.5,-1.25,3e-05\n"


def small_face(tmp_path: Path) -> Path:
    import io

    from PIL import Image

    from ohlora.face.lattice import Axes
    from ohlora.face.pack import write_pack

    axes = Axes((-1.2, 0.0), (0.0,), (0.0,))
    frames = {}
    for cell in axes:
        out = io.BytesIO()
        Image.new("RGB", (16, 16), (cell.e * 90, 40, 90)).save(out, "WEBP")
        frames[cell] = out.getvalue()
    write_pack(tmp_path / "small", axes, frames, "CC0-1.0")
    return tmp_path / "small"


def test_the_picture_of_an_export_is_the_personas_own_face(tmp_path: Path, mina: Path) -> None:
    from PIL import Image

    shutil.copytree(small_face(tmp_path), mina / "face")
    export(mina, file := tmp_path / "mina.png")
    with Image.open(file) as picture:
        red = picture.getpixel((256, 256))[0]
    assert picture.size == (512, 512) and red < 30  # the cell nearest to neutral


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: write_adapter(folder, width=2048), "does not fit the base Gemma 3 270M"),
        (lambda folder: write_adapter(folder, base="c_attn"), "no such matrix"),
        (lambda folder: (folder / "adapter_config.json").write_text("{"), "no settings file"),
        (lambda folder: (folder / "adapter_config.json").write_text('{"r": 3, "lora_alpha": 1}'),
         "does not fit"),
        (lambda folder: (folder / "adapter_model.safetensors").write_bytes(b"\xff" * 64),
         "header"),
        (lambda folder: (folder / "adapter_model.safetensors").write_bytes(b""), "header"),
    ],
)  # fmt: skip
def test_an_adapter_that_does_not_fit_is_refused_without_loading_it(
    tmp_path: Path, own_home: Path, mina: Path, spoil: Callable[[Path], Any], said: str
) -> None:
    spoil(write_adapter(mina / "adapter"))
    with pytest.raises(BadInput, match=said) as caught:
        export(mina, tmp_path / "mina.charx")
    assert in_one_sentence(caught.value)
    files = {f"adapter/{path.name}": path.read_bytes() for path in (mina / "adapter").iterdir()}
    (file := tmp_path / "bad.charx").write_bytes(charx(foreign_card(), files))
    with pytest.raises(BadInput, match=said) as caught:
        run("import", file, "--as", "bad")
    assert in_one_sentence(caught.value)
    assert not (own_home / "personas" / "bad").exists() and left_over(own_home) == []


def test_a_folder_is_imported_as_it_is_and_without_its_links(
    tmp_path: Path, encoder: Encoder, mina: Path
) -> None:
    shutil.copytree(mina, tmp_path / "mine")
    (tmp_path / "mine" / "adapter").mkdir()
    (tmp_path / "mine" / "adapter" / "secret").symlink_to("/etc/passwd")
    write_adapter(tmp_path / "mine" / "adapter")
    folder = bring(tmp_path / "mine", encoder, id="copy")
    assert (folder / "adapter" / "adapter_model.safetensors").exists()
    assert not (folder / "adapter" / "secret").exists()
    with pytest.raises(BadInput, match=r"persona\.toml: is missing"):
        bring(tmp_path / "mine" / "adapter", encoder)


def test_importing_a_picture_twice_gives_the_same_persona(tmp_path: Path, encoder: Encoder) -> None:
    (file := tmp_path / "sera.png").write_bytes(card_png(foreign_card()))
    first = tree(bring(file, encoder))
    assert first == tree(bring(file, encoder, replace=True))
    assert first["picture.png"] == png() and b"ohlora" not in first["card.json"]
    (tmp_path / "sera.json").write_bytes(dumped(foreign_card()))
    second = tree(bring(tmp_path / "sera.json", encoder, replace=True))
    assert second == {name: data for name, data in first.items() if name != "picture.png"}


def test_an_adapter_and_a_face_are_added_and_comments_stay(tmp_path: Path, mina: Path) -> None:
    toml = mina / "persona.toml"
    toml.write_text("# my own remark\n" + toml.read_text("utf-8"), "utf-8")
    (tmp_path / "z.csv").write_text("0,1\n0.5,1.5\n")
    run("add", "mina", "--adapter", write_adapter(tmp_path / "run"), "--z", tmp_path / "z.csv",
        "--face", small_face(tmp_path))  # fmt: skip
    persona = load_persona("mina")
    assert persona.models.engine == f"embedded:{mina.resolve()}/adapter"
    assert persona.models.face == f"pack:{mina.resolve()}/face"
    assert toml.read_text("utf-8").startswith("# my own remark\n")
    assert "its own adapter" in run("show", "mina")
    before = tree(mina)
    with pytest.raises(BadInput, match="does not fit"):
        run("add", "mina", "--adapter", write_adapter(tmp_path / "wrong", width=64))
    with pytest.raises(BadInput, match="has no adapter_config"):
        run("add", "mina", "--adapter", tmp_path)
    with pytest.raises(BadInput, match="is not among your personas"):
        run("add", "ohlora", "--adapter", tmp_path / "run")
    assert tree(mina) == before
