"""Every row of the catalog loads: a stand-in of its files goes into the network it is for.

A row without a loader here fails test_every_row_has_a_loader.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from checkpoints.conftest import CATALOG
from checkpoints.stand_ins import small, write_row
from ohlora.checkpoints.catalog import Row, load_catalog
from ohlora.checkpoints.judge import judge
from ohlora.checkpoints.load import load_generator, load_state_dict
from ohlora.checkpoints.verify import check_image

Loader = Callable[[Row, Path], None]
ROWS = load_catalog(CATALOG)
GENERATOR = ROWS["stylegan-v3-generator"].files[0].nets[0]


def tensors(path: Path, part: str = "") -> dict[str, torch.Tensor]:
    return {key: torch.from_numpy(np.array(v)) for key, v in load_state_dict(path, part).items()}


def generator(row: Row, place: Path) -> None:
    from ohlora.models.stylegan import make_generator

    file = row.files[0]
    weights = load_generator(place / file.name)
    numbers = file.nets[0].numbers
    assert (weights.config.label_dim, weights.config.embed_dim) == (
        numbers["labels"],
        numbers["embedding"],
    )
    state = {key: torch.from_numpy(value) for key, value in weights.state.items()}
    net = make_generator(weights.config, state)
    label = torch.zeros(1, weights.config.label_dim) if weights.config.label_dim else None
    assert net(torch.zeros(1, weights.config.w_dim), label).image.shape == (1, 3, 256, 256)


def discriminator(row: Row, place: Path) -> None:
    from ohlora.models.discriminator import VARIANTS, Discriminator

    net = row.files[0].nets[-1]
    judge(place / row.files[0].name, row.files[0].nets)
    state = tensors(place / row.files[0].name, net.part)
    config = next(one for one in VARIANTS.values() if one.label_dim == net.numbers["labels"])
    channels = tuple(len(state[f"input{i}.bias"]) for i in range(len(config.channels)))
    loaded = Discriminator(replace(config, channels=channels))
    loaded.load_state_dict(state)
    label = torch.zeros(2, config.label_dim) if config.label_dim else None
    assert loaded.eval()(torch.zeros(2, 3, 256, 256), label).shape == (2, 1)


def original(row: Row, place: Path) -> None:
    generator(row, place)
    discriminator(row, place)


def score_cnn(name: str, module: str, scores: int) -> Loader:
    def load(row: Row, place: Path) -> None:
        from importlib import import_module

        net = getattr(import_module(f"ohlora.models.{module}"), name)(unit=1).eval()
        for file in row.files:
            net.load_state_dict(tensors(place / file.name))
            assert net(torch.zeros(1, 3, 256, 256)).shape == (1, scores)

    return load


def mtcnn(row: Row, place: Path) -> None:
    from ohlora.models.mtcnn import ONet, PNet, RNet

    for file, (net, size) in zip(row.files, ((PNet, 12), (RNet, 24), (ONet, 48)), strict=True):
        loaded = net()
        loaded.load_state_dict(tensors(place / file.name))
        assert loaded.eval()(torch.zeros(1, 3, size, size))[0].shape[:2] == (1, 4)


def facexformer(row: Row, place: Path) -> None:
    from ohlora.models.facexformer import FaceXFormer

    (net,) = row.files[0].nets
    loaded = FaceXFormer(**small(net))
    loaded.load_state_dict(tensors(place / row.files[0].name, net.part))


def language_model(row: Row, place: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, notes = AutoModelForCausalLM.from_pretrained(place, output_loading_info=True)
    assert not notes["missing_keys"] and not notes["unexpected_keys"]
    ids = AutoTokenizer.from_pretrained(place)("안녕 오로라", return_tensors="pt")
    assert model(**ids).logits.shape[-1] == model.config.vocab_size


def masked_model(row: Row, place: Path) -> None:
    from transformers import AutoModel

    model, notes = AutoModel.from_pretrained(place, output_loading_info=True)
    assert {key.split(".")[0] for key in notes["missing_keys"]} <= {"pooler"}
    assert model.config.hidden_size == small(row.files[1].nets[0])["hidden"]


def adapter(row: Row, place: Path) -> None:
    """On its base, when the base is Polyglot; the tensors alone, when it is Kanana."""
    weights = next(file for file in row.files if file.weights)
    judge(place / weights.name, weights.nets)
    if not row.base:
        return
    from peft import PeftConfig, PeftModel
    from transformers import AutoModelForCausalLM

    base = ROWS[row.base]
    folder = place.parent / "base"
    write_row(base, folder)
    model = AutoModelForCausalLM.from_pretrained(folder / base.place)
    before = model(torch.tensor([[3, 6]])).logits
    joined = PeftModel.from_pretrained(model, place, config=PeftConfig.from_pretrained(place))
    assert not torch.equal(joined(torch.tensor([[3, 6]])).logits, before)


def sentence_encoder(row: Row, place: Path) -> None:
    from ohlora.embedding import load_encoder

    vectors = load_encoder(f"sbert:{place}").encode(["안녕 오로라", "오늘"])
    assert vectors.shape == (2, 16) and np.isfinite(vectors).all()


def vector(row: Row, place: Path) -> None:
    from ohlora.face.latent import load_z

    assert load_z(place / row.files[0].name, small(GENERATOR)["width"]).std() > 0.5


def images(row: Row, place: Path) -> None:
    for path in place.glob("*.jpg"):
        check_image(path)


def any_tensors(row: Row, place: Path) -> None:
    """Networks that this project does not rebuild: a safe, finite state dict is what we promise."""
    weights = next(file for file in row.files if file.weights)
    assert judge(place / weights.name, ()).tensors > 0


def embedded(row: Row, place: Path) -> None:
    """Named states; tests/llm, tests/embedding and tests/face load these for real."""
    from ohlora.checkpoints.embedded import embedded_state

    assert embedded_state(row).status in ("ready", "to-prepare", "partial", "missing")


LOADERS: dict[str, Loader] = {
    "stylegan-original": original,
    "stylegan-v1-generator": generator,
    "stylegan-v3-generator": generator,
    "stylegan-v4-generator": generator,
    "stylegan-v1-discriminator": discriminator,
    "stylegan-v4-discriminator": discriminator,
    "mtcnn": mtcnn,
    "facexformer": facexformer,
    "gender-cnn": score_cnn("GenderCNN", "cnn", 1),
    "quality-cnn": score_cnn("QualityCNN", "cnn", 1),
    "property-cnn": score_cnn("PropertyCNN", "property_cnn", 7),
    "llm-adapter": adapter,
    "polyglot-ko-1.3b": language_model,
    "gemma-2-2b": language_model,
    "klue-roberta-base": masked_model,
    "sbert": sentence_encoder,
    "z-vector": vector,
    "images-10k": images,
    "images-filtered": images,
    "v2-vectorfind-v6": generator,
    "v2-vectorfind-v7": generator,
    "v2-llm-output-message": adapter,
    "v2-llm-memory": adapter,
    "v2-llm-summary": adapter,
    "v2-llm-eyes-mouth-pose": adapter,
    "v2-sbert": sentence_encoder,
    "v3-vectorfind-v8": generator,
    "v3-merged-property-cnn": score_cnn("MergedPropertyCNN", "property_cnn", 8),
    "v3-llm-output-message": adapter,
    "v3-llm-summary": adapter,
    "v3-llm-memory": any_tensors,
    "v3-llm-eyes-mouth-pose": any_tensors,
    "v3-sbert-memory": sentence_encoder,
    "v4-llm-output-message": adapter,
    "v4-sbert-ethics": sentence_encoder,
    "v4-hair-segmentation": any_tensors,
    "embedded-base": embedded,
    "embedded-adapter": embedded,
    "embedded-encoder": embedded,
    "embedded-face": embedded,
    "embedded-parser": embedded,
    "embedded-runtime": embedded,
}


def test_every_row_has_a_loader() -> None:
    assert list(ROWS) and set(ROWS) == set(LOADERS)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # peft's own
@pytest.mark.parametrize("name", list(ROWS))
def test_a_stand_in_of_the_row_loads(name: str, rows: dict[str, Row], tmp_path: Path) -> None:
    row = rows[name]
    if row.kind != "embedded":
        write_row(row, tmp_path)
    LOADERS[name](row, tmp_path / row.place)
