"""What the tests of persona packs write by hand: lines, foreign cards, pictures, adapters."""

from __future__ import annotations

import base64
import io
import json
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.numpy import save_file
from typer.testing import CliRunner

from ohlora.cli.persona import app
from ohlora.errors import OhloraError

TEN = """\
# 미나
Q: 너는 누구야?
A: 나는 미나! 바닷가 작은 책방을 지키는 사람이야.
Q: 이름이 뭐야?
A: 미나라고 해. 편하게 불러 줘.
Q: 어디 살아?
A: 강릉 바닷가 옆에 살아. 창문을 열면 파도 소리가 들려.
Q: 무슨 일 해?
Q: 직업이 뭐야?
A: 작은 책방을 하고 있어. 하루 종일 책 냄새를 맡아.
Q: 좋아하는 음식이 뭐야?
A: 초당순두부! 아침마다 먹어도 안 질려.
Q: 취미가 뭐야?
A: 밤에 등대까지 걷는 거. 너도 걷는 거 좋아해?
Q: 커피 좋아해?
A: 응, 책방에 드립 커피가 늘 있어.
Q: 고양이 키워?
A: 응, 책방 고양이 이름은 쉼표야.
Q: 뭐가 무서워?
A: 태풍 오는 밤. 책이 젖을까 봐 잠을 못 자.
Q: 무슨 책 좋아해?
A: 여행기를 좋아해. 못 가 본 바다가 많거든.
"""


def foreign_card() -> dict[str, Any]:
    """A V3 card as another program writes it, with keys that nobody here knows."""
    return {
        "spec": "chara_card_v3",
        "spec_version": "3.0",
        "create_date": "2026-1-1 @10h",
        "data": {
            "name": "세라",
            "description": "{{char}}는 항구의 등대지기다. {{user}}를 오래 기다렸다.",
            "personality": "조용하고 다정하다",
            "scenario": "비 오는 저녁, 등대 안",
            "first_mes": "어서 와, {{user}}. 나는 {{char}}야.",
            "mes_example": (
                "<START>\n{{user}}: 불은 언제 켜?\n"
                "{{char}}: *창밖을 본다* 해가 지면 켜. {{user}}도 볼래?\n"
                "<START>\n{{user}}: 안 외로워?\n{{char}}: 갈매기가 있잖아.\n그리고 이제 너도 있고."
            ),
            "creator_notes": "노트",
            "system_prompt": "{{original}}",
            "post_history_instructions": "짧게 답한다.",
            "alternate_greetings": ["왔구나!", "비 냄새가 나네. " * 40],
            "tags": ["등대", "바다"],
            "creator": "someone",
            "character_version": "1.2",
            "group_only_greetings": [],
            "extensions": {"depth_prompt": {"depth": 4, "x": [1, 2.5, None, True, "한\ud800"]}},
            "character_book": {
                "entries": [
                    {"keys": ["등대"], "content": "등대는 백 년 되었다.", "enabled": True, "id": 7},
                    {"keys": ["배"], "content": "숨긴 이야기", "enabled": False},
                ],
                "made_up": {"a": 1e300},
            },
            "unheard_of": {"deep": [{"er": -0.0}]},
        },
    }


def dumped(card: Any) -> bytes:
    return json.dumps(card).encode("ascii")


def png(texts: dict[str, bytes] | None = None, kind: bytes = b"tEXt", size: int = 8) -> bytes:
    """A picture with text chunks before its end; `kind` may be tEXt, zTXt or iTXt."""
    out = io.BytesIO()
    Image.new("RGB", (size, size), (90, 60, 140)).save(out, "PNG")
    data = out.getvalue()
    end = data.index(b"IEND") - 4
    added = b""
    for name, text in (texts or {}).items():
        head = name.encode() + b"\0"
        body = {
            b"tEXt": text,
            b"zTXt": b"\0" + zlib.compress(text),
            b"iTXt": b"\1\0ko\0\0" + zlib.compress(text),
        }[kind]
        added += chunk(kind, head + body)
    return data[:end] + added + data[end:]


def chunk(kind: bytes, data: bytes) -> bytes:
    crc = zlib.crc32(kind + data)
    return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", crc)


def card_png(card: Any, kind: bytes = b"tEXt", name: str = "ccv3") -> bytes:
    return png({name: base64.b64encode(dumped(card))}, kind)


def charx(card: Any, files: dict[str, bytes] | None = None, method: int = 8) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        if card is not None:
            archive.writestr("card.json", card if isinstance(card, bytes) else dumped(card))
        for name, data in (files or {}).items():
            archive.writestr(name, data)
    return out.getvalue()


def write_adapter(folder: Path, rank: int = 2, width: int = 640, base: str = "q_proj") -> Path:
    """A LoRA adapter on one weight of Gemma 3 270M, in PEFT's layout; `width` 640 fits."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(3)
    name = f"base_model.model.model.layers.0.self_attn.{base}"
    state = {
        f"{name}.lora_A.weight": rng.normal(0, 0.1, (rank, width)).astype(np.float16),
        f"{name}.lora_B.weight": rng.normal(0, 0.1, (1024, rank)).astype(np.float16),
    }
    save_file(state, folder / "adapter_model.safetensors")
    settings = {"r": rank, "lora_alpha": 4, "base_model_name_or_path": "google/gemma-3-270m"}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    return folder


def run(*words: str | Path) -> str:
    """`ohlora persona WORDS`: its output; raises the error that main would print."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(result.exception, OhloraError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def run_json(*words: str | Path) -> Any:
    return json.loads(run(*words, "--json"))


def in_one_sentence(error: OhloraError) -> bool:
    """Both languages are there, each one line that ends like a sentence and names no Python."""
    return all(
        text and "\n" not in text and text.rstrip(")")[-1] in ".요!" and "Traceback" not in text
        for text in (error.en, error.ko)
    ) and any("가" <= char <= "힣" for char in error.ko)
