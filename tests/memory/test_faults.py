"""Full disks, read-only folders, files that are no database: one sentence each."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from memory.fakes import Clock
from ohlora.errors import BadInput, OhloraError, StoreError, StoreTooNew
from ohlora.memory import Store, claim_home, open_store
from ohlora.memory.schema import MIGRATIONS


def one_sentence(error: OhloraError, *words: str) -> None:
    """Fit to show: one line in each language, with the next step, and no traceback."""
    for text in (error.en, error.ko):
        assert text and "\n" not in text and "Traceback" not in text
    assert any("가" <= char <= "힣" for char in error.ko)
    for word in words:
        assert word in error.en


def fill_up(store: Store) -> None:
    """Make SQLite meet the end of the disk at the next page."""
    pages = store.db._db.execute("pragma page_count").fetchone()[0]
    store.db._db.execute(f"pragma max_page_count = {pages}")


def test_a_full_disk_says_so_and_leaves_nothing_half_written(store: Store) -> None:
    session = store.sessions.create()
    store.begin_turn(session.id, "안녕", "r1")
    fill_up(store)
    big = {"type": "token", "text": "가" * 20_000}
    for act in (
        lambda: store.append_event("r1", big),
        lambda: store.begin_turn(session.id, "가" * 20_000, "r2"),
        lambda: [store.memories.remember(f"열쇠 {number}", "값" * 300) for number in range(99)],
    ):
        with pytest.raises(StoreError) as caught:
            act()
        one_sentence(caught.value, "full", "free some space")
        assert caught.value.status == 503
    assert store.events_after("r1") == []
    messages, _ = store.sessions.messages(session.id)
    assert [message.text for message in messages] == ["안녕", ""]
    records = store.memories.all()
    assert len(store.memories.history()) == len(records)

    store.db._db.execute("pragma max_page_count = 1000000")  # space was freed
    assert store.append_event("r1", big) == 0
    store.finish_turn("r1", "complete")


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "ohlora.db"
    path.write_bytes(b"these are not the bytes you are looking for" * 200)
    before = path.read_bytes()
    with pytest.raises(StoreError) as caught:
        open_store(path, clock)
    one_sentence(caught.value, "damaged", "move it away")
    assert path.read_bytes() == before


def test_a_damaged_page_is_one_sentence_and_no_traceback(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "ohlora.db"
    store = open_store(path, clock)
    for number in range(300):
        store.memories.remember(f"열쇠 {number}", "값" * 200)
    store.close()
    data = bytearray(path.read_bytes())
    data[8192:] = os.urandom(len(data) - 8192)
    path.write_bytes(data)
    with pytest.raises(StoreError) as caught:
        again = open_store(path, clock)
        try:
            again.memories.all()
        finally:
            again.close()
    one_sentence(caught.value, "damaged")


def test_a_truncated_file_is_one_sentence(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "ohlora.db"
    store = open_store(path, clock)
    for number in range(300):
        store.memories.remember(f"열쇠 {number}", "값" * 200)
    store.close()
    path.write_bytes(path.read_bytes()[:9_000])
    with pytest.raises(StoreError) as caught:
        again = open_store(path, clock)
        try:
            again.memories.all()
        finally:
            again.close()
    one_sentence(caught.value, "damaged")


def test_a_newer_database_is_refused_and_untouched(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "ohlora.db"
    open_store(path, clock).close()
    newer = len(MIGRATIONS) + 1
    with sqlite3.connect(path) as db:
        db.execute(f"pragma user_version = {newer}")
    db.close()
    with pytest.raises(StoreTooNew) as caught:
        open_store(path, clock)
    one_sentence(caught.value, "newer", "update the program")
    db = sqlite3.connect(path)
    assert db.execute("pragma user_version").fetchone() == (newer,)
    db.close()


def test_migrations_run_once_and_each_alone(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "ohlora.db"
    db = sqlite3.connect(path, isolation_level=None)
    MIGRATIONS[0](db)
    db.execute("pragma user_version = 1")
    db.execute("insert into users values ('me', '2026')")
    db.close()
    store = open_store(path, clock)  # from the first release to today's
    store.memories.remember("이름", "지은")
    store.close()
    again = open_store(path, clock)
    assert [record.text for record in again.memories.all()] == ["[이름: 지은]"]
    again.close()


def test_a_folder_in_the_place_of_the_file_is_one_sentence(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "ohlora.db").mkdir()
    with pytest.raises(StoreError) as caught:
        open_store(tmp_path / "ohlora.db", clock)
    one_sentence(caught.value, "cannot be written", "OHLORA_HOME")


def test_a_missing_folder_is_one_sentence(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(StoreError) as caught:
        open_store(tmp_path / "nowhere" / "ohlora.db", clock)
    one_sentence(caught.value, "cannot be written", "OHLORA_HOME")


READ_ONLY = """
import os, sys
from pathlib import Path
from ohlora.errors import StoreError
from ohlora.memory import open_store
if os.getuid() == 0:
    os.setuid(65534)  # root may write anywhere
try:
    store = open_store(Path(sys.argv[1]) / "ohlora.db")
    store.sessions.create()
except StoreError as error:
    print(error.en)
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
@pytest.mark.parametrize("filled", [False, True], ids=["empty", "with a database"])
def test_a_read_only_folder_is_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, filled: bool
) -> None:
    folder = tmp_path_factory.mktemp("read_only")
    if filled:
        open_store(folder / "ohlora.db").close()
        (folder / "ohlora.db").chmod(0o444)
    folder.chmod(0o555)
    above = [parent for parent in folder.parents if parent.name.startswith("pytest-")]
    modes = {parent: parent.stat().st_mode for parent in above}
    try:
        for parent in above:
            parent.chmod(modes[parent] | 0o555)
        said = subprocess.run(
            [sys.executable, "-S", "-c", READ_ONLY, str(folder)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        folder.chmod(0o755)
        for parent in above:
            parent.chmod(modes[parent])
    assert said.stderr == ""
    assert "cannot be written: set OHLORA_HOME" in said.stdout


def test_a_database_held_too_long_by_another_is_one_sentence(
    store: Store, tmp_path: Path, clock: Clock
) -> None:
    waiting = open_store(tmp_path / "ohlora.db", clock, busy_s=0.05)
    session = store.sessions.create()
    try:
        with store.db.write():
            with pytest.raises(StoreError) as caught:
                waiting.begin_turn(session.id, "안녕", "r1")
            one_sentence(caught.value, "held by another program")
            assert waiting.sessions.get(session.id).id == session.id  # readers do not wait
        waiting.begin_turn(session.id, "안녕", "r1")
    finally:
        waiting.close()


def test_half_a_character_is_refused_and_nothing_is_stored(store: Store) -> None:
    session = store.sessions.create()
    acts: list[Callable[[], object]] = [
        lambda: store.begin_turn(session.id, "안\ud800녕", "r1"),
        lambda: store.memories.remember("이름", "지은\udfff"),
    ]
    for act in acts:
        with pytest.raises(BadInput) as caught:
            act()
        one_sentence(caught.value, "type it again")
    assert store.sessions.messages(session.id)[0] == []
    assert store.memories.all() == []


def test_one_folder_has_one_server_and_many_readers(tmp_path: Path, clock: Clock) -> None:
    program = "import sys\nfrom pathlib import Path\nfrom ohlora.memory import claim_home\n"
    program += "with claim_home(Path(sys.argv[1])):\n    print('mine', flush=True)\n    input()\n"
    child = subprocess.Popen(
        [sys.executable, "-S", "-c", program, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None and child.stdin is not None
    with child, child.stdout as said, child.stdin:
        assert said.readline() == "mine\n"
        with pytest.raises(StoreError) as caught, claim_home(tmp_path):
            pass
        one_sentence(caught.value, f"process {child.pid}", "OHLORA_HOME")
        reader = open_store(tmp_path / "ohlora.db", clock)
        assert reader.memories.all() == []
        reader.close()
        child.kill()
    with claim_home(tmp_path), pytest.raises(StoreError), claim_home(tmp_path):
        pass
    with claim_home(tmp_path):
        pass


def test_two_processes_may_make_one_database_at_the_same_time(tmp_path: Path) -> None:
    program = "import sys\nfrom pathlib import Path\nfrom ohlora.memory import open_store\n"
    program += "store = open_store(Path(sys.argv[1]))\n"
    program += "for n in range(20): store.memories.remember(f'열쇠 {sys.argv[2]} {n}', '값')\n"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    database = tmp_path / "ohlora.db"
    children = [
        subprocess.Popen(
            [sys.executable, "-S", "-c", program, str(database), str(number)], env=environment
        )
        for number in range(3)
    ]
    assert [child.wait() for child in children] == [0, 0, 0]
    store = open_store(database)
    assert len(store.memories.all()) == 60
    store.close()
