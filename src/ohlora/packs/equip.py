"""Give a persona of one's own an adapter, a face or a face vector.

The rest of the pack is copied as it is: comments in persona.toml stay. A table [models] is added
when the pack has none; one that is there is the writer's, and is left alone.
"""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

from ohlora.errors import BadInput
from ohlora.packs.pack import refuse
from ohlora.packs.place import place_folder
from ohlora.paths import home
from ohlora.persona import load_persona


def equip(
    name: str, *, adapter: Path | None = None, face: Path | None = None, z: Path | None = None
) -> Path:
    """Add copies of these to the persona `name`, replacing what it had; return its folder.

    Raises BadInput, with the persona as it was, when one of them does not fit.
    """
    persona = load_persona(name)
    if persona.folder.parent != home() / "personas":
        raise BadInput(
            f"{persona.folder} is not among your personas: bring it in first with "
            "`ohlora persona import`.",
            f"{persona.folder}는 내 페르소나가 아니에요. 먼저 `ohlora persona import`로 "
            "들여와 주세요.",
        )
    for path, want in ((adapter, "adapter_config.json"), (face, "index.json")):
        if path and not (path / want).is_file():
            raise refuse(path, f"has no {want} in it.", f"안에 {want}이 없어요.")
    if z and not z.is_file():
        raise refuse(z, "there is no such file.", "그런 파일이 없어요.")

    def write(folder: Path) -> None:
        shutil.copytree(persona.folder, folder, dirs_exist_ok=True, symlinks=True)
        if adapter:
            _copy_files(adapter, folder / "adapter", ("adapter_*",))
        if face:
            _copy_files(face, folder / "face", ("index.json", "*.webp"))
        if z:
            (folder / "face").mkdir(exist_ok=True)
            shutil.copyfile(z, folder / "face" / "z.csv")
        _choose(folder)

    return place_folder(persona.folder.name, write, replace=True)


def _copy_files(source: Path, target: Path, patterns: tuple[str, ...]) -> None:
    target.mkdir(exist_ok=True)
    for pattern in patterns:
        for old in target.glob(pattern):
            old.unlink()
        for path in sorted(source.glob(pattern)):
            shutil.copyfile(path, target / path.name)


def _choose(folder: Path) -> None:
    """Add [models] for what is there, unless the pack chooses for itself."""
    path = folder / "persona.toml"
    text = path.read_text("utf-8")
    if "models" in tomllib.loads(text):
        return
    models = []
    if (folder / "adapter").is_dir():
        models.append('engine = "embedded:./adapter"')
    if (folder / "face" / "index.json").exists():
        models.append('face = "pack:./face"')
    if models:
        path.write_text("\n".join([text.rstrip("\n"), "", "[models]", *models, ""]), "utf-8")
