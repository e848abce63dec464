"""A server as a process: start, faults at the start, Ctrl+C, kill -9, many clients at once."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection as Line
from websockets.sync.client import connect

from ohlora.companion import Companion
from ohlora.errors import BadInput
from ohlora.server.run import listen, next_free_port, shown_host
from server.small import Teller, served

TESTS = Path(__file__).parent.parent
Start = Callable[..., "Server"]


class Server:
    """serve_small.py in a process of its own."""

    def __init__(self, host: str, port: int, pause: float) -> None:
        path = os.pathsep.join(
            [
                str(TESTS.parent / "src"),
                str(TESTS),
                *os.environ.get("PYTHONPATH", "").split(os.pathsep),
            ]
        )
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-W", "error", str(TESTS / "server" / "serve_small.py")),
                *(host, str(port), str(pause)),
            ],
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.first_line = self.process.stdout.readline()  # "" when it could not start
        port_shown = re.search(r":(\d+)", self.first_line)
        self.address = f"127.0.0.1:{port_shown[1]}" if port_shown else ""

    def end(self, number: int = signal.SIGINT) -> tuple[int, str, str, float]:
        """(exit code, the rest of stdout, stderr, seconds to the end)"""
        started = time.perf_counter()
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(timeout=15)
        seconds = time.perf_counter() - started
        assert self.process.stdout and self.process.stderr
        return code, self.process.stdout.read(), self.process.stderr.read(), seconds

    def get(self, url: str) -> Any:
        return httpx.get(f"http://{self.address}{url}").json()

    def new_session(self) -> str:
        return str(httpx.post(f"http://{self.address}/api/sessions", json={}).json()["id"])


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[Server] = []

    def start(host: str = "127.0.0.1", port: int = 0, pause: float = 0.0) -> Server:
        started.append(Server(host, port, pause))
        return started[-1]

    yield start
    for server in started:
        server.process.kill()
        with server.process:
            pass  # closes its pipes


def say(session: str, text: str, client_id: str) -> str:
    return json.dumps(
        {"type": "text-input", "session_id": session, "text": text, "client_id": client_id}
    )


def rest(line: Line) -> list[dict[str, Any]]:
    """What still comes before the line ends, however it ends."""
    messages = []
    try:
        for message in line:
            messages.append(json.loads(message))
    except ConnectionClosed:
        pass
    return messages


def resume(response_id: str, after: int) -> str:
    return json.dumps({"type": "resume", "response_id": response_id, "after": after})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_ends_cleanly(start: Start, number: int) -> None:
    server = start()
    assert server.first_line.startswith("Oh-LoRA is ready at http://127.0.0.1:")
    assert server.get("/health")["status"] == "ok"
    code, out, err, seconds = server.end(number)
    assert (code, out.strip(), err) == (0, "Stopped.", "") and seconds < 5


def test_a_second_server_on_one_folder_is_refused_and_the_first_goes_on(start: Start) -> None:
    first = start()
    second = start()
    code, out, err, _ = second.end()
    assert (code, second.first_line, out) == (1, "", "")
    assert err.count("\n") == 1 and f"(process {first.process.pid}) already serves" in err
    assert first.get("/health")["status"] == "ok"


def test_a_busy_port_is_refused_with_a_free_one(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = start(port=port)
        code, _, err, _ = server.end()
        assert code == 1 and err.count("\n") == 1
        assert err.startswith(f"ohlora: Port {port} is taken by another program: stop it, or use")
        free = int(err.split("--port ")[1].rstrip(".\n"))
        with socket.create_server(("127.0.0.1", free)):
            pass


def test_a_host_that_is_not_here_is_refused() -> None:
    for host in ("192.0.2.1", "no such host", "a" * 300):
        with pytest.raises(BadInput, match="use .*127.0.0.1"):
            listen(host, 0)
    assert next_free_port("127.0.0.1", 65_536) > 0
    assert shown_host("::1") == "[::1]" and shown_host("0.0.0.0").count(".") == 3


def test_beyond_loopback_the_token_is_printed_at_the_first_start_only(
    start: Start, own_home: Path
) -> None:
    server = start("0.0.0.0")
    token = (own_home / "token").read_text().strip()
    assert f"/?token={token}" in server.first_line
    assert httpx.get(f"http://{server.address}/api/info").status_code == 401
    bearer = {"authorization": f"Bearer {token}"}
    assert httpx.get(f"http://{server.address}/api/info", headers=bearer).status_code == 200
    _, out, err, _ = server.end()
    again = start("0.0.0.0")
    _, more_out, more_err, _ = again.end()
    assert token not in again.first_line + out + err + more_out + more_err
    assert str(own_home / "token") in more_out


def test_ctrl_c_in_mid_reply_stores_what_was_said_as_interrupted(start: Start) -> None:
    server = start(pause=0.05)
    session = server.new_session()
    with connect(f"ws://{server.address}/api/ws") as line:
        line.send(say(session, "길게 말해 줘", "c1"))
        heard = [json.loads(line.recv(5)) for _ in range(5)]
        code, _, err, seconds = server.end()
        heard += rest(line)
    assert (code, err) == (0, "") and seconds < 5
    assert heard[-1]["type"] == "done" and heard[-1]["reason"] == "interrupted"
    said = "".join(event["text"] for event in heard if event["type"] == "token")
    message = start().get(f"/api/sessions/{session}/messages")["messages"][1]
    assert (message["status"], message["text"]) == ("interrupted", said)


def test_kill_in_mid_reply_loses_and_doubles_nothing(start: Start) -> None:
    server = start(pause=0.01)
    session = server.new_session()
    with connect(f"ws://{server.address}/api/ws") as line:
        line.send(say(session, "길게 말해 줘", "c1"))
        started = json.loads(line.recv(5))
        heard = [json.loads(line.recv(5)) for _ in range(12)]
        server.process.kill()
        server.process.wait()
        heard += rest(line)
    said = "".join(event["text"] for event in heard if event["type"] == "token")

    server = start()
    messages = server.get(f"/api/sessions/{session}/messages")["messages"]
    assert [(m["role"], m["status"]) for m in messages] == [
        ("user", "complete"),
        ("assistant", "crashed"),
    ]
    assert messages[1]["text"].startswith(said)  # one more may have been stored than was sent
    assert len(messages[1]["text"]) <= len(said) + 1
    with connect(f"ws://{server.address}/api/ws") as line:
        line.send(resume(started["response_id"], -1))
        again = [json.loads(line.recv(5))]
        while again[-1]["type"] != "done":
            again.append(json.loads(line.recv(5)))
        assert again[: len(heard)] == heard
        assert [event["seq"] for event in again] == list(range(len(again)))
        assert again[-1]["reason"] == "crashed" and again[-1]["text"] == messages[1]["text"]
        line.send(say(session, "길게 말해 줘", "c1"))  # the page sends it again
        repeated = [json.loads(line.recv(5)) for _ in range(1 + len(again))]
        assert repeated[0]["user_message_id"] == messages[0]["id"] and repeated[1:] == again
    assert len(server.get(f"/api/sessions/{session}/messages")["messages"]) == 2


def test_sixty_clients_at_once_each_hear_their_own_reply(
    companion: Companion, engine: Teller
) -> None:
    engine.answer = " 그래, 안녕!"

    async def client(address: str, session: str, number: int) -> None:
        async with connect_async(f"ws://{address}/api/ws", open_timeout=20) as line:
            told = 0
            while True:
                await line.send(say(session, f"나는 {number}번이야", f"c{number}"))
                first = json.loads(await line.recv())
                if first["type"] == "turn-started":
                    break
                assert first["code"] == "busy" and first["client_id"] == f"c{number}"
                told += 1
                await asyncio.sleep(0.05)
            events = await until_done(line)
            assert {event["response_id"] for event in events} == {first["response_id"]}
            assert events[-1]["text"] == "그래, 안녕!"

    async def crowd(address: str) -> None:
        await asyncio.wait_for(
            asyncio.gather(
                *(client(address, session, number) for number, session in enumerate(sessions))
            ),
            30,
        )

    sessions = [companion.store.sessions.create().id for _ in range(60)]
    with served(companion) as address:
        asyncio.run(crowd(address))
    for number, session in enumerate(sessions):
        messages, _ = companion.store.sessions.messages(session)
        assert [m.text for m in messages] == [f"나는 {number}번이야", "그래, 안녕!"]
    assert engine.most_running <= 2


async def until_done(line: ClientConnection) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    while not events or events[-1]["type"] != "done":
        events.append(json.loads(await line.recv()))
    return events


def test_lines_that_break_again_and_again_lose_and_double_nothing(
    companion: Companion, engine: Teller
) -> None:
    """Brute force over real sockets: each client drops its line at random and resumes."""
    engine.answer, engine.pause = " " + "가나다라마바사아자차" * 5, 0.001
    dice = random.Random(3)

    async def client(address: str, session: str, number: int) -> None:
        seen: list[dict[str, Any]] = []
        response_id = ""
        while not seen or seen[-1]["type"] != "done":
            line = await connect_async(f"ws://{address}/api/ws")
            if response_id:
                await line.send(resume(response_id, seen[-1]["seq"] if seen else -1))
            else:  # not heard of yet: the same message once more
                await line.send(say(session, "길게", f"c{number}"))
            for _ in range(dice.randint(1, 30)):
                event = json.loads(await line.recv())
                if event["type"] == "turn-started":
                    response_id = event["response_id"]
                else:
                    seen.append(event)
                if event["type"] == "done":
                    break
            if dice.random() < 0.5:
                line.transport.abort()
            await line.close()
        assert [event["seq"] for event in seen] == list(range(len(seen)))
        text = "".join(event["text"] for event in seen if event["type"] == "token")
        assert text == seen[-1]["text"] == engine.answer.strip()

    async def all_clients(address: str) -> None:
        clients = (client(address, session, n) for n, session in enumerate(sessions))
        await asyncio.wait_for(asyncio.gather(*clients), 30)

    sessions = [companion.store.sessions.create().id for _ in range(8)]
    with served(companion) as address:
        asyncio.run(all_clients(address))
    assert len(engine.prompts) == 8


def test_a_message_too_large_for_the_socket_closes_it_and_nothing_else(
    companion: Companion,
) -> None:
    with served(companion) as address:
        with connect(f"ws://{address}/api/ws") as line, connect(f"ws://{address}/api/ws") as other:
            with pytest.raises(ConnectionClosed):
                line.send("x" * (5 << 20))
                line.recv(5)
            other.send('{"type": "heartbeat"}')
            assert json.loads(other.recv(5)) == {"type": "heartbeat-ack"}
