"""PNGs and archives from anyone: damaged, huge, or made to do harm."""

from __future__ import annotations

import io
import random
import stat
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from cards import card_png, charx, chunk, dumped, foreign_card, in_one_sentence, png, run
from PIL import Image

from ohlora.embedding import Encoder
from ohlora.errors import BadInput, OhloraError
from ohlora.packs.carry import bring, export, open_persona
from ohlora.packs.png import SIGNATURE

CARD = foreign_card()
PNG = card_png(CARD)


def bomb_png() -> bytes:
    text = b"ccv3\0\0" + zlib.compress(b"A" * (64 << 20), 9)
    data = png()
    end = data.index(b"IEND") - 4
    return data[:end] + chunk(b"zTXt", text) + data[end:]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (png(), "a picture without a character card"),
        (png({"comment": b"hello"}), "a picture without a character card"),
        (PNG[:-20], "cut off before its end"),
        (PNG[: len(SIGNATURE) + 5], "cut off before its end"),
        (PNG.replace(b"tEXtccv3", b"tEXtccv4"), "checksum"),
        (SIGNATURE + chunk(b"tEXt", b"ccv3\0e30="), "no header"),
        (SIGNATURE + b"\x7f\xff\xff\xffIHDR" + b"0" * 40, "cut off before its end"),
        (png({"ccv3": b"not base64!"}), "not base64"),
        (png({"ccv3": b"e30"}), "not base64"),
        (png({"ccv3": b"aGVsbG8="}), "not JSON"),
        (png({"ccv3": b"/////w=="}), "not UTF-8"),
        (png({"ccv3": b"e30="}), "no character card of these versions"),
        (bomb_png(), "unpacks to more than 24 MB"),
        (
            png()[:33] + chunk(b"zTXt", b"ccv3\0\0" + b"garbage") + png()[33:],
            "cannot be unpacked",
        ),
    ],
)
def test_a_picture_that_is_no_card_is_one_sentence(
    tmp_path: Path, own_home: Path, content: bytes, said: str
) -> None:
    refused(tmp_path / "bad.png", own_home, content, said)


def refused(file: Path, own_home: Path, content: bytes, said: str) -> None:
    file.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        run("import", file)
    assert said in caught.value.en and in_one_sentence(caught.value), caught.value.en
    assert not (own_home / "personas").exists()
    assert not list((own_home / "personas.tmp").glob("*"))


def entry(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def archive_with(info: zipfile.ZipInfo, data: bytes = b"x") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("card.json", dumped(CARD))
        archive.writestr(info, data)
    return out.getvalue()


def doctored(data: bytes, offset: int, value: bytes) -> bytes:
    """The archive with bytes of its last central directory entry replaced."""
    at = data.rindex(b"PK\x01\x02") + offset
    return data[:at] + value + data[at + len(value) :]


PLAIN = archive_with(entry("assets/a.png"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (archive_with(entry("../../evil")), "a path that leads out"),
        (archive_with(entry("/etc/passwd")), "a path that leads out"),
        (archive_with(entry("a/../../b")), "a path that leads out"),
        (archive_with(entry("C:\\evil")), "a path that leads out"),
        (archive_with(entry("face\\..\\evil")), "a path that leads out"),
        (archive_with(entry("a\nb")), "a path that leads out"),
        (archive_with(entry("x" * 300)), "a name of over 200"),
        (archive_with(entry("face/index.json", stat.S_IFLNK | 0o777)), "a link or device"),
        (archive_with(entry("fifo", stat.S_IFIFO | 0o644)), "a link or device"),
        (archive_with(entry("CARD.json")), "a name that is there twice"),
        (doctored(PLAIN, 8, b"\x01\x00"), "a password"),
        (doctored(PLAIN, 10, b"\x0c\x00"), "an unusual compression"),
        (doctored(PLAIN, 24, b"\xff\xff\xff\x7f"), "and the limit is 256 MB"),
        (charx(None, {"a.txt": b"x"}), "has no card.json"),
        (charx(b"{"), "not JSON"),
        (charx(b"A" * (17 << 20)), "larger than 16 MB"),
        (charx(CARD)[:-30], "no whole zip archive"),
        (b"PK\x03\x04" + b"junk" * 20, "no whole zip archive"),
        (charx(CARD, {f"assets/{n}": b"" for n in range(4001)}), "and the limit is 4,000"),
    ],
)
def test_a_hostile_archive_is_one_sentence_and_nothing_is_unpacked(
    tmp_path: Path, own_home: Path, content: bytes, said: str
) -> None:
    refused(tmp_path / "bad.charx", own_home, content, said)
    assert not (own_home.parent / "evil").exists()


def test_an_entry_never_gives_more_than_it_declared(tmp_path: Path, own_home: Path) -> None:
    info = entry("assets/a.bin")
    info.compress_type = zipfile.ZIP_DEFLATED
    bomb = doctored(archive_with(info, b"\0" * (8 << 20)), 24, b"\x05\0\0\0")
    assert len(bomb) < 20_000
    refused(tmp_path / "bomb.charx", own_home, bomb, "no whole zip archive")


def test_an_entry_damaged_inside_is_found_and_nothing_stays(tmp_path: Path, own_home: Path) -> None:
    data = charx(CARD, {"assets/a.bin": bytes(range(256)) * 40}, method=0)
    at = data.index(bytes(range(256))) + 100
    damaged = data[:at] + b"\0\0\0\0" + data[at + 4 :]
    refused(tmp_path / "bad.charx", own_home, damaged, "no whole zip archive")


def test_no_flipped_byte_of_a_card_file_is_more_than_an_error(tmp_path: Path) -> None:
    rng = random.Random(5)
    whole = {"a.png": PNG, "a.charx": charx(CARD, {"assets/a.txt": b"hello" * 9}),
             "a.json": dumped(CARD)}  # fmt: skip
    outcomes = set()
    for name, data in whole.items():
        for _ in range(120):
            bad = bytearray(data)
            for _ in range(rng.choice([1, 1, 4])):
                bad[rng.randrange(len(bad))] = rng.randrange(256)
            (file := tmp_path / name).write_bytes(
                bytes(bad[: rng.choice([None, -1, len(bad) // 2])])
            )
            try:
                with open_persona(file) as pack:
                    for opener in pack.files.values():
                        with opener() as stream:
                            stream.read()
                outcomes.add("read")
            except OhloraError as error:
                assert error.en and error.ko
                outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def test_assets_of_a_foreign_archive_travel_on(tmp_path: Path, encoder: Encoder) -> None:
    card: dict[str, Any] = foreign_card()
    card["data"]["assets"] = [
        {"type": "icon", "uri": "embeded://art/main.png", "name": "main", "ext": "png"},
        {"type": "emotion", "uri": "embeded://art/joy.png", "name": "joy", "ext": "png"},
        "not an object",
    ]
    files = {"art/main.png": png(), "art/joy.png": b"joy", "other.txt": b"other"}
    (file := tmp_path / "sera.charx").write_bytes(charx(card, files))
    folder = bring(file, encoder)
    export(folder, out := tmp_path / "out.charx")
    with zipfile.ZipFile(out) as archive:
        assert archive.read("art/joy.png") == b"joy" and archive.read("art/main.png") == png()
        assert archive.read("assets/other.txt") == b"other"
        assert "picture.png" not in archive.namelist()
    export(folder, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.size == (8, 8)  # its own icon, not the embedded face
    with open_persona(out) as pack:
        assert pack.card is not None
        assert pack.card["data"]["assets"] == card["data"]["assets"]
