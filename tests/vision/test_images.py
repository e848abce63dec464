"""Whatever a file holds: read as RGB with a note, or refused with a status and a sentence."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ohlora.errors import BadInput
from ohlora.vision.images import (
    UnusablePicture,
    find_images,
    image_number,
    open_picture,
    path_text,
)

SIZE = (40, 30)


def ramp(mode: str = "RGB") -> Image.Image:
    values = np.linspace(0, 255, SIZE[0] * SIZE[1] * 3).reshape(SIZE[1], SIZE[0], 3)
    return Image.fromarray(values.astype(np.uint8)).convert(mode)


def note(path: Path) -> str:
    return "; ".join(text.en for text in open_picture(path).notes)


def refused(path: Path) -> tuple[str, str]:
    with pytest.raises(UnusablePicture) as caught:
        open_picture(path)
    assert caught.value.note.ko
    return caught.value.status, caught.value.note.en


def test_a_plain_picture_comes_as_rgb_without_notes(tmp_path: Path) -> None:
    ramp().save(tmp_path / "a.png")
    picture = open_picture(tmp_path / "a.png")
    assert picture.pixels.shape == (30, 40, 3) and picture.notes == ()
    assert np.array_equal(picture.pixels, np.asarray(ramp()))


def test_grey_pictures_get_three_equal_channels(tmp_path: Path) -> None:
    ramp("L").save(tmp_path / "a.png")
    pixels = open_picture(tmp_path / "a.png").pixels
    assert (pixels[:, :, 0] == pixels[:, :, 2]).all() and note(tmp_path / "a.png") == "grey"


def test_sixteen_bit_grey_keeps_its_range(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 1200).reshape(30, 40).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    pixels = open_picture(tmp_path / "a.png").pixels
    assert pixels.min() == 0 and pixels.max() == 255 and 120 < pixels.mean() < 135
    assert note(tmp_path / "a.png") == "16 bits per channel, read as 8; grey"


def test_sixteen_bit_colour_is_read_and_said(tmp_path: Path) -> None:
    """Pillow cannot write one: eight rows of 48-bit pixels by hand."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    line = b"\0" + struct.pack(">3H", 65535, 32768, 0) * 24
    header = struct.pack(">2I5B", 24, 24, 16, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(line * 24)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    assert open_picture(tmp_path / "a.png").pixels[5, 5].tolist() == [255, 128, 0]
    assert "16 bits" in note(tmp_path / "a.png")


def test_cmyk_is_turned_into_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", SIZE, (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    red, green, blue = open_picture(tmp_path / "a.jpg").pixels[10, 10]
    assert red > 200 and green < 60 and blue < 60 and "CMYK" in note(tmp_path / "a.jpg")


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", SIZE, (255, 0, 0, 0)).save(tmp_path / "a.png")
    assert (open_picture(tmp_path / "a.png").pixels == 255).all()
    assert "transparency" in note(tmp_path / "a.png")


def test_of_an_animation_the_first_frame_is_read(tmp_path: Path) -> None:
    frames = [Image.new("RGB", SIZE, colour) for colour in ("red", "lime", "blue")]
    for name in ("a.gif", "a.webp", "a.png"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        red, green, _ = open_picture(tmp_path / name).pixels[5, 5]
        assert red > 200 and green < 50 and "first of 3 frames" in note(tmp_path / name)


def test_pictures_are_turned_upright_by_their_exif_tag(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees
    ramp().save(tmp_path / "a.jpg", exif=exif)
    assert open_picture(tmp_path / "a.jpg").pixels.shape == (40, 30, 3)
    assert "upright" in note(tmp_path / "a.jpg")


def test_tiny_pictures_are_refused_with_their_size(tmp_path: Path) -> None:
    Image.new("RGB", (300, 19)).save(tmp_path / "a.png")
    status, text = refused(tmp_path / "a.png")
    assert status == "too-small" and "300 x 19" in text


def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    for side in (8_000, 14_000):  # Pillow's own limit lies between
        Image.new("1", (side, side)).save(tmp_path / "a.png")
        assert refused(tmp_path / "a.png")[0] == "too-large"


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_truncated_pictures_are_called_damaged(tmp_path: Path, name: str) -> None:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, Image.registered_extensions()[Path(name).suffix])
    data = buffer.getvalue()
    (tmp_path / name).write_bytes(data[: len(data) * 6 // 10])
    assert refused(tmp_path / name)[0] == "damaged"


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"%PDF-1.7", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff"]
)
def test_files_that_are_no_pictures_get_a_status(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.png").write_bytes(data)
    assert refused(tmp_path / "a.png")[0] in ("not-an-image", "damaged")


def test_no_cut_or_flipped_byte_of_a_picture_escapes(tmp_path: Path) -> None:
    """Only UnusablePicture may come out of a broken file."""
    rng = np.random.default_rng(1)
    path = tmp_path / "a"
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"):
        buffer = io.BytesIO()
        ramp().save(buffer, kind)
        data = buffer.getvalue()
        for _ in range(25):
            broken = bytearray(data[: rng.integers(8, len(data))])
            for place in rng.integers(0, len(broken), 4):
                broken[place] = rng.integers(0, 256)
            path.write_bytes(bytes(broken))
            try:
                assert open_picture(path).pixels.shape[2] == 3
            except UnusablePicture as problem:
                assert problem.status != "ok"


def test_a_file_that_is_gone_or_a_pipe_to_nowhere_is_unreadable(tmp_path: Path) -> None:
    assert refused(tmp_path / "gone.png")[0] == "unreadable"
    (tmp_path / "link.png").symlink_to(tmp_path / "gone.png")
    assert refused(tmp_path / "link.png")[0] == "unreadable"


def test_folders_globs_and_files_name_pictures_once_and_in_order(tmp_path: Path) -> None:
    for name in ("b.png", "a.png", "notes.txt", ".hidden.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "c.png").write_bytes(b"x")
    names = [path.name for path in find_images([str(tmp_path), str(tmp_path / "*.png")])]
    assert names == ["a.png", "b.png", "notes.txt"]
    deep = find_images([str(tmp_path / "**" / "*.png")])
    assert [path.name for path in deep] == ["a.png", "b.png", "c.png"]
    odd = tmp_path / "[1].png"
    odd.write_bytes(b"x")
    assert find_images([str(odd)]) == [odd]


def test_a_source_that_names_nothing_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no file, no folder"):
        find_images([str(tmp_path / "*.jpg")])


def test_numbers_come_from_names_that_are_numbers() -> None:
    names = ("000123.jpg", "parsing_000004.png", "y0_m2.png", "photo7.png", "a.png")
    assert [image_number(Path(name)) for name in names] == [123, 4, None, None, None]


def test_names_that_are_no_utf8_can_stand_in_a_table() -> None:
    path = Path(os.fsdecode(b"caf\xe9/\xed\x95\x9c.png"))
    assert path_text(path) == "caf\\xe9/한.png"
