"""How her face answers a text: eyes, mouth and pose in property-score units.

One unit is one standard deviation of the score over the faces the generator was trained on:
eyes > 0 wider open, mouth > 0 wider open, pose > 0 turned further away.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Expression:
    eyes: float
    mouth: float
    pose: float


NEUTRAL = Expression(eyes=-1.2, mouth=-1.2, pose=-1.2)


def v1_expression(text: str) -> Expression:
    """The rules of v1's decide_property_scores (golden/funcs/decide_property_scores.json)."""
    stripped = text.strip()
    if "오!" in text or "와!" in text or "와우" in text or stripped.startswith("오 "):
        eyes, surprise = 1.6, 1.2
    elif "아!" in text or stripped.startswith("아 "):
        eyes, surprise = 0.8, 0.6
    else:
        eyes, surprise = -1.2, 0.0

    if "!" in text or "?" in text:  # a question opens the mouth, only "!" opens it wider
        mouth = 0.3 + 0.3 * min(text.count("!"), 3) + surprise / 3
    else:
        mouth = -1.2 + surprise

    if "미안" in text and "싫어" in text:
        pose = 3.6
    elif "오!" not in text and any(word in text for word in (" 못 ", "없어 ", "없어.")):
        pose = 3.0
    elif any(word in text for word in ("미안", "싫어", "별로")):
        pose = 2.4
    elif "…" in text:
        pose = 0.6
    else:
        pose = -1.2
    return Expression(eyes, mouth, pose)
