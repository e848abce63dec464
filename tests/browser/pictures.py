"""Take the pictures and the recording of the README from a running server.

ohlora serve --no-browser &
PYTHONPATH=tests python -m browser.pictures http://127.0.0.1:8765 docs/images
"""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from browser.conftest import FLAGS, Tab
from browser.install_chromium import find_chromium

TALK = ("안녕! 넌 누구야?", "나 내일 친구랑 카페 가", "나 내일 뭐 하지?")
DESKTOP = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 1.5, "is_mobile": True}
SECONDS, FPS = 10, 8  # of the recording
RECORDED = {"viewport": {"width": 960, "height": 600}, "locale": "ko-KR", "color_scheme": "dark"}
STEP = 4  # of 256: the eye does not see it, and a PNG is a third smaller
COMMON = {"locale": "ko-KR", "timezone_id": "Asia/Seoul"}
PICTURES: dict[str, dict[str, Any]] = {
    "page-desktop": {**COMMON, **DESKTOP, "color_scheme": "dark"},
    "page-phone": {**COMMON, **PHONE, "color_scheme": "dark"},
}


def take(browser: Browser, url: str, options: dict[str, Any]) -> bytes:
    """PNG of the page after a short talk, while her last expression shows."""
    context = browser.new_context(**options)
    context.set_default_timeout(60_000)
    tab = Tab(context.new_page(), context)
    tab.open(url)
    tab.until("Number(document.getElementById('face').dataset.frames) > 100", 60)
    for number, text in enumerate(TALK, start=1):
        tab.say(text)
        tab.wait_for_reply(number)
    tab.until("document.getElementById('mood').dataset.mood !== 'speaking'", 20)
    tab.page.wait_for_timeout(2_500)
    picture = tab.page.screenshot()
    forget(tab, url)
    context.close()
    return picture


def record(browser: Browser, url: str, out: Path) -> None:
    """Animated WebP of ten seconds of a talk, as the screen showed it."""
    context = browser.new_context(timezone_id="Asia/Seoul", **RECORDED)
    context.set_default_timeout(60_000)
    tab = Tab(context.new_page(), context)
    tab.open(url)
    tab.until("Number(document.getElementById('face').dataset.frames) > 100", 60)
    shown: list[tuple[float, bytes]] = []  # when the screen changed, and to what
    screen = context.new_cdp_session(tab.page)

    def keep(frame: dict[str, Any]) -> None:
        shown.append((frame["metadata"]["timestamp"], base64.b64decode(frame["data"])))
        screen.send("Page.screencastFrameAck", {"sessionId": frame["sessionId"]})

    screen.on("Page.screencastFrame", keep)
    screen.send("Page.startScreencast", {"format": "jpeg", "quality": 95})
    tab.page.wait_for_timeout(600)
    for text in TALK[:2]:
        tab.page.locator("#text").press_sequentially(text, delay=40)
        tab.page.press("#text", "Enter")
        tab.page.wait_for_timeout(SECONDS * 450)
    screen.send("Page.stopScreencast")
    forget(tab, url)
    context.close()
    start = shown[0][0]
    pictures = []
    for number in range(SECONDS * FPS):
        _, jpeg = max((f for f in shown if f[0] <= start + number / FPS), key=lambda f: f[0])
        picture = Image.open(io.BytesIO(jpeg)).convert("RGB")
        pictures.append(picture.resize((720, 450), Image.Resampling.LANCZOS))
    pictures[0].save(out, save_all=True, append_images=pictures[1:], duration=1000 // FPS, loop=0,
                     quality=60, method=4)  # fmt: skip


def forget(tab: Tab, url: str) -> None:
    """Leave the server as it was: without this talk and what she remembered from it."""
    http = tab.page.request
    for memory in http.get(f"{url}/api/memories").json():
        if memory["source_text"] in TALK:
            http.delete(f"{url}/api/memories/{memory['id']}")
    session = tab.page.evaluate("localStorage.getItem('ohlora.session')")
    http.delete(f"{url}/api/sessions/{session}")


def main(url: str, out: str) -> None:
    Path(out).mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        for name, options in PICTURES.items():
            picture = Image.open(io.BytesIO(take(browser, url, options))).convert("RGB")
            coarse = picture.point(lambda v: min(255, v // STEP * STEP + STEP // 2))
            coarse.save(Path(out) / f"{name}.png", optimize=True)
        record(browser, url, Path(out) / "talk.webp")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"), sys.argv[2])
