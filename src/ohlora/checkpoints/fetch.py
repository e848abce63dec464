"""Bring one file here over https: resumes after a cut or a kill, checks length and digest.

The bytes grow in NAME.<tag>.incomplete beside the target, where the tag names the version that
the server offers; another version starts over. Only a whole and checked file gets its name, by
os.replace. Cut connections, 429 and 5xx are tried again with growing pauses; Retry-After is
obeyed. Everything that cannot be mended by waiting is one CheckpointError.
"""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from ohlora import __version__
from ohlora.errors import CheckpointError
from ohlora.text import josa

BLOCK = 1 << 20
TRIES = 5  # without a single new byte
LONGEST_WAIT = 60.0  # seconds; a server that asks for more is reported to the user
LOOPBACK = ("localhost", "127.0.0.1", "::1")

Count = Callable[[int], None]  # bytes that came in; negative when a part is thrown away


@dataclass(frozen=True)
class Remote:
    """A file at its source, with what is known of it before it is fetched."""

    name: str  # for messages
    url: str
    bytes: int | None = None
    sha256: str | None = None
    git_sha1: str | None = None  # git's own digest of a small file
    tag: str = ""  # version at the source
    headers: Mapping[str, str] = field(default_factory=dict)
    page: str = ""  # where a person can ask for access


class TransferError(CheckpointError):
    """The source did not give the file. `missing` when it does not have it."""

    def __init__(self, name: str, en: str, ko: str, missing: bool = False) -> None:
        super().__init__(name, en, ko)
        self.missing = missing


def make_client() -> httpx.Client:
    """Follows redirects, but never from https down to http; proxies from the environment."""
    seconds = float(os.environ.get("HF_HUB_DOWNLOAD_TIMEOUT") or 15)
    return httpx.Client(
        follow_redirects=True,
        timeout=httpx.Timeout(seconds),
        headers={"user-agent": f"ohlora/{__version__}", "accept-encoding": "identity"},
        event_hooks={"response": [_stay_encrypted]},
    )


def _stay_encrypted(response: httpx.Response) -> None:
    target = response.next_request
    if target is None or response.url.scheme != "https":
        return
    if target.url.scheme != "https" and target.url.host not in LOOPBACK:
        raise httpx.UnsupportedProtocol("a redirect from https to http")


def fetch(
    remote: Remote,
    target: Path,
    client: httpx.Client,
    count: Count = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Download to target and return its SHA-256. Raises TransferError or CheckpointError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _part_path(remote, target)
    tries = 0
    while True:
        before = _size(part)
        if before and before == remote.bytes:
            break
        try:
            if _receive(remote, part, before, client, count):
                break
            wait, reason = 0.0, "the connection was cut"
        except _Retry as retry:
            wait, reason = retry.wait, retry.reason
        except httpx.TooManyRedirects as error:
            raise _failed(remote, "redirects in a loop", "리다이렉트가 끝없이 돌아요") from error
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise _failed(
                remote, f"unsafe address: {error}", f"안전하지 않은 주소예요: {error}"
            ) from error
        except httpx.TransportError as error:
            wait, reason = 0.0, _plain_reason(error)
        except OSError as error:
            raise _disk_error(target, error) from error
        tries = 0 if _size(part) > before else tries + 1
        if tries >= TRIES:
            raise _gave_up(remote, reason)
        sleep(wait or min(0.5 * 2**tries, 8.0))
    return _finish(remote, part, target, count)


class _Retry(Exception):
    def __init__(self, wait: float, reason: str) -> None:
        self.wait, self.reason = wait, reason


def _receive(remote: Remote, part: Path, start: int, client: httpx.Client, count: Count) -> bool:
    """One request, appended to part; True when the server says that this was all."""
    headers = dict(remote.headers)
    if start:
        headers["range"] = f"bytes={start}-"
    with client.stream("GET", remote.url, headers=headers) as response:
        if start and response.status_code == 416:  # the part is longer than the file
            count(-start)
            part.unlink(missing_ok=True)
            return False
        _check_status(remote, response)
        if start and response.status_code != 206:  # the server sends it all again
            count(-start)
            start = 0
        total = _total_length(response, start)
        if remote.bytes is not None and total not in (None, remote.bytes):
            raise _failed(
                remote,
                f"expected {remote.bytes:,} bytes, the server offers {total:,}",
                f"{remote.bytes:,}바이트여야 하는데 서버에는 {total:,}바이트가 있어요",
            )
        want = remote.bytes if remote.bytes is not None else total
        _append(remote, part, start, want, response.iter_bytes(), count)
    return want is None or _size(part) >= want


def _append(
    remote: Remote,
    part: Path,
    start: int,
    want: int | None,
    blocks: Iterator[bytes],
    count: Count,
) -> None:
    flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)  # never through a symlink
    # Unbuffered, in the pieces of the network: what came is on disk whenever the line is cut.
    with os.fdopen(os.open(part, flags, 0o644), "wb", buffering=0) as stream:
        stream.seek(start)
        stream.truncate()
        for block in blocks:
            if want is not None and start + len(block) > want:
                stream.truncate(0)
                raise _failed(
                    remote,
                    f"expected {want:,} bytes, the server sends more",
                    f"{want:,}바이트여야 하는데 서버가 더 보내요",
                )
            rest = memoryview(block)
            while rest:
                rest = rest[stream.write(rest) :]
            start += len(block)
            count(len(block))
        os.fsync(stream.fileno())


def _check_status(remote: Remote, response: httpx.Response) -> None:
    code = response.status_code
    if code in (200, 206):
        if response.headers.get("content-type", "").startswith("text/html"):
            raise _failed(
                remote,
                "expected the file, found a web page: download it there by hand and bring it in "
                "with `ohlora models import FOLDER`",
                "파일 대신 웹 페이지가 왔어요. 직접 내려받아 `ohlora models import 폴더`로 "
                "가져와 주세요",
            )
        return
    if code in (408, 425, 429, 500, 502, 503, 504):
        wait = retry_after(response.headers)
        if wait > LONGEST_WAIT:
            raise _failed(
                remote,
                f"the server is busy and asks to wait {wait:.0f} s: try again then",
                f"서버가 바빠서 {wait:.0f}초 기다려 달라고 해요. 그때 다시 시도해 주세요",
            )
        raise _Retry(wait, f"the server answered {code}")
    raise status_error(remote.name, code, remote.page, response.headers.get("x-error-code", ""))


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds from a Retry-After header, given as a number or a date; 0 without one."""
    value = headers.get("retry-after", "").strip()
    if value.isdigit():
        return float(value)
    if value:
        from datetime import UTC, datetime
        from email.utils import parsedate_to_datetime

        try:
            return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
        except (ValueError, TypeError):
            return 0.0
    return 0.0


def status_error(name: str, code: int, page: str, reason: str = "") -> TransferError:
    """One sentence for an HTTP status that waiting does not mend."""
    at = f" at {page}" if page else ""
    at_ko = f"{page}에서 " if page else ""
    if reason == "GatedRepo" or code == 403:
        return TransferError(
            name,
            f"access is gated ({code}): accept the terms{at}, then set HF_TOKEN to your token.",
            f"접근 허가가 필요해요({code}). {at_ko}약관에 동의한 뒤 HF_TOKEN에 토큰을 넣어 주세요.",
        )
    if code == 401:
        return TransferError(
            name,
            f"the source asks for a login (401), or there is no such file{at}: "
            "set HF_TOKEN to a token that may read it.",
            f"로그인이 필요하거나(401) 없는 파일이에요. {at_ko}확인하고 "
            "HF_TOKEN에 토큰을 넣어 주세요.",
        )
    if code in (404, 410):
        return TransferError(
            name,
            f"not found at its source ({code}): look{at or ' for it'}, "
            "and bring it in with `ohlora models import FOLDER`.",
            f"출처에 파일이 없어요({code}). {at_ko}찾아서 `ohlora models import 폴더`로 "
            "가져와 주세요.",
            missing=True,
        )
    return TransferError(
        name,
        f"the source refused with status {code}: try later{', or look' + at if at else ''}.",
        f"출처가 {code} 상태로 거절했어요. 나중에 다시 시도해 주세요.",
    )


def _total_length(response: httpx.Response, start: int) -> int | None:
    content_range = response.headers.get("content-range", "")
    if response.status_code == 206 and "/" in content_range:
        first, _, total = content_range.removeprefix("bytes ").partition("/")
        if not first.startswith(f"{start}-"):
            raise _Retry(0.0, "the server sent another range than asked")
        return int(total) if total.isdigit() else None
    length = response.headers.get("content-length", "")
    return start + int(length) if length.isdigit() else None


def _finish(remote: Remote, part: Path, target: Path, count: Count) -> str:
    sha256 = hashlib.sha256()
    sha1 = hashlib.sha1(f"blob {_size(part)}\0".encode(), usedforsecurity=False)
    with part.open("rb") as stream:
        while block := stream.read(BLOCK):
            sha256.update(block)
            sha1.update(block)
    found = sha256.hexdigest()
    pairs = ((remote.sha256, found), (remote.git_sha1, sha1.hexdigest()))
    for expected, actual in pairs:
        if expected and expected != actual:
            count(-_size(part))
            part.unlink()
            raise _failed(
                remote,
                f"expected digest {expected[:16]}..., found {actual[:16]}...: "
                "the file was changed on the way or at its source",
                f"다이제스트가 {expected[:16]}...이어야 하는데 {actual[:16]}...이에요. "
                "도중에 또는 출처에서 바뀐 파일이에요",
            )
    os.replace(part, target)
    return found


def _part_path(remote: Remote, target: Path) -> Path:
    version = hashlib.sha256(f"{remote.url}\n{remote.tag}\n{remote.sha256}".encode()).hexdigest()
    return target.with_name(f"{target.name}.{version[:12]}.incomplete")


def drop_stale_parts(folder: Path, remotes: Mapping[str, Remote]) -> None:
    """Remove half files of versions that the source no longer offers; keys: names below folder."""
    wanted = {_part_path(remote, folder / name) for name, remote in remotes.items()}
    for path in folder.rglob("*.incomplete"):
        if path not in wanted:
            path.unlink()


def partial_bytes(remote: Remote, target: Path) -> int:
    """How much of a file is here from an earlier, cut download."""
    return _size(_part_path(remote, target))


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _plain_reason(error: httpx.TransportError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx.ConnectError):
        return "no connection"
    return "the connection was cut"


REASONS_KO = {
    "no answer in time": "제때 응답이 없어요",
    "no connection": "연결할 수 없어요",
    "the connection was cut": "연결이 끊겼어요",
}


def _gave_up(remote: Remote, reason: str) -> TransferError:
    host = urlsplit(remote.url).hostname
    return TransferError(
        remote.name,
        f"{reason} ({host}), {TRIES} times: check the network and run the same command again; "
        "it goes on where it stopped.",
        f"{REASONS_KO.get(reason, reason)}({host}, {TRIES}번). 네트워크를 확인하고 같은 명령을 "
        "다시 실행하면 이어서 받아요.",
    )


def _failed(remote: Remote, en: str, ko: str) -> TransferError:
    look = f"; look at {remote.page}" if remote.page else ""
    look_ko = f" {josa(remote.page, '을/를')} 확인해 주세요." if remote.page else ""
    return TransferError(remote.name, f"{en}{look}.", f"{ko}.{look_ko}")


def _disk_error(target: Path, error: OSError) -> CheckpointError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return CheckpointError(
            target,
            "the disk is full: free some space and run the same command again; "
            "it goes on where it stopped.",
            "디스크가 가득 찼어요. 공간을 비우고 같은 명령을 다시 실행하면 이어서 받아요.",
        )
    return CheckpointError(
        target,
        f"cannot be written ({error.strerror}): check the rights of its folder.",
        f"쓸 수 없어요({error.strerror}). 폴더 권한을 확인해 주세요.",
    )
