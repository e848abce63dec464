"""A sentence-transformers folder of the published twelve-file layout, tiny and random."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from ohlora.embedding import load_encoder
from ohlora.embedding.sbert import SentenceBert, load_sbert, pool
from ohlora.errors import CheckpointError

WORDS = ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]", "나", "내일", "뭐", "하지", "?", "abc", "너"]
PUBLISHED = {
    "1_Pooling/config.json",
    "eval/similarity_evaluation_valid_evaluator_results.csv",
    "config.json",
    "config_sentence_transformers.json",
    "model.safetensors",
    "modules.json",
    "README.md",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
}


def write_json(path: Path, data: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data), "utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """klue/roberta-base in small: RoBERTa network, BERT tokens, mean pooling, 64 tokens."""
    from transformers import RobertaConfig, RobertaModel

    folder = tmp_path / "trained_sbert_model"
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=80,
        type_vocab_size=1,
        pad_token_id=1,
    )
    RobertaModel(config).eval().save_pretrained(folder)
    vocabulary = {w: i for i, w in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 0), ("[SEP]", 2)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "vocab.txt").write_text("\n".join(WORDS), "utf-8")
    special = {
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "mask_token": "[MASK]",
    }
    write_json(folder / "special_tokens_map.json", special)
    write_json(
        folder / "tokenizer_config.json",
        special | {"tokenizer_class": "BertTokenizer", "do_lower_case": False},
    )
    write_json(
        folder / "modules.json",
        [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {
                "idx": 1,
                "name": "1",
                "path": "1_Pooling",
                "type": "sentence_transformers.models.Pooling",
            },
        ],
    )
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 64, "do_lower_case": True})
    write_json(folder / "config_sentence_transformers.json", {"similarity_fn_name": "cosine"})
    write_json(
        folder / "1_Pooling" / "config.json",
        {
            "word_embedding_dimension": 16,
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": True,
            "pooling_mode_max_tokens": False,
        },
    )
    (folder / "README.md").write_text("S-BERT", "utf-8")
    (folder / "eval").mkdir()
    (folder / "eval" / "similarity_evaluation_valid_evaluator_results.csv").write_text("epoch\n")
    return folder


def test_the_folder_is_the_published_layout_and_loads(folder: Path) -> None:
    files = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert files == PUBLISHED
    encoder = load_encoder(f"sbert:{folder}")
    assert (encoder.dim, encoder.recall_threshold, encoder.lines_threshold) == (16, 0.6, 0.6)
    assert encoder.id.startswith("sbert:trained_sbert_model@")


def test_a_vector_is_the_unit_mean_over_the_tokens_of_that_text_alone(folder: Path) -> None:
    encoder = load_sbert(folder)
    ids = torch.tensor([[0, 5, 6, 7, 8, 9, 2]])
    with torch.inference_mode():
        mean = encoder.model(input_ids=ids).last_hidden_state.mean(1)[0].numpy()
    vectors = encoder.encode(["나 내일 뭐 하지?", "나", "너 " * 30])  # padded beside others
    np.testing.assert_allclose(vectors[0], mean / np.linalg.norm(mean), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors.dtype == np.float32


def test_a_text_beyond_64_tokens_is_cut_there(folder: Path) -> None:
    encoder = load_sbert(folder)
    vectors = encoder.encode(["나 " * 62, "나 " * 62 + "너 " * 40])
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)


def test_the_lower_casing_flag_is_obeyed(folder: Path) -> None:
    lower = load_sbert(folder).encode(["ABC", "abc"])
    np.testing.assert_allclose(lower[0], lower[1], atol=1e-6)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 64, "do_lower_case": False})
    kept = load_sbert(folder).encode(["ABC", "abc"])
    assert np.abs(kept[0] - kept[1]).max() > 1e-3


def test_odd_texts_give_unit_vectors_and_none_gives_no_rows(folder: Path) -> None:
    encoder = load_sbert(folder)
    assert encoder.encode([]).shape == (0, 16)
    vectors = encoder.encode(["", "😂", "\ud800", "שלום"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_thresholds_and_first_token_pooling_come_from_the_folder(folder: Path) -> None:
    write_json(folder / "config_sentence_transformers.json", {"recall_threshold": 0.71})
    write_json(folder / "1_Pooling" / "config.json", {"pooling_mode": "cls"})
    encoder = load_sbert(folder)
    assert (encoder.pooling, encoder.recall_threshold, encoder.lines_threshold) == (
        "cls",
        0.71,
        0.6,
    )
    hidden = torch.randn(2, 3, 4)
    assert torch.equal(pool(hidden, torch.ones(2, 3), "cls"), hidden[:, 0])


def test_other_weights_have_another_id(folder: Path) -> None:
    before = load_sbert(folder).id
    weights = load_file(folder / "model.safetensors")
    weights["embeddings.word_embeddings.weight"] += 1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert load_sbert(folder).id != before


def test_a_pooling_we_lack_is_refused(folder: Path) -> None:
    write_json(folder / "1_Pooling" / "config.json", {"pooling_mode_max_tokens": True})
    with pytest.raises(CheckpointError, match="want mean or cls"):
        load_sbert(folder)


def damage_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00nonsense")


@pytest.mark.parametrize(
    "damage",
    [
        damage_weights,
        lambda f: (f / "model.safetensors").unlink(),
        lambda f: (f / "config.json").write_text("{", "utf-8"),
        lambda f: (f / "1_Pooling" / "config.json").write_text("[]", "utf-8"),
    ],
)
def test_a_damaged_folder_is_one_sentence_in_both_languages(folder: Path, damage) -> None:
    damage(folder)
    with pytest.raises(CheckpointError) as found:
        load_sbert(folder)
    assert str(folder) in found.value.en and "\n" not in found.value.en
    assert any("가" <= c <= "힣" for c in found.value.ko)


def test_a_model_from_the_class_itself_can_be_wrapped(folder: Path) -> None:
    loaded = load_sbert(folder)
    again = SentenceBert(
        loaded.model,
        loaded.tokenizer,
        id="x",
        max_length=64,
        lower=True,
        pooling="mean",
        recall_threshold=0.6,
        lines_threshold=0.6,
    )
    np.testing.assert_array_equal(again.encode(["나"]), loaded.encode(["나"]))
