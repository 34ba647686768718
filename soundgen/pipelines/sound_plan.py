"""From prompts and tables to the files to make: each with its seed, its settings and its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from soundgen.audio.io import FORMATS
from soundgen.errors import InputError, UsageError
from soundgen.pipelines.sound_names import NameTemplate, name_key, prompt_slug
from soundgen.pipelines.sound_request import MAX_SEED, GenerateSettings, SoundRequest
from soundgen.pipelines.sound_source import SoundSource, check_source
from soundgen.pipelines.sound_table import SoundRow


@dataclass(frozen=True, kw_only=True)
class SoundPlan:
    """What is to be made, but for the seed.

    Attributes:
        rows: Prompts, with what they say for themselves.
        pattern: What holds for rows that do not say otherwise; its output and seed do not matter.
        variations: Likewise, of each.
        folder: Where files go.
        output: The one file, if it was named.
        name: How files are called, if their rows do not say; `None`: after the prompt, and where
            there are several after the seed.
        suffix: Of files whose rows do not name one.
        plot: Draw each.
    """

    rows: Sequence[SoundRow]
    pattern: SoundRequest
    variations: int = 1
    folder: Path = Path()
    output: Path | None = None
    name: NameTemplate | None = None
    suffix: str = ".wav"
    plot: bool = False

    @property
    def num_sounds(self) -> int:
        """How many files will be made."""
        return sum(row.variations or self.variations for row in self.rows)

    def asked(self) -> dict[str, Any]:
        """Return all that shapes the sounds and their names but seed and folder, for JSON."""
        rows = [{**asdict(row), "where": ""} for row in self.rows]
        pattern = {**asdict(self.pattern), "seed": 0, "output": ""}
        name = None if self.name is None else self.name.text
        return {"rows": rows, "pattern": pattern, "variations": self.variations, "name": name,
                "suffix": self.suffix, "plot": self.plot}  # fmt: skip

    def requests(self, seed: int) -> list[SoundRequest]:
        """List the files to make: row i, variation k with the N seeds from seed + i + k N on.

        Args:
            seed: For rows that have none of their own.

        Raises:
            InputError: A row asks for what cannot be; the message names its line.
            UsageError: The options do.
        """
        requests: list[SoundRequest] = []
        taken: dict[str, SoundRow] = {}
        for index, row in enumerate(self.rows):
            for request in self._of_row(index, row, seed):
                for path in filter(None, (request.output, request.plot)):
                    if other := taken.get(name_key(path)):
                        beside = f" ({other.where})" if other.where else ""
                        raise _refusal(
                            row,
                            f"{path}: two of the sounds would have this name{beside}",
                            hint="tell them apart by other prompts, or by {row} and {variation} "
                            "in the name",
                        )
                    taken[name_key(path)] = row
                requests.append(request)
        return requests

    def _of_row(self, index: int, row: SoundRow, seed: int) -> list[SoundRequest]:
        best_of = row.best_of or self.pattern.best_of
        first = seed + index if row.seed is None else row.seed
        variations = row.variations or self.variations
        if first + variations * best_of - 1 > MAX_SEED:
            raise _refusal(row, f"seed {first}: too large for so many sounds")
        settings = replace(
            self.pattern.settings,
            **row.settings,
            source=_source_of(row, self.pattern.settings.source),
        )
        self._check(row, settings)
        template, suffix = self._template(row)
        made = []
        for variation in range(variations):
            own_seed = first + variation * best_of
            output = self.output or self.folder / template.path(
                {
                    "prompt": prompt_slug(row.prompt),
                    "seed": own_seed,
                    "row": index + 1,
                    "variation": variation + 1,
                    "duration": "auto" if settings.duration_s is None
                    else f"{settings.duration_s:g}",
                },
                suffix,
            )  # fmt: skip
            made.append(
                replace(
                    self.pattern,
                    prompt=row.prompt,
                    seed=own_seed,
                    output=output,
                    settings=settings,
                    best_of=best_of,
                    plot=output.with_suffix(".png") if self.plot else None,
                    row=index + 1,
                    variation=variation + 1,
                )
            )
        return made

    def _check(self, row: SoundRow, settings: GenerateSettings) -> None:
        finish, duration_s = self.pattern.finish, settings.duration_s
        if settings.source is not None:
            _check_source(row, settings, settings.source)
        if settings.loop and duration_s is None:
            raise _refusal(row, "a loop needs a length", hint="say it with -d, or in its row")
        if settings.source is not None:
            return  # how long it will be is not known here
        if duration_s is not None and finish.fade_in_s + finish.fade_out_s > duration_s:
            raise _refusal(
                row,
                f"--fade-in {finish.fade_in_s:g} and --fade-out {finish.fade_out_s:g}: longer "
                f"than the sound of {duration_s:g} s",
            )

    def _template(self, row: SoundRow) -> tuple[NameTemplate, str]:
        if row.output is None:
            default = "{prompt}_{seed}" if self.num_sounds > 1 else "{prompt}"
            return self.name or NameTemplate(default), self.suffix
        suffix = Path(row.output).suffix
        text = row.output.removesuffix(suffix)
        if suffix.lower() not in FORMATS:
            raise _refusal(
                row,
                f"output: {row.output}: no sound format has the suffix '{suffix}'",
                hint=f"one of {', '.join(FORMATS)}",
            )
        try:
            return NameTemplate(text, "output"), suffix
        except UsageError as error:
            raise _refusal(row, error.message, hint=error.hint) from error


def _source_of(row: SoundRow, common: SoundSource | None) -> SoundSource | None:
    """Return what a row goes on from: the file that it names, or that of all, with its own say."""
    if "continue" in row.source and "vary" in row.source:
        raise _refusal(row, "continue and variation_of exclude each other", hint="leave one out")
    amounts = {key: row.source[key] for key in ("context_s", "strength") if key in row.source}
    use: Literal["continue", "vary"] = "continue" if "continue" in row.source else "vary"
    if use in row.source:
        source = SoundSource(path=row.source[use], use=use)
        if common is not None and common.use == use:
            source = replace(common, path=source.path)
    elif common is not None:
        source, use = common, common.use
    elif amounts:
        raise _refusal(row, "seconds_of_context and strength need a file to go on from",
                       hint="name it with continue or variation_of")  # fmt: skip
    else:
        return None
    foreign = "strength" if use == "continue" else "context_s"
    if foreign in amounts:
        raise _refusal(row, "strength is for variation_of, seconds_of_context for continue")
    return replace(source, **amounts)


def _check_source(row: SoundRow, settings: GenerateSettings, source: SoundSource) -> None:
    if settings.loop:
        raise _refusal(
            row,
            f"a sound made from {source.path} cannot be a loop: its ends are those of the file",
            hint="leave the loop out, or make one of a prompt alone",
        )
    if source.use == "vary" and settings.duration_s is not None:
        raise _refusal(
            row, f"a variation is as long as {source.path}", hint="leave the duration out"
        )
    try:
        check_source(source)
    except InputError as error:
        if row.where:
            raise InputError(f"{row.where}: {error.message}", hint=error.hint) from error
        raise


def _refusal(row: SoundRow, message: str, *, hint: str = "") -> InputError | UsageError:
    """Return the error for a row: of its file and line, or of the command line."""
    if row.where:
        return InputError(f"{row.where}: {message}", hint=hint)
    return UsageError(message, hint=hint)
