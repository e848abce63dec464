"""Personas in and out of files: .png and .json cards, .charx archives, plain folders.

                 text, lines   picture   adapter, face, z
    .json        yes           -         named, not carried
    .png         yes           yes       named, not carried
    .charx       yes           yes       yes
    folder       copied as it is

`data.extensions.ohlora` of a card names what belongs to the persona: {"adapter": {"uri", "rank",
"base", "sha256", ...}, "face": {"uri", "id"}, "z": [512 numbers]}; `embeded://` addresses are
entries of the archive.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ohlora.embedding import Encoder
from ohlora.errors import BadInput, OhloraError
from ohlora.files import beside
from ohlora.packs.card import Card, Spec, dump_card, parse_card, read_card
from ohlora.packs.charx import ADDRESS, open_charx, write_charx
from ohlora.packs.check import refuse_unsound
from ohlora.packs.mapping import card_of, pack_of
from ohlora.packs.new import Hers, complete
from ohlora.packs.pack import (
    CARRIED,
    ID,
    PICTURE,
    Opener,
    Pack,
    check_id,
    holding,
    read_pack,
    refuse,
)
from ohlora.packs.place import place
from ohlora.packs.png import SIGNATURE, card_in, with_cards, without_cards

PICTURE_BYTES = 64 << 20
PICTURE_PIXELS = 512  # side of a picture drawn from the face
KINDS = (".png", ".json", ".charx")
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
Z_FILE = "face/z.csv"


@dataclass(frozen=True)
class Exported:
    path: Path
    left_out: tuple[str, ...]  # files of the pack that this kind of file cannot carry


@contextmanager
def open_persona(path: Path) -> Iterator[Pack]:
    """The pack in a file or folder; its files can be read until the end of the block.

    Raises BadInput and CheckpointError, each one sentence naming the file.
    """
    if path.is_dir():
        refuse_unsound(path, f"{path}/")
        yield read_pack(path)
        return
    head = _head(path)
    if head.startswith(b"PK"):
        with open_charx(path) as archive:
            card = parse_card(archive.card, path)
            pack = pack_of(card, path)
            pack.files |= _from_archive(archive.files)
            icon = archive.files.get(_icon(card))
            if icon and PICTURE not in pack.files and icon().read(8) == SIGNATURE:
                pack.files[PICTURE] = icon
            _take_z(card, pack, path)
            _name(pack, path)
            yield pack
        return
    if head.startswith(SIGNATURE):
        data = _read(path, PICTURE_BYTES)
        card = parse_card(card_in(data, path), path)
        pack = pack_of(card, path)
        pack.files[PICTURE] = holding(without_cards(data, path))
    elif head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        card = read_card(path)
        pack = pack_of(card, path)
    else:
        raise refuse(
            path,
            "is neither a PNG card, a .charx archive, a JSON card nor a persona folder.",
            "PNG 카드도, .charx 파일도, JSON 카드도, 페르소나 폴더도 아니에요.",
        )
    _take_z(card, pack, path)
    _name(pack, path)
    yield pack


def bring(path: Path, encoder: Encoder, *, id: str = "", replace: bool = False) -> Path:
    """Import a persona; return its folder. A card without lines of ours is completed (new.py).

    Raises BadInput, CheckpointError, StoreError; nothing is written unless all of it is sound.
    """
    with open_persona(path) as pack:
        if id:
            pack.settings["id"] = check_id(id)
        if not path.is_dir():
            _only_known_patterns(pack, encoder)
            _use_files(pack)
            if set(pack.lines) <= {"examples"}:
                complete(pack, encoder)
        return place(pack, replace=replace)


def export(folder: Path, to: Path, *, spec: Spec = 3, today: date | None = None) -> Exported:
    """Write the pack in `folder` as the kind of file that the name `to` asks for.

    Raises BadInput, CheckpointError, StoreError; a file that was there stays until the new one
    is whole.
    """
    if to.suffix.lower() not in KINDS:
        raise BadInput(
            f"{to} has no known ending: use one of {', '.join(KINDS)}.",
            f"{to}의 확장자를 알 수 없어요. {', '.join(KINDS)} 중에서 써 주세요.",
        )
    refuse_unsound(folder, f"{folder}/")
    pack = read_pack(folder)
    card = card_of(pack, today or date.today())
    carries = to.suffix.lower() == ".charx"
    _describe_files(card, pack, carries)
    left_out: tuple[str, ...] = ()
    if carries:
        if _icon(card) not in ("", PICTURE):  # the card names a picture of its own
            pack.files.pop(PICTURE, None)
        else:
            pack.files.setdefault(PICTURE, holding(draw_picture(folder)))
        _list_assets(card, pack)
        data = io.BytesIO()
        write_charx(data, dump_card(card, spec), pack.files)
        content = data.getvalue()
    else:
        left_out = tuple(name for name in pack.files if name != PICTURE)
        content = dump_card(card, spec)
        if to.suffix.lower() == ".png":
            cards = {"ccv3": dump_card(card, 3), "chara": dump_card(card, 2)}
            content = with_cards(_picture(pack, folder), cards, to)
    with beside(to) as partial:
        partial.write_bytes(content)
    return Exported(to, left_out)


def draw_picture(folder: Path) -> bytes:
    """PNG of the persona's own face, or of the embedded one, with a neutral expression."""
    from PIL import Image

    from ohlora.expression import NEUTRAL
    from ohlora.face import load_face

    own = folder / "face" / "index.json"
    face = load_face(f"pack:{own.parent}" if own.exists() else "embedded")
    try:
        frame = face.frame(face.nearest(NEUTRAL))
    finally:
        face.close()
    with Image.open(io.BytesIO(frame)) as image:
        side = PICTURE_PIXELS
        picture = image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def slug(name: str) -> str:
    """An id from a name: "미나" -> "mina", "Aqua Q." -> "aqua-q"; "" when nothing is left."""
    latin = "".join(_romanised(char) for char in unicodedata.normalize("NFC", name))
    latin = unicodedata.normalize("NFKD", latin).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9_]+", "-", latin).strip("-_")[:40].strip("-")


_FIRST = "g kk n d tt r m b pp s ss  j jj ch k t p h".split(" ")
_MIDDLE = "a ae ya yae eo e yeo ye o wa wae oe yo u wo we wi yu eu ui i".split(" ")
_LAST = " k k k n n n t l k m l l l p l m p p t t ng t t k t p t".split(" ")


def _romanised(char: str) -> str:
    code = ord(char) - ord("가")
    if not 0 <= code < 11_172:
        return char
    return _FIRST[code // 588] + _MIDDLE[code % 588 // 28] + _LAST[code % 28]


def _use_files(pack: Pack) -> None:
    """Let the persona speak with the adapter and show the face that came with it."""
    models = {}
    if all(f"adapter/{name}" in pack.files for name in ADAPTER_FILES):
        models["engine"] = "embedded:./adapter"
    if "face/index.json" in pack.files:
        models["face"] = "pack:./face"
    if models:
        pack.settings["models"] = models


def _only_known_patterns(pack: Pack, encoder: Encoder) -> None:
    """A pattern of [always] runs on whatever a user types: a stranger's could take for ever."""
    known = {topic: regex.pattern for topic, regex in Hers(encoder).always.items()}
    always = pack.rules.pop("always", {})
    kept = {topic: text for topic, text in always.items() if known.get(topic) == text}
    if kept:
        pack.rules["always"] = kept


def _name(pack: Pack, path: Path) -> None:
    """The id of an imported pack: the card's, or one made of its name, or of the file's."""
    wanted = pack.settings.get("id")
    if not (isinstance(wanted, str) and ID.fullmatch(wanted)):
        pack.settings["id"] = slug(pack.name) or slug(path.stem) or "persona"


def _from_archive(entries: Any) -> dict[str, Opener]:
    """Entries of an archive that a pack keeps, by their place in the pack.

    adapter/ and face/ keep their place; any other asset goes to assets/ under its own name.
    """
    files: dict[str, Opener] = {}
    for name, opener in entries.items():
        top = name.split("/")[0]
        if name == PICTURE or (top in CARRIED and "/" in name):
            files[name] = opener
        else:
            files[f"assets/{name}"] = opener
    return files


def _describe_files(card: Card, pack: Pack, carries: bool) -> None:
    """Put adapter, face and z of the pack into data.extensions.ohlora."""
    ours = card["data"]["extensions"]["ohlora"]
    where = ADDRESS if carries else "file:"
    if all(f"adapter/{name}" in pack.files for name in ADAPTER_FILES):
        config = _content(pack, "adapter/adapter_config.json", 1 << 20)
        weights = _digest(pack, "adapter/adapter_model.safetensors")
        try:
            settings = json.loads(config)
            base, rank = settings.get("base_model_name_or_path"), settings.get("r")
        except (ValueError, AttributeError) as error:
            raise refuse(
                "adapter/adapter_config.json",
                f"is not JSON ({error}): export the adapter again.",
                f"JSON이 아니에요({error}). 어댑터를 다시 내보내 주세요.",
            ) from error
        ours["adapter"] = {"uri": f"{where}adapter/", "base": base, "rank": rank, **weights}
    if "face/index.json" in pack.files:
        try:
            face_id = json.loads(_content(pack, "face/index.json", 4 << 20)).get("id")
        except (ValueError, AttributeError):
            face_id = None
        ours["face"] = {"uri": f"{where}face/index.json", "id": face_id}
    if Z_FILE in pack.files:
        ours["z"] = _z_numbers(_content(pack, Z_FILE, 1 << 20))


def _list_assets(card: Card, pack: Pack) -> None:
    """Name the archive's picture in data.assets, and give other assets back their places."""
    assets = list(card["data"].get("assets") or [])
    if PICTURE in pack.files and _icon(card) != PICTURE:
        assets = [one for one in assets if not isinstance(one, dict) or one.get("type") != "icon"]
        assets.append({"type": "icon", "uri": ADDRESS + PICTURE, "name": "main", "ext": "png"})
    card["data"]["assets"] = assets
    named = {_address(asset) for asset in assets}
    for name in [name for name in pack.files if name.startswith("assets/")]:
        if (original := name.removeprefix("assets/")) in named:
            pack.files[original] = pack.files.pop(name)


def _icon(card: Card) -> str:
    """The archive entry of the card's main icon, "" when it names none."""
    icons = [
        asset
        for asset in (card["data"].get("assets") or [])
        if isinstance(asset, dict) and asset.get("type") == "icon" and _address(asset)
    ]
    icons.sort(key=lambda asset: asset.get("name") != "main")
    return _address(icons[0]) if icons else ""


def _address(asset: Any) -> str:
    uri = asset.get("uri") if isinstance(asset, dict) else None
    return uri.removeprefix(ADDRESS) if isinstance(uri, str) and uri.startswith(ADDRESS) else ""


def _take_z(card: Card, pack: Pack, path: Path) -> None:
    """The face vector of a card as a file of the pack."""
    z = ((card["data"].get("extensions") or {}).get("ohlora") or {}).get("z")
    if z is None or Z_FILE in pack.files:
        return
    if (
        not isinstance(z, list)
        or not 1 <= len(z) <= 4096
        or not all(isinstance(value, int | float) and abs(value) < 1e6 for value in z)
    ):
        raise refuse(
            path,
            "extensions.ohlora.z of its card is no list of numbers: export the persona again.",
            "카드의 extensions.ohlora.z가 숫자 목록이 아니에요. 페르소나를 다시 내보내 주세요.",
        )
    rows = ",".join(map(str, range(len(z)))), ",".join(map(repr, z))
    pack.files[Z_FILE] = holding(("\n".join(rows) + "\n").encode("ascii"))


def _z_numbers(data: bytes) -> list[float]:
    rows = [row for row in data.decode("utf-8-sig", "replace").splitlines() if row.strip()]
    try:
        return [float(value) for value in rows[-1].split(",")]
    except (ValueError, IndexError) as error:
        raise refuse(
            Z_FILE,
            f"is no row of numbers ({error}): write the vector again.",
            f"숫자 한 줄이 아니에요({error}). 벡터를 다시 저장해 주세요.",
        ) from error


def _picture(pack: Pack, folder: Path) -> bytes:
    if PICTURE in pack.files:
        return _content(pack, PICTURE, PICTURE_BYTES)
    return draw_picture(folder)


def _content(pack: Pack, name: str, limit: int) -> bytes:
    try:
        with pack.files[name]() as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise refuse(
            name, f"cannot be read ({error.strerror}).", f"읽을 수 없어요({error.strerror})."
        ) from error
    if len(data) > limit:
        raise _too_big(name, limit)
    return data


def _digest(pack: Pack, name: str) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    with pack.files[name]() as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
            size += len(block)
    return {"bytes": size, "sha256": digest.hexdigest()}


def _head(path: Path) -> bytes:
    return _read(path, None, 8)


def _read(path: Path, limit: int | None, count: int = -1) -> bytes:
    try:
        if limit is not None and path.stat().st_size > limit:
            raise _too_big(path, limit)
        with path.open("rb") as stream:
            return stream.read(count)
    except FileNotFoundError as error:
        raise refuse(
            path, "there is no such file or folder.", "그런 파일이나 폴더가 없어요."
        ) from error
    except OSError as error:
        raise refuse(
            path, f"cannot be read ({error.strerror}).", f"읽을 수 없어요({error.strerror})."
        ) from error


def _too_big(path: Path | str, limit: int) -> OhloraError:
    return refuse(
        path,
        f"is larger than {limit >> 20} MB: this is no character card.",
        f"{limit >> 20} MB보다 커요. 캐릭터 카드가 아니에요.",
    )
