"""How one server is set up: where it listens, who may ask, and how much at once."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from ohlora.text import MAX_CHARS

WEB = Path(__file__).parent / "web"


@dataclass(frozen=True)
class Settings:
    host: str = "127.0.0.1"
    token: str | None = None  # asked of everybody when set; run.py sets it beyond loopback
    allowed_hosts: tuple[str, ...] = ()  # more names this server answers to, without port
    text_chars: int = MAX_CHARS
    turns: int = 2  # answered at once
    turns_waiting: int = 16  # in line behind them; beyond that: Busy
    sockets: int = 128  # open web sockets
    requests: int = 128  # HTTP requests at once
    body_bytes: int = 1 << 20
    body_seconds: float = 20.0  # a body must have arrived by then
    message_bytes: int = 1 << 20  # one web-socket message
    messages_per_second: float = 20.0  # of one socket, after a burst of as many; then it waits
    follows: int = 16  # replies one socket may listen to at once
    stop_seconds: float = 2.0  # for running turns, when the server stops
    web: Path = WEB

    @property
    def loopback(self) -> bool:
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """True for an address only this machine can reach."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
