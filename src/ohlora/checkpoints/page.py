"""docs/models.md, written from the catalog.

python -m ohlora.checkpoints.page > docs/models.md
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ohlora.checkpoints.catalog import Row, load_catalog

INTRO = """\
# Model files

Every file that Oh-LoRA publishes or stands on: where it comes from, where it lies, what for.
This page is written from
[`catalog.toml`](../src/ohlora/checkpoints/catalog.toml); `ohlora models list` shows the same with
what is on your machine.

## Get them

```sh
ohlora models pull ohlora-v1             # what talking to her needs (rows with a tick)
ohlora models pull ohlora-v1-training    # the rest of v1: data, scoring, training
ohlora chat --persona ohlora-v1          # talk to her: docs/personas.md
```

A download that was cut or killed goes on where it stopped. The disk is checked first; each file is
checked before it gets its place, and never replaces a good one by a bad one. `HF_TOKEN`,
`HF_ENDPOINT`, `HF_HOME`, `HF_HUB_OFFLINE` and proxies are honoured; a copy in the hub cache of this
machine is used instead of the network.

## You have them already

```sh
ohlora models import ~/AI_Projects/2025_04_08_OhLoRA            # copies
ohlora models import ~/AI_Projects/2025_04_08_OhLoRA --link     # hard links, no disk space
ohlora models import ~/Downloads --dry-run                      # only look
```

The folder is read as the original lays it out (column *Place*); single weight files may also lie
side by side. Every row is reported as present, missing, partial, damaged or wrong-variant. Your own
files are never written to; our copy of `adapter_config.json` points at our copy of the base model
instead of its author's disk.

## Where they lie

`OHLORA_HOME/models/ohlora-v1/` and below it the place of the table; `records.json` beside it keeps
the digest of every file that came in. `OHLORA_CATALOG` names another catalog of the same form, for
a mirror or models of your own. `ohlora models path ID` prints a place, for scripts:

```sh
ohlora models path stylegan-v3-generator
```

## What is checked

| | |
|---|---|
| digest | against the hub's, the catalog's, or the one recorded when the file first came in |
| tensors | every key and shape; a sound file of another variant is called by its name |
| numbers | no NaN, no infinity |
| synthesis | `synthesis.*` of FineTune-v1, v3 and v4 equals the original's bit for bit |
| JSON, images | readable; 256 x 256 JPEG |

`ohlora models verify` does it again at any time. Nothing is ever unpickled: `.pth` files are read
with `weights_only=True`, and `training_args.bin` is stored but never opened.
`ohlora models convert ID` writes `.safetensors`, which need no PyTorch.
"""

TITLES = {
    "ohlora-v1": "Oh-LoRA v1: talking to her",
    "ohlora-v1-training": "Oh-LoRA v1: data, scoring, training",
    "later": "Later versions (optional)",
    "embedded": "Comes with the program",
}
OUTRO = """\

Sizes are those of float32 tensors where the exact number is not known. "Not stated" under Licence
means that neither the model's page nor its documents name one: ask its authors before you
redistribute it.
"""


def models_page(rows: Iterable[Row]) -> str:
    rows = list(rows)
    parts = [INTRO]
    for group, title in TITLES.items():
        parts.append(f"\n## {title}\n\n{table([row for row in rows if row.group == group])}")
    return "".join(parts) + OUTRO


def table(rows: list[Row]) -> str:
    if rows and rows[0].group == "embedded":
        lines = ["| Model | Id | Is | For | Licence |", "|---|---|---|---|---|"]
        lines += [
            f"| {row.title} | `{row.id}` | {row.loads_as} | {row.needed['en']} | {row.license} |"
            for row in rows
        ]
        return "\n".join(lines) + "\n"
    lines = [
        "| Model | Id | Files | Place | From | Loads as | For | Size | Licence |",
        "|---|---|---|---|---|---|---|--:|---|",
    ]
    return "\n".join(lines + [line(row) for row in rows]) + "\n"


def line(row: Row) -> str:
    tick = " ✅" if row.group == "ohlora-v1" else ""
    size = row.size()
    cells = (
        row.title + tick,
        f"`{row.id}`",
        files(row),
        f"`{row.place}`" + (" (ours)" if row.placed_by_us else ""),
        source(row),
        row.loads_as,
        row.needed["en"],
        f"{size / 1e6:,.0f} MB" if size else "",
        row.license,
    )
    return "| " + " | ".join(cells) + " |"


def files(row: Row) -> str:
    """Names as published; a long run of numbered files is shortened."""
    if row.images:
        return f"`{row.images.first}` ... `{row.images.last}` ({row.images.count:,})"
    names = [file.name for file in row.files]
    if len(names) > 4:
        return f"{len(names)} files: " + ", ".join(f"`{name}`" for name in names)
    renamed = {file.name: file.source for file in row.files if file.source != file.name}
    return ", ".join(
        f"`{name}`" + (f" (there: `{renamed[name]}`)" if name in renamed else "") for name in names
    )


def source(row: Row) -> str:
    if not row.source():
        return "not known to be published"
    owner_and_name = "/".join(row.page.split("/")[3:5])
    name = row.hub or (f"PyPI {row.pypi.project}" if row.pypi else f"GitHub {owner_and_name}")
    return f"[{name}]({row.source()})"


if __name__ == "__main__":
    packaged = Path(__file__).with_name("catalog.toml")
    print(models_page(load_catalog(packaged).values()), end="")
