"""What Prometheus reads at /metrics. One registry per app, so tests and servers don't mix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FIRST_TOKEN_S = (0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2.0, 4.0, 8.0)


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.turns = Counter(
            "ohlora_turns",
            "Turns that ended, by outcome: complete, interrupted, crashed, error.",
            ["outcome"],
            registry=self.registry,
        )
        for outcome in ("complete", "interrupted", "crashed", "error"):
            self.turns.labels(outcome)
        self.first_token = Histogram(
            "ohlora_first_token_seconds",
            "Seconds from the start of a turn to its first token.",
            buckets=FIRST_TOKEN_S,
            registry=self.registry,
        )
        self.tokens = Counter("ohlora_tokens", "Tokens of replies.", registry=self.registry)
        self.active_turns = Gauge(
            "ohlora_active_turns", "Generations running now.", registry=self.registry
        )
        self.sockets = Gauge("ohlora_ws_connections", "Open web sockets.", registry=self.registry)
        self.frames = Counter("ohlora_frames", "Face frames sent.", registry=self.registry)

    def observe(self, events: Sequence[dict[str, Any]]) -> None:
        """Count one turn by its last event."""
        last = events[-1] if events else {}
        if last.get("type") == "done":
            self.ended(last["reason"], last["completion_tokens"], last["first_token_s"])
        elif last.get("type") == "error":
            self.ended("error")

    def ended(self, outcome: str, tokens: int = 0, first_token_s: float | None = None) -> None:
        self.turns.labels(outcome).inc()
        self.tokens.inc(tokens)
        if first_token_s is not None:
            self.first_token.observe(first_token_s)

    def text(self) -> bytes:
        """Prometheus text format."""
        return generate_latest(self.registry)
