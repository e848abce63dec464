"""What she says by rule: to questions about her life, and to everyday turns.

A small language model answers everyday turns badly. So her persona may bring tables of rules,
each a pattern for the user's turn and a few answers of hers:

    lines/boundaries.toml   what she refuses or where help is due; the first rule that fits answers
    lines/asked.toml        questions about her, next
    lines/smalltalk.toml    everyday turns: [[rule]]s by subject, then [[act]]s by kind of turn
                            (bad news, a plan, a request, a question she cannot know ...)

Patterns read the turn in small letters without spaces and marks (only ? stays): people leave out
both. {말} in an answer is what the user said, said back (ohlora.echo), and chosen whenever there is
something to say back; {그말} is the turn itself. <name> in a pattern is what [words] says of it.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ohlora.echo import echo
from ohlora.errors import CheckpointError

SAID_BACK, AS_SAID = "{말}", "{그말}"
# A greeting or call in front of the matter itself.
CALL = re.compile(
    r"^(?:안녕(?:하세요)?|하이|저기요?|있잖아|(?:오로|로)라야|오로라|근데|그런데|혹시|야|음+|아|그럼)[\s,.!~?]+(?=\S)"
)

USER_WORDS = frozenset(
    "나 난 나는 나도 나의 내 내가 나를 날 나한테 나랑 "
    "저 전 저는 저도 제 제가 저의 저를 저한테".split()
)
# "우리" alone may be the two of us; "우리 엄마" is the user's. "뭐게?" and "어디로 가게?" ask what
# one knows oneself.
MINE = re.compile(
    r"우리 ?(집|엄마|아빠|부모|가족|할머니|할아버지|동생|형|오빠|강아지|고양이|학교|회사|반|동네)"
    r"|(뭐|누구|어디|언제|살이|몇이|명이|얼마)게(?!\w)"
    r"|게\?+$"
    r"|(?:^|\s)(내|제)(이름|나이|생일|전공|취미|학교|친구|꿈|직업|집|가족|고향|별명|mbti|MBTI)"
)
HER_WORDS = frozenset(
    """
    너 넌 너는 너도 너의 네 네가 니 니가 널 너를 너랑 너한테 로라 로라야 로라는 로라의
    로라도 로라님 오로라 오로라야 오로라는 오로라의 오로라도 오로라님 당신 당신은 당신의
    당신도 언니 누나 그대 너네 너희 너보고 너처럼 그쪽 넌데 너만의 너만 너같은 너에 너에게
    니네
    """.split()
)
HER = re.compile(r"^(?:너(?!무|희)|넌|네(?!시)|니(?!트)|로라|오로라|당신)")


def about_user(text: str) -> bool:
    """True when the turn says "I" or "my" and never "you", or is a quiz ("이름 뭐게?")."""
    words = set(re.findall(r"\w+", text))
    mine = bool(words & USER_WORDS) or MINE.search(text) is not None
    return mine and not words & HER_WORDS


def names_her(text: str) -> bool:
    """True when the turn says "you" or her name. A sister called 언니 or 누나 is somebody else."""
    return (
        bool(set(re.findall(r"\w+", text)) & HER_WORDS - {"언니", "누나"})
        or HER.match(squeeze(text)) is not None
    )


def squeeze(text: str) -> str:
    """The turn as patterns read it: no call in front, small letters, no spaces, no marks but ?."""
    while (found := CALL.match(text)) and len(text) > found.end():
        text = text[found.end() :]
    return re.sub(r"[^\w?]|_", "", text.lower())


@dataclass(frozen=True)
class Rule:
    """`say` answers a turn that `when` finds and `unless` does not.

    her: only a turn that names her; user: also a turn that speaks of the user, which
    other rules of asked.toml leave alone.
    """

    topic: str
    when: re.Pattern[str]
    say: tuple[str, ...]
    unless: re.Pattern[str] | None = None
    her: bool = False
    user: bool = False

    def fits(self, squeezed: str) -> bool:
        if self.unless and self.unless.search(squeezed):
            return False
        return self.when.search(squeezed) is not None


@dataclass(frozen=True)
class Table:
    """The rules of one file, in order.

    not_her: people; a turn about them is not about her. not_asked: a statement or a doubt of the
    user's own. Both count only where the turn does not name her.
    """

    rules: tuple[Rule, ...] = ()
    acts: tuple[Rule, ...] = ()
    not_her: re.Pattern[str] | None = None
    not_asked: re.Pattern[str] | None = None
    pairs: float = 1.0  # cosine from which a written everyday line answers; 1: never

    def about_her(self, text: str) -> Rule | None:
        """The rule for a question about her life."""
        squeezed, named, user = squeeze(text), names_her(text), about_user(text)
        other = bool(self.not_her and self.not_her.search(text)) and not named
        if not named and self.not_asked and self.not_asked.search(squeezed):
            return None
        for rule in self.rules:
            if rule.her and not named or (user or other) and not rule.user:
                continue
            if rule.fits(squeezed):
                return rule
        return None

    def first(self, text: str) -> Rule | None:
        """The first rule that fits the turn."""
        return self._first(self.rules, text)

    def by_kind(self, text: str) -> Rule | None:
        """The rule for a turn by what kind of turn it is."""
        return self._first(self.acts, text)

    def _first(self, rules: Sequence[Rule], text: str) -> Rule | None:
        squeezed, named, user = squeeze(text), names_her(text), about_user(text)
        for rule in rules:
            if rule.her and not named or rule.user and not user:
                continue
            if rule.fits(squeezed):
                return rule
        return None


def choose(rule: Rule, text: str, seed: int, said: Collection[str] = ()) -> str | None:
    """One of the rule's answers, not one of `said`; None when each needs an echo and none is."""
    answers = rule.say
    if any(SAID_BACK in answer for answer in answers):
        back = echo(text)
        if back is None:
            answers = tuple(answer for answer in answers if SAID_BACK not in answer)
        else:
            answers = tuple(a.replace(SAID_BACK, back) for a in answers if SAID_BACK in a)
    itself = re.sub(r"[\s.,!?~…]+$", "", text)
    answers = tuple(answer.replace(AS_SAID, itself) for answer in answers)
    fresh = [answer for answer in answers if answer not in said] or list(answers)
    return random.Random(seed).choice(fresh) if fresh else None


def read_table(path: Path) -> Table:
    """The rules of `path`, none when there is no such file. Raises CheckpointError."""
    if not path.exists():
        return Table()
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
        words = raw.get("words", {})
        return Table(
            tuple(read_rule(row, words) for row in raw.get("rule", [])),
            tuple(read_rule(row, words) for row in raw.get("act", [])),
            re.compile(raw["not_her"]) if "not_her" in raw else None,
            re.compile(raw["not_asked"]) if "not_asked" in raw else None,
            float(raw.get("pairs", 1.0)),
        )
    except (
        tomllib.TOMLDecodeError, UnicodeDecodeError, re.error, KeyError, TypeError, ValueError
    ) as error:  # fmt: skip
        raise CheckpointError(
            path, f"not readable ({error!r})", f"읽을 수 없어요({error!r})"
        ) from error


def read_rule(row: Mapping[str, object], words: Mapping[str, str]) -> Rule:
    """One [[rule]] or [[act]]; <name> in its patterns is what [words] says under `name`."""

    def pattern(text: object) -> re.Pattern[str]:
        return re.compile(re.sub(r"<(\w+)>", lambda found: f"(?:{words[found[1]]})", str(text)))

    say = row["say"]
    if not isinstance(say, list) or not say or not all(isinstance(one, str) for one in say):
        raise ValueError(f"{row.get('topic')}: `say` must be a list of answers")
    unless = row.get("unless")
    return Rule(
        str(row["topic"]),
        pattern(row["when"]),
        tuple(say),
        pattern(unless) if unless else None,
        bool(row.get("her", False)),
        bool(row.get("user", False)),
    )
