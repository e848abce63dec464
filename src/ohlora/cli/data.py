"""`ohlora data`: are a persona's lines fit to train on?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Annotated

import typer

from ohlora.cli.output import Json, print_json, say

app = typer.Typer(no_args_is_help=True, help="Training lines: check them.")

SHOWN = 5  # problems of each rule, without --all


@app.callback()
def root() -> None:
    """Keeps `check` a command of its own while it is the only one."""


@app.command("check")
def check(
    persona: Annotated[
        str, typer.Argument(help="A name from `persona list`, or a folder.")
    ] = "ohlora",
    every: Annotated[bool, typer.Option("--all", help="Print every problem.")] = False,
    show_turns: Annotated[
        bool,
        typer.Option(
            "--show-turns",
            help="Print held-out evaluation turns too. Warning: lines and rules by somebody who "
            "has read them are no longer measured fairly.",
        ),
    ] = False,
    strict: Annotated[bool, typer.Option(help="Fail on warnings too.")] = False,
    as_json: Json = False,
) -> None:
    """Find duplicates, leaks, contradictions, wrong tags and slots, long lines, 존댓말.

    Exit code 1 when a line must be mended. Of a line that stands in a held-out evaluation set, or
    nearly, only file and line number are said.

    \b
    ohlora data check ohlora
    """
    from ohlora.evaluation import data_check
    from ohlora.persona import load_persona

    problems = data_check.check(load_persona(persona), token_counter())
    if not show_turns:
        problems = data_check.withhold(problems)
    levels = Counter(problem.level for problem in problems)
    if as_json:
        print_json([problem.to_dict() for problem in problems])
    else:
        shown: Counter[str] = Counter()
        for problem in problems:
            shown[problem.rule] += 1
            if every or shown[problem.rule] <= SHOWN:
                print(f"{problem.file}:{problem.number}: {problem.level}: {problem.rule}: "
                      f"{problem.what}")  # fmt: skip
                if problem.text:
                    print(f"    {problem.text}")
        for rule, count in shown.most_common():
            print(f"{count:>6}  {rule}")
        if held := sum(problem.held_out for problem in problems):
            print(say(f"{held:>6}  of these with a held-out turn",
                      f"{held:>6}  이 가운데 따로 둔 평가 문장과 겹치는 줄"))  # fmt: skip
        errors, warnings = levels["error"], levels["warning"]
        print(say(f"{errors} errors, {warnings} warnings", f"오류 {errors}개, 경고 {warnings}개"))
    if levels["error"] or (strict and problems):
        raise typer.Exit(1)


def token_counter() -> Callable[[str], int]:
    """Counts tokens as the embedded language model does."""
    from tokenizers import Tokenizer

    from ohlora.paths import embedded

    tokenizer = Tokenizer.from_file(str(embedded() / "llm" / "tokenizer.json"))
    return lambda text: len(tokenizer.encode(text).ids)
