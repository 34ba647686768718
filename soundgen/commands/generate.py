"""`soundgen generate`: from prompts to sound files."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from soundgen.commands._terminal import (
    DeviceOption,
    ForceOption,
    JsonOption,
    QuietOption,
    VerboseOption,
    console_progress,
    note,
    print_json,
    print_line,
    report_error,
)
from soundgen.errors import ExitCode, OutputError, UsageError

if TYPE_CHECKING:
    from soundgen.pipelines.generate import (
        GenerateFailure,
        GenerateResult,
        GenerateSettings,
        SoundRequest,
    )

Format = Literal["wav", "flac", "ogg", "opus", "mp3"]

FORMATS = ("wav", "flac", "ogg", "opus", "mp3")
MIN_DURATION_S, MAX_DURATION_S = 0.1, 300.0
# Drawn seeds stay short enough to type; given ones may be as large as PyTorch takes.
DRAWN_SEEDS, MAX_SEED = 2**32, 2**63 - 1

_SOUND, _SAMPLING, _OUTPUT, _RUN = "The sound", "Sampling", "Output", "Running"


def generate(
    prompts: Annotated[
        list[str], typer.Argument(metavar="PROMPT", help="What to hear, in a few words.")
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE|DIR",
            help="Where to write; the suffix picks the format. A folder for several sounds. "
            "Without it, a file here that is named after the prompt.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    duration: Annotated[
        str,
        typer.Option(
            "-d",
            "--duration",
            metavar="SECONDS|auto",
            help=f"Length, {MIN_DURATION_S:g} to {MAX_DURATION_S:g} s; auto lets the model end "
            "the sound.",
            rich_help_panel=_SOUND,
        ),
    ] = "auto",
    variations: Annotated[
        int,
        typer.Option(
            "-n",
            "--variations",
            metavar="N",
            min=1,
            help="Sounds for each prompt; number k is made with seed + k.",
            rich_help_panel=_SOUND,
        ),
    ] = 1,
    best_of: Annotated[
        int,
        typer.Option(
            "--best-of",
            metavar="N",
            min=1,
            help="Make N candidates for each sound and keep the one that fits the prompt best, as "
            "the model's matcher hears it. It takes N times as long, and memory for eight. "
            "Variation k chooses among the N seeds from seed + k x N on; of several files each is "
            "named after its first candidate, and its tags hold the seed that was chosen.",
            rich_help_panel=_SOUND,
        ),
    ] = 1,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            metavar="N",
            min=0,
            max=MAX_SEED,
            help="Repeats a sound; drawn and shown if not given.",
            rich_help_panel=_SOUND,
        ),
    ] = None,
    negative_prompt: Annotated[
        str,
        typer.Option(
            "--negative-prompt",
            metavar="TEXT",
            help="What not to hear.",
            rich_help_panel=_SOUND,
        ),
    ] = "",
    temperature: Annotated[
        float,
        typer.Option(
            "--temperature",
            metavar="X",
            min=0.0,
            help="Above 1 wilder, below 1 tamer.",
            rich_help_panel=_SAMPLING,
        ),
    ] = 1.0,
    top_k: Annotated[
        int,
        typer.Option(
            "--top-k",
            metavar="N",
            min=0,
            help="Draw from the k likeliest codes; 0: from all.",
            rich_help_panel=_SAMPLING,
        ),
    ] = 100,
    top_p: Annotated[
        float,
        typer.Option(
            "--top-p",
            metavar="X",
            min=0.0,
            max=1.0,
            help="Draw from the likeliest codes that sum to p; 0: no such limit.",
            rich_help_panel=_SAMPLING,
        ),
    ] = 0.0,
    cfg_scale: Annotated[
        float,
        typer.Option(
            "--cfg-scale",
            metavar="X",
            min=0.0,
            help="How closely to follow the prompt (guidance); 1: no guidance.",
            rich_help_panel=_SAMPLING,
        ),
    ] = 3.0,
    format_: Annotated[
        Format | None,
        typer.Option(
            "--format",
            metavar="|".join(FORMATS),
            help="File format, where --output names none; wav otherwise.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            metavar="NAME|DIR",
            help="A shipped model, or a model folder.",
            rich_help_panel=_RUN,
        ),
    ] = "soundgen-small",
    device: DeviceOption = "auto",
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads",
            metavar="N",
            min=1,
            max=1024,
            help="Processor threads; all cores if not given.",
            rich_help_panel=_RUN,
        ),
    ] = None,
    json: JsonOption = False,
    force: ForceOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Turn each PROMPT into a sound file, and print the file's path.

    Examples: `soundgen generate "rain on a tin roof" -d 5 -o rain.wav` and
    `soundgen generate "door slam" "thunder" -n 4 -o sounds/`
    """
    prompts = [_checked_prompt(prompt) for prompt in prompts]
    duration_s = parse_duration(duration)
    for option, value in (("--temperature", temperature), ("--cfg-scale", cfg_scale)):
        if not math.isfinite(value):
            raise UsageError(f"{option} {value}: not a finite number")
    several = len(prompts) * variations > 1
    folder, name, suffix = plan_output(output, format_, several=several)
    if seed is None:
        seed = secrets.randbelow(DRAWN_SEEDS)
        note(f"seed {seed}", quiet=quiet)
    if seed + len(prompts) + variations * best_of - 2 > MAX_SEED:
        raise UsageError(f"--seed {seed}: too large for so many sounds")

    from soundgen.pipelines import generate as pipeline

    settings = pipeline.GenerateSettings(
        duration_s=duration_s,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        cfg_scale=cfg_scale,
        negative_prompt=negative_prompt,
    )
    requests = _requests(prompts, variations, best_of, seed, settings, folder, name, suffix)
    with _folder_made(folder, needed=name is None), console_progress(quiet) as progress:
        results = pipeline.generate(
            requests, model=model, device=device, threads=threads, force=force, progress=progress
        )
        failed = False
        for result in results:
            failed |= not _show(result, json=json, quiet=quiet)
    if failed:
        raise typer.Exit(ExitCode.INPUT)


def parse_duration(text: str) -> float | None:
    """Return the seconds that `text` asks for, None for `auto`.

    Raises:
        UsageError: Not a number, or outside the allowed range.
    """
    if text == "auto":
        return None
    try:
        duration_s = float(text)
    except ValueError:
        duration_s = float("nan")
    if not MIN_DURATION_S <= duration_s <= MAX_DURATION_S:
        raise UsageError(
            f"--duration {text}: expected auto, or {MIN_DURATION_S:g} to {MAX_DURATION_S:g} seconds"
        )
    return duration_s


def plan_output(
    output: str | None, format_: Format | None, *, several: bool
) -> tuple[Path, str | None, str]:
    """Decide where sounds go: the folder, the file's name (None: after the prompt), the suffix.

    Raises:
        UsageError: One file is named for several sounds, or the suffix is unknown or contradicts
            `format_`.
    """
    suffix = f".{format_ or 'wav'}"
    if output is None:
        return Path(), None, suffix
    path = Path(output)
    if output.endswith("/") or path.is_dir():
        return path, None, suffix
    if several:
        raise UsageError(f"{output}: one file for several sounds", hint=f"name a folder: {output}/")
    named = path.suffix.lower().removeprefix(".")
    if named not in FORMATS:
        raise UsageError(
            f"{output}: no sound format has the suffix '{path.suffix}'",
            hint=f"one of {', '.join(f'.{name}' for name in FORMATS)}",
        )
    if format_ is not None and format_ != named:
        raise UsageError(f"{output}: not the suffix of --format {format_}")
    return path.parent, path.name, path.suffix


@contextmanager
def _folder_made(folder: Path, *, needed: bool) -> Iterator[None]:
    """Make the folder that was asked for; take it away again if nothing came of it."""
    if not needed or folder.is_dir():
        yield
        return
    try:
        folder.mkdir()
    except FileNotFoundError as error:  # a missing parent is more likely a typo than a wish
        raise OutputError(
            f"{folder}: the folder {folder.parent} does not exist", hint=f"mkdir -p {folder}"
        ) from error
    except OSError as error:
        raise OutputError(f"{folder}: the folder cannot be made ({error.strerror})") from error
    try:
        yield
    finally:
        with suppress(OSError):  # it is not empty: the usual end
            folder.rmdir()


def _checked_prompt(prompt: str) -> str:
    prompt = " ".join(prompt.split())
    if not prompt:
        raise UsageError("the prompt is empty", hint='for example: soundgen generate "rain"')
    return prompt


def _requests(
    prompts: list[str],
    variations: int,
    best_of: int,
    seed: int,
    settings: GenerateSettings,
    folder: Path,
    name: str | None,
    suffix: str,
) -> list[SoundRequest]:
    """List the sounds to make: prompt i, variation k with the seeds from seed + i + k N on."""
    from soundgen.pipelines.generate import SoundRequest, prompt_slug

    several = len(prompts) * variations > 1
    requests: list[SoundRequest] = []
    taken: set[Path] = set()
    for row, prompt in enumerate(prompts):
        for variation in range(variations):
            own_seed = seed + row + variation * best_of
            stem = prompt_slug(prompt) + (f"_{own_seed}" if several else "")
            path = folder / (name or f"{stem}{suffix}")
            if path in taken:
                raise UsageError(
                    f"{path}: two of the sounds would have this name",
                    hint="ask for different prompts, or use -n for variations of one",
                )
            taken.add(path)
            requests.append(
                SoundRequest(
                    prompt=prompt,
                    seed=own_seed,
                    output=path,
                    settings=settings,
                    best_of=best_of,
                )
            )
    return requests


def _show(result: GenerateResult | GenerateFailure, *, json: bool, quiet: bool) -> bool:
    """Show one result; return whether it is one."""
    from soundgen.pipelines.generate import GenerateFailure

    if isinstance(result, GenerateFailure):
        error = result.error
        report_error(error.message, error.hint, error.exit_code, as_json=json)
        return False
    if result.warning:
        note(f"warning: {result.warning}", quiet=quiet)
    if json:
        print_json(result)
        return True
    print_line(str(result.output))
    if result.skipped:
        note(f"{result.output}: made already with these settings; skipped", quiet=quiet)
    else:
        match = "" if result.match is None else f"match {result.match:.2f}  "
        note(
            f"{result.output}  {result.duration_s:.2f} s  seed {result.seed}  {match}"
            f"made in {result.seconds_spent:.1f} s",
            quiet=quiet,
        )
    return True
