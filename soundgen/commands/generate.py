"""`soundgen generate`: from prompts to sound files."""

from __future__ import annotations

import math
import secrets
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from soundgen.commands._finish import (
    BitDepthOption,
    ChannelsOption,
    FadeInOption,
    FadeOutOption,
    LoudnessOption,
    NormalizeOption,
    SampleRateOption,
    TrimOption,
    finish_settings,
)
from soundgen.commands._sound_files import FORMATS, Format, folder_made, plan_output
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
from soundgen.errors import DeviceError, ExitCode, UsageError

if TYPE_CHECKING:
    from soundgen.pipelines.sound_request import GenerateFailure, GenerateResult, SoundRequest

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
    trim: TrimOption = False,
    sample_rate: SampleRateOption = None,
    fade_in: FadeInOption = 0.0,
    fade_out: FadeOutOption = 0.0,
    channels: ChannelsOption = "1",
    loudness: LoudnessOption = None,
    normalize: NormalizeOption = False,
    bit_depth: BitDepthOption = None,
    plot: Annotated[
        bool,
        typer.Option(
            "--plot",
            help="Draw waveform and spectrogram beside each sound: rain.wav, rain.png.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    play: Annotated[
        bool,
        typer.Option("--play", help="Play each sound once it is written.", rich_help_panel=_OUTPUT),
    ] = False,
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
    finish = finish_settings(
        trim=trim,
        sample_rate=sample_rate,
        fade_in_s=fade_in,
        fade_out_s=fade_out,
        channels=channels,
        loudness_lufs=loudness,
        normalize=normalize,
        bit_depth=bit_depth,
        duration_s=duration_s,
    )
    if play:
        from soundgen.audio.play import check_playing

        check_playing()
    several = len(prompts) * variations > 1
    folder, name, suffix = plan_output(output, format_, several=several)
    if seed is None:
        seed = secrets.randbelow(DRAWN_SEEDS)
        note(f"seed {seed}", quiet=quiet)
    if seed + len(prompts) + variations * best_of - 2 > MAX_SEED:
        raise UsageError(f"--seed {seed}: too large for so many sounds")

    from soundgen.pipelines import generate as pipeline
    from soundgen.pipelines.sound_request import GenerateSettings, SoundRequest

    pattern = SoundRequest(
        prompt="",
        seed=seed,
        output=folder / (name or suffix),
        settings=GenerateSettings(
            duration_s=duration_s,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            cfg_scale=cfg_scale,
            negative_prompt=negative_prompt,
        ),
        best_of=best_of,
        finish=finish,
    )
    requests = _requests(prompts, variations, pattern, named=name is not None, plot=plot)
    exit_code = ExitCode.OK
    with folder_made(folder, needed=name is None), console_progress(quiet) as progress:
        for result in pipeline.generate(
            requests, model=model, device=device, threads=threads, force=force, progress=progress
        ):
            if not _show(result, json=json, quiet=quiet):
                exit_code = ExitCode.INPUT
            elif play and not _play(result.output, json=json):
                play, exit_code = False, max(exit_code, ExitCode.DEVICE)
    if exit_code:
        raise typer.Exit(exit_code)


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


def _checked_prompt(prompt: str) -> str:
    prompt = " ".join(prompt.split())
    if not prompt:
        raise UsageError("the prompt is empty", hint='for example: soundgen generate "rain"')
    return prompt


def _requests(
    prompts: list[str], variations: int, pattern: SoundRequest, *, named: bool, plot: bool
) -> list[SoundRequest]:
    """List the sounds to make: prompt i, variation k with the seeds from seed + i + k N on.

    Args:
        prompts: What to hear.
        variations: Of each prompt.
        pattern: What they have in common, and the first seed; its output names the folder, and
            the file or its suffix.
        named: The output is the whole name; otherwise files are named after their prompts.
        plot: Draw each.
    """
    from soundgen.pipelines.sound_request import prompt_slug

    several = len(prompts) * variations > 1
    requests: list[SoundRequest] = []
    taken: set[Path] = set()
    for row, prompt in enumerate(prompts):
        for variation in range(variations):
            seed = pattern.seed + row + variation * pattern.best_of
            stem = prompt_slug(prompt) + (f"_{seed}" if several else "")
            path = pattern.output
            if not named:
                path = path.with_name(f"{stem}{path.name}")
            if path in taken:
                raise UsageError(
                    f"{path}: two of the sounds would have this name",
                    hint="ask for different prompts, or use -n for variations of one",
                )
            taken.add(path)
            picture = path.with_suffix(".png") if plot else None
            requests.append(replace(pattern, prompt=prompt, seed=seed, output=path, plot=picture))
    return requests


def _play(path: Path, *, json: bool) -> bool:
    """Play a file; return whether there is something to play it with, and say so if not."""
    from soundgen.audio.io import read_audio
    from soundgen.audio.play import play

    try:
        play(read_audio(path))
    except DeviceError as error:
        report_error(error.message, error.hint, error.exit_code, as_json=json)
        return False
    return True


def _show(result: GenerateResult | GenerateFailure, *, json: bool, quiet: bool) -> bool:
    """Show one result; return whether it is one."""
    from soundgen.pipelines.sound_request import GenerateFailure

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
    if result.plot is not None:
        note(f"drawn: {result.plot}", quiet=quiet)
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
