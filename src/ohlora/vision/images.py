"""Pictures from files, whatever they turn out to be.

`find_images` turns names, folders and globs into a list of files. `open_picture` reads one as
uint8 RGB and says what it had to do for that (grey, 16 bits, CMYK, animation ...); a file that
is no usable picture raises UnusablePicture, whose status and note go into its row.
"""

from __future__ import annotations

import glob
import os
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from ohlora.errors import BadInput
from ohlora.vision.notes import Note, Status

Pixels = NDArray[np.uint8]

SMALLEST = 20  # pixels on the shorter side: MTCNN looks for no smaller face
LARGEST = 50_000_000  # pixels in all; decoding takes about 4 bytes for each
PNG_DEPTH = 24  # the byte of a PNG file that tells bits per channel


@dataclass(frozen=True)
class Picture:
    path: Path
    pixels: Pixels  # [H, W, 3] RGB
    notes: tuple[Note, ...] = ()


class UnusablePicture(Exception):
    def __init__(self, status: Status, en: str, ko: str) -> None:
        self.status, self.note = status, Note(en, ko)
        super().__init__(en)


def find_images(sources: Iterable[str]) -> list[Path]:
    """Files named by `sources`: a file, all files of a folder, or a glob ("**" goes deeper).

    Sorted by name within each source; hidden files are left out; no file comes twice. Raises
    BadInput when a source names nothing.
    """
    found: dict[Path, None] = {}
    for source in sources:
        path = Path(source).expanduser()
        if path.is_dir():
            files = sorted(file for file in path.iterdir() if file.is_file())
        elif os.path.lexists(path):
            files = [path]
        else:
            matches = (Path(match) for match in glob.glob(str(path), recursive=True))
            files = sorted(file for file in matches if file.is_file())
        files = [file for file in files if file == path or not file.name.startswith(".")]
        if not files:
            raise BadInput(
                f"{source}: no file, no folder with files and no glob that matches one.",
                f"{source}: 파일도, 파일이 든 폴더도, 맞는 글롭도 없어요.",
            )
        found.update(dict.fromkeys(files))
    return list(found)


def image_number(path: Path) -> int | None:
    """The number a file is named by, as in 000123.jpg or parsing_000123.png."""
    digits = re.search(r"(?:^|_)([0-9]+)$", path.stem)
    return int(digits[1]) if digits else None


def path_text(path: Path) -> str:
    """A path for tables: names that are no UTF-8 keep their odd bytes as \\xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def open_picture(path: Path) -> Picture:
    """Read one picture as upright RGB. Raises UnusablePicture."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns where we write a note instead
            with Image.open(path) as image:
                return read(path, image)
    except UnusablePicture:
        raise
    except UnidentifiedImageError as error:
        raise UnusablePicture(
            "not-an-image",
            "not a picture in a format that Pillow reads",
            "Pillow가 읽을 수 있는 이미지 형식이 아님",
        ) from error
    except Image.DecompressionBombError as error:
        raise too_large() from error
    except OSError as error:
        if error.errno is not None:
            reason = error.strerror or "unknown"
            raise UnusablePicture(
                "unreadable", f"cannot be opened: {reason}", f"열 수 없음: {reason}"
            ) from error
        raise damaged(error) from error
    except Exception as error:  # Pillow's decoders raise whatever a broken file leads them to
        raise damaged(error) from error


def damaged(error: Exception) -> UnusablePicture:
    reason = str(error) or type(error).__name__
    return UnusablePicture("damaged", f"the file is damaged: {reason}", f"파일이 손상됨: {reason}")


def too_large() -> UnusablePicture:
    limit = LARGEST // 1_000_000
    return UnusablePicture("too-large", f"more than {limit} megapixels", f"{limit}메가픽셀보다 큼")


def read(path: Path, image: Image.Image) -> Picture:
    width, height = image.size
    if width * height > LARGEST:
        raise too_large()
    if min(width, height) < SMALLEST:
        raise UnusablePicture(
            "too-small",
            f"{width} x {height} pixels; the smallest face is {SMALLEST} x {SMALLEST}",
            f"{width} x {height}픽셀; 가장 작은 얼굴이 {SMALLEST} x {SMALLEST}",
        )
    notes = []
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        notes.append(Note(f"first of {frames} frames", f"프레임 {frames}개 중 첫째"))
    image.load()  # only now a truncated file shows itself
    if sixteen_bits(path, image):
        notes.append(Note("16 bits per channel, read as 8", "채널당 16비트를 8비트로 읽음"))
    upright = ImageOps.exif_transpose(image)
    if upright.size != image.size or upright.getexif() != image.getexif():
        notes.append(Note("turned upright by its EXIF tag", "EXIF 정보대로 바로 세움"))
    pixels, how = to_rgb(upright)
    return Picture(path, pixels, (*notes, *how))


def sixteen_bits(path: Path, image: Image.Image) -> bool:
    if image.mode.startswith("I"):
        return True
    if image.format != "PNG":  # Pillow cuts 16-bit colour down to 8 without a word
        return False
    with path.open("rb") as file:
        return file.read(PNG_DEPTH + 1)[-1] == 16


def to_rgb(image: Image.Image) -> tuple[Pixels, tuple[Note, ...]]:
    """uint8 [H, W, 3] and what had to be done."""
    grey = Note("grey", "흑백")
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float64)
        peak = 65535 if image.mode.startswith("I") else max(float(values.max()), 1e-9)
        shades = (values.clip(0, peak) * (255 / peak)).round().astype(np.uint8)
        return shades[:, :, None].repeat(3, axis=2), (grey,)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        flat = Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
        return np.asarray(flat), (Note("transparency laid on white", "투명한 곳은 흰색으로"),)
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("RGB")), (grey,)
    if image.mode == "CMYK":
        note = Note("CMYK without a colour profile applied", "CMYK를 프로필 없이 변환함")
        return np.asarray(image.convert("RGB")), (note,)
    return np.asarray(image.convert("RGB")), ()
