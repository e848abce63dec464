"""Make sure a Chromium is there for the browser tests; called by `make test`.

In order: one that is installed, the system's package manager (as root on Debian and Ubuntu),
Playwright's own download.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys


def find_chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for name in names if (path := shutil.which(name))), None)


def main() -> int:
    if find_chromium():
        return 0
    if shutil.which("apt-get") and os.geteuid() == 0:
        fonts = ["fonts-noto-cjk", "fonts-noto-color-emoji"]
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], env=environment)
        subprocess.run(["apt-get", "install", "-y", "-qq", "chromium", *fonts], env=environment)
        if find_chromium():
            return 0
    print("No Chromium found: trying Playwright's own")
    if subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"]).returncode:
        print("The browser tests need Chromium: install the package `chromium` and try again.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
