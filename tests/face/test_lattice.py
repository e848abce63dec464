"""Axes, cells and the nearest frame of an expression."""

from __future__ import annotations

import time

import pytest

from ohlora.errors import BadInput
from ohlora.expression import NEUTRAL, Expression, v1_expression
from ohlora.face import Axes, Cell, Lattice, load_face

AXES = Axes((-4.0, -1.2, 0.2, 1.6), (-1.2, 0.2, 1.6), (-1.2, 0.0, 1.2, 2.4, 3.6), closed_eyes=0)


@pytest.fixture(scope="module")
def face() -> Lattice:
    return load_face("embedded")


def test_nearest_level_is_taken_on_each_axis() -> None:
    assert AXES.nearest(Expression(1.5, 0.3, 0.1)) == Cell(3, 1, 1)


def test_closed_eyes_are_never_the_nearest() -> None:
    assert AXES.nearest(Expression(-9.0, -9.0, -9.0)) == Cell(1, 0, 0)


def test_two_levels_equally_near_give_the_stronger_expression() -> None:
    assert AXES.nearest(Expression(0, 0, 0.6)).p == 2
    assert AXES.nearest(Expression(0, 0, 3.0)).p == 4
    assert AXES.nearest(Expression(0, 0, -0.6)).p == 0


def test_cells_around_a_cell_start_with_itself_and_hold_each_once() -> None:
    cells = AXES.around(Cell(1, 1, 1))
    assert cells[0] == Cell(1, 1, 1)
    assert sorted(cells) == sorted(AXES) and len(cells) == len(AXES)


@pytest.mark.parametrize("levels", [(), (1.0, 0.0), (0.0, 0.0)])
def test_an_axis_that_does_not_ascend_is_refused(levels: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="ascend"):
        Axes(levels, (0.0,), (0.0,))


def test_closed_eyes_must_be_one_of_several_levels() -> None:
    for closed in (0, 1, -1):
        with pytest.raises(ValueError, match="closed_eyes"):
            Axes((0.0,), (0.0,), (0.0,), closed_eyes=closed)


def test_embedded_face_rests_with_relaxed_eyes_and_a_slight_turn(face: Lattice) -> None:
    rest = face.nearest(NEUTRAL)
    assert (face.axes["eyes"][rest.e], face.axes["pose"][rest.p]) == (-1.2, -1.2)
    assert rest.m == 0
    assert face.manifest()["neutral"] == list(rest)


def test_embedded_face_widens_her_eyes_and_opens_her_mouth_in_surprise(face: Lattice) -> None:
    surprised, calm = (face.nearest(v1_expression(text)) for text in ("와!!! 정말?", "안녕"))
    assert surprised.e == len(face.axes["eyes"]) - 1
    assert surprised.m > calm.m


def test_embedded_axes_ascend_and_only_closed_eyes_blink(face: Lattice) -> None:
    for levels in face.axes.values():
        assert levels == sorted(levels)
    assert face.closed_eyes == 0
    assert face.nearest(Expression(-100, 0, 0)).e == 1


def test_every_embedded_frame_is_a_webp_with_its_own_etag(face: Lattice) -> None:
    e, m, p = (range(len(face.axes[name])) for name in ("eyes", "mouth", "pose"))
    cells = [Cell(a, b, c) for a in e for b in m for c in p]
    assert len(cells) == face.manifest()["frames"] == 325
    assert all(face.frame(cell)[8:12] == b"WEBP" for cell in cells)
    assert len({face.etag(cell) for cell in cells}) == 325
    assert face.id in face.etag(cells[0])


def test_a_frame_comes_in_under_a_millisecond(face: Lattice) -> None:
    cell = Cell(2, 0, 2)
    times = []
    for _ in range(101):
        start = time.perf_counter()
        face.frame(cell)
        times.append(time.perf_counter() - start)
    assert sorted(times)[50] < 0.001


@pytest.mark.parametrize("cell", [(5, 0, 0), (0, -1, 0), (0, 0, 13)])
def test_a_cell_outside_the_grid_is_a_clear_error(face: Lattice, cell: tuple) -> None:
    with pytest.raises(BadInput, match="5 eye, 5 mouth and 13 pose levels") as caught:
        face.frame(cell)
    assert "얼굴 프레임" in caught.value.ko


@pytest.mark.parametrize("spec", ["", "pack:", "face", "folder:x"])
def test_an_unknown_face_name_says_what_to_write(spec: str) -> None:
    with pytest.raises(BadInput, match="embedded:NUMBER, pack:DIR"):
        load_face(spec)
