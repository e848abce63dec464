"""Her face on the page: frame rate (a 640 px canvas, no GPU), expressions, speech, blinks, rest."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from browser.conftest import Her, Tab

COUNT_FRAMES = """() => new Promise((done) => {
  const context = document.getElementById("face").getContext("2d");
  const clear = context.clearRect;  // called once for each picture that is drawn
  let count = 0;
  context.clearRect = function (...box) { count += 1; clear.apply(this, box); };
  setTimeout(() => { delete context.clearRect; done(count); }, 2000);
})"""
TURNED_AWAY = re.compile(r"-0\.\d\d -0\.\d\d (?:1\.[5-9]|2\.\d)\d")  # sorry, or refusing
ALL_HERE = "Number(document.getElementById('face').dataset.frames) === 325"


def test_her_face_moves_at_25_frames_a_second_or_more(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    tab.until(ALL_HERE)
    rates: list[float] = []
    while max(rates, default=0) < 25 and len(rates) < 5:  # another program may take the processor
        began = tab.page.evaluate("performance.now()")
        count = tab.page.evaluate(COUNT_FRAMES)
        rates.append(count * 1000 / (tab.page.evaluate("performance.now()") - began))
    assert rates[-1] >= 25, rates


def test_her_mouth_moves_while_she_speaks_and_shuts_at_once_when_stopped(
    her: Her, tab: Tab
) -> None:
    her.engine.pause = 0.06
    tab.open(her.url)
    tab.until(ALL_HERE)
    assert tab.cell()[1] < 0.3
    tab.say("긴 이야기 해 줘")
    tab.until("Number(document.getElementById('face').dataset.cell.split(' ')[1]) > 0.8")
    expect(tab.page.locator("#mood")).to_have_attribute("data-mood", "speaking")
    tab.page.keyboard.press("Escape")
    expect(tab.page.locator("#mood")).to_have_attribute("data-mood", "resting", timeout=1_000)
    tab.until("Number(document.getElementById('face').dataset.cell.split(' ')[1]) < 0.3", 3)


def test_a_turned_away_answer_turns_her_head_and_she_comes_back(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    tab.until(ALL_HERE)
    tab.say("미안")  # her answer holds 미안 and 별로
    tab.wait_for_reply(1)
    expect(tab.page.locator("#face")).to_have_attribute("data-expression", TURNED_AWAY)
    expect(tab.page.locator("#face")).to_have_accessible_name(
        "눈을 편하게 뜨고 입을 다문 채 고개를 돌린 오로라의 얼굴"
    )
    tab.until("Number(document.getElementById('face').dataset.cell.split(' ')[2]) > 8")
    tab.until("Number(document.getElementById('face').dataset.cell.split(' ')[2]) <= 7", 25)


MOTION = """async () => {
  const {Lattice} = await import("/static/js/face/lattice.js");
  const {Motion} = await import("/static/js/face/motion.js");
  const {face} = await (await fetch("/api/info")).json();
  const lattice = new Lattice(face, (path) => path);
  let seed = 7;
  const random = () => ((seed = (seed * 16807) % 2147483647) / 2147483647);
  const motion = new Motion(lattice, lattice.point({eyes: 0.2, mouth: -1.2, pose: -1.2}), {random});
  const run = (seconds) => Array.from({length: seconds * 50}, () => motion.step(0.02));
  const rest = run(60);
  motion.say("맘맘맘");
  const spoken = run(2);
  motion.show({eyes: 1.6, mouth: 1.3, pose: 2.4});
  const shown = run(3);
  return {closed: face.closed_eyes, rest, shown, spoken, size: lattice.size,
    eyes: [-9, -4.29, -2.532, -1.2, 0, 1.6, 9].map((v) => lattice.indexOf("eyes", v))};
}"""


def test_she_blinks_and_no_motion_leaves_the_lattice(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    seen = tab.page.evaluate(MOTION)
    blinks = [
        now["eyes"] < 0.3 <= before["eyes"]
        for before, now in zip(seen["rest"], seen["rest"][1:], strict=False)
    ]
    assert 8 <= sum(blinks) <= 40  # in a minute, one every 2 to 6 seconds, some double
    assert seen["eyes"] == pytest.approx([1, 1, 1, 2, 2 + 1.2 / 1.4, 4, 4])  # 0 is for blinks
    for step in seen["rest"] + seen["shown"] + seen["spoken"]:
        for axis in ("eyes", "mouth", "pose"):
            assert 0 <= step[axis] <= seen["size"][axis] - 1, step
    poses = [step["pose"] for step in seen["shown"]]
    assert poses[-1] == 10 and max(poses) <= 10  # arrives on a frame, without overshooting
    mouths = [step["mouth"] for step in seen["spoken"]]
    turns = [
        now
        for before, now, after in zip(mouths, mouths[1:], mouths[2:], strict=False)
        if (now - before) * (after - now) < 0
    ]
    assert len(turns) == 5  # three times open, and closed in between
    assert min(turns[::2]) > 1 and max(turns[1::2]) < 0.6


REACTION = """async (still) => {
  const {Lattice} = await import("/static/js/face/lattice.js");
  const {Motion} = await import("/static/js/face/motion.js");
  const {face} = await (await fetch("/api/info")).json();
  const lattice = new Lattice(face, (path) => path);
  const rest = lattice.point({eyes: 0.2, mouth: -1.2, pose: -1.2});
  const motion = new Motion(lattice, rest, {random: () => 0.9});
  motion.still = still;
  motion.say("축하해! 그런데 미안.");
  const glad = motion.show({eyes: 1.6, mouth: 0.9, pose: -1.2, at: 0});
  const sorry = motion.show({eyes: -0.8, mouth: -0.7, pose: 1.8, at: 5});
  const seen = [];
  for (let i = 0; i < 200; i++) {
    seen.push([glad, sorry, rest].indexOf(motion.expression));
    motion.step(0.02);
  }
  motion.think();
  motion.say("다음 말");
  return {seen, waiting: motion.coming.length, spoken: motion.speech.spoken};
}"""


def test_her_face_changes_when_her_voice_reaches_the_sentence(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    result = tab.page.evaluate(REACTION, False)
    order = list(dict.fromkeys(result["seen"]))
    assert order in ([2, 0, 1], [0, 1])  # (rest until the first sound,) glad, then sorry
    assert 10 < result["seen"].index(1) < 60  # after "축하해!", 0.2 to 1.2 s
    assert result["waiting"] == 0 and result["spoken"] == 0  # a new turn begins from nothing
    silent = tab.page.evaluate(REACTION, True)  # without motion there is no voice to wait for
    assert set(silent["seen"]) == {1}


SPEECH = """async () => {
  const {mouthShape} = await import("/static/js/face/speech.js");
  return Object.fromEntries([..."아으맘a.😊"].map((c) => [c, mouthShape(c)]));
}"""


def test_the_mouth_opens_by_the_vowel_and_closes_by_the_lips(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    shapes = tab.page.evaluate(SPEECH)
    assert shapes["아"]["open"] > shapes["으"]["open"] > 0
    assert shapes["맘"]["closesFirst"] and shapes["맘"]["closesAfter"]
    assert not shapes["아"]["closesFirst"] and shapes["."]["open"] == shapes["😊"]["open"] == 0


@pytest.mark.parametrize("tab", [{"reduced_motion": "reduce"}], indirect=True)
def test_who_asks_for_less_motion_sees_a_face_at_rest(her: Her, tab: Tab) -> None:
    tab.open(her.url)
    tab.until(ALL_HERE)
    cells = set()
    for _ in range(4):
        tab.page.wait_for_timeout(510)
        cells.add(tab.face("cell"))
    assert len(cells) == 1
    tab.say("안녕")
    tab.wait_for_reply(1)
    tab.until("Number(document.getElementById('face').dataset.cell.split(' ')[0]) > 3.2")
