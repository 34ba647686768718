"""Write docs/cli.md from the program itself: `python docs/make_cli.py`. A test keeps it fresh."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from soundgen.cli import EXIT_PIPE_CLOSED, app
from soundgen.errors import ExitCode

PAGE = Path(__file__).with_name("cli.md")

_EXIT_MEANINGS = {
    ExitCode.OK: "done",
    ExitCode.BUG: "a bug of soundgen; please report it",
    ExitCode.USAGE: "usage: an unknown option, a missing argument, a value out of range",
    ExitCode.INPUT: "an input is missing, unreadable, damaged or of the wrong kind; of several, "
    "at least one (the others are done)",
    ExitCode.MODEL: "a recipe, model, run folder or token cache is missing, damaged or does not "
    "fit",
    ExitCode.OUTPUT: "an output exists already, or cannot be written",
    ExitCode.DEVICE: "the device asked for is not there, or memory is too small",
    ExitCode.INTERRUPTED: "interrupted with Ctrl-C; a training saved first",
    ExitCode.TERMINATED: "terminated by SIGTERM; a training saved first",
}

_HEAD = """\
<!-- Written by docs/make_cli.py from the program itself; a test keeps it fresh. -->

# The command line

Results go to stdout: the paths of files written, tables, or JSON with `--json`. Everything else
goes to stderr: progress (on a terminal a bar, in a log a line every 30 seconds of a long command),
notices, errors. Nothing is overwritten without `-f`, and a file appears under its name only when
it is whole. `-q` and `-v` work with every command, `-h` and `--help` everywhere.

A failure is one line that says what is wrong, and a `hint:` line that says what to do. With
`--json` it is an object on stdout: `{"error": {"message", "hint", "exit_code"}}`.

`soundgen --install-completion` lets your shell (bash, zsh, fish, PowerShell) complete commands,
options, and the names of models, recipes and formats; `--show-completion` prints what it would
install.

Environment: `NO_COLOR` turns colours off. `SOUNDGEN_DEBUG=1` adds the traceback to an error.
`SOUNDGEN_PROMPT_CACHE` names the folder in which embeddings of prompts are kept, so that a prompt
said again is quicker (without it `soundgen/prompts` in the user's cache); `off` keeps none.

## Exit codes

| code | meaning |
|---|---|
"""


def render() -> str:
    """Return the page."""
    meanings = {**_EXIT_MEANINGS, EXIT_PIPE_CLOSED: "the reader of our output went away"}
    rows = [f"| {int(code)} | {meanings[code]} |" for code in sorted(meanings)]
    root: Any = typer.main.get_command(app)
    sections = [_section(command, context) for command, context in _walk(root, "soundgen", None)]
    return _HEAD + "\n".join(rows) + "\n\n" + "\n".join(sections)


def _walk(command: Any, name: str, parent: Any) -> Iterator[tuple[Any, Any]]:
    context = command.context_class(command, info_name=name, parent=parent)
    if hasattr(command, "commands"):
        for child_name, child in command.commands.items():
            yield from _walk(child, child_name, context)
    else:
        yield command, context


def _section(command: Any, context: Any) -> str:
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    words = [_metavar(argument) for argument in arguments]
    usage = " ".join([context.command_path, *words, "[OPTIONS]"])
    lines = [f"## {context.command_path}", "", "```", usage, "```", ""]
    lines += [" ".join(paragraph.split()) + "\n" for paragraph in command.help.split("\n\n")]
    lines += [f"- {_described(param)}" for param in command.params if not param.hidden]
    return "\n".join(lines) + "\n"


def _metavar(param: Any) -> str:
    dots = "..." if param.nargs == -1 else ""
    return (param.metavar or param.name.upper().strip("_")).removesuffix("...") + dots


def _described(param: Any) -> str:
    if param.param_type_name == "argument":
        names = _metavar(param)
    else:
        names = ", ".join(sorted(param.opts, key=len) + param.secondary_opts)
        if not param.is_flag:
            names += f" {_metavar(param)}"
    notes = ""
    if param.required:
        notes = " *Required.*"
    elif not callable(param.default) and param.default not in (None, False, "", [], ()):
        notes = f" Default: `{param.default}`."
    return f"`{names}`: {' '.join((param.help or '').split())}{notes}"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
