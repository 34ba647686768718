"""The `soundgen` program: its commands, and what each kind of failure tells the shell."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Sequence
from itertools import takewhile
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from soundgen.commands import (
    bench,
    compress,
    dataset,
    doctor,
    eval,
    generate,
    info,
    models,
    recipes,
    search,
    train,
)
from soundgen.commands._failures import report
from soundgen.commands._terminal import print_line
from soundgen.errors import ExitCode, Terminated

# What a shell shows for a program that SIGPIPE ends: the reader of our pipe had enough.
EXIT_PIPE_CLOSED = 141


class _Group(TyperGroup):
    """Ends the process with the exit code and the message that its failure calls for."""

    def main(self, args: Sequence[str] | None = None, *_: Any, **__: Any) -> NoReturn:
        arguments = list(sys.argv[1:] if args is None else args)
        try:
            self._main_shell_completion({}, "soundgen")
            with self.make_context("soundgen", arguments.copy()) as context:
                self.invoke(context)
            sys.stdout.flush()
        except typer.Exit as end:
            sys.exit(end.exit_code)
        except KeyboardInterrupt:
            sys.exit(ExitCode.INTERRUPTED)
        except Terminated:
            sys.exit(ExitCode.TERMINATED)
        except BrokenPipeError:
            # The interpreter flushes stdout once more as it ends; let that go nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(EXIT_PIPE_CLOSED)
        except Exception as error:  # the one place: whatever was not foreseen is a bug, said so
            options = takewhile(lambda argument: argument != "--", arguments)
            sys.exit(report(error, as_json="--json" in options))
        sys.exit(ExitCode.OK)


app = typer.Typer(
    name="soundgen",
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(generate.generate)
app.command()(compress.compress)
app.command()(compress.decompress)
app.command()(search.search)
app.command()(info.info)
app.command()(doctor.doctor)
app.command()(bench.bench)
app.add_typer(dataset.app, name="dataset")
app.add_typer(train.app, name="train")
app.add_typer(eval.app, name="eval")
app.add_typer(models.app, name="models")
app.add_typer(recipes.app, name="recipes")


def _print_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        print_line(f"soundgen {version('soundgen')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Turn a line of text into a sound effect, and train the models that do it."""


def _on_sigterm(signum: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


def main() -> None:
    """Run the program; the console script's entry point."""
    # Looking for garbage takes a tenth of the time of importing PyTorch, which leaves none.
    gc.set_threshold(100_000, 20, 20)
    signal.signal(signal.SIGTERM, _on_sigterm)
    # File names that are not UTF-8 go out as the bytes they came in.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="surrogateescape")
    app()
