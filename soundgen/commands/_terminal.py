"""What reaches the user: results on stdout, everything else on stderr, nothing as markup."""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from soundgen.progress import Progress, SilentProgress

if TYPE_CHECKING:
    import rich.console
    import rich.progress

# Between two lines of progress where stderr is a log file; long enough not to fill it.
LOG_EVERY_S = 30.0

BAR_WIDTH, MIN_DESCRIPTION = 16, 16
# Count, pace, both times, and the spaces between: what a long prompt must leave room for.
_NUMBERS_WIDTH = 44

Device = Literal["auto", "cpu", "cuda", "mps"]


def _start_logging(verbose: bool) -> bool:
    if verbose:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        logger = logging.getLogger("soundgen")
        logger.handlers = [handler]
        logger.setLevel(logging.DEBUG)
    return verbose


# Options that several commands share, defined once so that names and help cannot drift.
QuietOption = Annotated[
    bool, typer.Option("-q", "--quiet", help="Show errors only: no progress, no notices.")
]
VerboseOption = Annotated[
    bool,
    typer.Option("-v", "--verbose", help="Log what is done to stderr.", callback=_start_logging),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result, or the error, as JSON on stdout.")
]
ForceOption = Annotated[bool, typer.Option("-f", "--force", help="Overwrite existing outputs.")]
DeviceOption = Annotated[
    Device,
    typer.Option(
        "--device",
        metavar="auto|cpu|cuda|mps",
        help="Where to compute; auto is CUDA where there is one, else the processor.",
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        min=1,
        max=1024,
        help="Processor threads; OMP_NUM_THREADS or all cores if not given.",
    ),
]


def one_line(text: str) -> str:
    r"""Return `text` with control characters shown as `\n`, `\x1b` and the like."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def print_line(text: str) -> None:
    """Write one line of a result to stdout, at once, so that a pipe sees it as it comes."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def print_json(obj: Any) -> None:
    """Write `obj` to stdout as one line of JSON: dataclasses as objects, paths as strings.

    Numbers that JSON does not have (NaN, infinity) become null.
    """
    print_line(json.dumps(_plain(obj), ensure_ascii=False, allow_nan=False))


def print_table(rows: Iterable[tuple[str, Any]]) -> None:
    """Write names and values to stdout in two columns, one pair a line."""
    shown = [(name, _cell(value)) for name, value in rows]
    width = max(len(name) for name, _ in shown)
    for name, value in shown:
        print_line(f"{name:<{width}}  {value}")


def note(message: str, *, quiet: bool = False) -> None:
    """Write one line to stderr unless `quiet`: what was chosen, drawn or changed."""
    if not quiet:
        sys.stderr.write(f"{one_line(message)}\n")
        sys.stderr.flush()


def report_error(
    message: str,
    hint: str,
    exit_code: int,
    *,
    as_json: bool = False,
    about: Mapping[str, Any] | None = None,
) -> None:
    """Show a failure: `error:` and `hint:` lines on stderr, or an `error` object on stdout.

    `about` stands beside the object: which of several it was that failed.
    """
    if as_json:
        error = {"message": message, "hint": hint, "exit_code": int(exit_code)}
        print_json({**(about or {}), "error": error})
        return
    note(f"error: {message}")
    if hint:
        note(f"hint: {hint}")


@contextmanager
def console_progress(quiet: bool) -> Iterator[Progress]:
    """Yield the `Progress` that suits stderr: a bar, a line every 30 s, or nothing if `quiet`."""
    if quiet:
        yield SilentProgress()
    elif sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress
        from rich.text import Text

        class Bars(RichProgress):
            """Bars and, on lines of their own, measurements: no bar has room for both."""

            def get_renderables(self) -> Iterable[rich.console.RenderableType]:
                yield from super().get_renderables()
                # A copy: this runs in a thread of its own.
                for line in list(measured.values()):
                    yield Text(line, no_wrap=True, overflow="ellipsis")

        measured: dict[tuple[str, ...], str] = {}
        bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=BAR_WIDTH),
            TextColumn("{task.fields[count]}", markup=False),
            TextColumn("{task.fields[pace]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            # Lines are the terminal's to break: a path that Rich broke could not be copied.
            console=Console(stderr=True, highlight=False, soft_wrap=True),
            transient=True,
            # Results printed meanwhile would be drawn over where stdout is the same terminal;
            # where it is a pipe or a file they must go there and nowhere else.
            redirect_stdout=sys.stdout.isatty(),
        )
        with bars:
            yield _TerminalProgress(bars, measured)
    else:
        yield _LogProgress()


def _plain(obj: Any) -> Any:
    if is_dataclass(obj) and not isinstance(obj, type):
        return _plain(asdict(obj))
    if isinstance(obj, Mapping):
        return {str(key): _plain(value) for key, value in obj.items()}
    if isinstance(obj, (list, tuple)):
        return [_plain(item) for item in obj]
    if isinstance(obj, Path):
        return str(obj)
    if isinstance(obj, float) and not math.isfinite(obj):
        return None
    return obj


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (tuple, list)):
        return "; ".join(map(_cell, value)) or "none"
    return one_line(str(value))


def _format_values(values: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in values.items())


class _TerminalProgress:
    """A bar for each stage in progress, redrawn in place.

    Args:
        bars: What is drawn.
        measured: Lines below the bars, by the names of what was measured: the latest of each kind.
    """

    def __init__(self, bars: rich.progress.Progress, measured: dict[tuple[str, ...], str]) -> None:
        self._bars, self._measured = bars, measured
        self._stages: list[rich.progress.TaskID] = []

    def start(self, what: str, total: int | None) -> None:
        room = max(MIN_DESCRIPTION, self._bars.console.width - BAR_WIDTH - _NUMBERS_WIDTH)
        shown = what if len(what) <= room else what[: room - 1] + "…"
        task = self._bars.add_task(shown, total=total, count="", pace="")
        self._stages.append(task)

    def advance(self, n: int = 1) -> None:
        if not self._stages:
            return
        stage = self._stages[-1]
        self._bars.advance(stage, n)
        task = self._bars.tasks[-1]
        count = f"{task.completed:g}" + (f"/{task.total:g}" if task.total is not None else "")
        pace = "" if task.speed is None else f"{task.speed:.3g}/s"
        self._bars.update(stage, count=count, pace=pace)

    def finish(self) -> None:
        if self._stages:
            self._bars.remove_task(self._stages.pop())
        self._measured.clear()

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        self._measured[tuple(values)] = f"step {step}  {_format_values(values)}"

    def notice(self, message: str) -> None:
        self._bars.console.print(one_line(message), markup=False, soft_wrap=True)


class _LogProgress:
    """A plain line every 30 seconds, so that a log stays short and a short command silent."""

    def __init__(self) -> None:
        self._what = ""
        self._total: int | None = None
        self._done = 0
        self._values = ""
        self._spoken_at = time.monotonic()

    def start(self, what: str, total: int | None) -> None:
        self._what, self._total, self._done, self._values = what, total, 0, ""

    def advance(self, n: int = 1) -> None:
        self._done += n
        self._speak()

    def finish(self) -> None:
        if self._values:
            note(f"{self._what}: {self._values}")
        self._values = ""

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        self._values = f"step {step}  {_format_values(values)}"
        self._speak()

    def notice(self, message: str) -> None:
        note(message)

    def _speak(self) -> None:
        now = time.monotonic()
        if now - self._spoken_at < LOG_EVERY_S:
            return
        self._spoken_at = now
        total = f"/{self._total}" if self._total is not None else ""
        note(f"{self._what}: {self._values or f'{self._done}{total}'}")
