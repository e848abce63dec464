"""Names, versions and digests from the Hugging Face hub; the bytes come through fetch.py.

huggingface_hub gives what it knows best: the endpoint, the token, offline mode and the cache of
this machine (HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE, HF_HOME, ...). Its own downloader throws a cut
file away (version 2.4), so it is not used: a 2 GB file must go on where it stopped.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

from ohlora.checkpoints.catalog import File, Row, safe_name
from ohlora.checkpoints.fetch import LONGEST_WAIT, Remote, TransferError, retry_after, status_error
from ohlora.text import josa

TRIES = 4


def hub_remotes(row: Row, sleep: Callable[[float], None] = time.sleep) -> dict[File, Remote]:
    """Every file of a row as the hub offers it, all of one commit.

    Raises TransferError with one sentence: offline, no such repository, gated, a needed file
    that is not there, a name that leads out of its folder.
    """
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils._headers import build_hf_headers

    info = _repo_info(row, sleep)
    siblings = {one.rfilename: one for one in info.siblings or ()}
    headers = build_hf_headers()
    remotes = {}
    for file, name in _wanted(row, sorted(siblings)).items():
        one = siblings[name]
        lfs = dict(one.lfs) if one.lfs else {}
        remotes[file] = Remote(
            name=file.name,
            url=hf_hub_url(
                row.hub, name, repo_type=row.hub_type, revision=info.sha, endpoint=endpoint()
            ),
            bytes=lfs.get("size") or one.size,
            sha256=lfs.get("sha256"),
            git_sha1=None if lfs else one.blob_id,
            tag=lfs.get("sha256") or one.blob_id or info.sha or "",
            headers={k: v for k, v in headers.items() if k.lower() == "authorization"},
            page=row.source(),
        )
    return remotes


def endpoint() -> str:
    from huggingface_hub import constants

    return (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")


def _wanted(row: Row, names: list[str]) -> dict[File, str]:
    """Which name at the hub each file of the row has; for images, one File per picture."""
    prefix = f"{row.hub_folder}/" if row.hub_folder else ""
    if row.images:
        return _wanted_images(row, names)
    wanted = {}
    for file in row.files:
        name = prefix + file.source
        if file.skip:
            continue
        if name in names:
            check_name(row, name)
            wanted[file] = name
        elif not file.optional:
            raise TransferError(
                file.name,
                f"not in {row.source()}, which has {len(names)} other files: "
                "bring it in with `ohlora models import FOLDER`.",
                f"{row.source()}에 없어요(다른 파일 {len(names)}개). "
                "`ohlora models import 폴더`로 가져와 주세요.",
                missing=True,
            )
    return wanted


def _wanted_images(row: Row, names: list[str]) -> dict[File, str]:
    pictures: dict[str, str] = {}
    for name in names:
        check_name(row, name)
        short = PurePosixPath(name).name
        if fnmatch(short, "[0-9]*.jpg"):
            pictures.setdefault(short, name)
    if not pictures:
        raise TransferError(
            row.id,
            f"expected pictures in {row.source()}, found {len(names)} other files: look there "
            "and bring them in with `ohlora models import FOLDER`.",
            f"{row.source()}에 사진이 있어야 하는데 다른 파일만 {len(names)}개 있어요. "
            "`ohlora models import 폴더`로 가져와 주세요.",
            missing=True,
        )
    return {File(short, name): name for short, name in pictures.items()}


def check_name(row: Row, name: str) -> None:
    try:
        safe_name(name)
    except ValueError as error:
        raise TransferError(
            row.id,
            f"refused: expected plain file names from {row.source()}, found {name!r}, "
            "which leads out of its folder.",
            f"받지 않았어요. {row.source()}의 파일 이름 {josa(repr(name), '이/가')} 폴더 밖을 "
            "가리켜요.",
        ) from error


def _repo_info(row: Row, sleep: Callable[[float], None]) -> Any:
    import httpx2
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    api = HfApi(endpoint=endpoint())
    reason = ""
    for attempt in range(TRIES):
        wait = 0.5 * 2**attempt
        try:
            return api.repo_info(
                row.hub,
                repo_type=row.hub_type,
                files_metadata=True,
                timeout=max(10.0, float(constants.HF_HUB_ETAG_TIMEOUT)),
            )
        except OfflineModeIsEnabled as error:
            raise _offline(row) from error
        except HfHubHTTPError as error:
            code = error.response.status_code
            if code not in (408, 429, 500, 502, 503, 504):
                reason = error.response.headers.get("x-error-code", "")
                raise status_error(row.id, code, row.source(), reason) from error
            asked = retry_after(error.response.headers)
            reason = f"the hub answered {code}"
            if asked > LONGEST_WAIT:
                raise TransferError(
                    row.id,
                    f"the hub is busy and asks to wait {asked:.0f} s: try again then.",
                    f"허브가 바빠서 {asked:.0f}초 기다려 달라고 해요. 그때 다시 시도해 주세요.",
                ) from error
            wait = asked or wait
        except httpx2.TooManyRedirects as error:
            raise TransferError(
                row.id, "the hub redirects in a loop.", "허브가 리다이렉트를 끝없이 돌려요."
            ) from error
        except httpx2.TransportError:
            reason = f"no connection to {endpoint()}"
        except (HFValidationError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise TransferError(
                row.id,
                f"{endpoint()} does not answer like a hub ({type(error).__name__}): "
                "check HF_ENDPOINT.",
                f"{josa(endpoint(), '이/가')} 허브처럼 답하지 않아요({type(error).__name__}). "
                "HF_ENDPOINT를 확인해 주세요.",
            ) from error
        if attempt + 1 < TRIES:
            sleep(wait)
    raise TransferError(
        row.id,
        f"{reason}, {TRIES} times: check the network and run the same command again.",
        f"허브에서 {TRIES}번 답을 받지 못했어요. 네트워크를 확인하고 같은 명령을 다시 "
        "실행해 주세요.",
    )


def _offline(row: Row) -> TransferError:
    return TransferError(
        row.id,
        "HF_HUB_OFFLINE is set and the files are not in this machine's hub cache: unset it, "
        "or use `ohlora models import FOLDER`.",
        "HF_HUB_OFFLINE이 켜져 있고 허브 캐시에도 파일이 없어요. 끄거나 "
        "`ohlora models import 폴더`를 써 주세요.",
    )


def cached_file(row: Row, file: File) -> Path | None:
    """A copy that another program already fetched into the hub cache (HF_HOME)."""
    from huggingface_hub import try_to_load_from_cache

    prefix = f"{row.hub_folder}/" if row.hub_folder else ""
    found = try_to_load_from_cache(row.hub, prefix + file.source, repo_type=row.hub_type)
    return Path(found) if isinstance(found, str) and Path(found).is_file() else None
