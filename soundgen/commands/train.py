"""`soundgen train`: from a folder of sounds, or a cache of codes, to a trained model."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ParamSpec

import typer

from soundgen.commands._completion import model_names, recipe_names
from soundgen.commands._terminal import (
    DeviceOption,
    JsonOption,
    QuietOption,
    VerboseOption,
    console_progress,
    note,
    print_json,
    print_line,
)
from soundgen.errors import DiskFullError, ExitCode, Terminated, UsageError
from soundgen.training.launch import is_main, launch_command, num_processes
from soundgen.training.run_files import STATE_FILE, check_run_folder

if TYPE_CHECKING:
    from soundgen.pipelines.training import TrainReport

app = typer.Typer(
    no_args_is_help=True, help="Train a codec, a language model over its codes, and a matcher."
)

RecipeOption = Annotated[
    str,
    typer.Option(
        "--recipe",
        autocompletion=recipe_names,
        metavar="NAME|FILE",
        help="Shipped name or a TOML file.",
    ),
]
DataOption = Annotated[
    Path,
    typer.Option("--data", metavar="DATA", help="Folder that `soundgen dataset prepare` made."),
]
OutOption = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="Run folder; holds the trained model folder.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change a key of the recipe, e.g. training.steps=500."
    ),
]
InitOption = Annotated[
    str | None,
    typer.Option(
        "--init",
        autocompletion=model_names,
        metavar="MODEL",
        help="Start from the weights of this model.",
    ),
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Go on with the run in --out where it stopped.")
]
MaxTimeOption = Annotated[
    str | None,
    typer.Option("--max-time", metavar="TIME", help="Save and stop after e.g. 90s, 25m or 1.5h."),
]
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Check everything, take a step, say what a run takes; write nothing."
    ),
]

# Exit code of a process of several that another one's failure ends: that one says why.
_FOLLOWED = ExitCode.BUG

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
P = ParamSpec("P")


class _Voice:
    """Of several processes, lets the first that fails say why: what the others meet follows."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or not issubclass(kind, Exception) or num_processes() == 1:
            return
        # Before they have joined, all meet the same: a wrong option, a recipe that is none.
        first = is_main()
        if "torch" in sys.modules:
            from soundgen.training.distributed import first_to_fail

            first = first_to_fail()
        if not first:
            raise typer.Exit(_FOLLOWED)


def _with_one_voice(command: Callable[P, None]) -> Callable[P, None]:
    @wraps(command)
    def run(*args: P.args, **options: P.kwargs) -> None:
        with _Voice():
            command(*args, **options)

    return run


@app.command()
@_with_one_voice
def codec(
    recipe: RecipeOption,
    data: DataOption,
    out: OutOption,
    set_: SetOption = None,
    init: InitOption = None,
    resume: ResumeOption = False,
    max_time: MaxTimeOption = None,
    dry_run: DryRunOption = False,
    device: DeviceOption = "auto",
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Train a neural codec: waveform to codes and back.

    When it is done, the model for entropy coding is fitted, which takes some minutes beyond
    `--max-time`; `--set entropy.seconds=0` leaves it out.

    Example: `soundgen train codec --recipe small --data data --out runs/codec --max-time 25m`
    """
    max_time_s = parse_time(max_time)
    again = _resume_command("codec", recipe, data, out, set_, max_time, device, [])
    from soundgen.pipelines.recipes import load_recipe

    loaded = load_recipe("codec", recipe, set_ or [])
    if not dry_run:
        check_run_folder(out, resume=resume)
    from soundgen.pipelines.train_codec import train_codec

    quiet = quiet or not is_main()
    with _saying_how_to_go_on(out, again), console_progress(quiet) as progress:
        report = train_codec(
            loaded,
            data=data,
            out=out,
            init=init,
            resume=resume,
            max_time_s=max_time_s,
            device=device,
            dry_run=dry_run,
            progress=progress,
        )
    _show(report, again, dry_run=dry_run, json=json, quiet=quiet)


@app.command()
@_with_one_voice
def lm(
    recipe: RecipeOption,
    data: Annotated[
        Path,
        typer.Option(
            "--data", metavar="CACHE", help="Token cache that `soundgen dataset tokenize` made."
        ),
    ],
    codec: Annotated[
        str,
        typer.Option(
            "--codec",
            autocompletion=model_names,
            metavar="MODEL",
            help="Model with the cache's codec.",
        ),
    ],
    out: OutOption,
    set_: SetOption = None,
    init: InitOption = None,
    resume: ResumeOption = False,
    max_time: MaxTimeOption = None,
    dry_run: DryRunOption = False,
    device: DeviceOption = "auto",
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Train a language model: text to codes.

    Example: `soundgen train lm --recipe small --data cache --codec runs/codec --out runs/lm`
    """
    max_time_s = parse_time(max_time)
    again = _resume_command("lm", recipe, data, out, set_, max_time, device, ["--codec", codec])
    from soundgen.pipelines.recipes import load_recipe

    loaded = load_recipe("lm", recipe, set_ or [])
    if not dry_run:
        check_run_folder(out, resume=resume)
    from soundgen.pipelines.train_lm import train_lm

    quiet = quiet or not is_main()
    with _saying_how_to_go_on(out, again), console_progress(quiet) as progress:
        report = train_lm(
            loaded,
            data=data,
            codec=codec,
            out=out,
            init=init,
            resume=resume,
            max_time_s=max_time_s,
            device=device,
            dry_run=dry_run,
            progress=progress,
        )
    _show(report, again, dry_run=dry_run, json=json, quiet=quiet)


@app.command()
@_with_one_voice
def matcher(
    recipe: RecipeOption,
    data: DataOption,
    out: OutOption,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            autocompletion=model_names,
            metavar="MODEL",
            help="Model that it is for: its text encoder counts, and all its parts go into --out.",
        ),
    ] = None,
    set_: SetOption = None,
    resume: ResumeOption = False,
    max_time: MaxTimeOption = None,
    dry_run: DryRunOption = False,
    device: DeviceOption = "auto",
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Train a matcher: sounds and texts into one space, for `search` and `generate --best-of`.

    Reading the clips comes before `--max-time` begins.

    Example: `soundgen train matcher --recipe small --data data --model runs/lm --out runs/matcher`
    """
    if num_processes() > 1:
        raise UsageError(
            "train matcher runs in one process", hint="start it with soundgen instead of torchrun"
        )
    max_time_s = parse_time(max_time)
    rest = [] if model is None else ["--model", model]
    again = _resume_command("matcher", recipe, data, out, set_, max_time, device, rest)
    from soundgen.pipelines.recipes import load_recipe

    loaded = load_recipe("matcher", recipe, set_ or [])
    if not dry_run:
        check_run_folder(out, resume=resume)
    from soundgen.pipelines.train_matcher import train_matcher

    quiet = quiet or not is_main()
    with _saying_how_to_go_on(out, again), console_progress(quiet) as progress:
        report = train_matcher(
            loaded,
            data=data,
            out=out,
            model=model,
            resume=resume,
            max_time_s=max_time_s,
            device=device,
            dry_run=dry_run,
            progress=progress,
        )
    _show(report, again, dry_run=dry_run, json=json, quiet=quiet)


def parse_time(text: str | None) -> float | None:
    """Return the seconds that `90s`, `25m` or `1.5h` stand for; None for None.

    Raises:
        UsageError: `text` is not such a time.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)([smh])", text.strip())
    if match is None or float(match[1]) == 0:
        raise UsageError(f"--max-time {text}: not a time", hint="for example 90s, 25m or 1.5h")
    return float(match[1]) * _SECONDS[match[2]]


def _resume_command(
    kind: str,
    recipe: str,
    data: Path,
    out: Path,
    set_: list[str] | None,
    max_time: str | None,
    device: str,
    rest: list[str],
) -> str:
    words = [*launch_command(), "train", kind, "--recipe", recipe, "--data", str(data), *rest]
    words += ["--out", str(out)]
    for override in set_ or []:
        words += ["--set", override]
    if max_time is not None:
        words += ["--max-time", max_time]
    if device != "auto":
        words += ["--device", device]
    return shlex.join([*words, "--resume"])


@contextmanager
def _saying_how_to_go_on(out: Path, command: str) -> Iterator[None]:
    """Print the resume command when the run inside is stopped, if it had begun; it has saved."""
    try:
        yield
    except (KeyboardInterrupt, Terminated):
        if is_main() and (out / STATE_FILE).exists():
            note(f"stopped; go on with: {command}")
        raise
    except DiskFullError as error:
        again = command if (out / STATE_FILE).exists() else command.removesuffix(" --resume")
        raise DiskFullError(error.message, hint=f"make room, then: {again}") from error


def _show(report: TrainReport, again: str, *, dry_run: bool, json: bool, quiet: bool) -> None:
    if not is_main():
        return
    if json:
        print_json(report)
        return
    if dry_run:
        for line in report.plan.lines() if report.plan else ():
            note(line, quiet=quiet)
        note("dry run: everything fits; nothing was trained", quiet=quiet)
        return
    if not report.finished:
        note(f"stopped at step {report.step}; go on with: {again}", quiet=quiet)
    print_line(str(report.out))
