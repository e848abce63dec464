"""A person's path through the page, in a real Chromium against the real app."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from browser.conftest import Her, Tab
from browser.talker import ANSWERS, BROKEN

STORY = "긴 이야기 해 줘"

GLAD = re.compile(r"0\.\d\d 0\.\d\d -1\.\d\d")  # eyes wide, mouth open, head straight


def test_she_answers_shows_it_in_her_face_remembers_and_recalls(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    page = tab.page
    tab.until("Number(document.getElementById('face').dataset.frames) === 325")
    before = tab.face("expression")

    tab.say("안녕")
    assert tab.wait_for_reply(1) == "오! 안녕! 만나서 정말 반가워 😊"
    expect(page.locator("#face")).to_have_attribute("data-expression", GLAD)
    assert tab.face("expression") != before
    # The drawn eyes are wide and the drawn mouth opens, not only the wish.
    drawn = "document.getElementById('face').dataset.cell.split(' ').map(Number)"
    tab.until(f"{drawn}[0] > 3.2 && {drawn}[1] > 2")

    tab.say("나 내일 친구랑 카페 가")
    tab.wait_for_reply(2)
    kept = page.locator("li.chip.kept")
    expect(kept).to_contain_text("내일 일정")
    expect(kept).to_contain_text("친구랑 카페 가기")

    tab.say("나 내일 뭐 하지?")
    assert "친구랑 카페 가기" in tab.wait_for_reply(3)
    used = page.locator("li.chip.recalled")
    expect(used).to_contain_text("친구랑 카페 가기")
    score = float(used.locator(".chip-score").inner_text())
    assert 0.3 < score <= 1
    used.locator("button").click()
    expect(used).to_contain_text("나 내일 친구랑 카페 가")  # the sentence it came from


def test_a_remembered_thing_is_edited_undone_and_deleted_in_its_chip(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    page = tab.page
    tab.say("나 내일 친구랑 카페 가")
    tab.wait_for_reply(1)
    chip = page.locator("li.chip.kept")

    chip.get_by_role("button", name="고치기").click()
    chip.locator("input").last.fill("혼자 영화 보기")
    chip.locator("input").last.press("Enter")
    expect(chip).to_contain_text("혼자 영화 보기")
    tab.say("나 내일 뭐 하지?")
    assert "혼자 영화 보기" in tab.wait_for_reply(2)

    chip.get_by_role("button", name="되돌리기").click()
    expect(chip).to_contain_text("친구랑 카페 가기")
    chip.get_by_role("button", name="삭제").click()
    expect(chip).to_contain_text("지운 기억")
    page.locator(".toast-action").click()  # undo
    expect(chip).to_contain_text("친구랑 카페 가기")
    expect(chip).not_to_contain_text("지운 기억")


def test_a_stored_memory_that_is_undone_is_not_recalled(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    tab.say("나 내일 친구랑 카페 가")
    tab.wait_for_reply(1)
    chip = tab.page.locator("li.chip.kept")
    chip.get_by_role("button", name="되돌리기").click()
    expect(chip).to_contain_text("되돌린 기억")
    tab.say("나 내일 뭐 하지?")
    assert "카페" not in tab.wait_for_reply(2)
    expect(tab.page.locator("li.chip.recalled")).to_have_count(0)


def test_the_memory_panel_lists_adds_finds_edits_deletes_and_undoes(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    page = tab.page
    tab.say("나 내일 친구랑 카페 가")
    tab.wait_for_reply(1)
    page.locator("#open-memory").click()
    rows = page.locator("#memory-list li.memory")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("나 내일 친구랑 카페 가")  # where it comes from

    add = page.locator("#memory-add")
    add.get_by_label("무엇").fill("좋아하는 음식")
    add.get_by_label("내용").fill("떡볶이")
    add.get_by_label("내용").press("Enter")
    expect(rows).to_have_count(2)
    page.locator("#memory-search").fill("떡볶이")
    expect(rows).to_have_count(1)

    rows.get_by_role("button", name="고치기").click()
    rows.get_by_label("내용").fill("마라탕")
    rows.get_by_label("내용").press("Enter")
    page.locator("#memory-search").fill("")
    expect(rows.filter(has_text="마라탕")).to_have_count(1)
    rows.filter(has_text="마라탕").get_by_role("button", name="삭제").click()
    expect(rows).to_have_count(1)
    page.locator("#memory-undo").click()
    expect(rows.filter(has_text="마라탕")).to_have_count(1)


def test_a_reload_in_mid_reply_loses_and_doubles_nothing(her: Her, tab: Tab) -> None:
    her.engine.pause = 0.03
    tab.open(her.url)
    tab.say(STORY)
    tab.wait_for_letters(8)
    tab.page.reload()
    assert tab.wait_for_reply(1) == ANSWERS[STORY].strip()
    assert len(tab.replies()) == 1 and her.engine.heard == [STORY]


def test_a_dropped_line_comes_back_to_the_same_reply(her: Her, tab: Tab) -> None:
    her.engine.pause = 0.03
    tab.open(her.url)
    # Sockets are cut from the page's side: Chromium's offline mode leaves open ones alone.
    tab.page.evaluate("import('/static/js/net/socket.js').then(() => 0)")
    tab.page.add_init_script(
        """(() => {
          const Real = WebSocket;
          window.WebSocket = class extends Real {
            constructor(...a) { super(...a); window.line = this; }
          };
        })()"""
    )
    tab.page.reload()
    tab.page.wait_for_selector("html[data-ready]")
    tab.say(STORY)
    for letters in (4, 20, 40):
        tab.wait_for_letters(letters)
        tab.page.evaluate("line.close()")
    assert tab.wait_for_reply(1) == ANSWERS[STORY].strip()
    assert len(tab.replies()) == 1 and her.engine.heard == [STORY]


def test_words_said_while_the_line_is_down_leave_once_when_it_is_back(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    tab.say("안녕")
    tab.wait_for_reply(1)
    tab.page.add_init_script(
        """(() => {
          const Real = WebSocket;
          window.blocked = true;
          window.WebSocket = class extends Real {
            constructor(url) { super(window.blocked ? url + "-nowhere" : url); }
          };
          window.WebSocket.OPEN = Real.OPEN;
        })()"""
    )
    tab.page.reload()
    tab.page.wait_for_selector("html[data-ready]")
    tab.say("미안")
    said = tab.page.locator("li.message.user").nth(1)
    expect(said).to_have_attribute("data-state", "unsent")
    expect(tab.page.locator("#banner")).to_contain_text("연결이 끊겼어요")
    # In one step: on its own the page would try again any moment, and the button be gone.
    tab.page.evaluate("blocked = false; document.querySelector('#banner button').click()")
    tab.wait_for_reply(2)
    expect(tab.page.locator("#banner")).to_be_hidden()
    assert her.engine.heard == ["안녕", "미안"]
    tab.complaints[:] = [line for line in tab.complaints if "nowhere" not in line]


def test_stop_ends_her_reply_at_once_and_keeps_what_was_said(her: Her, tab: Tab) -> None:
    her.engine.pause = 0.05
    tab.open(her.url)
    tab.say(STORY)
    tab.wait_for_letters(4)
    tab.page.keyboard.press("Escape")
    reply = tab.page.locator("li.message.assistant")
    expect(reply).to_have_attribute("data-state", "interrupted")
    expect(tab.page.locator("#stop")).to_be_hidden()
    tab.page.wait_for_timeout(400)
    said = reply.locator(".bubble").inner_text()
    assert 4 < len(said) < 60
    tab.page.reload()
    expect(tab.page.locator("li.message.assistant .bubble")).to_have_text(said)


def test_a_new_message_cuts_the_reply_short(her: Her, tab: Tab) -> None:
    her.engine.pause = 0.05
    tab.open(her.url)
    tab.say(STORY)
    tab.wait_for_letters(4)
    tab.say("안녕")
    assert tab.wait_for_reply(2) == ANSWERS["안녕"]
    cut = tab.page.locator("li.message.assistant").first
    expect(cut).to_have_attribute("data-state", "interrupted")
    assert len(cut.locator(".bubble").inner_text()) < len(ANSWERS[STORY]) / 2


def test_text_is_never_html(her: Her, tab: Tab) -> None:
    attack = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
    tab.open(her.url)
    tab.say(attack)
    tab.wait_for_reply(1)
    expect(tab.page.locator("li.message.user .bubble")).to_have_text(attack)
    tab.page.locator("#open-memory").click()
    add = tab.page.locator("#memory-add")
    add.get_by_label("무엇").fill("이름")
    add.get_by_label("내용").fill(attack)
    add.get_by_label("내용").press("Enter")
    expect(tab.page.locator("#memory-list")).to_contain_text("onerror")
    assert tab.page.locator("body img, #messages script, #memory script").count() == 0
    assert tab.page.title() not in ("1", "2")


def test_an_error_is_one_sentence_with_a_way_on(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    tab.say(BROKEN)
    failure = tab.page.locator("li.message .failure")
    expect(failure).to_have_count(1)
    expect(failure).to_contain_text("모델이 멈칫했어요. 다시 보내 주세요.")
    failure.get_by_role("button").click()
    expect(tab.page.locator("li.message.user")).to_have_count(2)
    tab.until("document.querySelectorAll('li.message .failure').length === 1")
    assert her.engine.heard == [BROKEN, BROKEN]


def test_sessions_are_made_named_and_deleted(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    page = tab.page
    tab.say("안녕")
    tab.wait_for_reply(1)
    page.locator("#new-session").click()
    expect(page.locator("li.message")).to_have_count(0)
    tab.say("미안")
    tab.wait_for_reply(1)
    page.locator("#open-sessions").click()
    rows = page.locator("#session-list > li")
    expect(rows).to_have_count(2)

    rows.filter(has_text="미안").get_by_role("button", name="이름 바꾸기").click()
    rows.get_by_role("textbox").fill("사과한 날")
    rows.get_by_role("textbox").press("Enter")
    expect(page.locator("#title")).to_have_text("사과한 날")
    rows.filter(has_text="사과한 날").get_by_role("button", name="삭제").click()
    rows.get_by_role("button", name="삭제").first.click()
    expect(rows).to_have_count(1)
    expect(page.locator("li.message")).to_have_count(0)  # the open one is gone
    rows.filter(has_text="안녕").get_by_role("button").first.click()
    expect(page.locator("li.message.user .bubble")).to_have_text(["안녕"])


def test_older_messages_come_on_scrolling_up_and_what_is_read_stays_in_place(
    her: Her, tab: Tab
) -> None:
    session = her.store.sessions.create("긴 대화").id
    for number in range(40):
        her.store.begin_turn(session, f"말 {number}", f"r{number}")
        her.store.append_event(f"r{number}", {"type": "token", "text": f"답 {number}"})
        done = {"type": "done", "reason": "complete", "text": f"답 {number}"}
        her.store.finish_turn(f"r{number}", "complete", "llm", None, done)
    tab.page.add_init_script(f"localStorage.setItem('ohlora.session', '{session}')")
    tab.open(her.url)
    messages = tab.page.locator("li.message")
    expect(messages).to_have_count(50)
    expect(messages.last).to_be_in_viewport()
    first = messages.first.locator(".bubble")
    text = first.inner_text()
    tab.page.evaluate("document.getElementById('log').scrollTop = 120")
    expect(messages).to_have_count(80)
    expect(tab.page.locator("#older")).to_be_hidden()
    expect(tab.page.locator(".bubble", has_text=text).first).to_be_in_viewport()
    expect(messages.first.locator(".bubble")).to_have_text("말 0")


TURN = """async () => {
  const {Turn} = await import("/static/js/talk/turn.js");
  const turn = new Turn("r", "s");
  const token = (seq, text) => turn.apply({type: "token", seq, text});
  const outcomes = [token(0, "가"), token(0, "가"), token(2, "다"), token(1, "나"), token(2, "다")];
  outcomes.push(turn.apply({type: "done", seq: 3, reason: "complete", text: "가나다"}));
  outcomes.push(token(4, "라"));
  return [turn.text, turn.status, outcomes];
}"""


def test_an_event_that_comes_twice_is_dropped_and_a_hole_is_noticed(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    assert tab.page.evaluate(TURN) == [
        "가나다",
        "complete",
        ["applied", "repeat", "hole", "applied", "applied", "applied", "repeat"],
    ]
