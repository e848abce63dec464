"""The catalog names every published file, and its shapes are the published ones."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path

import pytest

from checkpoints.conftest import CATALOG
from ohlora.checkpoints.catalog import Row, load_catalog, safe_name, select
from ohlora.checkpoints.shapes import expected_tensors
from ohlora.checkpoints.sizes import sizes_of
from ohlora.errors import BadInput, CheckpointError

PUBLISHED = """
    stylegan_model.pth mtcnn_pnet.pt mtcnn_rnet.pt mtcnn_onet.pt segmentation_model.pt
    gender_model_0.pt gender_model_1.pt gender_model_2.pt gender_model_3.pt gender_model_4.pt
    quality_model_0.pt quality_model_1.pt quality_model_2.pt quality_model_3.pt quality_model_4.pt
    stylegan_gen_fine_tuned_v2_cnn.pth stylegan_gen_fine_tuned_v1.pth
    stylegan_dis_fine_tuned_v1.pth stylegan_gen_fine_tuned_v3_ckpt_0005_gen.pth
    final_ohlora_z_vector.csv
    stylegan_gen_fine_tuned_v4.pth stylegan_dis_fine_tuned_v4.pth
    .gitattributes adapter_config.json adapter_model.safetensors training_args.bin
    1_Pooling/config.json eval/similarity_evaluation_valid_evaluator_results.csv
    model.safetensors modules.json sentence_bert_config.json vocab.txt
    model-00001-of-00003.safetensors model-00003-of-00003.safetensors pytorch_model.bin
    stylegan_gen_vector_find_v6.pth stylegan_gen_vector_find_v7.pth
    stylegan_gen_vector_find_v8.pth ohlora_v3_merged_property_cnn.pth
""".split()


@pytest.fixture
def published() -> dict[str, Row]:
    """The packaged catalog, not the small one of these tests."""
    return load_catalog(CATALOG)


def test_every_published_file_has_a_row(published: dict[str, Row]) -> None:
    names = {file.name for row in published.values() for file in row.files}
    assert [name for name in PUBLISHED if name not in names] == []
    assert published["images-10k"].images and published["images-10k"].images.count == 10_000
    assert published["images-filtered"].images.count == 4_703  # type: ignore[union-attr]
    assert len(published["llm-adapter"].files) == 8
    assert len(published["sbert"].files) == 12


def test_every_row_says_what_a_person_needs_to_know(published: dict[str, Row]) -> None:
    for row in published.values():
        assert row.title and row.license and row.loads_as
        assert row.needed["en"] and row.needed["ko"]
        if row.kind != "embedded":
            assert row.place, row.id
            assert row.files or row.images, row.id
        if row.group.startswith("ohlora-v1"):
            assert row.source().startswith("https://"), row.id
            assert row.size(), row.id


def test_the_talking_group_is_what_the_original_marks(published: dict[str, Row]) -> None:
    group = [row.id for row in select(published, ["ohlora-v1"])]
    assert group == [
        "stylegan-v3-generator", "z-vector", "llm-adapter", "sbert", "polyglot-ko-1.3b"
    ]  # fmt: skip


def test_two_rows_never_share_a_file(published: dict[str, Row]) -> None:
    paths = [
        (row.edition, row.place, file.name) for row in published.values() for file in row.files
    ]
    assert len(paths) == len(set(paths))


GOLDEN = [
    ("nets/stylegan_gen_original.json", "stylegan-original", 0),
    ("nets/stylegan_dis_original.json", "stylegan-original", 1),
    ("nets/stylegan_gen_v1.json", "stylegan-v1-generator", 0),
    ("nets/stylegan_dis_v1.json", "stylegan-v1-discriminator", 0),
    ("nets/stylegan_gen_v3.json", "stylegan-v3-generator", 0),
    ("nets/stylegan_gen_v4.json", "stylegan-v4-generator", 0),
    ("nets/stylegan_dis_v4.json", "stylegan-v4-discriminator", 0),
    ("nets/gender_cnn.json", "gender-cnn", 0),
    ("nets/quality_cnn.json", "quality-cnn", 0),
    ("nets/property_cnn.json", "property-cnn", 0),
    ("nets/facexformer.json", "facexformer", 0),
    ("later/merged_property_cnn.json", "v3-merged-property-cnn", 0),
]


@pytest.mark.parametrize(("golden", "row", "net"), GOLDEN)
def test_keys_and_shapes_are_the_golden_ones(
    golden_dir: Path, published: dict[str, Row], golden: str, row: str, net: int
) -> None:
    rows = json.loads((golden_dir / golden).read_text("utf-8"))["tensors"]
    expected = [(key, tuple(shape)) for key, shape, *_ in rows]
    assert list(published[row].files[0].nets[net].tensors().items()) == expected


def test_mtcnn_is_pinned_to_the_golden_files(golden_dir: Path, published: dict[str, Row]) -> None:
    golden = json.loads((golden_dir / "mtcnn" / "mtcnn.json").read_text("utf-8"))
    known = {entry["ohlora_name"]: entry for entry in golden["weights"].values()}
    for file in published["mtcnn"].files:
        net = file.source.removesuffix(".pt")
        assert file.sha256 == known[file.name]["sha256"]
        assert file.bytes == known[file.name]["bytes"]
        expected = [(key, tuple(shape)) for key, shape, _ in golden["tensors"][net]]
        assert list(file.nets[0].tensors().items()) == expected


def test_polyglot_and_its_adapter_have_the_published_numbers(published: dict[str, Row]) -> None:
    base = published["polyglot-ko-1.3b"].files[4].nets[0].tensors()
    assert sum(prod(shape) for shape in base.values()) == 1_331_810_304
    adapter = published["llm-adapter"].files[3].nets[0].tensors()
    assert len(adapter) == 48
    assert sum(prod(shape) for shape in adapter.values()) == 25_165_824


def test_a_networks_numbers_can_be_read_off_its_shapes(published: dict[str, Row]) -> None:
    nets = {net for row in published.values() for file in row.files for net in file.nets}
    for net in nets:
        sizes = sizes_of(net.name, net.tensors())
        assert sizes is not None, net.name
        assert expected_tensors(net.name, **sizes) == net.tensors(), net.name


def test_an_unknown_name_gets_the_nearest_known_one(published: dict[str, Row]) -> None:
    with pytest.raises(BadInput, match="did you mean mtcnn"):
        select(published, ["mtcn"])


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "a\\b", "C:x", "", "~/x", "a\0b"])
def test_names_that_lead_out_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="leads out"):
        safe_name(name)


@pytest.mark.parametrize(
    "text", ["[a", "x = 1", '[a]\ntitle = "x"', '[a]\nfiles = [{ name = "../x" }]', "[a]\nnet = 3"]
)
def test_a_broken_catalog_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "catalog.toml"
    path.write_text(text)
    with pytest.raises(CheckpointError, match="not a catalog"):
        load_catalog(path)


def test_the_page_of_models_is_written_from_the_catalog(published: dict[str, Row]) -> None:
    """Made by `python -m ohlora.checkpoints.page > docs/models.md`."""
    from ohlora.checkpoints.page import models_page

    page = Path(__file__).parents[2] / "docs" / "models.md"
    assert page.read_text("utf-8") == models_page(published.values())
