"""One published model at full width, random weights: load time, peak memory, speed.

    python -m published.measure KIND FOLDER       prints one JSON object

Each kind runs in a process of its own, so the peak is its own. What it needs lies in FOLDER,
written there by write_full().
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from ohlora.checkpoints.catalog import Row, load_catalog
from ohlora.checkpoints.shapes import expected_tensors

PROMPT = "[오늘 일정: 친구 만나기] 나 오늘 뭐 하지?"
TOKENS = 48  # of one answer, about as many as v1's 80 in all leave
ANSWERS = 3
STOP = ";stop=1477,1078,4833,12"


def write_full(folder: Path) -> None:
    """Random weights of the published shapes and dtypes, in the original's places."""
    from published.stand_in import adapter_config, config, make_tokenizer, to_json, write

    rows = load_catalog()
    rng = np.random.default_rng(2)
    base, adapter = rows["polyglot-ko-1.3b"], rows["llm-adapter"]
    files = [file for file in base.files if file.weights]
    shapes = expected_tensors(files[0].nets[0].name, **files[0].nets[0].numbers)
    names = [file.name for file in files if file.name.endswith(".safetensors")]
    weight_map = {key: names[n * len(names) // len(shapes)] for n, key in enumerate(shapes)}
    for name in names:
        part = {key: shapes[key] for key in shapes if weight_map[key] == name}
        write_safetensors(folder / base.place / name, part, np.float16, rng)
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    wide = {
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "vocab_size": 30080,
    }
    texts = {
        "config.json": {**config(), **wide},
        "generation_config.json": {"eos_token_id": 0},
        "model.safetensors.index.json": index,
        "tokenizer_config.json": {"eos_token": "<|endoftext|>"},
    }
    for name, value in texts.items():
        write(folder / base.place / name, to_json(value))
    write(folder / base.place / "tokenizer.json", make_tokenizer().to_str().encode())
    net = next(net for file in adapter.files for net in file.nets)
    path = folder / adapter.place / "adapter_model.safetensors"
    write_safetensors(path, expected_tensors(net.name, **net.numbers), np.float32, rng)
    write(folder / adapter.place / "adapter_config.json", to_json(adapter_config({"rank": 128})))
    write_sbert(rows["sbert"], folder, rng)
    write_networks(rows, folder, rng)


def write_safetensors(
    path: Path, shapes: dict[str, tuple[int, ...]], dtype: type, rng: np.random.Generator
) -> None:
    """Tensor by tensor, so that gigabytes never lie in memory."""
    kind = {np.float16: "F16", np.float32: "F32"}[dtype]
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for key, shape in shapes.items():
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        header[key] = {"dtype": kind, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(len(raw).to_bytes(8, "little") + raw)
        for key, shape in shapes.items():
            if "norm" in key and key.endswith("weight"):
                values = np.ones(shape, np.float32)
            else:
                values = 0.02 * rng.standard_normal(shape, np.float32)
            file.write(values.astype(dtype).tobytes())


def write_sbert(row: Row, folder: Path, rng: np.random.Generator) -> None:
    from checkpoints.stand_ins import write_row
    from published.stand_in import to_json, write

    write_row(row, folder)  # its small files; config and weights follow at full width
    net = next(net for file in row.files for net in file.nets)
    shapes = expected_tensors(net.name, **net.numbers)
    write_safetensors(folder / row.place / "model.safetensors", shapes, np.float32, rng)
    settings = {
        "model_type": "roberta",
        "architectures": ["RobertaModel"],
        "num_attention_heads": 12,
        "num_hidden_layers": 12,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "vocab_size": 32000,
        "max_position_embeddings": 514,
        "type_vocab_size": 1,
        "pad_token_id": 1,
        "layer_norm_eps": 1e-5,
    }
    write(folder / row.place / "config.json", to_json(settings))
    pooling = {"word_embedding_dimension": 768, "pooling_mode_mean_tokens": True}
    write(folder / row.place / "1_Pooling/config.json", to_json(pooling))
    lengths = {"max_seq_length": 64, "do_lower_case": True}
    write(folder / row.place / "sentence_bert_config.json", to_json(lengths))


def write_networks(rows: dict[str, Row], folder: Path, rng: np.random.Generator) -> None:
    import torch

    from ohlora.models.facexformer import FaceXFormer
    from published.stand_in import write

    generator, z, parser = (
        rows[name] for name in ("stylegan-v3-generator", "z-vector", "facexformer")
    )
    state = {}
    for key, shape in generator.files[0].nets[0].tensors().items():
        scale = 100 if key.startswith("mapping.dense") and key.endswith("weight") else 0.3
        values = np.asarray(scale * rng.standard_normal(shape), np.float32)
        state[key] = torch.from_numpy(values).reshape(shape)
    write(folder / generator.place / generator.files[0].name, b"")
    torch.save(state, folder / generator.place / generator.files[0].name)
    numbers = ",".join(map(str, rng.standard_normal(512)))
    text = ",".join(map(str, range(512))) + f"\n{numbers}\n"
    write(folder / z.place / z.files[0].name, text.encode())
    torch.manual_seed(3)
    write(folder / parser.place / parser.files[0].name, b"")
    whole = {"state_dict_backbone": FaceXFormer().state_dict()}
    torch.save(whole, folder / parser.place / parser.files[0].name)


LOADED: list[Any] = []  # stays in memory until that is measured


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    LOADED.append(call())
    return LOADED[-1], time.perf_counter() - start


def answer(spec: str) -> dict[str, float]:
    """Load a language model and let it answer.

    Seconds to load and to the first token, tokens per second, and processor seconds per token
    (over all threads), which a busy machine disturbs less.
    """
    from ohlora.dialogue.prompt import Prompt
    from ohlora.llm import Sampling, load_engine, never

    engine, load_s = timed(lambda: load_engine(spec))

    def draw(tokens: int) -> tuple[float, float]:
        sampling = Sampling(temperature=0.6, max_new_tokens=tokens)
        busy = time.process_time()
        pieces = engine.generate(Prompt(PROMPT, exact=True), sampling, never)
        seconds = timed(lambda: list(pieces))[1]
        return seconds, time.process_time() - busy

    draw(1)  # whatever is set up at the first answer
    firsts = [draw(1) for _ in range(ANSWERS)]
    wholes = [draw(TOKENS) for _ in range(ANSWERS)]
    (first_s, first_cpu), (whole_s, whole_cpu) = (
        (median(one[0] for one in times), median(one[1] for one in times))
        for times in (firsts, wholes)
    )
    return {
        "load_s": load_s,
        "first_token_s": first_s,
        "tokens_per_s": (TOKENS - 1) / (whole_s - first_s),
        "cpu_s_per_token": (whole_cpu - first_cpu) / (TOKENS - 1),
    }


def int8_write(folder: Path) -> dict[str, float]:
    from ohlora.llm.int8 import prepare_int8
    from ohlora.llm.source import read_source

    made, seconds = timed(lambda: prepare_int8(read_source(source(folder)), lambda *_: None))
    return {"write_s": seconds, "disk_mb": sum(p.stat().st_size for p in made.iterdir()) / 1e6}


def int8(folder: Path) -> dict[str, float]:
    return answer(f"int8:{source(folder)}")


def bf16(folder: Path) -> dict[str, float]:
    return answer(f"hf:{source(folder)}")


def source(folder: Path) -> str:
    rows = load_catalog()
    base, adapter = rows["polyglot-ko-1.3b"].place, rows["llm-adapter"].place
    return f"{folder / base}+{folder / adapter}{STOP}"


def sbert(folder: Path) -> dict[str, float]:
    from ohlora.embedding import load_encoder

    place = folder / load_catalog()["sbert"].place
    encoder, load_s = timed(lambda: load_encoder(f"sbert:{place}"))
    times = [timed(lambda: encoder.encode([PROMPT]))[1] for _ in range(9)]
    return {"load_s": load_s, "sentence_ms": 1000 * median(times)}


def face_openvino(folder: Path) -> dict[str, float]:
    return face(folder, "openvino")


def face_torch(folder: Path) -> dict[str, float]:
    return face(folder, "torch")


def face(folder: Path, runtime: str) -> dict[str, float]:
    from ohlora.checkpoints.load import load_generator
    from ohlora.expression import Expression
    from ohlora.face.latent import load_z
    from ohlora.face.renderer import make_renderer

    rows = load_catalog()
    generator, z = rows["stylegan-v3-generator"], rows["z-vector"]

    def load() -> Any:
        weights = load_generator(folder / generator.place / generator.files[0].name)
        vector = load_z(folder / z.place / z.files[0].name)
        renderer = make_renderer(weights, vector, runtime=runtime)
        renderer.render(Expression(0, 0, 0))
        return renderer

    renderer, load_s = timed(load)
    times = [timed(lambda: renderer.render(Expression(n / 5, 0, 0)))[1] for n in range(9)]
    return {"load_s": load_s, "frame_ms": 1000 * median(times)}


def parser(folder: Path) -> dict[str, float]:
    import torch

    from ohlora.vision.weights import load_facexformer

    row = load_catalog()["facexformer"]
    net, load_s = timed(lambda: load_facexformer(folder / row.place / row.files[0].name))
    image = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        times = [timed(lambda: net(image))[1] for _ in range(4)]
    return {"load_s": load_s, "image_ms": 1000 * median(times[1:])}


def memory() -> dict[str, float]:
    """MiB of this process: its own now, and the peak, in which mapped files count too."""
    status = Path("/proc/self/status").read_text()
    own, peak = (
        int(re.search(rf"{name}:\s+(\d+)", status)[1]) / 1024 for name in ("RssAnon", "VmHWM")
    )
    return {"own_mib": own, "peak_mib": peak}


KINDS = {
    one.__name__: one for one in (int8_write, int8, bf16, sbert, face_openvino, face_torch, parser)
}

if __name__ == "__main__":
    result = KINDS[sys.argv[1]](Path(sys.argv[2]))
    print(json.dumps({**result, **memory()}))
