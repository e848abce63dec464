"""Models by their catalog names."""

from __future__ import annotations

from pathlib import Path

import pytest

from checkpoints.stand_ins import vector, write_row
from ohlora.checkpoints.bring import import_folder
from ohlora.checkpoints.catalog import Row
from ohlora.checkpoints.named import path_of
from ohlora.errors import CheckpointError


def test_a_name_is_a_row_and_anything_else_a_path(rows: dict[str, Row], tmp_path: Path) -> None:
    root = tmp_path / "2025_04_08_OhLoRA"
    for name in ("sbert", "z-vector"):
        write_row(rows[name], root)
    import_folder(root, rows.values())
    assert path_of("sbert") == rows["sbert"].folder()
    assert path_of("z-vector").read_text() == vector()
    assert path_of("./sbert") == Path("sbert")
    assert path_of("~/x") == Path.home() / "x"


def test_what_is_missing_is_named_with_the_command_that_brings_it(
    rows: dict[str, Row], tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError) as missing:
        path_of("sbert")
    assert "sbert is missing: run `ohlora models pull ohlora-v1`" in missing.value.en
    assert "ohlora models import" in missing.value.ko and "없어요" in missing.value.ko
    with pytest.raises(CheckpointError, match="`ohlora models pull facexformer`"):
        path_of("facexformer")

    root = tmp_path / "2025_04_08_OhLoRA"
    write_row(rows["polyglot-ko-1.3b"], root)
    import_folder(root, rows.values())
    (rows["polyglot-ko-1.3b"].folder() / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"partial \(1 of .*pull polyglot-ko-1.3b`"):
        path_of("polyglot-ko-1.3b")


@pytest.mark.parametrize("text", ["", "0,1\n", "0,1\n1.0\n", "0,1\n1.0,nan\n", "0,1\na,b\n"])
def test_a_z_that_is_no_row_of_numbers_is_damaged(
    rows: dict[str, Row], tmp_path: Path, text: str
) -> None:
    row = rows["z-vector"]
    root = tmp_path / "2025_04_08_OhLoRA"
    write_row(row, root)
    (root / row.place / row.files[0].name).write_text(text)
    (result,) = import_folder(root, [row])
    assert result.status == "damaged" and not result.action
