"""For everybody: screen readers, keyboard, contrast, phone width, both languages and themes."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Route, expect

from browser.conftest import Her, Tab
from ohlora.server.settings import Settings

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
SMALL = {"viewport": {"width": 320, "height": 568}, "has_touch": True, "is_mobile": True}
ENGLISH = {"color_scheme": "light", "locale": "en-US"}


@pytest.mark.parametrize("tab", [PHONE, SMALL, ENGLISH], indirect=True)
def test_it_fits_every_width_and_speaks_the_language_of_the_browser(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    page = tab.page
    tab.say("나 내일 친구랑 카페 가")
    tab.wait_for_reply(1)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert page.locator("#log").evaluate("n => n.scrollWidth - n.clientWidth") <= 0
    for place in ("#text", "#face", "#send", "li.chip.kept"):
        expect(page.locator(place)).to_be_in_viewport()
    korean = page.evaluate("navigator.language").startswith("ko")
    label = page.locator("#stop").get_attribute("aria-label") or ""
    assert bool(re.search("[가-힣]", label)) == korean
    assert page.evaluate("document.documentElement.lang") == ("ko" if korean else "en")
    page.locator("#open-memory").click()
    page.locator("#memory").evaluate("n => Promise.all(n.getAnimations().map((a) => a.finished))")
    box = page.locator("#memory").bounding_box()
    assert box is not None and box["x"] >= 0
    assert box["x"] + box["width"] <= page.evaluate("innerWidth") + 0.5


def test_language_and_theme_change_in_place_and_are_remembered(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    page = tab.page
    ground = "getComputedStyle(document.getElementById('chat')).backgroundColor"
    dark = page.evaluate(ground)
    page.locator("#language").click()
    expect(page.locator("#text")).to_have_attribute("placeholder", re.compile("Write"))
    page.locator("#theme").click()
    assert page.evaluate(ground) != dark
    page.reload()
    page.wait_for_selector("html[data-ready]")
    expect(page.locator("#text")).to_have_attribute("placeholder", re.compile("Write"))
    assert page.evaluate(ground) != dark


def test_both_languages_have_every_sentence(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    strings = tab.page.evaluate("import('/static/js/strings.js').then((m) => m.strings)")
    assert strings["ko"].keys() == strings["en"].keys()
    slots = re.compile(r"\{(\w+)")
    for key, korean in strings["ko"].items():
        theirs = set(slots.findall(strings["en"][key])) - {"name"}
        assert set(slots.findall(korean)) - {"name"} == theirs, key


CONTRAST = """() => {
  const style = getComputedStyle(document.documentElement);
  const rgb = (name) => {
    const dot = document.createElement("canvas").getContext("2d");
    dot.fillStyle = style.getPropertyValue(name).trim();
    dot.fillRect(0, 0, 1, 1);
    return [...dot.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (colour) => colour
    .map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ratio = (a, b) => {
    const [x, y] = [light(rgb(a)), light(rgb(b))].sort((p, q) => q - p);
    return (x + 0.05) / (y + 0.05);
  };
  return Object.fromEntries([
    ["--text", "--ground"], ["--text", "--raised"], ["--text", "--danger-soft"],
    ["--faint", "--ground"], ["--faint", "--raised"], ["--accent", "--ground"],
    ["--accent", "--raised"], ["--accent", "--danger-soft"], ["--accent-ink", "--accent"],
    ["--text", "--accent-soft"], ["--mine-ink", "--mine"], ["--mine-ink", "--mine-2"],
    ["--danger", "--ground"], ["--danger", "--danger-soft"],
  ].map(([a, b]) => [`${a} on ${b}`, ratio(a, b)]));
}"""


@pytest.mark.parametrize("tab", [{}, ENGLISH], indirect=True)
def test_every_text_has_the_contrast_of_wcag_aa(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    ratios = tab.page.evaluate(CONTRAST)
    assert {pair: round(ratio, 2) for pair, ratio in ratios.items() if ratio < 4.5} == {}


LISTEN = """() => {
  window.heard = [];
  const announcer = document.getElementById("announcer");
  new MutationObserver(() => announcer.textContent && heard.push(announcer.textContent))
    .observe(announcer, {childList: true, subtree: true, characterData: true});
}"""
UNNAMED = """() => [...document.querySelectorAll("button, input, textarea, #face, dialog")]
  .filter((node) => !(node.getAttribute("aria-label") || node.getAttribute("aria-labelledby")
    || node.labels?.length || node.textContent.trim()))
  .map((node) => node.outerHTML)"""


def test_a_screen_reader_hears_each_reply_once_and_every_control_has_a_name(
    her: Her, tab: Tab
) -> None:
    tab.open(her.url)
    page = tab.page
    page.evaluate(LISTEN)
    tab.say("나 내일 친구랑 카페 가")
    reply = tab.wait_for_reply(1)
    tab.until("window.heard.length > 0")
    page.wait_for_timeout(300)
    assert page.evaluate("window.heard") == [f"오로라: {reply}"]
    assert page.evaluate(UNNAMED) == []
    page.locator("#open-memory").click()
    page.locator("#memory-list li.memory").first.wait_for()
    assert page.evaluate(UNNAMED) == []


def test_the_keyboard_alone_is_enough(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    page = tab.page
    keys = page.keyboard
    page.focus("#text")
    keys.type("나 내일 친구랑 카페 가")
    keys.press("Enter")
    tab.wait_for_reply(1)

    def back_to(selector: str) -> None:
        for _ in range(40):
            keys.press("Shift+Tab")
            if page.evaluate(f"document.activeElement.matches({selector!r})"):
                outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert outline != "none"  # where the focus is can be seen
                return
        raise AssertionError(f"the keyboard does not reach {selector}")

    back_to("li.chip.kept .icon-button")  # the last of the three: delete
    keys.press("Enter")
    chip = page.locator("li.chip.kept")
    expect(chip).to_contain_text("지운 기억")
    assert page.evaluate("document.activeElement.closest('li.chip') !== null")  # focus is kept
    keys.press("Enter")  # undo
    expect(chip).not_to_contain_text("지운 기억")

    page.focus("#text")
    back_to("#open-memory")
    keys.press("Enter")
    expect(page.locator("#memory")).to_be_visible()
    keys.press("Escape")
    expect(page.locator("#memory")).to_be_hidden()
    assert page.evaluate("document.activeElement.id") == "open-memory"


class TestBehindAToken:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(token="a-long-secret")

    def test_the_printed_address_lets_the_page_in_and_keeps_it_in(self, her: Her, tab: Tab) -> None:
        tab.open(f"{her.url}?token=a-long-secret")
        assert "token" not in tab.page.url
        tab.say("안녕")
        tab.wait_for_reply(1)
        tab.page.reload()
        expect(tab.page.locator("li.message.assistant")).to_have_count(1)

    def test_the_page_in_between_asks_for_nothing_however_long_it_stays(
        self, her: Her, tab: Tab
    ) -> None:
        def stay(route: Route) -> None:
            answer = route.fetch()
            slowly = answer.text().replace('"0;url=/"', '"2;url=/"')
            assert slowly != answer.text()
            route.fulfill(response=answer, body=slowly)

        tab.context.route(f"{her.url}?token=*", stay)
        tab.open(f"{her.url}?token=a-long-secret")
        tab.page.wait_for_timeout(300)
        assert tab.complaints == []  # such as a 404 for /favicon.ico
