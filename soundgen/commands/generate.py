"""`soundgen generate`: from prompts to sound files."""

from __future__ import annotations

import math
import secrets
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

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
from soundgen.commands._shard import parse_shard
from soundgen.commands._sound_files import FORMATS, folders_made, plan_output
from soundgen.commands._sound_options import (
    DEFAULT_CFG_SCALE,
    DEFAULT_TEMPERATURE,
    DEFAULT_TOP_K,
    DEFAULT_TOP_P,
    BestOfOption,
    CfgScaleOption,
    DurationOption,
    FormatOption,
    LoopOption,
    ModelOption,
    NameOption,
    NegativePromptOption,
    OutputOption,
    PlayOption,
    PlotOption,
    PrecisionOption,
    PromptsArgument,
    SeedOption,
    ShardOption,
    TableOption,
    TemperatureOption,
    TopKOption,
    TopPOption,
    VariationsOption,
)
from soundgen.commands._source import (
    ContextOption,
    ContinueOption,
    StrengthOption,
    VariationOfOption,
    sound_source,
)
from soundgen.commands._terminal import (
    DeviceOption,
    ForceOption,
    JsonOption,
    QuietOption,
    ThreadsOption,
    VerboseOption,
    console_progress,
    note,
    print_json,
    print_line,
    report_error,
)
from soundgen.errors import DeviceError, ExitCode, InputError, UsageError

if TYPE_CHECKING:
    from soundgen.pipelines.sound_journal import SoundJournal
    from soundgen.pipelines.sound_names import NameTemplate
    from soundgen.pipelines.sound_request import GenerateFailure, GenerateResult
    from soundgen.pipelines.sound_table import SoundRow

# Drawn seeds stay short enough to type; given ones may be as large as PyTorch takes.
DRAWN_SEEDS = 2**32


def generate(
    prompts: PromptsArgument = None,
    table: TableOption = None,
    output: OutputOption = None,
    duration: DurationOption = "auto",
    variations: VariationsOption = 1,
    best_of: BestOfOption = 1,
    seed: SeedOption = None,
    negative_prompt: NegativePromptOption = "",
    loop: LoopOption = False,
    continue_: ContinueOption = None,
    seconds_of_context: ContextOption = None,
    variation_of: VariationOfOption = None,
    strength: StrengthOption = None,
    temperature: TemperatureOption = DEFAULT_TEMPERATURE,
    top_k: TopKOption = DEFAULT_TOP_K,
    top_p: TopPOption = DEFAULT_TOP_P,
    cfg_scale: CfgScaleOption = DEFAULT_CFG_SCALE,
    name: NameOption = None,
    shard: ShardOption = None,
    format_: FormatOption = None,
    trim: TrimOption = False,
    sample_rate: SampleRateOption = None,
    fade_in: FadeInOption = 0.0,
    fade_out: FadeOutOption = 0.0,
    channels: ChannelsOption = "1",
    loudness: LoudnessOption = None,
    normalize: NormalizeOption = False,
    bit_depth: BitDepthOption = None,
    plot: PlotOption = False,
    play: PlayOption = False,
    model: ModelOption = "soundgen-small",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    threads: ThreadsOption = None,
    json: JsonOption = False,
    force: ForceOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Turn each PROMPT into a sound file, and print the file's path.

    Examples: `soundgen generate "rain on a tin roof" -d 5 -o rain.wav`,
    `soundgen generate "door slam" "thunder" -n 4 -o sounds/`,
    `soundgen generate --prompts sounds.csv -o sounds/ --name "{row:03d}_{prompt}"` and
    `soundgen generate "door slam" --variation-of slam.wav --strength 0.4 -n 4 -o slams/`
    """
    from soundgen.pipelines.shards import check_shard

    part = check_shard(parse_shard(shard))
    if part is not None and seed is None:
        raise UsageError("--shard needs --seed: all parts must draw the same", hint="add --seed 1")
    rows = _rows(prompts, table)
    duration_s = parse_duration(duration)
    for option, value in (("--temperature", temperature), ("--cfg-scale", cfg_scale)):
        if not math.isfinite(value):
            raise UsageError(f"{option} {value}: not a finite number")
    source = sound_source(continue_, seconds_of_context, variation_of, strength)
    finish = finish_settings(
        trim=trim,
        sample_rate=sample_rate,
        fade_in_s=fade_in,
        fade_out_s=fade_out,
        channels=channels,
        loudness_lufs=loudness,
        normalize=normalize,
        bit_depth=bit_depth,
    )
    if play:
        from soundgen.audio.play import check_playing

        check_playing()

    from soundgen.pipelines import generate as pipeline
    from soundgen.pipelines.sound_journal import SoundJournal
    from soundgen.pipelines.sound_plan import SoundPlan
    from soundgen.pipelines.sound_request import GenerateResult, GenerateSettings, SoundRequest

    several = sum(row.variations or variations for row in rows) > 1
    folder, file_name, suffix = plan_output(output, format_, several=several)
    plan = SoundPlan(
        rows=rows,
        pattern=SoundRequest(
            prompt="",
            seed=0,
            output=folder,
            settings=GenerateSettings(
                duration_s=duration_s,
                temperature=temperature,
                top_k=top_k,
                top_p=top_p,
                cfg_scale=cfg_scale,
                negative_prompt=negative_prompt,
                loop=loop,
                source=source,
            ),
            best_of=best_of,
            finish=finish,
        ),
        variations=variations,
        folder=folder,
        output=None if file_name is None else folder / file_name,
        name=None if name is None else _template(name, file_name),
        suffix=suffix,
        plot=plot,
    )
    asked = {**plan.asked(), "seed": seed, "model": model}
    if part is not None:
        asked["shard"] = part.name
    if precision != "auto":
        asked["precision"] = precision
    journal = SoundJournal(folder, asked) if several else None
    if seed is None:
        seed = _draw_seed(journal, quiet=quiet)
    requests = plan.requests(seed)
    if part is not None:
        requests = [request for i, request in enumerate(requests) if part.takes(i)]
        note(f"shard {shard}: {len(requests)} of {plan.num_sounds} sounds", quiet=quiet)
        if not requests:
            return
    outputs = [request.output for request in requests]
    with (
        nullcontext() if file_name else folders_made(folder, outputs),
        journal.held(seed, outputs) if journal else nullcontext(),
        _told_how_to_go_on(journal, len(requests), quiet=quiet),
        console_progress(quiet) as progress,
    ):
        exit_code = ExitCode.OK
        for result in pipeline.generate(
            requests,
            model=model,
            device=device,
            precision=precision,
            threads=threads,
            force=force,
            finished=journal.finished if journal else (),
            progress=progress,
        ):
            if journal and isinstance(result, GenerateResult):
                journal.add(result.output)
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
    from soundgen.pipelines.sound_request import duration_of

    try:
        return duration_of(text)
    except ValueError as error:
        raise UsageError(f"--duration {text}: {error}") from error


def _rows(prompts: list[str] | None, table: str | None) -> list[SoundRow]:
    from soundgen.pipelines.sound_request import clean_prompt
    from soundgen.pipelines.sound_table import SoundRow, parse_sound_table, read_sound_table

    if prompts and table is not None:
        raise UsageError("prompts and --prompts exclude each other", hint="leave one out")
    if table == "-":
        try:
            return parse_sound_table(sys.stdin.buffer.read().decode("utf-8-sig"), "<stdin>")
        except UnicodeDecodeError as error:
            raise InputError("<stdin>: not text in UTF-8") from error
    if table is not None:
        return read_sound_table(Path(table))
    if not prompts:
        raise UsageError(
            "Missing argument 'PROMPT...', or --prompts FILE", hint="soundgen generate --help"
        )
    try:
        return [SoundRow(prompt=clean_prompt(prompt)) for prompt in prompts]
    except ValueError as error:
        raise UsageError(str(error), hint='for example: soundgen generate "rain"') from error


def _draw_seed(journal: SoundJournal | None, *, quiet: bool) -> int:
    """Return the seed that a stopped run of the same batch drew, or draw one; and say it."""
    if journal is not None and journal.seed is not None:
        note(f"seed {journal.seed}, as drawn by the run that was stopped", quiet=quiet)
        return journal.seed
    seed = secrets.randbelow(DRAWN_SEEDS)
    note(f"seed {seed}", quiet=quiet)
    return seed


@contextmanager
def _told_how_to_go_on(
    journal: SoundJournal | None, num_sounds: int, *, quiet: bool
) -> Iterator[None]:
    """Say last how to go on with a batch of which something was made and something is missing."""
    try:
        yield
    finally:
        if journal is not None and 0 < len(journal.finished) < num_sounds:
            note(
                f"{len(journal.finished)} of {num_sounds} sounds are made; to go on, run this "
                f"again: {shlex.join(['soundgen', *sys.argv[1:]])}",
                quiet=quiet,
            )


def _template(name: str, file_name: str | None) -> NameTemplate:
    from soundgen.pipelines.sound_names import NameTemplate

    if file_name is not None:
        raise UsageError(f"--name {name}: the file is named {file_name}", hint="leave one out")
    if Path(name).suffix.lower().removeprefix(".") in FORMATS:
        raise UsageError(f"--name {name}: the suffix is the format's", hint="use --format")
    return NameTemplate(name)


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
        about = {
            "output": result.output,
            "prompt": result.prompt,
            "seed": result.seed,
            "row": result.row,
            "variation": result.variation,
        }
        report_error(error.message, error.hint, error.exit_code, as_json=json, about=about)
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
