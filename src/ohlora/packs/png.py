"""Character cards inside PNG pictures: text chunks `ccv3` (V3) and `chara` (V2).

Each holds base64 of UTF-8 JSON, in tEXt, zTXt or iTXt. Only the chunk structure is read, never
the pixels, and every length is checked against the file before it is believed.
After the PNG specification, https://www.w3.org/TR/png/, sections 5 and 11.3.3.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from ohlora.packs.pack import refuse

SIGNATURE = b"\x89PNG\r\n\x1a\n"
KEYWORDS = ("ccv3", "chara")  # the first that is there is read; both are written
TEXT_BYTES = 24 << 20  # base64 of the largest card
Chunk = tuple[bytes, bytes]  # kind, data


def card_in(data: bytes, path: Path) -> bytes:
    """The JSON bytes of the card in a PNG. Raises BadInput when there is none or it is damaged."""
    texts = {}
    for kind, chunk in chunks(data, path):
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            keyword, _, rest = chunk.partition(b"\0")
            name = keyword.decode("latin-1").lower()
            if name in KEYWORDS:
                texts[name] = _text(kind, rest, name, path)
    for name in KEYWORDS:
        if name in texts:
            return _decoded(texts[name], name, path)
    raise refuse(
        path,
        "is a picture without a character card (no chunk ccv3 or chara): save the card's "
        "original file; chat programs and web sites often strip it from pictures.",
        "캐릭터 카드가 없는 그림이에요(ccv3, chara 조각이 없음). 카드의 원본 파일을 저장해 주세요. "
        "메신저나 웹사이트는 그림에서 카드를 지우곤 해요.",
    )


def without_cards(data: bytes, path: Path) -> bytes:
    """The same picture without its card chunks."""
    return _png((kind, chunk) for kind, chunk in chunks(data, path) if not _is_card(kind, chunk))


def with_cards(data: bytes, cards: Mapping[str, bytes], path: Path) -> bytes:
    """The picture with cards {"ccv3": JSON, "chara": JSON} before its end, old ones replaced."""
    kept = [(kind, chunk) for kind, chunk in chunks(data, path) if not _is_card(kind, chunk)]
    texts = [
        (b"tEXt", name.encode("ascii") + b"\0" + base64.b64encode(card))
        for name, card in cards.items()
    ]
    return _png([*kept[:-1], *texts, kept[-1]])


def chunks(data: bytes, path: Path) -> Iterator[Chunk]:
    """Every chunk of a PNG, IHDR first and IEND last. Raises BadInput."""
    if not data.startswith(SIGNATURE):
        raise refuse(path, "is not a PNG picture.", "PNG 그림이 아니에요.")
    at, kind = len(SIGNATURE), b""
    while kind != b"IEND":
        if at + 12 > len(data):
            raise _cut(path)
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise _cut(path)
        chunk = data[at + 8 : end - 4]
        if zlib.crc32(kind + chunk) != int.from_bytes(data[end - 4 : end], "big"):
            name = kind.decode("latin-1")
            raise refuse(
                path,
                f"is damaged (checksum of its chunk {name!a}): fetch it again.",
                f"손상됐어요({name!a} 조각의 검사합). 다시 받아 주세요.",
            )
        if at == len(SIGNATURE) and kind != b"IHDR":
            raise refuse(
                path, "is not a PNG picture (no header).", "PNG 그림이 아니에요(머리 없음)."
            )
        yield kind, chunk
        at = end


def _png(pieces: Iterator[Chunk] | list[Chunk]) -> bytes:
    out = bytearray(SIGNATURE)
    for kind, chunk in pieces:
        out += struct.pack(">I4s", len(chunk), kind) + chunk
        out += zlib.crc32(kind + chunk).to_bytes(4, "big")
    return bytes(out)


def _is_card(kind: bytes, chunk: bytes) -> bool:
    name = chunk.partition(b"\0")[0].decode("latin-1").lower()
    return kind in (b"tEXt", b"zTXt", b"iTXt") and name in KEYWORDS


def _text(kind: bytes, rest: bytes, name: str, path: Path) -> bytes:
    """The text of a chunk after its keyword, unpacked when it is compressed."""
    if kind == b"tEXt":
        return rest
    packed = kind == b"zTXt"
    if kind == b"iTXt":
        packed, rest = rest[:1] == b"\1", rest[2:]
        rest = rest.split(b"\0", 2)[-1]  # language, translated keyword
    else:
        rest = rest[1:]
    if not packed:
        return rest
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(rest, TEXT_BYTES)
    except zlib.error as error:
        raise refuse(
            path,
            f"its chunk {name} cannot be unpacked ({error}): fetch it again.",
            f"{name} 조각의 압축을 풀 수 없어요({error}). 다시 받아 주세요.",
        ) from error
    if unpacker.unconsumed_tail:
        raise refuse(
            path,
            f"its chunk {name} unpacks to more than {TEXT_BYTES >> 20} MB: this is no card.",
            f"{name} 조각의 압축을 풀면 {TEXT_BYTES >> 20} MB가 넘어요. 카드가 아니에요.",
        )
    return text


def _decoded(text: bytes, name: str, path: Path) -> bytes:
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise refuse(
            path,
            f"its chunk {name} is not base64 ({error}): the card is damaged, fetch it again.",
            f"{name} 조각이 base64가 아니에요({error}). 카드가 손상됐으니 다시 받아 주세요.",
        ) from error


def _cut(path: Path) -> Exception:
    return refuse(
        path,
        "is cut off before its end: fetch the picture again.",
        "그림이 중간에 잘렸어요. 다시 받아 주세요.",
    )
