"""Keys and shapes that each published network must hold, written out from their numbers.

expected_tensors("stylegan-generator", labels=7, embedding=24) gives the ordered dict
key -> shape of FineTune-v3. Pure arithmetic: no torch, so a file can be judged before it is
loaded. Keys that some writers add and no one needs are listed in OPTIONAL.

The numbers default to the published sizes; smaller ones describe stand-ins of the same build.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ohlora.models.generator_config import GeneratorConfig, tensor_shapes

Shapes = dict[str, tuple[int, ...]]

# Buffers that transformers wrote in some versions and not in others.
OPTIONAL = re.compile(
    r"""(^|\.)(
        attention\.(bias|masked_bias) | rotary_emb\.inv_freq | position_ids
      | pooler\.dense\.(weight|bias) | lm_head\..* | embeddings\.token_type_ids
    )$""",
    re.VERBOSE,
)


def expected_tensors(name: str, **numbers: int) -> Shapes:
    """Ordered keys and shapes of one network. Raises KeyError for an unknown name."""
    return NETS[name](**numbers)


def stylegan_generator(labels: int, embedding: int, width: int = 512, cap: int = 512) -> Shapes:
    """Mapping, truncation and synthesis; width is that of z and w, cap limits the channels."""
    channels = tuple(min(count, cap) for count in GeneratorConfig.channels)
    return tensor_shapes(GeneratorConfig(labels, embedding, width, channels))


def stylegan_discriminator(labels: int, cap: int = 512) -> Shapes:
    channels = [min(count, cap) for count in reversed(GeneratorConfig.channels)]
    last = channels[-1]
    shapes: Shapes = {"lod": ()}
    for block, inputs in enumerate(channels):
        shapes[f"input{block}.weight"] = (inputs, 3, 1, 1)
        shapes[f"input{block}.bias"] = (inputs,)
        if block == 6:
            break
        out = channels[block + 1]
        shapes[f"layer{2 * block}.weight"] = (inputs, inputs, 3, 3)
        shapes[f"layer{2 * block}.bias"] = (inputs,)
        shapes[f"layer{2 * block + 1}.weight"] = (out, inputs, 3, 3)
        shapes[f"layer{2 * block + 1}.bias"] = (out,)
        shapes[f"layer{2 * block + 1}.blur.kernel"] = (inputs, 1, 3, 3)
    shapes["layer12.weight"] = (last, last + 1, 3, 3)
    shapes["layer12.bias"] = (last,)
    shapes["layer13.weight"] = (last, last * 16)
    shapes["layer13.bias"] = (last,)
    shapes["layer14.weight"] = (1, last + labels)
    shapes["layer14.bias"] = (1,)
    return shapes


def _convolutions(prefix: str, channels: Sequence[int]) -> Shapes:
    """3x3 layers convN.0 over a chain of channels, the first being the picture's 3."""
    shapes: Shapes = {}
    for i, (inputs, out) in enumerate(zip(channels, channels[1:], strict=False), start=1):
        shapes[f"{prefix}conv{i}.0.weight"] = (out, inputs, 3, 3)
        shapes[f"{prefix}conv{i}.0.bias"] = (out,)
    return shapes


def _linear(name: str, inputs: int, out: int) -> Shapes:
    return {f"{name}.weight": (out, inputs), f"{name}.bias": (out,)}


def gender_cnn(unit: int = 32) -> Shapes:
    chain = (3, unit, 2 * unit, 4 * unit, 4 * unit, 8 * unit, 8 * unit)
    return {
        **_convolutions("", chain),
        **_linear("fc1.0", 8 * unit * 6 * 6, 16 * unit),
        **_linear("fc_final.0", 16 * unit, 1),
    }


def quality_cnn(unit: int = 32) -> Shapes:
    chain = (3, unit, 2 * unit, 4 * unit, 4 * unit, 8 * unit)
    return {
        **_convolutions("", chain),
        **_linear("fc1.0", 8 * unit * 12 * 4, 16 * unit),
        **_linear("fc_final.0", 16 * unit, 1),
    }


# sub-net: convolutions, positions of the last map, outputs; in the order of the module
_PROPERTY_PARTS = {
    "eyes_score_cnn": (4, 14 * 4, 1),
    "mouth_score_cnn": (4, 6 * 4, 1),
    "pose_score_cnn": (5, 14 * 6, 1),
    "hair_color_score_cnn": (6, 6 * 6, 1),
    "hair_length_score_cnn": (6, 12 * 4, 1),
    "background_score_cnn": (6, 12 * 4, 2),
}


def property_cnn(unit: int = 32) -> Shapes:
    chain = (3, unit, 2 * unit, 2 * unit, 4 * unit, 4 * unit, 4 * unit)
    shapes: Shapes = {}
    for part, (depth, positions, outputs) in _PROPERTY_PARTS.items():
        shapes |= _convolutions(f"{part}.", chain[: depth + 1])
        shapes |= _linear(f"{part}.fc1.0", chain[depth] * positions, 8 * unit)
        shapes |= _linear(f"{part}.fc_final", 8 * unit, outputs)
    return shapes


def merged_property_cnn(unit: int = 32) -> Shapes:
    """The seven scores, then hairstyle: two bottom corners into one head."""
    chain = (3, unit, 2 * unit, 2 * unit, 3 * unit, 4 * unit, 4 * unit)
    shapes = property_cnn(unit)
    for side in ("left", "right"):
        shapes |= _convolutions(f"hairstyle_score_cnn.bottom_{side}_cnn.", chain)
    shapes |= _linear("hairstyle_score_cnn.fc1.0", 480 * unit, 16 * unit)
    shapes |= _linear("hairstyle_score_cnn.fc_final", 16 * unit, 1)
    return shapes


def _mtcnn(convs: Sequence[tuple[int, int, int]], dense: tuple[int, int, int] | None) -> Shapes:
    """Convolutions (in, out, kernel) with PReLU; dense = its number, inputs, outputs."""
    shapes: Shapes = {}
    for i, (inputs, out, kernel) in enumerate(convs, start=1):
        shapes[f"conv{i}.weight"] = (out, inputs, kernel, kernel)
        shapes[f"conv{i}.bias"] = (out,)
        shapes[f"prelu{i}.weight"] = (out,)
    if dense:
        number, inputs, out = dense
        shapes |= _linear(f"dense{number}", inputs, out)
        shapes[f"prelu{number}.weight"] = (out,)
    return shapes


def mtcnn_p() -> Shapes:
    shapes = _mtcnn([(3, 10, 3), (10, 16, 3), (16, 32, 3)], None)
    for head, out in (("conv4_1", 2), ("conv4_2", 4)):
        shapes[f"{head}.weight"] = (out, 32, 1, 1)
        shapes[f"{head}.bias"] = (out,)
    return shapes


def mtcnn_r() -> Shapes:
    shapes = _mtcnn([(3, 28, 3), (28, 48, 3), (48, 64, 2)], (4, 576, 128))
    return shapes | _linear("dense5_1", 128, 2) | _linear("dense5_2", 128, 4)


def mtcnn_o() -> Shapes:
    shapes = _mtcnn([(3, 32, 3), (32, 64, 3), (64, 64, 3), (64, 128, 2)], (5, 1152, 256))
    heads = (("dense6_1", 2), ("dense6_2", 4), ("dense6_3", 10))
    return shapes | {k: v for head, out in heads for k, v in _linear(head, 256, out).items()}


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _swin_block(name: str, width: int, heads: int) -> Shapes:
    return {
        **_norm(f"{name}.norm1", width),
        f"{name}.attn.relative_position_bias_table": (169, heads),
        f"{name}.attn.relative_position_index": (2401,),
        **_linear(f"{name}.attn.qkv", width, 3 * width),
        **_linear(f"{name}.attn.proj", width, width),
        **_norm(f"{name}.norm2", width),
        **_linear(f"{name}.mlp.0", width, 4 * width),
        **_linear(f"{name}.mlp.3", 4 * width, width),
    }


def _attention(name: str, width: int, inner: int) -> Shapes:
    shapes: Shapes = {}
    for part in ("q_proj", "k_proj", "v_proj"):
        shapes |= _linear(f"{name}.{part}", width, inner)
    return shapes | _linear(f"{name}.out_proj", inner, width)


def facexformer(swin: int = 128, middle_depth: int = 18, width: int = 256) -> Shapes:
    """Swin backbone, two-way transformer over 18 task tokens, one small head per task."""
    shapes: Shapes = {
        "backbone.0.0.0.weight": (swin, 3, 4, 4),
        "backbone.0.0.0.bias": (swin,),
        **_norm("backbone.0.0.2", swin),
    }
    for stage, depth in enumerate((2, 2, middle_depth, 2)):
        dim = swin << stage
        for block in range(depth):
            shapes |= _swin_block(f"backbone.0.{2 * stage + 1}.{block}", dim, dim // 32)
        if stage < 3:
            merge = f"backbone.0.{2 * stage + 2}"
            shapes[f"{merge}.reduction.weight"] = (2 * dim, 4 * dim)
            shapes |= _norm(f"{merge}.norm", 4 * dim)
    shapes |= _norm("backbone.1", swin << 3)
    shapes["pe_layer.positional_encoding_gaussian_matrix"] = (2, width // 2)

    transformer = "face_decoder.transformer"
    for i in range(2):
        layer = f"{transformer}.layers.{i}"
        shapes |= _attention(f"{layer}.self_attn", width, width)
        shapes |= _norm(f"{layer}.norm1", width)
        shapes |= _attention(f"{layer}.cross_attn_token_to_image", width, width // 2)
        shapes |= _norm(f"{layer}.norm2", width)
        shapes |= _linear(f"{layer}.mlp.lin1", width, 8 * width)
        shapes |= _linear(f"{layer}.mlp.lin2", 8 * width, width)
        shapes |= _norm(f"{layer}.norm3", width)
        shapes |= _norm(f"{layer}.norm4", width)
        shapes |= _attention(f"{layer}.cross_attn_image_to_token", width, width // 2)
    shapes |= _attention(f"{transformer}.final_attn_token_to_image", width, width // 2)
    shapes |= _norm(f"{transformer}.norm_final_attn", width)

    tasks = {
        "landmarks": 136,
        "pose": 3,
        "attribute": 40,
        "visibility": 29,
        "age": 8,
        "gender": 2,
        "race": 5,
    }
    for task in tasks:
        shapes[f"face_decoder.{task}_token.weight"] = (1, width)
    shapes["face_decoder.mask_tokens.weight"] = (11, width)
    upscaling = "face_decoder.output_upscaling"
    shapes[f"{upscaling}.0.weight"] = (width, width // 4, 2, 2)
    shapes[f"{upscaling}.0.bias"] = (width // 4,)
    shapes |= _norm(f"{upscaling}.1", width // 4)
    shapes[f"{upscaling}.3.weight"] = (width // 4, width // 8, 2, 2)
    shapes[f"{upscaling}.3.bias"] = (width // 8,)
    heads = {"output_hypernetwork_mlps": width // 8}
    heads |= {f"{task}_prediction_head": outputs for task, outputs in tasks.items()}
    for head, outputs in heads.items():
        for i, out in enumerate((width, width, outputs)):
            shapes |= _linear(f"face_decoder.{head}.layers.{i}", width, out)
    for stage in range(4):
        shapes |= _linear(f"linear_c.{stage}.proj", swin << stage, width)
    shapes["linear_fuse.weight"] = (width, 4 * width, 1, 1)
    return shapes


def gpt_neox(layers: int, hidden: int, intermediate: int, vocabulary: int) -> Shapes:
    shapes: Shapes = {"gpt_neox.embed_in.weight": (vocabulary, hidden)}
    for i in range(layers):
        layer = f"gpt_neox.layers.{i}"
        shapes |= _norm(f"{layer}.input_layernorm", hidden)
        shapes |= _norm(f"{layer}.post_attention_layernorm", hidden)
        shapes |= _linear(f"{layer}.attention.query_key_value", hidden, 3 * hidden)
        shapes |= _linear(f"{layer}.attention.dense", hidden, hidden)
        shapes |= _linear(f"{layer}.mlp.dense_h_to_4h", hidden, intermediate)
        shapes |= _linear(f"{layer}.mlp.dense_4h_to_h", intermediate, hidden)
    shapes |= _norm("gpt_neox.final_layer_norm", hidden)
    shapes["embed_out.weight"] = (vocabulary, hidden)
    return shapes


def gpt_neox_lora(layers: int, hidden: int, rank: int) -> Shapes:
    shapes: Shapes = {}
    for i in range(layers):
        module = f"base_model.model.gpt_neox.layers.{i}.attention.query_key_value"
        shapes[f"{module}.lora_A.weight"] = (rank, hidden)
        shapes[f"{module}.lora_B.weight"] = (3 * hidden, rank)
    return shapes


def gemma2(
    layers: int,
    hidden: int,
    intermediate: int,
    heads: int,
    kv_heads: int,
    head_size: int,
    vocabulary: int,
) -> Shapes:
    shapes: Shapes = {"model.embed_tokens.weight": (vocabulary, hidden)}
    for i in range(layers):
        layer = f"model.layers.{i}"
        shapes[f"{layer}.self_attn.q_proj.weight"] = (heads * head_size, hidden)
        shapes[f"{layer}.self_attn.k_proj.weight"] = (kv_heads * head_size, hidden)
        shapes[f"{layer}.self_attn.v_proj.weight"] = (kv_heads * head_size, hidden)
        shapes[f"{layer}.self_attn.o_proj.weight"] = (hidden, heads * head_size)
        shapes[f"{layer}.mlp.gate_proj.weight"] = (intermediate, hidden)
        shapes[f"{layer}.mlp.up_proj.weight"] = (intermediate, hidden)
        shapes[f"{layer}.mlp.down_proj.weight"] = (hidden, intermediate)
        for norm in ("input", "post_attention", "pre_feedforward", "post_feedforward"):
            shapes[f"{layer}.{norm}_layernorm.weight"] = (hidden,)
    shapes["model.norm.weight"] = (hidden,)
    return shapes


def roberta(layers: int, hidden: int, intermediate: int, vocabulary: int, positions: int) -> Shapes:
    """The encoder without heads; a "roberta." in front of every key is allowed for."""
    shapes: Shapes = {
        "embeddings.word_embeddings.weight": (vocabulary, hidden),
        "embeddings.position_embeddings.weight": (positions, hidden),
        "embeddings.token_type_embeddings.weight": (1, hidden),
        **_norm("embeddings.LayerNorm", hidden),
    }
    for i in range(layers):
        layer = f"encoder.layer.{i}"
        for part in ("query", "key", "value"):
            shapes |= _linear(f"{layer}.attention.self.{part}", hidden, hidden)
        shapes |= _linear(f"{layer}.attention.output.dense", hidden, hidden)
        shapes |= _norm(f"{layer}.attention.output.LayerNorm", hidden)
        shapes |= _linear(f"{layer}.intermediate.dense", hidden, intermediate)
        shapes |= _linear(f"{layer}.output.dense", intermediate, hidden)
        shapes |= _norm(f"{layer}.output.LayerNorm", hidden)
    return shapes


NETS: dict[str, Callable[..., Shapes]] = {
    "stylegan-generator": stylegan_generator,
    "stylegan-discriminator": stylegan_discriminator,
    "gender-cnn": gender_cnn,
    "quality-cnn": quality_cnn,
    "property-cnn": property_cnn,
    "merged-property-cnn": merged_property_cnn,
    "mtcnn-p": mtcnn_p,
    "mtcnn-r": mtcnn_r,
    "mtcnn-o": mtcnn_o,
    "facexformer": facexformer,
    "gpt-neox": gpt_neox,
    "gpt-neox-lora": gpt_neox_lora,
    "gemma2": gemma2,
    "roberta": roberta,
}
