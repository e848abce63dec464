"""What a conversation was about, for when its older turns no longer fit the prompt.

Extractive: sentences the user said and words they came back to, never words of a model. It is kept
per conversation (table summaries) and goes with it. Sentences whose memory the user deleted are
left out when it is read.

    말한 것: 나 왼손잡이야 / 강아지 이름은 초코야. 답 못 들은 것: 이사 비용 얼마야?. 화제: 이사
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from ohlora.memory.asking import COMMON, stem
from ohlora.memory.extract import Fact, extract
from ohlora.memory.extract.korean import plain_stem
from ohlora.memory.extract.words import KNOWN
from ohlora.memory.sessions import Message, instant
from ohlora.memory.store import Store

SAID, ASKED, TOPICS = 8, 2, 6  # kept of each
SENTENCE_CHARACTERS = 60
STEP = 12  # messages by which the conversation grows before it is read again


@dataclass(frozen=True)
class Summary:
    said: tuple[tuple[int, str], ...] = ()  # message id and what the user told
    asked: tuple[tuple[int, str], ...] = ()  # questions that got no whole answer
    topics: tuple[str, ...] = ()
    upto: int = 0  # id of the last message read

    def text(self, without: frozenset[int] = frozenset()) -> str:
        """One line for a prompt; "" when nothing is worth it. `without`: messages to leave out."""
        parts = [
            f"{name}: {' / '.join(words)}"
            for name, words in (
                ("말한 것", [said for number, said in self.said if number not in without]),
                ("답 못 들은 것", [said for number, said in self.asked if number not in without]),
                ("화제", list(self.topics)),
            )
            if words
        ]
        return ". ".join(parts)


@dataclass
class _Seen:
    facts: list[tuple[int, str]] = field(default_factory=list)
    asked: list[tuple[int, str]] = field(default_factory=list)
    words: Counter[str] = field(default_factory=Counter)


def summarise(messages: Sequence[Message], store: Store) -> Summary:
    """The summary of these messages, oldest first."""
    seen, now = _Seen(), store.clock()
    for number, message in enumerate(messages):
        if message.role != "user":
            continue
        said = " ".join(message.text.split())[:SENTENCE_CHARACTERS]
        if any(isinstance(finding, Fact) for finding in extract(message.text, now)):
            seen.facts.append((message.id, said))
        answer = messages[number + 1] if number + 1 < len(messages) else None
        if "?" in said and (answer is None or answer.status != "complete" or not answer.text):
            seen.asked.append((message.id, said))
        seen.words.update({word for word in map(stem, re.findall(r"[가-힣]{2,}", said))} - COMMON)
    topics = [
        word
        for word, count in seen.words.most_common(4 * TOPICS)
        if count > 1 and len(word) > 1 and (word in KNOWN or plain_stem(word) is None)
    ]
    return Summary(
        tuple(seen.facts[-SAID:]),
        tuple(seen.asked[-ASKED:]),
        tuple(topics[:TOPICS]),
        messages[-1].id if messages else 0,
    )


def summary_before(store: Store, session_id: str, before: int) -> str:
    """The line for what was said before message `before`, read again every STEP messages."""
    with store.db.read() as db:
        row = db.execute("select * from summaries where session_id = ?", (session_id,)).fetchone()
        newer = db.execute(
            "select count(*) from messages where session_id = ? and id > ? and id < ?",
            (session_id, row["upto"] if row else 0, before),
        ).fetchone()[0]
    if row and newer < STEP:
        kept = json.loads(row["content"])
        found = Summary(
            tuple((number, said) for number, said in kept["said"]),
            tuple((number, said) for number, said in kept["asked"]),
            tuple(kept["topics"]),
            row["upto"],
        )
    else:
        found = summarise(_all(store, session_id, before), store)
        content = {"said": found.said, "asked": found.asked, "topics": found.topics}
        with store.db.write() as db:
            db.execute(
                "insert or replace into summaries (session_id, upto, content, updated) "
                "values (?, ?, ?, ?)",
                (
                    session_id,
                    found.upto,
                    json.dumps(content, ensure_ascii=False),
                    instant(store.clock()),
                ),
            )
    deleted = [one for one in store.memories.all(include_deleted=True) if one.deleted]
    return found.text(frozenset(one.source_message_id or 0 for one in deleted))


def _all(store: Store, session_id: str, before: int) -> list[Message]:
    found: list[Message] = []
    more = True
    while more:
        page, more = store.sessions.messages(session_id, before=before, limit=500)
        found, before = [*page, *found], page[0].id if page else 0
    return found


SAID_BEFORE = re.compile(
    r"(?:아까|방금|좀\s?전에|저번에|지난번에|전에|어제)\s?(?:나\s|내가\s|제가\s)?"
    r"(?:뭐라고|뭐라|무슨\s?(?:말|얘기|이야기)(?:를)?)\s?(?:했|말했|얘기했|그랬)"
    r"|(?:나|내가|제가)\s(?:아까|방금|저번에|지난번에|전에|어제)\s"
    r"(?:뭐라고|뭐라|무슨\s?(?:말|얘기)(?:를)?)\s?(?:했|말했|그랬)"
)
EARLIER_TALK = re.compile(r"저번|지난번|어제")


def said_before(store: Store, session_id: str, text: str, before: int) -> str | None:
    """What the user said last, for "아까 내가 뭐라고 했지?"; None when that is not asked.

    "" when nothing was said. "저번에" and "어제" look into the conversation before this one.
    """
    if not SAID_BEFORE.search(text):
        return None
    session: str | None = session_id
    if EARLIER_TALK.search(text):
        others = [one.id for one in store.sessions.list() if one.id != session_id]
        session, before = (others[0] if others else None), 2**62
    if session is None:
        return ""
    messages, _ = store.sessions.messages(session, before=before, limit=40)
    forgotten = {one.source_message_id for one in store.memories.all(True) if one.deleted}
    told = [
        " ".join(message.text.split())
        for message in messages
        if message.role == "user" and message.id not in forgotten
        and "?" not in message.text and not SAID_BEFORE.search(message.text)
    ]  # fmt: skip
    return told[-1][:SENTENCE_CHARACTERS] if told else ""
