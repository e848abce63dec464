"""The real app on a free port, and Debian's Chromium looking at it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)

from browser.install_chromium import find_chromium
from browser.talker import Talker, talking_companion
from ohlora.memory.store import Store
from ohlora.server.settings import Settings
from server.small import served

FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


@dataclass
class Her:
    """The page's address, the model behind it that a test may slow down, and her store."""

    url: str
    engine: Talker
    store: Store


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def settings() -> Settings:
    return Settings()


@pytest.fixture
def her(tmp_path: Path, settings: Settings) -> Iterator[Her]:
    engine = Talker(pause=0.01)
    with talking_companion(tmp_path, engine) as companion:
        with served(companion, settings) as address:
            yield Her(f"http://{address}/", engine, companion.store)


@dataclass
class Tab:
    """One open page and everything its console complained about."""

    page: Page
    context: BrowserContext
    complaints: list[str] = field(default_factory=list)

    def open(self, url: str) -> None:
        self.page.goto(url)
        self.page.wait_for_selector("html[data-ready]")

    def hear(self, message: ConsoleMessage) -> None:
        """Keep a complaint, with the address it is about (or comes from)."""
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.text} [{message.location['url']}]")

    def say(self, text: str) -> None:
        self.page.fill("#text", text)
        self.page.press("#text", "Enter")

    def until(self, script: str, seconds: float = 20) -> None:
        """Wait until a script is true (the page's policy forbids Playwright's own polling)."""
        end = time.monotonic() + seconds
        while not self.page.evaluate(script):
            assert time.monotonic() < end, f"never true: {script}"
            self.page.wait_for_timeout(30)

    def replies(self) -> list[str]:
        return self.page.locator("li.message.assistant .bubble").all_inner_texts()

    def wait_for_reply(self, number: int) -> str:
        """The text of reply `number` (from 1) once it is complete."""
        reply = self.page.locator("li.message.assistant").nth(number - 1)
        reply.wait_for()
        expect(reply).to_have_attribute("data-state", "complete")
        return reply.locator(".bubble").inner_text()

    def wait_for_letters(self, count: int) -> None:
        """Until the latest reply shows more than `count` characters of its own."""
        bubbles = "[...document.querySelectorAll('li.message.assistant .bubble')]"
        self.until(f"({bubbles}.at(-1)?.firstChild.data ?? '').trim().length > {count}")

    def face(self, name: str) -> str:
        """What the canvas tells of itself: expression, cell, fps, frames."""
        return self.page.locator("#face").get_attribute(f"data-{name}") or ""

    def cell(self) -> list[float]:
        """Where her drawn face lies on the lattice: eyes, mouth, pose."""
        return [float(number) for number in self.face("cell").split()]


@pytest.fixture
def tab(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Tab]:
    """A Korean desktop; `@pytest.mark.parametrize("tab", [{...}], indirect=True)` for others."""
    options = {"viewport": {"width": 1280, "height": 800}, "locale": "ko-KR"}
    options |= {"color_scheme": "dark", **getattr(request, "param", {})}
    context = browser.new_context(**options)
    context.set_default_timeout(20_000)
    page = context.new_page()
    tab = Tab(page, context)
    page.on("console", tab.hear)
    page.on("pageerror", lambda error: tab.complaints.append(str(error)))
    yield tab
    if folder := os.environ.get("OHLORA_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=f"{folder}/{request.node.name}.png")
    context.close()
    assert tab.complaints == []
