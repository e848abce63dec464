"""`ohlora doctor`: is everything in place, and what to do where it is not."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from ohlora.cli.output import Json, print_json, say
from ohlora.errors import OhloraError

NEEDED_BYTES = 1_000_000_000  # prepared models, their source in memory, room to work
RUNTIME = ("ctranslate2", "fastapi", "numpy", "openvino", "pillow", "tokenizers", "uvicorn")


@dataclass(frozen=True)
class Finding:
    what: str
    ok: bool
    found: str
    advice: str = ""  # only where something is wrong


def check_python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    advice = say("install Python 3.11 or newer", "Python 3.11 이상을 설치해 주세요")
    return Finding("python", sys.version_info >= (3, 11), found, advice)


def check_packages() -> Finding:
    missing = []
    for name in RUNTIME:
        try:
            version(name)
        except PackageNotFoundError:
            missing.append(name)
    advice = say("run `make chat`, which installs them", "`make chat`을 실행하면 설치돼요")
    found = f"missing {', '.join(missing)}" if missing else f"{len(RUNTIME)} present"
    return Finding("packages", not missing, found, advice)


def check_home() -> Finding:
    from ohlora.paths import home

    folder = home()
    writable = os.access(folder, os.W_OK)
    advice = say("set OHLORA_HOME to a folder you may write to", "OHLORA_HOME을 바꿔 주세요")
    return Finding("data folder", writable, str(folder), advice)


def check_disk() -> Finding:
    from ohlora.paths import home

    free = shutil.disk_usage(home()).free
    advice = say(
        "free 1 GB, or set OHLORA_HOME to another disk", "1 GB를 비우거나 디스크를 바꿔 주세요"
    )
    return Finding("disk", free >= NEEDED_BYTES, f"{free / 1e9:.1f} GB free", advice)


def check_database() -> Finding:
    from ohlora.memory.store import open_store
    from ohlora.paths import home

    path = home() / "ohlora.db"
    if not path.exists():
        return Finding("database", True, say("none yet", "아직 없음"))
    store = open_store(path)
    try:
        found = f"{len(store.sessions.list())} sessions, {len(store.memories.all())} memories"
    finally:
        store.close()
    return Finding("database", True, found)


def check_persona() -> Finding:
    from ohlora.cli.persona import describe

    row = describe("ohlora")
    return Finding("persona", True, f"{row['id']}, {row['lines']} lines")


def check_models() -> Iterator[Finding]:
    from ohlora.checkpoints.catalog import load_catalog
    from ohlora.checkpoints.embedded import check_embedded
    from ohlora.checkpoints.state import state_of

    for row in load_catalog().values():
        if row.kind != "embedded":
            continue
        state = state_of(row)
        if state.status == "ready":
            check_embedded(row)
        found = f"{row.id} {state.status}, {state.bytes / 1e6:.0f} MB"
        yield Finding("model", state.status == "ready", found, say(state.en, state.ko))


def check_port(port: int) -> Finding:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            advice = say(
                f"she may be running already: open http://127.0.0.1:{port}, or use --port",
                f"이미 실행 중일 수 있어요. http://127.0.0.1:{port}를 열거나 --port로 바꿔 주세요",
            )
            return Finding("port", False, f"{port} is taken", advice)
    return Finding("port", True, f"{port} is free")


def examine(port: int) -> Iterator[Finding]:
    checks: list[tuple[str, Callable[[], Finding | Iterator[Finding]]]] = [
        ("python", check_python),
        ("packages", check_packages),
        ("data folder", check_home),
        ("disk", check_disk),
        ("database", check_database),
        ("persona", check_persona),
        ("model", check_models),
        ("port", lambda: check_port(port)),
    ]
    for what, check in checks:
        try:
            found = check()
            yield from [found] if isinstance(found, Finding) else found
        except OhloraError as error:
            yield Finding(what, False, say("cannot be used", "쓸 수 없음"), say(error.en, error.ko))
        except ImportError as error:
            yield Finding(
                what, False, str(error), say("run `make chat`", "`make chat`을 실행해 주세요")
            )


def doctor(
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port she would use.")] = 8765,
    as_json: Json = False,
) -> None:
    """Check Python, disk, data, models and port; say what to do. Exit code 1 if anything is wrong.

    \b
    ohlora doctor
    """
    findings = list(examine(port))
    if as_json:
        print_json(
            [
                asdict(finding) | {"advice": "" if finding.ok else finding.advice}
                for finding in findings
            ]
        )
    else:
        for finding in findings:
            print(f"{'ok ' if finding.ok else 'NO '} {finding.what:<14} {finding.found}")
            if not finding.ok:
                print(f"    -> {finding.advice}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)
