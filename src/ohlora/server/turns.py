"""The server owns a generation; listeners come and go.

    turn = await hub.start(session_id, text)          # refused inputs raise here
    async for event in turn.listen(after=-1): ...     # any number of listeners, at any time
    turn = await hub.find(response_id)                # after a reload: running, or from the store

A generation runs in a thread of its own and adds its events to one list. A listener is a
place in that list, so none can be lost, doubled or out of order, a slow one costs nothing but
its own time, and a dropped socket stops nothing. An event is in the store before it enters the
list; once a turn is over the list is let go, and `find` reads the same events from the store.

One turn runs per session: a new message stops the reply that runs, waits for it to end, then
is answered. A second new message while that wait goes on is refused (Busy). A reply that still
waits for a place is not waited for: it is stored without an answer when its place comes, and
the new message after it. A message sent
again with the same client_id is not answered twice: it finds its first turn.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ohlora.errors import BadInput, Busy, OhloraError
from ohlora.events import TERMINAL, Done, ErrorEvent
from ohlora.server.faults import Refused, as_fault
from ohlora.server.metrics import Metrics
from ohlora.text import clean_user_text

if TYPE_CHECKING:
    from ohlora.companion import Companion

PREDECESSOR_SECONDS = 10.0  # for the reply a new message stops; an engine needs one token
CLIENT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

Item = TypeVar("Item")
Work = Callable[[Callable[[], bool]], Iterator[Item]]


class Job(Generic[Item]):
    """One generation in a thread: what it made so far, and whether it goes on."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.stop = threading.Event()  # set: end within one token
        self.over = asyncio.Event()
        self.error: BaseException | None = None
        self._news = asyncio.Event()

    async def all(self) -> AsyncIterator[Item]:
        """Every item from the first, then those to come, until the job is over."""
        at = 0
        while True:
            while at < len(self.items):
                yield self.items[at]
                at += 1
            if self.over.is_set():
                return
            await self._news.wait()  # no other task ran since the look above: nothing is missed

    def add(self, item: Item) -> None:
        self.items.append(item)
        self._wake()

    def end(self) -> None:
        self.over.set()
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


class Turn(Job[dict[str, Any]]):
    """One answer. Items are events as they go over the wire, with response_id and seq."""

    def __init__(self, session_id: str, response_id: str) -> None:
        super().__init__()
        self.session_id, self.response_id = session_id, response_id
        self.begun = asyncio.Event()  # the user's message is stored, or was refused
        self.refusal: OhloraError | None = None
        self.user_message_id: int | None = None

    async def listen(self, after: int = -1) -> AsyncIterator[dict[str, Any]]:
        """Events with seq > after, then those to come."""
        async for event in self.all():
            if event["seq"] > after:
                yield event

    def log(self, payload: dict[str, Any], seq: int | None = None) -> None:
        """Add an event; without `seq` it follows the last one."""
        if seq is None:
            seq = self.items[-1]["seq"] + 1 if self.items else 0
        self.add({"response_id": self.response_id, "seq": seq, **payload})

    @property
    def closed(self) -> bool:
        return bool(self.items) and self.items[-1]["type"] in TERMINAL


class TurnHub:
    """Starts, finds and stops generations. Every method but the constructor is for the loop."""

    def __init__(
        self,
        companion: Companion,
        metrics: Metrics | None = None,
        *,
        running: int = 2,
        waiting: int = 16,
        text_chars: int = 2_000,
    ) -> None:
        self.companion = companion
        self.metrics = metrics or Metrics()
        self.text_chars = text_chars
        self._places = asyncio.Semaphore(running)
        self._most = running + waiting
        self._jobs: set[Job[Any]] = set()
        self._turns: dict[str, Turn] = {}  # not over yet, by response_id
        self._latest: dict[str, Turn] = {}  # by session
        self._relieved: set[str] = set()  # sessions where a message waits for the reply before
        self._order = asyncio.Lock()  # messages are taken in the order they came
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    async def start(self, session_id: str, text: str, client_id: str | None = None) -> Turn:
        """Begin to answer; returns when the user's message is stored.

        Raises BadInput, UnknownSession, Busy; then nothing was stored and nothing stopped.
        """
        text = clean_user_text(text, self.text_chars)
        response_id = response_id_of(session_id, client_id)
        turn = self._turns.get(response_id)
        if turn is None:
            self._check_room()
            turn = self._turns[response_id] = Turn(session_id, response_id)
            self._jobs.add(turn)
            self._spawn(self._answer(turn, text, seen=client_id is not None))
        await turn.begun.wait()
        if turn.refusal is not None:
            raise turn.refusal
        return turn

    async def find(self, response_id: str) -> Turn:
        """The turn with that id: running, or over and read from the store. Raises Refused."""
        turn = self._turns.get(response_id)
        if turn is not None:
            return turn
        turn = Turn("", response_id)
        if not await self._replay(turn):
            raise Refused(
                404,
                "unknown-response",
                "That reply is not here any more: load the conversation again.",
                "그 답변을 찾을 수 없어요. 대화를 다시 불러와 주세요.",
            )
        turn.end()
        return turn

    def interrupt(self, response_id: str) -> bool:
        """Stop a reply within one token. False when it does not run (any more)."""
        turn = self._turns.get(response_id)
        if turn is not None:
            turn.stop.set()
        return turn is not None

    async def stop_session(self, session_id: str) -> None:
        """Stop what runs in a session and wait for it, before the session is deleted.

        Raises Busy when an engine does not let go of it in time.
        """
        turn = self._latest.get(session_id)
        if turn is not None:
            turn.stop.set()
            try:
                await asyncio.wait_for(turn.over.wait(), PREDECESSOR_SECONDS)
            except TimeoutError:
                raise Busy from None

    def generate(self, work: Work[Item]) -> Job[Item]:
        """Run a generation that belongs to its caller: no session, no log. Raises Busy.

        The caller sets `stop` when nobody listens any more and looks at `error` at the end.
        """
        self._check_room()
        job: Job[Item] = Job()
        self._jobs.add(job)
        self._spawn(self._run_job(job, work))
        return job

    async def close(self, seconds: float = 2.0) -> None:
        """Stop everything that runs; what does not end in time is stored as interrupted."""
        self._closing = True
        for job in self._jobs:
            job.stop.set()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=seconds)
        for turn in list(self._turns.values()):
            await self._give_up(turn)
        left = list(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    # Inside

    def _check_room(self) -> None:
        if self._closing:
            raise Refused(
                503,
                "stopping",
                "The server is stopping: start it again and send the message again.",
                "서버가 종료되고 있어요. 다시 시작한 뒤에 보내 주세요.",
            )
        if len(self._jobs) >= self._most:
            raise Busy

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_job(self, job: Job[Item], work: Work[Item]) -> None:
        try:
            async with self._places:
                with self.metrics.active_turns.track_inprogress():
                    await in_own_thread(job, work)
        finally:
            self._jobs.discard(job)
            job.end()

    async def _answer(self, turn: Turn, text: str, seen: bool) -> None:
        """One turn from beginning to end. `seen`: it may have been answered before."""
        try:
            async with self._order:
                if seen and await self._replay(turn):
                    turn.user_message_id = await asyncio.to_thread(self._asked, turn)
                    return
                before = self._latest.get(turn.session_id)
                if turn.session_id in self._relieved:
                    raise Busy
                self._latest[turn.session_id] = turn
            if before is not None:
                before.stop.set()
                if before.begun.is_set():
                    await self._ended(before, turn)
            async with self._places:
                # One that had not begun had its place before us, and ends at its first token.
                if before is not None and not before.over.is_set():
                    await self._ended(before, turn)
                with self.metrics.active_turns.track_inprogress():
                    await self._run_turn(turn, text)
        except Exception as error:  # outer face: a listener must learn how it ended
            self._fail(turn, as_fault(error))
        finally:
            self._forget(turn)

    async def _ended(self, before: Turn, turn: Turn) -> None:
        """Wait for the end of the stopped reply before `turn` in the session. Raises Busy."""
        self._relieved.add(before.session_id)
        try:
            await asyncio.wait_for(before.over.wait(), PREDECESSOR_SECONDS)
        except TimeoutError:
            if self._latest.get(before.session_id) is turn:
                self._latest[before.session_id] = before
            raise Busy from None
        finally:
            self._relieved.discard(before.session_id)

    async def _run_turn(self, turn: Turn, text: str) -> None:
        def work(stopped: Callable[[], bool]) -> Iterator[dict[str, Any]]:
            events = self.companion.turn(turn.session_id, text, turn.response_id, stopped)
            for seq, event in enumerate(events):
                yield {"response_id": turn.response_id, "seq": seq, **event.fields()}

        running = asyncio.ensure_future(in_own_thread(turn, work))
        while turn.user_message_id is None:
            ended = running.done()
            turn.user_message_id = await asyncio.to_thread(self._asked, turn)
            if ended:
                break
            if turn.user_message_id is None:
                await asyncio.wait({running}, timeout=0.005)
        if turn.user_message_id is not None:
            turn.begun.set()
        await running
        if turn.error is not None:
            fault = as_fault(turn.error)
            await self._read_log(turn)
            self._fail(turn, fault)
        self.metrics.observe(turn.items)

    def _asked(self, turn: Turn) -> int | None:
        """The id of the user's message, once it is stored."""
        try:
            messages, _ = self.companion.store.sessions.messages(turn.session_id, limit=4)
        except OhloraError:  # the turn itself meets the same fault and tells it
            return None
        for message in reversed(messages):
            if message.role == "user" and message.response_id == turn.response_id:
                return message.id
        return None

    async def _replay(self, turn: Turn) -> bool:
        """Fill a turn that is over from the store; False when the store has none of it."""
        if not await self._read_log(turn):
            return False
        if not turn.closed:
            turn.log(
                ErrorEvent(
                    "crashed",
                    "This reply was cut off: what was said so far is kept, send the message again.",
                    "답변이 중간에 끊겼어요. 여기까지는 저장되어 있으니 다시 보내 주세요.",
                ).fields()
            )
        return True

    async def _read_log(self, turn: Turn) -> bool:
        """Add what the store has beyond the last event; False when the turn has none."""
        last = turn.items[-1]["seq"] if turn.items else -1
        store = self.companion.store
        for event in await asyncio.to_thread(store.events_after, turn.response_id, last):
            turn.log(event.payload, event.seq)
        return bool(turn.items)

    def _fail(self, turn: Turn, fault: OhloraError) -> None:
        if not turn.items and turn.user_message_id is None:
            turn.refusal = fault
        elif not turn.closed:
            turn.log(ErrorEvent(fault.code, fault.en, fault.ko).fields())

    async def _give_up(self, turn: Turn) -> None:
        """End a turn whose engine does not stop: stored and told as interrupted."""
        text = "".join(item["text"] for item in turn.items if item["type"] == "token")
        done = Done("interrupted", text).fields()
        try:
            await asyncio.to_thread(
                self.companion.store.finish_turn, turn.response_id, "interrupted", event=done
            )
        except OhloraError:
            return  # not begun, or it ended just now
        turn.log(done)

    def _forget(self, turn: Turn) -> None:
        self._jobs.discard(turn)
        self._turns.pop(turn.response_id, None)
        if self._latest.get(turn.session_id) is turn:
            del self._latest[turn.session_id]
        turn.end()
        turn.begun.set()


async def in_own_thread(job: Job[Item], work: Work[Item]) -> None:
    """Iterate work(stopped) in a thread, adding what it yields to the job on the loop.

    A daemon thread instead of a pool's, so that an engine that hangs cannot keep the program
    from quitting; their number is bounded by the hub's places. The exception that ended the
    work is left in job.error.
    """
    loop = asyncio.get_running_loop()
    finished = asyncio.Event()

    def tell(callback: Callable[..., None], *args: Any) -> None:
        try:
            loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:  # the loop is closed: nobody listens, the work still ends well
            pass

    def run() -> None:
        try:
            for item in work(job.stop.is_set):
                tell(job.add, item)
        except BaseException as error:
            job.error = error
        tell(finished.set)

    threading.Thread(target=run, name="ohlora-turn", daemon=True).start()
    await finished.wait()


def response_id_of(session_id: str, client_id: str | None) -> str:
    """The id of the answer to a message. With a client_id it is the same one every time, so a
    message that is sent again after a broken line, or after a restart, is recognised."""
    if client_id is None:
        return uuid.uuid4().hex
    if not CLIENT_ID.fullmatch(client_id):
        raise BadInput(
            "The client_id must be 1 to 64 letters, digits, - or _: make a new one per message.",
            "client_id는 영문자, 숫자, -, _로 된 1~64자여야 해요. 메시지마다 새로 만들어 주세요.",
        )
    return f"{client_id}@{hashlib.sha256(session_id.encode()).hexdigest()[:8]}"


def client_id_of(response_id: str) -> str | None:
    """The client_id inside a response_id, if it was made from one."""
    client_id, at, _ = response_id.partition("@")
    return client_id if at else None
