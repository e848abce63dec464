"""`--set stage.option=value`."""

from __future__ import annotations

import pytest

from ohlora.errors import BadInput
from ohlora.pipeline.options import changed
from ohlora.pipeline.presets import PRESETS, TINY
from ohlora.pipeline.stages import NAMES, STAGES


def test_every_preset_has_options_for_every_stage() -> None:
    for options in PRESETS.values():
        assert tuple(options) == NAMES


def test_a_stage_needs_only_earlier_ones() -> None:
    for number, stage in enumerate(STAGES):
        assert set(stage.needs) <= set(NAMES[:number]), stage.name


def test_an_option_is_found_at_any_depth() -> None:
    new = changed(TINY, ["base.steps=9", "cnn.gender.lr=1", "pack.runtime=openvino",
                         "domain.channels=[8, 4]", "v3.loop.epochs=null"])  # fmt: skip
    assert new["base"].loop.steps == 9 and new["cnn"].gender.lr == 1.0
    assert new["cnn"].quality == TINY["cnn"].quality
    assert new["pack"].runtime == "openvino" and new["domain"].net.channels == (8, 4)
    assert new["v3"].loop.epochs is None
    assert TINY["base"].loop.steps == 16


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("base", "is no stage.option=value"),
        ("nose.steps=3", "stages are synthesise"),
        ("base.stepz=3", "has no option stepz: there are"),
        ("cnn.lr=1", "may mean cnn.gender.lr, cnn.quality.lr"),
        ("base.batch_size=many", "batch_size must be int"),
        ("base.batch_size=1.5", "batch_size must be int"),
        ("domain.channels=8", "channels must be"),
        ("filter.least=1", "has no option least: there are none"),
    ],
)
def test_a_wrong_setting_is_one_sentence(setting: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        changed(TINY, [setting])
    assert said in caught.value.en and caught.value.ko != caught.value.en
