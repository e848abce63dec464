"""One SQLite file: connection, transactions, and its faults in words.

A Database is one connection behind one lock, so any thread may use it. Writers of other
processes are waited for (`busy_s` seconds); readers never wait (WAL).
"""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ohlora.errors import BadInput, StoreError
from ohlora.memory.schema import migrate

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class Database:
    def __init__(self, path: Path, busy_s: float = 5.0) -> None:
        """Open or make the file and bring its schema up to date. Raises StoreError, StoreTooNew."""
        self.path = path
        self._lock = threading.RLock()
        self._writing = False
        with explained(path):
            self._db = sqlite3.connect(
                path, timeout=busy_s, isolation_level=None, check_same_thread=False
            )
            try:
                self._db.row_factory = sqlite3.Row
                self._db.execute("pragma journal_mode = wal")
                self._db.execute("pragma synchronous = normal")
                self._db.execute("pragma foreign_keys = on")
                self._db.execute("pragma secure_delete = on")
                migrate(self._db)
            except BaseException:
                self._db.close()
                raise

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """One consistent view of the data for the length of the block."""
        with self._lock, explained(self.path):
            if self._db.in_transaction:  # inside another block of the same thread
                yield self._db
                return
            self._db.execute("begin")
            try:
                yield self._db
            finally:
                self._db.execute("rollback")

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of the block or nothing. Inside another write, a part of it."""
        with self._lock, explained(self.path):
            if self._writing:
                yield self._db
                return
            self._db.execute("begin immediate")
            self._writing = True
            try:
                yield self._db
                self._db.execute("commit")
            except BaseException:
                if self._db.in_transaction:  # a full disk may have ended it already
                    self._db.execute("rollback")
                raise
            finally:
                self._writing = False

    def checkpoint(self) -> None:
        """Move the log into the file and empty it: what was erased is erased on disk."""
        with self._lock, explained(self.path):
            self._db.execute("pragma wal_checkpoint(truncate)")

    def close(self) -> None:
        with self._lock:
            self._db.close()


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn faults of disk and file into a StoreError, unstorable text into BadInput."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise  # a constraint that our own code broke
    except sqlite3.Error as error:
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        raise store_error(path, code, str(error)) from error
    except UnicodeEncodeError as error:
        raise BadInput(
            "The text holds half of a character (a lone surrogate) and cannot be kept: "
            "type it again.",
            "글자 하나가 깨져 있어서 저장할 수 없어요. 다시 입력해 주세요.",
        ) from error


def store_error(path: Path, code: int, detail: str) -> StoreError:
    """The StoreError for a primary SQLite result code."""
    if code == sqlite3.SQLITE_FULL:
        en = f"The disk that holds {path} is full, nothing was saved: free some space and try again"
        ko = f"{path}가 있는 디스크가 가득 차서 저장하지 못했어요. 공간을 비우고 다시 시도해 주세요"
    elif code == sqlite3.SQLITE_IOERR:
        en = (
            f"The disk under {path} failed to read or write, nothing was saved: check free space "
            "and the disk, then start again"
        )
        ko = (
            f"{path}를 읽거나 쓰지 못해서 저장하지 못했어요. 남은 공간과 디스크를 확인하고 "
            "다시 시작해 주세요"
        )
    elif code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        en = f"{path} cannot be written: set OHLORA_HOME to a folder you may write to"
        ko = f"{path}에 쓸 수 없어요. OHLORA_HOME을 쓸 수 있는 폴더로 정해 주세요"
    elif code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        en = f"{path} is held by another program for too long: close that one or try again shortly"
        ko = (
            f"다른 프로그램이 {path}를 오래 잡고 있어요. 그 프로그램을 닫거나 "
            "잠시 뒤에 다시 해 주세요"
        )
    elif code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        en = (
            f"{path} is damaged or not an Oh-LoRA database: move it away (or put a backup in its "
            "place) and start again"
        )
        ko = (
            f"{path}가 망가졌거나 Oh-LoRA 데이터가 아니에요. 다른 곳으로 옮기거나 "
            "백업을 넣고 다시 시작해 주세요"
        )
    else:
        en = f"{path} cannot be used: run `ohlora doctor` to see what is wrong"
        ko = f"{path}를 쓸 수 없어요. `ohlora doctor`로 무엇이 문제인지 확인해 주세요"
    return StoreError(f"{en} ({detail}).", f"{ko}({detail}).")


def os_error(path: Path, error: OSError) -> StoreError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    code = sqlite3.SQLITE_FULL if full else sqlite3.SQLITE_CANTOPEN
    return store_error(path, code, error.strerror or str(error))


class FileLock:
    """A lock on a file that the system releases when its process dies, however it dies."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def acquire(self, note: str = "") -> bool:
        """True when the lock is ours now, False when another holder lives. Writes note inside."""
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if sys.platform == "win32":
                # Windows locks bytes against readers too: lock one far beyond the note.
                os.lseek(fd, 1 << 20, os.SEEK_SET)
                msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            os.close(fd)
            return False
        except BaseException:
            os.close(fd)
            raise
        os.lseek(fd, 0, os.SEEK_SET)
        os.ftruncate(fd, 0)
        os.write(fd, note.encode())
        self._fd = fd
        return True

    def release(self, remove: bool = False) -> None:
        if self._fd is None:
            return
        if remove and sys.platform != "win32":
            self.path.unlink(missing_ok=True)  # while held: nobody can lock the name in between
        os.close(self._fd)
        self._fd = None
        if remove and sys.platform == "win32":
            self.path.unlink(missing_ok=True)


@contextmanager
def claim_home(folder: Path) -> Iterator[None]:
    """Hold the data folder as its one server. Raises StoreError when another server lives.

    Readers and the command line do not claim: they work beside a running server.
    """
    lock = FileLock(folder / "server.lock")
    try:
        claimed = lock.acquire(f"{os.getpid()}\n")
    except OSError as error:
        raise os_error(lock.path, error) from error
    if not claimed:
        holder = lock.path.read_text(errors="replace").strip() or "?"
        raise StoreError(
            f"Another Oh-LoRA server (process {holder}) already serves {folder}: stop it, or set "
            "OHLORA_HOME to another folder.",
            f"다른 Oh-LoRA 서버(프로세스 {holder})가 이미 {folder}를 쓰고 있어요. "
            "그 서버를 멈추거나 OHLORA_HOME을 다른 폴더로 정해 주세요.",
        )
    try:
        yield
    finally:
        lock.release()


class Writers:
    """Who is alive: each process that writes answers holds a lock file named by its token.

    A streaming message carries its writer's token; when nobody holds that lock any more, the
    process is dead and the message will never be finished by it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: FileLock | None = None
        self._guard = threading.Lock()
        self._token = ""

    def token(self) -> str:
        """Our token; the first call takes the lock."""
        with self._guard:
            if self._lock is None:
                token = uuid.uuid4().hex[:12]
                lock = FileLock(self.folder / token)
                try:
                    self.folder.mkdir(exist_ok=True)
                    lock.acquire()
                except OSError as error:
                    raise os_error(lock.path, error) from error
                self._lock, self._token = lock, token
            return self._token

    def dead(self, token: str) -> bool:
        """True when the writer of that token no longer lives; forgets its lock file."""
        with self._guard:
            if token == self._token:
                return False
            lock = FileLock(self.folder / token)
            if not lock.path.exists():
                return True
            if not lock.acquire():
                return False
            lock.release(remove=True)
            return True

    def close(self) -> None:
        with self._guard:
            if self._lock is not None:
                self._lock.release(remove=True)
                self._lock, self._token = None, ""
