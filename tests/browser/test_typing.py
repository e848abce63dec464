"""The message box: Hangul under composition, line breaks, drafts, the limit."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import CDPSession, expect

from browser.conftest import Her, Tab


def compose(keyboard: CDPSession, text: str) -> None:
    """What an input method shows while a syllable grows: 아 of 안."""
    state = {"text": text, "selectionStart": len(text), "selectionEnd": len(text)}
    keyboard.send("Input.imeSetComposition", state)


def press_enter(keyboard: CDPSession, code: int) -> None:
    """The key an input method takes is announced as 229."""
    key: dict[str, Any] = {"type": "rawKeyDown", "key": "Enter", "code": "Enter"}
    keyboard.send("Input.dispatchKeyEvent", {**key, "windowsVirtualKeyCode": code})


def test_enter_while_a_syllable_is_composed_sends_once_with_its_last_syllable(
    her: Her, tab: Tab
) -> None:
    tab.open(her.url)
    tab.page.focus("#text")
    keyboard = tab.context.new_cdp_session(tab.page)
    for text in ("ㅇ", "아", "안"):
        compose(keyboard, text)
    press_enter(keyboard, 229)
    assert tab.page.locator("li.message").count() == 0
    keyboard.send("Input.insertText", {"text": "안"})
    expect(tab.page.locator("li.message.user .bubble")).to_have_text(["안"])
    tab.wait_for_reply(1)
    assert her.engine.heard == ["안"]
    expect(tab.page.locator("#text")).to_have_value("")


def test_a_second_plain_enter_after_the_composition_sends_nothing_twice(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    tab.page.focus("#text")
    keyboard = tab.context.new_cdp_session(tab.page)
    compose(keyboard, "응")
    press_enter(keyboard, 229)
    keyboard.send("Input.insertText", {"text": "응"})
    press_enter(keyboard, 13)  # as Chromium does on macOS
    tab.wait_for_reply(1)
    assert her.engine.heard == ["응"]
    expect(tab.page.locator("li.message.user")).to_have_count(1)
    expect(tab.page.locator("#text")).to_have_value("")


SAFARI = """() => {
  const box = document.getElementById("text");
  const fire = (type, Kind, options) =>
    box.dispatchEvent(new Kind(type, {bubbles: true, cancelable: true, ...options}));
  fire("compositionstart", CompositionEvent, {});
  box.value = "그래";
  fire("input", InputEvent, {isComposing: true});
  fire("compositionend", CompositionEvent, {data: "래"});
  const key = new KeyboardEvent("keydown", {key: "Enter", code: "Enter", bubbles: true,
    cancelable: true});
  Object.defineProperty(key, "keyCode", {value: 229});
  box.dispatchEvent(key);
}"""


def test_safaris_order_of_events_sends_once_too(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    tab.page.evaluate(SAFARI)
    tab.wait_for_reply(1)
    assert her.engine.heard == ["그래"]


def test_enter_that_picks_a_candidate_of_another_script_does_not_send(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    tab.page.focus("#text")
    keyboard = tab.context.new_cdp_session(tab.page)
    compose(keyboard, "かんじ")
    press_enter(keyboard, 229)
    keyboard.send("Input.insertText", {"text": "漢字"})
    tab.page.wait_for_timeout(200)
    expect(tab.page.locator("#text")).to_have_value("漢字")
    assert tab.page.locator("li.message").count() == 0


def test_shift_enter_breaks_the_line_and_a_draft_survives_a_reload(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    tab.page.focus("#text")
    tab.page.keyboard.type("한 줄")
    tab.page.keyboard.press("Shift+Enter")
    tab.page.keyboard.type("두 줄")
    assert tab.page.locator("li.message").count() == 0
    tab.page.reload()
    tab.page.wait_for_selector("html[data-ready]")
    expect(tab.page.locator("#text")).to_have_value("한 줄\n두 줄")
    tab.page.press("#text", "Enter")
    expect(tab.page.locator("li.message.user .bubble")).to_have_text("한 줄\n두 줄")
    expect(tab.page.locator("#text")).to_have_value("")


def test_too_long_a_message_cannot_be_sent_and_says_by_how_much(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    tab.page.fill("#text", "가" * 1_990)
    expect(tab.page.locator("#count")).to_have_text("1,990 / 2,000자")
    tab.page.fill("#text", "😊" * 2_003)  # counted as the server counts, not in UTF-16 units
    expect(tab.page.locator("#count")).to_have_text("3자를 줄여 주세요")
    expect(tab.page.locator("#send")).to_be_disabled()
    tab.page.press("#text", "Enter")
    assert tab.page.locator("li.message").count() == 0


def test_blank_text_is_not_sent(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    tab.say("   \n ")
    expect(tab.page.locator("#send")).to_be_disabled()
    assert tab.page.locator("li.message").count() == 0
