"""A person's path through the page, in a real Chromium against the real app."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from browser.conftest import Her, Tab
from browser.talker import BROKEN

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def test_she_answers_shows_it_in_her_face_remembers_and_recalls(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    page = tab.page
    face = page.locator("#face")
    before = face.get_attribute("data-expression")

    tab.say("안녕")
    assert tab.wait_for_reply(1) == "오! 안녕! 만나서 정말 반가워 😊"
    expect(face).to_have_attribute("data-expression", "1.60 1.30 -1.20")
    assert face.get_attribute("data-expression") != before
    tab.until(
        "Number(document.getElementById('face').dataset.cell.split(' ')[1]) > 2"
    )  # the drawn mouth is open, not only the wish

    tab.say("나 내일 친구랑 카페 가")
    tab.wait_for_reply(2)
    kept = page.locator("li.chip.kept")
    expect(kept).to_contain_text("내일 일정")
    expect(kept).to_contain_text("친구랑 카페 가기")

    tab.say("나 내일 뭐 하지?")
    assert "친구랑 카페 가기" in tab.wait_for_reply(3)
    used = page.locator("li.chip.recalled")
    expect(used).to_contain_text("친구랑 카페 가기")
    used.locator("button").click()
    expect(used).to_contain_text("나 내일 친구랑 카페 가")  # the sentence it came from


def test_a_remembered_thing_is_edited_undone_and_deleted_in_its_chip(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    page = tab.page
    tab.say("나 내일 친구랑 카페 가")
    tab.wait_for_reply(1)
    chip = page.locator("li.chip.kept")

    chip.get_by_role("button", name="고치기").click()
    chip.locator("input, textarea").last.fill("혼자 영화 보기")
    chip.locator("input, textarea").last.press("Enter")
    expect(chip).to_contain_text("혼자 영화 보기")
    tab.say("나 내일 뭐 하지?")
    assert "혼자 영화 보기" in tab.wait_for_reply(2)

    chip.get_by_role("button", name="되돌리기").click()
    page.locator("#open-memory").click()
    expect(page.locator("#memory-list")).to_contain_text("친구랑 카페 가기")
    page.locator("#memory-list").get_by_role("button", name="삭제").click()
    expect(page.locator("#memory-list li.memory:not(.past)")).to_have_count(0)
    page.locator("#memory-undo").click()
    expect(page.locator("#memory-list")).to_contain_text("친구랑 카페 가기")


def test_a_reload_in_mid_reply_loses_and_doubles_nothing(her: Her, tab: Tab) -> None:
    her.engine.pause = 0.03
    tab.open(her.url)
    tab.say("긴 이야기 해 줘")
    tab.until(
        "(document.querySelector('li.message.assistant .bubble')?.textContent ?? '').length > 8"
    )
    tab.page.reload()
    reply = tab.wait_for_reply(1)
    assert reply == ("있잖아, 밤하늘에 오로라가 뜨면 초록빛 커튼이 천천히 흔들려. " * 3).strip()
    assert len(tab.replies()) == 1


def test_a_dropped_line_comes_back_to_the_same_reply(her: Her, tab: Tab) -> None:
    her.engine.pause = 0.05
    tab.open(her.url)
    tab.say("긴 이야기 해 줘")
    tab.until(
        "(document.querySelector('li.message.assistant .bubble')?.textContent ?? '').length > 4"
    )
    tab.context.set_offline(True)
    tab.page.wait_for_timeout(700)
    tab.context.set_offline(False)
    reply = tab.wait_for_reply(1)
    assert reply.count("있잖아") == 3 and len(tab.replies()) == 1
    tab.complaints[:] = [line for line in tab.complaints if "ERR_INTERNET" not in line]


def test_stop_ends_her_reply_at_once_and_keeps_what_was_said(her: Her, tab: Tab) -> None:
    her.engine.pause = 0.05
    tab.open(her.url)
    tab.say("긴 이야기 해 줘")
    tab.until(
        "(document.querySelector('li.message.assistant .bubble')?.textContent ?? '').length > 4"
    )
    tab.page.keyboard.press("Escape")
    reply = tab.page.locator("li.message.assistant")
    expect(reply).to_have_attribute("data-state", "interrupted")
    said = reply.locator(".bubble").inner_text()
    assert 4 < len(said) < 60
    tab.page.reload()
    expect(tab.page.locator("li.message.assistant .bubble")).to_have_text(said)


def test_enter_while_a_syllable_is_composed_sends_once_with_its_last_syllable(
    her: Her, tab: Tab
) -> None:
    tab.open(her.url)
    tab.page.focus("#text")
    keyboard = tab.context.new_cdp_session(tab.page)
    for text in ("ㅇ", "아", "안"):
        keyboard.send(
            "Input.imeSetComposition", {"text": text, "selectionStart": 1, "selectionEnd": 1}
        )
    # What an input method does on Enter: the key is announced as 229, then the text is committed.
    keyboard.send(
        "Input.dispatchKeyEvent",
        {
            "type": "rawKeyDown",
            "key": "Enter",
            "code": "Enter",
            "windowsVirtualKeyCode": 229,
        },
    )
    assert tab.replies() == []
    keyboard.send("Input.insertText", {"text": "안"})
    expect(tab.page.locator("li.message.user .bubble")).to_have_text(["안"])
    tab.wait_for_reply(1)
    assert her.engine.heard == ["안"]
    expect(tab.page.locator("#text")).to_have_value("")


def test_shift_enter_breaks_the_line_and_a_draft_survives_a_reload(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    tab.page.focus("#text")
    tab.page.keyboard.type("한 줄")
    tab.page.keyboard.press("Shift+Enter")
    tab.page.keyboard.type("두 줄")
    assert tab.replies() == []
    tab.page.reload()
    tab.page.wait_for_selector("html[data-ready]")
    expect(tab.page.locator("#text")).to_have_value("한 줄\n두 줄")


def test_text_is_never_html(her: Her, tab: Tab) -> None:
    attack = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
    tab.open(her.url)
    tab.say(attack)
    tab.wait_for_reply(1)
    expect(tab.page.locator("li.message.user .bubble")).to_have_text(attack)
    assert tab.page.locator("#messages img, #messages script").count() == 0
    assert tab.page.title() not in ("1", "2")


def test_an_error_is_one_sentence_with_a_way_on(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    tab.say(BROKEN)
    failure = tab.page.locator("li.message .failure")
    expect(failure).to_contain_text("모델이 멈칫했어요. 다시 보내 주세요.")
    expect(failure.get_by_role("button")).to_be_visible()


def test_too_long_a_message_cannot_be_sent_and_says_by_how_much(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    tab.page.fill("#text", "가" * 2_003)
    expect(tab.page.locator("#send")).to_be_disabled()
    expect(tab.page.locator("#count")).to_contain_text("3")


def test_sessions_are_made_named_and_deleted(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    tab.say("안녕")
    tab.wait_for_reply(1)
    tab.page.locator("#new-session").click()
    expect(tab.page.locator("li.message")).to_have_count(0)
    tab.say("미안")
    tab.wait_for_reply(1)
    tab.page.locator("#open-sessions").click()
    rows = tab.page.locator("#session-list > li")
    expect(rows).to_have_count(2)
    rows.filter(has_text="안녕").get_by_role("button").first.click()
    expect(tab.page.locator("li.message.user .bubble")).to_have_text(["안녕"])


def test_her_face_moves_at_25_frames_a_second_or_more(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    tab.until("Number(document.getElementById('face').dataset.frames) >= 175")
    rates = []
    for _ in range(4):
        tab.page.wait_for_timeout(520)
        rates.append(float(tab.page.locator("#face").get_attribute("data-fps") or 0))
    assert max(rates) >= 25, rates


@pytest.mark.parametrize(
    "tab", [PHONE, {"color_scheme": "light", "locale": "en-US"}], indirect=True
)
def test_it_fits_a_phone_and_speaks_english_too(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    tab.say("안녕")
    tab.wait_for_reply(1)
    wide = tab.page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0
    expect(tab.page.locator("#text")).to_be_in_viewport()
    label = tab.page.locator("#stop").get_attribute("aria-label") or ""
    korean = tab.page.evaluate("navigator.language").startswith("ko")
    assert bool(re.search("[가-힣]", label)) == korean


def test_a_screen_reader_hears_each_reply_once_and_every_control_has_a_name(
    her: Her, tab: Tab
) -> None:
    tab.open(her.url)
    page = tab.page
    page.evaluate(
        """() => {
          window.heard = [];
          const announcer = document.getElementById("announcer");
          new MutationObserver(() => announcer.textContent && heard.push(announcer.textContent))
            .observe(announcer, {childList: true, subtree: true, characterData: true});
        }"""
    )
    tab.say("안녕")
    tab.wait_for_reply(1)
    tab.until("window.heard.length > 0")
    page.wait_for_timeout(300)
    spoken = [text for text in page.evaluate("window.heard") if "반가워" in text]
    assert len(set(spoken)) == 1 and len(spoken) <= 2
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, input, textarea, canvas")].filter(
          (node) => !(node.getAttribute("aria-label") || node.labels?.length
            || node.textContent.trim() || node.type === "hidden")).map((node) => node.outerHTML)"""
    )
    assert unnamed == []


def test_the_keyboard_alone_is_enough(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    page = tab.page
    page.focus("#text")
    page.keyboard.type("나 내일 친구랑 카페 가")
    page.keyboard.press("Enter")
    tab.wait_for_reply(1)
    for _ in range(30):
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.activeElement.closest('li.chip.kept') !== null"):
            break
    assert page.evaluate("document.activeElement.closest('li.chip.kept') !== null")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
