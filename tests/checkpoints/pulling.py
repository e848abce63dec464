"""Pull from the stand-in hub, and what a refusal looks like."""

from __future__ import annotations

from dataclasses import replace

from checkpoints.hub import Hub
from ohlora.checkpoints import state_of
from ohlora.checkpoints.catalog import Row
from ohlora.checkpoints.pull import Pulled, pull
from ohlora.errors import OhloraError

GENERATOR = "stylegan_gen_fine_tuned_v3_ckpt_0005_gen.pth"


def fetch(*rows: Row, **options: bool) -> list[Pulled]:
    """Pull without really waiting between tries."""
    return pull(rows, sleep=lambda _: None, **options)


def refused(*rows: Row) -> OhloraError:
    """The one sentence of a pull that must fail, in both languages."""
    (result,) = fetch(*rows)
    assert result.status == "failed" and result.error
    assert state_of(rows[0]).status in ("missing", "partial")
    for sentence in (result.error.en, result.error.ko):
        assert "\n" not in sentence and "Traceback" not in sentence
    assert result.error.ko != result.error.en
    return result.error


def at(row: Row, hub: Hub) -> Row:
    return replace(row, url=f"{hub.url}/{{source}}")
