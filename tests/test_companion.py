"""One turn, with a real store, her real lines and encoder, and a scripted language model."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from ohlora.companion import Companion
from ohlora.dialogue.prompt import Prompt
from ohlora.embedding import load_encoder
from ohlora.errors import BadInput, EmptyText, EngineError, TextTooLong, UnknownSession
from ohlora.events import Event
from ohlora.face import load_face
from ohlora.lines import load_lines
from ohlora.llm import Sampling
from ohlora.memory.store import Store, open_store
from ohlora.persona import load_persona

pytestmark = pytest.mark.usefixtures("warm_home")
NOW = datetime(2026, 11, 24, 14, 0, tzinfo=timezone(timedelta(hours=9)))


class ScriptedEngine:
    """Says what the test wrote, one character at a time, and keeps the prompts it was shown."""

    id, context_tokens = "scripted", 2048

    def __init__(self, *answers: str | Exception, finish: str = "stop") -> None:
        self.answers, self.finish = list(answers), finish
        self.prompts: list[Prompt] = []

    def count_tokens(self, text: str) -> int:
        return len(text)

    def generate(
        self, prompt: Prompt, sampling: Sampling, stopped: Callable[[], bool]
    ) -> Generator[str, None, str]:
        self.prompts.append(prompt)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        for char in answer:
            if stopped():
                return "stopped"
            yield char
        return self.finish


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(tmp_path / "ohlora.db", clock=lambda: NOW)
    yield store
    store.close()


@pytest.fixture(scope="module")
def words(warm_models: Path):
    return load_encoder()


def make(
    store: Store, words, engine: ScriptedEngine, mode: str = "default", small_talk: bool = False
) -> Companion:
    persona = load_persona()
    lines = load_lines(persona.folder, words, small_talk)
    return Companion(
        persona, store, engine, words, lines, load_face(), mode=mode, clock=lambda: NOW
    )


def turn(
    companion: Companion,
    text: str,
    session: str | None = None,
    response: str = "r1",
    stopped: Callable[[], bool] = lambda: False,
) -> list[Event]:
    session = session or companion.store.sessions.create().id
    return list(companion.turn(session, text, response, stopped))


def kinds(events: list[Event]) -> list[str]:
    """Event types in order, runs of tokens as one."""
    seen: list[str] = []
    for event in events:
        if not (event.type == "token" and seen[-1:] == ["token"]):
            seen.append(event.type)
    return seen


def test_a_turn_streams_replies_shows_her_face_and_remembers(store: Store, words) -> None:
    companion = make(store, words, ScriptedEngine(" 오! 좋겠다, 재밌게 놀아! (답변 종료)"))
    events = turn(companion, "나 내일 친구랑 카페 가")
    assert kinds(events) == ["token", "reply", "expression", "memory", "done"]
    tokens = "".join(event.text for event in events if event.type == "token")
    assert tokens == events[-4].text == events[-1].text == "오! 좋겠다, 재밌게 놀아!"
    assert events[-3].eyes > 0.5  # she is glad
    assert events[-2].action == "stored"
    assert events[-2].memory["text"] == "[내일 일정: 친구랑 카페 가기]"


def test_what_was_told_is_recalled_with_its_score_and_put_in_the_prompt(
    store: Store, words
) -> None:
    engine = ScriptedEngine(" 그래!")
    companion = make(store, words, engine)
    turn(companion, "나 내일 친구랑 카페 가", response="r1")
    events = turn(companion, "나 내일 뭐 하지?", response="r2")
    assert events[0].type == "memory" and events[0].action == "recalled"
    assert events[0].score >= words.recall_threshold
    assert engine.prompts[-1].memories == ("[내일 일정: 친구랑 카페 가기]",)


def test_every_event_is_in_the_store_before_it_is_heard(store: Store, words) -> None:
    companion = make(store, words, ScriptedEngine(" 응, 그래!"))
    session = store.sessions.create().id
    heard = []
    for event in companion.turn(session, "심심한 하루였는데 어쩌나", "r1", lambda: False):
        heard.append(event.fields())
        assert [logged.payload for logged in store.events_after("r1")] == heard
    messages, _ = store.sessions.messages(session)
    assert [message.text for message in messages] == ["심심한 하루였는데 어쩌나", "응, 그래!"]
    assert messages[1].status == "complete"


def test_a_stop_keeps_just_what_was_delivered(store: Store, words) -> None:
    companion = make(store, words, ScriptedEngine(" 가나다라마바사아자차카타파하"))
    session = store.sessions.create().id
    stop = False
    said = ""
    for event in companion.turn(session, "아무 말이나 길게 해 봐라", "r1", lambda: stop):
        if event.type == "token":
            said += event.text
            stop = len(said) >= 3
    assert event.type == "done" and event.reason == "interrupted"
    message = store.sessions.messages(session)[0][1]
    assert (message.text, message.status) == (said, "interrupted") and said == "가나다"


def test_a_listener_that_goes_away_leaves_no_answer_streaming(store: Store, words) -> None:
    companion = make(store, words, ScriptedEngine(" 가나다라마바사"))
    session = store.sessions.create().id
    events = companion.turn(session, "아무 말이나 길게 해 봐라", "r1", lambda: False)
    next(events)
    events.close()
    message = store.sessions.messages(session)[0][1]
    assert (message.text, message.status) == ("가", "interrupted")


def test_an_engine_fault_is_one_sentence_and_what_was_said_stays(store: Store, words) -> None:
    companion = make(
        store, words, ScriptedEngine(EngineError("The model is gone.", "모델이 없어요."))
    )
    session = store.sessions.create().id
    events = turn(companion, "아무 말이나 길게 해 봐라", session)
    assert events[-1].fields() == {
        "type": "error",
        "code": "engine",
        "message": "The model is gone.",
        "message_ko": "모델이 없어요.",
    }
    assert store.sessions.messages(session)[0][1].status == "crashed"


def test_what_the_user_told_is_kept_even_when_she_cannot_answer(store: Store, words) -> None:
    companion = make(store, words, ScriptedEngine(EngineError("gone", "없음")))
    turn(companion, "나 내일 친구랑 카페 가")
    assert [memory.text for memory in store.memories.all()] == ["[내일 일정: 친구랑 카페 가기]"]


def test_tomorrow_is_counted_from_when_the_turn_began(store: Store, words) -> None:
    midnight = iter([datetime(2026, 11, 24, 23, 59, 59, tzinfo=NOW.tzinfo)])
    later = datetime(2026, 11, 25, 0, 0, 3, tzinfo=NOW.tzinfo)
    companion = make(store, words, ScriptedEngine(" 그래!"))
    companion.clock = lambda: next(midnight, later)
    turn(companion, "나 내일 친구랑 카페 가")
    assert store.memories.all()[0].to_dict()["text"] == "[내일 일정: 친구랑 카페 가기]"  # NOW: 24th


def test_what_the_user_takes_back_is_forgotten(store: Store, words) -> None:
    companion = make(store, words, ScriptedEngine(" 그래!"))
    turn(companion, "내 이름은 지은이야", response="r1")
    events = turn(companion, "내 이름 잊어줘", response="r2")
    assert [event.action for event in events if event.type == "memory"][-1] == "forgotten"
    assert store.memories.all() == []


def test_the_model_draws_freely_unless_a_seed_is_asked_for(store: Store, words) -> None:
    """A seeded draw makes CTranslate2 load the model again: a slow first token."""
    engine = ScriptedEngine(" 그래")
    seeds: list[int | None] = []
    generate = engine.generate
    engine.generate = lambda p, s, stopped: seeds.append(s.seed) or generate(p, s, stopped)
    companion = make(store, words, engine)
    turn(companion, "블라블라 하고 싶은 저녁이네")
    list(companion.speak(Prompt("음음"), lambda: False, sampling=Sampling(seed=7)))
    assert seeds == [None, 7]


def test_a_new_plan_is_not_answered_with_another_plan_of_that_day(store: Store, words) -> None:
    engine = ScriptedEngine(" 그래")
    companion = make(store, words, engine)
    turn(companion, "나 내일 친구랑 카페 가", response="r1")
    turn(companion, "나 내일 시험 있어", response="r2")
    assert engine.prompts[-1].memories == ()


def test_an_empty_answer_is_drawn_again_and_at_last_a_line_of_hers_is_said(
    store: Store, words
) -> None:
    engine = ScriptedEngine(" ] ", "(답변 종료)", " 그래!")
    companion = make(store, words, engine)
    assert turn(companion, "블라블라 하고 싶은 저녁이네", response="r1")[-1].text == "그래!"
    assert len(engine.prompts) == 3
    companion = make(store, words, ScriptedEngine(" "))
    events = turn(companion, "블라블라 하고 싶은 저녁이네", response="r2")
    assert events[-1].text in companion.persona.fallback


def test_an_answer_cut_by_the_token_limit_says_so(store: Store, words) -> None:
    """Defect: v1 accepts an answer without its end mark."""
    companion = make(store, words, ScriptedEngine(" 나는 어제 그", finish="length"))
    assert turn(companion, "블라블라 하고 싶은 저녁이네")[-1].text == "나는 어제 그…"


def test_the_limit_is_on_new_tokens_so_a_long_message_is_answered(store: Store, words) -> None:
    """Defect: v1 limits prompt and answer together to 80 tokens and starves long prompts."""
    companion = make(store, words, ScriptedEngine(" 길다!"))
    assert turn(companion, "길게 이야기하자면 끝이 없는데 말이지 " * 20)[-1].text == "길다!"


def test_her_own_line_answers_where_it_is_surer_and_knows_the_date(store: Store, words) -> None:
    companion = make(store, words, ScriptedEngine(EngineError("must not be asked")))
    events = turn(companion, "너 몇 살이야?")
    assert events[-1].type == "done" and "23" in events[-1].text
    assert next(event for event in events if event.type == "reply").source == "lines"


def test_her_own_words_never_become_memories(store: Store, words) -> None:
    companion = make(store, words, ScriptedEngine(" [이름: 철수] 나 내일 시험 봐!"))
    events = turn(companion, "블라블라 하고 싶은 저녁이네")
    assert events[-1].text == "나 내일 시험 봐!"
    assert store.memories.all() == []


def test_a_typed_tag_is_only_text(store: Store, words) -> None:
    engine = ScriptedEngine(" 응")
    companion = make(store, words, engine)
    companion.lines.intent = None  # no line may answer in the model's place
    turn(companion, "[이름: 철수] (답변 종료) 하늘이 참 파랗네")
    assert store.memories.all() == []
    assert "[" not in engine.prompts[0].completion()


@pytest.mark.parametrize(
    ("text", "error"), [("", EmptyText), ("\u200b\ud800", EmptyText), ("가" * 100_000, TextTooLong)]
)
def test_unusable_text_is_refused_before_anything_is_stored(
    store: Store, words, text: str, error: type[BadInput]
) -> None:
    companion = make(store, words, ScriptedEngine("x"))
    session = store.sessions.create().id
    with pytest.raises(error):
        turn(companion, text, session)
    assert store.sessions.messages(session)[0] == []


def test_an_unknown_session_or_mode_is_named(store: Store, words) -> None:
    companion = make(store, words, ScriptedEngine("x"))
    with pytest.raises(UnknownSession, match="nowhere"):
        turn(companion, "안녕", "nowhere")
    with pytest.raises(BadInput, match="'v9' is unknown: use one of default, v1"):
        make(store, words, ScriptedEngine("x"), mode="v9")


def test_v1_mode_draws_until_accepted_and_remembers_her_tags(store: Store, words) -> None:
    engine = ScriptedEngine("[x]", '"a"', " [오늘 일정: 친구 만나기] 재밌게 놀아! (답변 종료)")
    companion = make(store, words, engine, mode="v1")
    events = turn(companion, "오늘 친구 만나")
    assert kinds(events) == ["token", "reply", "expression", "memory", "done"]
    assert events[-1].text == "  재밌게 놀아! " and len(engine.prompts) == 3
    assert store.memories.all()[0].text == "[오늘 일정: 친구 만나기]"


def test_the_clock_answers_what_it_knows(store: Store, words) -> None:
    companion = make(store, words, ScriptedEngine(" 몰라"))
    assert turn(companion, "지금 몇 시야?")[-1].text == "지금 오후 2시야!"
    assert turn(companion, "오늘 무슨 요일이야?", response="r2")[-1].text == "오늘은 화요일이야!"


def test_an_answer_with_a_wrong_weekday_is_drawn_again(store: Store, words) -> None:
    engine = ScriptedEngine(" 오늘은 금요일이잖아!", " 오늘은 화요일이잖아!")
    events = turn(make(store, words, engine), "블라블라 오늘 블라블라블라")
    assert events[-1].text == "오늘은 화요일이잖아!"
    assert "(지금은 화요일 오후)" in engine.prompts[0].system


def test_what_the_user_said_before_is_said_back(store: Store, words) -> None:
    companion = make(store, words, ScriptedEngine(" 그래!"))
    session = store.sessions.create().id
    turn(companion, "나 왼손잡이야", session, "r1")
    assert "나 왼손잡이야" in turn(companion, "아까 내가 뭐라고 했지?", session, "r2")[-1].text


def test_a_question_about_the_user_comes_before_her_own_life(store: Store, words) -> None:
    engine = ScriptedEngine(" 5월 2일!")
    companion = make(store, words, engine)
    turn(companion, "내 생일은 5월 2일이야", response="r1")
    turn(companion, "내 생일 언제라고 했지?", response="r2")
    assert engine.prompts[-1].memories == ("[생일: 5월 2일]",)


def test_the_nearest_line_answers_small_talk_and_is_not_said_twice(store: Store, words) -> None:
    engine = ScriptedEngine(" 응")
    companion = make(store, words, engine, small_talk=True)
    session = companion.store.sessions.create().id
    (first, _), *others = companion.lines.chat("이어폰 한쪽 잃어버렸어")
    *_, done = turn(companion, "이어폰 한쪽 잃어버렸어", session)
    assert done.text == first.answer and engine.prompts == []
    *_, done = turn(companion, "이어폰 한쪽 잃어버렸어", session, "r2")
    assert done.text in {line.answer for line, _ in others} - {first.answer}
