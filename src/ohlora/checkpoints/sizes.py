"""Read the numbers of a network off the shapes of its tensors.

sizes_of("stylegan-generator", shapes) -> {"labels": 7, "embedding": 16, "width": 512, "cap": 512}

With them a file of another variant can be called by its name, and a sound but smaller net (a
stand-in, a distilled one) is told from a damaged file: expected_tensors(name, **numbers) of its
own numbers must give its own shapes again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]


def sizes_of(name: str, shapes: Shapes) -> dict[str, int] | None:
    """The numbers for expected_tensors, None when the tensors are of no such network."""
    try:
        return READERS[name](shapes)
    except (KeyError, IndexError, ZeroDivisionError):
        return None


def _layers(shapes: Shapes, pattern: str) -> int:
    found = {int(m[1]) for key in shapes if (m := re.match(pattern, key))}
    return len(found)


def _generator(shapes: Shapes) -> dict[str, int]:
    labels, embedding = shapes.get("mapping.label_weight", (0, 0))
    width = shapes["truncation.w_avg"][0]
    cap = shapes["synthesis.layer0.const"][1]
    return {"labels": labels, "embedding": embedding, "width": width, "cap": cap}


def _discriminator(shapes: Shapes) -> dict[str, int]:
    cap = shapes["layer13.bias"][0]
    return {"labels": shapes["layer14.weight"][1] - cap, "cap": cap}


def _cnn(key: str) -> Callable[[Shapes], dict[str, int]]:
    return lambda shapes: {"unit": shapes[key][0]}


def _facexformer(shapes: Shapes) -> dict[str, int]:
    return {
        "swin": shapes["backbone.0.0.0.weight"][0],
        "middle_depth": _layers(shapes, r"backbone\.0\.5\.(\d+)\."),
        "width": shapes["linear_fuse.weight"][0],
    }


def _gpt_neox(shapes: Shapes) -> dict[str, int]:
    vocabulary, hidden = shapes["gpt_neox.embed_in.weight"]
    return {
        "layers": _layers(shapes, r"gpt_neox\.layers\.(\d+)\."),
        "hidden": hidden,
        "intermediate": shapes["gpt_neox.layers.0.mlp.dense_h_to_4h.bias"][0],
        "vocabulary": vocabulary,
    }


def _gpt_neox_lora(shapes: Shapes) -> dict[str, int]:
    prefix = "base_model.model.gpt_neox.layers"
    rank, hidden = shapes[f"{prefix}.0.attention.query_key_value.lora_A.weight"]
    layers = _layers(shapes, prefix.replace(".", r"\.") + r"\.(\d+)\.")
    return {"layers": layers, "hidden": hidden, "rank": rank}


def _gemma2(shapes: Shapes) -> dict[str, int]:
    vocabulary, hidden = shapes["model.embed_tokens.weight"]
    return {
        "layers": _layers(shapes, r"model\.layers\.(\d+)\."),
        "hidden": hidden,
        "intermediate": shapes["model.layers.0.mlp.gate_proj.weight"][0],
        "heads": shapes["model.layers.0.self_attn.q_proj.weight"][0],  # x head_size
        "kv_heads": shapes["model.layers.0.self_attn.k_proj.weight"][0],
        "head_size": 1,
        "vocabulary": vocabulary,
    }


def _roberta(shapes: Shapes) -> dict[str, int]:
    vocabulary, hidden = shapes["embeddings.word_embeddings.weight"]
    return {
        "layers": _layers(shapes, r"encoder\.layer\.(\d+)\."),
        "hidden": hidden,
        "intermediate": shapes["encoder.layer.0.intermediate.dense.bias"][0],
        "vocabulary": vocabulary,
        "positions": shapes["embeddings.position_embeddings.weight"][0],
    }


def _fixed(marker: str) -> Callable[[Shapes], dict[str, int]]:
    def read(shapes: Shapes) -> dict[str, int]:
        shapes[marker]  # a KeyError says that it is another net
        return {}

    return read


READERS: dict[str, Callable[[Shapes], dict[str, int]]] = {
    "stylegan-generator": _generator,
    "stylegan-discriminator": _discriminator,
    "gender-cnn": lambda shapes: {"unit": shapes["conv6.0.bias"][0] // 8},
    "quality-cnn": _cnn("conv1.0.bias"),
    "property-cnn": _cnn("eyes_score_cnn.conv1.0.bias"),
    "merged-property-cnn": _cnn("hairstyle_score_cnn.bottom_left_cnn.conv1.0.bias"),
    "mtcnn-p": _fixed("conv4_2.bias"),
    "mtcnn-r": _fixed("dense5_2.bias"),
    "mtcnn-o": _fixed("dense6_3.bias"),
    "facexformer": _facexformer,
    "gpt-neox": _gpt_neox,
    "gpt-neox-lora": _gpt_neox_lora,
    "gemma2": _gemma2,
    "roberta": _roberta,
}
