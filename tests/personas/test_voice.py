"""A persona without an adapter speaks with a borrowed voice, and never of another's life."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from ohlora import paths
from ohlora.companion import Companion
from ohlora.dialogue.prompt import Prompt
from ohlora.embedding import Encoder
from ohlora.face import load_face
from ohlora.lines import load_lines
from ohlora.llm import Sampling, never
from ohlora.memory.store import open_store
from ohlora.packs import voice
from ohlora.packs.voice import BorrowedVoice, Life, load_voice
from ohlora.persona import load_persona


class Says:
    """An engine that says one thing, three characters at a time."""

    id, context_tokens = "says", 512

    def __init__(self, text: str = "", finish: str = "stop") -> None:
        self.text, self.finish, self.asked, self.closed = text, finish, 0, 0

    def count_tokens(self, text: str) -> int:
        return len(text)

    def generate(
        self, prompt: Prompt, sampling: Sampling, stopped: Callable[[], bool]
    ) -> Generator[str, None, str]:
        self.asked += 1
        try:
            for at in range(0, len(self.text), 3):
                if stopped():
                    return "stopped"
                yield self.text[at : at + 3]
            return self.finish
        finally:
            self.closed += 1


@pytest.fixture(scope="module")
def life(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Life:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OHLORA_HOME", str(tmp_path_factory.mktemp("life")))
        return Life(encoder)


def borrowed(mina: Path, life: Life, text: str, finish: str = "stop") -> BorrowedVoice:
    return BorrowedVoice(Says(text, finish), load_persona("mina"), life)  # type: ignore[arg-type]


def said(engine: BorrowedVoice, turn: str = "오늘 날씨 좋다") -> tuple[list[str], str]:
    pieces, answer = [], engine.generate(Prompt(turn), Sampling(), never)
    while True:
        try:
            pieces.append(next(answer))
        except StopIteration as ended:
            return pieces, ended.value


@pytest.mark.parametrize(
    "claim",
    ["난 오로라야!", "나는 {나이}살이야.", "혜나랑 놀았어!", "샘올대학교 다녀.", "나 ENTJ야!",
     "밤하늘에 번지는 보랏빛이 최고야.", "컴퓨터 속이 내 집이야.", "마라탕!", "난 E야!"],
)  # fmt: skip
def test_a_sentence_of_her_life_is_never_said(mina: Path, life: Life, claim: str) -> None:
    assert said(borrowed(mina, life, claim)) == ([], "stop")
    assert said(borrowed(mina, life, f"날씨 좋지! {claim} 또 봐."))[0] == ["날씨 좋지! "]


@pytest.mark.parametrize(
    "text",
    ["정말 힘들었겠다!! 푹 쉬어... 알았지?", "맛있게 먹어", "놀이동산 가자! 😊", "와\n좋다."],
)
def test_small_talk_is_said_whole(mina: Path, life: Life, text: str) -> None:
    pieces, finish = said(borrowed(mina, life, text, "length"))
    assert "".join(pieces) == text and finish == "length"


@pytest.mark.parametrize(
    "turn",
    ["생일 언제야?", "MBTI 뭐야?", "학교 어디 다녀?", "제일 친한 친구가 누구야?", "꿈이 뭐야?"],
)
def test_what_her_life_answers_is_not_even_asked(mina: Path, life: Life, turn: str) -> None:
    engine = borrowed(mina, life, "아무 말.")
    assert said(engine, turn) == ([], "stop")
    assert engine.engine.asked == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("turn", ["내 생일 언제야?", "오늘 무슨 요일이야?", "나 오늘 힘들었어"])
def test_the_user_and_the_calendar_are_small_talk(mina: Path, life: Life, turn: str) -> None:
    assert said(borrowed(mina, life, "그렇구나."), turn)[0] == ["그렇구나."]


def test_a_word_of_its_own_is_not_anothers(mina: Path, life: Life) -> None:
    text = "하이에나가 길을 건넜어."
    assert said(borrowed(mina, life, text))[0] == []
    path = mina / "lines" / "own.jsonl"
    path.write_text(path.read_text("utf-8").replace("쉼표", "하이에나"), "utf-8")
    assert said(borrowed(mina, life, text))[0] == [text]


def test_a_stop_is_passed_on_and_the_engine_is_closed(mina: Path, life: Life) -> None:
    engine = borrowed(mina, life, "하나. 둘. 셋. 넷.")
    answer = engine.generate(Prompt("안녕"), Sampling(), never)
    next(answer)
    answer.close()
    assert engine.engine.closed == 1  # type: ignore[attr-defined]
    halted = engine.generate(Prompt("안녕"), Sampling(), lambda: True)
    with pytest.raises(StopIteration) as ended:
        next(halted)
    assert ended.value.value == "stopped"


def test_which_engine_speaks_for_whom(
    mina: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def load(spec: str, **_: object) -> Says:
        asked.append(spec)
        return Says()

    monkeypatch.setattr(voice, "load_engine", load)
    assert isinstance(load_voice(load_persona(), "embedded", encoder), Says)
    assert isinstance(load_voice(load_persona("mina"), "embedded", encoder), BorrowedVoice)
    assert isinstance(load_voice(load_persona("mina"), "openai:http://x#y", encoder), Says)
    (mina / "adapter").mkdir()
    assert isinstance(load_voice(load_persona("mina"), "embedded", encoder), Says)
    assert asked == ["embedded", "embedded", "openai:http://x#y", f"embedded:{mina}/adapter"]


@pytest.mark.parametrize(
    ("turn", "want"),
    [
        ("너는 누구야?", {"나는 미나! 바닷가 작은 책방을 지키는 사람이야."}),
        ("넌 이름이 뭐니?", {"미나라고 해. 편하게 불러 줘."}),
        ("너 대학교 어디 다녀?", None),
        ("나 오늘 힘들었어", None),
    ],
)
def test_a_turn_with_the_new_persona_says_its_own_line_or_a_fallback(
    mina: Path, encoder: Encoder, life: Life, turn: str, want: set[str] | None
) -> None:
    """The model behind it insists on being 오로라."""
    persona = load_persona("mina")
    store = open_store(paths.home() / "ohlora.db", persona="mina")
    engine = BorrowedVoice(Says("나는 오로라야! 샘올대학교 다녀."), persona, life)  # type: ignore[arg-type]
    mina_speaks = Companion(persona, store, engine, encoder, load_lines(mina, encoder), load_face())
    try:
        session = store.sessions.create().id
        events = [e.fields() for e in mina_speaks.turn(session, turn, "r1", never)]
    finally:
        store.close()
    (reply,) = [event["text"] for event in events if event["type"] == "reply"]
    assert reply in (want or set(persona.fallback))
