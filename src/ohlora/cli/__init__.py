"""`ohlora`: one module per family of commands.

A command reads its options, calls one function and reports. Heavy imports sit inside the
commands, so `ohlora --help` is instant. Errors raised on purpose become one line on stderr
and exit code 1; so does a bug, whose traceback goes into a file for the report.
"""

from __future__ import annotations

import sys
import tempfile
import traceback
from pathlib import Path

import typer

from ohlora import __version__
from ohlora.cli import (
    chat,
    data,
    doctor,
    eval,
    face,
    memory,
    models,
    persona,
    pipeline,
    serve,
    synth,
    train,
    vision,
)
from ohlora.cli.output import complain
from ohlora.errors import OhloraError
from ohlora.paths import home

app = typer.Typer(
    name="ohlora",
    help="Oh-LoRA: a virtual human to talk to, in Korean, on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("serve")(serve.serve)
app.command("chat")(chat.chat)
app.add_typer(data.app, name="data")
app.add_typer(eval.app, name="eval")
app.add_typer(face.app, name="face")
app.add_typer(memory.app, name="memory")
app.add_typer(models.app, name="models")
app.add_typer(persona.app, name="persona")
app.add_typer(pipeline.app, name="pipeline")
app.add_typer(synth.app, name="synth")
app.add_typer(train.app, name="train")
app.add_typer(vision.app, name="vision")
app.command("doctor")(doctor.doctor)


def show_version(wanted: bool) -> None:
    if wanted:
        print(f"ohlora {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=show_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Start with `ohlora chat` or `ohlora serve`; data lies in OHLORA_HOME."""


def internal_error() -> OhloraError:
    """Keep the traceback of a bug in the data folder; one sentence says where."""
    place = Path(tempfile.gettempdir()) if isinstance(sys.exception(), OSError) else home()
    file = place / "ohlora-bug.txt"
    file.write_text(traceback.format_exc(), encoding="utf-8", errors="replace")
    return OhloraError(
        f"Something broke inside: please report it with {file}, then try again.",
        f"프로그램 안에서 오류가 났어요. {file} 파일과 함께 알려 주고 다시 해 보세요.",
    )


def main() -> None:
    try:
        app()
    except OhloraError as error:
        complain(error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception:
        complain(internal_error())
        sys.exit(70)  # EX_SOFTWARE
    except BrokenPipeError:  # `ohlora ... | head`
        sys.stderr.close()
        sys.exit(0)
