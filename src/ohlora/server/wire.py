"""The web socket: kebab-case JSON both ways.

    in   {"type": "text-input", "session_id", "text", "client_id"?}
         {"type": "interrupt-signal", "response_id"}      nothing to say when it has ended already
         {"type": "resume", "response_id", "after"}       events with a greater seq, then live ones
         {"type": "heartbeat"}
    out  {"type": "turn-started", "response_id", "session_id", "client_id", "user_message_id"}
         the events of ohlora.events, with response_id and seq
         {"type": "heartbeat-ack"}
         {"type": "error", "code", "message", "message_ko", "client_id"?}   an input was refused

A refused input never closes the socket. A socket that sends faster than the limit is read more
slowly, one that does not read what it is sent is closed; in both cases its turns go on and can
be resumed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, Literal

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from ohlora.errors import Busy, OhloraError
from ohlora.server.bodies import Body, check, read_json
from ohlora.server.faults import BadField, Refused, as_fault, as_json, fault_fields
from ohlora.server.settings import Settings
from ohlora.server.turns import Turn, TurnHub
from ohlora.text import josa

SEND_SECONDS = 30.0  # for one message to leave


class TextInput(Body):
    type: Literal["text-input"]
    session_id: str
    text: str
    client_id: str | None = None


class InterruptSignal(Body):
    type: Literal["interrupt-signal"]
    response_id: str


class Resume(Body):
    type: Literal["resume"]
    response_id: str
    after: int = -1


class Heartbeat(Body):
    type: Literal["heartbeat"]


MESSAGES: dict[str, type[TextInput | InterruptSignal | Resume | Heartbeat]] = {
    "text-input": TextInput,
    "interrupt-signal": InterruptSignal,
    "resume": Resume,
    "heartbeat": Heartbeat,
}


class Wire:
    """One open socket: reads its inputs, follows the replies it asked for."""

    def __init__(self, socket: WebSocket, hub: TurnHub, settings: Settings) -> None:
        self.socket, self.hub, self.settings = socket, hub, settings
        self._sending = asyncio.Lock()
        self._follows: dict[str, asyncio.Task[None]] = {}  # by response_id
        self._tasks: set[asyncio.Task[None]] = set()
        self._budget = settings.messages_per_second
        self._counted = time.monotonic()

    async def talk(self) -> None:
        """Serve the socket until it closes."""
        await self.socket.accept()
        try:
            while True:
                message = await self.socket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                await self._pace()
                await self._take(message.get("text"))
        except (WebSocketDisconnect, TimeoutError):
            pass  # gone, or not reading what it is sent
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pace(self) -> None:
        """Wait where this socket sends more than its share."""
        rate = self.settings.messages_per_second
        now = time.monotonic()
        self._budget = min(rate, self._budget + (now - self._counted) * rate) - 1
        self._counted = now
        await asyncio.sleep(max(0.0, -self._budget / rate))

    async def _take(self, text: str | None) -> None:
        data: dict[str, Any] = {}
        try:
            data = self._read(text)
            message = check(MESSAGES[data["type"]], data)
            if isinstance(message, TextInput):
                self._spawn(self._answer(message))
            elif isinstance(message, Resume):
                self._spawn(self._resume(message))
            elif isinstance(message, InterruptSignal):
                self.hub.interrupt(message.response_id)
            else:
                await self.send({"type": "heartbeat-ack"})
        except OhloraError as error:
            await self._refuse(error, data.get("client_id"))

    def _read(self, text: str | None) -> dict[str, Any]:
        if text is None:
            raise BadField(
                None,
                "The server reads text messages, but this one was binary: send JSON as text.",
                "바이너리 메시지는 읽을 수 없어요. JSON을 텍스트로 보내 주세요.",
            )
        if len(text) > self.settings.message_bytes:
            raise Refused(
                413,
                "too-large",
                f"The message is larger than {self.settings.message_bytes:,} bytes: send less.",
                f"메시지가 {self.settings.message_bytes:,}바이트보다 커요. 나눠서 보내 주세요.",
            )
        data = read_json(text)
        kind = data.get("type")
        if not isinstance(kind, str) or kind not in MESSAGES:
            known = ", ".join(MESSAGES)
            raise BadField(
                "type",
                f"The type {str(kind)[:40]!r} is unknown: send one of {known}.",
                f"{josa(repr(str(kind)[:40]), '이라는/라는')} type은 없어요. "
                f"{known} 중에서 골라 주세요.",
            )
        return data

    async def _answer(self, message: TextInput) -> None:
        try:
            turn = await self.hub.start(message.session_id, message.text, message.client_id)
        except Exception as error:  # outer face
            await self._refuse(as_fault(error), message.client_id)
            return
        await self.send(
            {
                "type": "turn-started",
                "response_id": turn.response_id,
                "session_id": message.session_id,
                "client_id": message.client_id,
                "user_message_id": turn.user_message_id,
            }
        )
        await self._follow(turn, -1)

    async def _resume(self, message: Resume) -> None:
        try:
            turn = await self.hub.find(message.response_id)
        except Exception as error:  # outer face
            await self._refuse(as_fault(error), None)
            return
        await self._follow(turn, message.after)

    async def _follow(self, turn: Turn, after: int) -> None:
        """Send the events of a turn; a later request for the same turn takes over."""
        earlier = self._follows.get(turn.response_id)
        this = asyncio.current_task()
        assert this is not None
        self._follows[turn.response_id] = this
        if earlier is not None:
            earlier.cancel()
        try:
            async for event in turn.listen(after):
                await self.send(event)
        finally:
            if self._follows.get(turn.response_id) is this:
                del self._follows[turn.response_id]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        if len(self._tasks) >= self.settings.follows:
            work.close()
            raise Busy
        task = asyncio.create_task(self._until_gone(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _until_gone(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except (WebSocketDisconnect, TimeoutError):
            if self.socket.application_state is WebSocketState.CONNECTED:
                await self.socket.close(1008)

    async def _refuse(self, error: OhloraError, client_id: object) -> None:
        named = {"client_id": client_id} if isinstance(client_id, str) else {}
        await self.send({"type": "error", **fault_fields(error), **named})

    async def send(self, data: dict[str, Any]) -> None:
        async with self._sending, asyncio.timeout(SEND_SECONDS):
            if self.socket.application_state is not WebSocketState.CONNECTED:
                raise WebSocketDisconnect
            await self.socket.send_text(as_json(data))
