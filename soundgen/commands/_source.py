"""The options of `soundgen generate` that name a sound to go on from, and what they come to."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from soundgen.errors import UsageError

if TYPE_CHECKING:
    from soundgen.pipelines.sound_source import SoundSource

# `soundgen.pipelines.sound_source` has these too, and NumPy, which --help must not wait for.
MIN_CONTEXT_S, MAX_CONTEXT_S = 0.1, 60.0
DEFAULT_CONTEXT_S, DEFAULT_STRENGTH = 3.0, 0.5

_FROM_SOUND = "From a sound that is there"

ContinueOption = Annotated[
    str | None,
    typer.Option(
        "--continue",
        metavar="FILE",
        help="Make a sound longer: what it is comes first, then --duration more, which the model "
        "makes from its end. Of the file only the last 50 ms change, so that nothing is heard of "
        "the passage; it is mono, at the model's rate.",
        rich_help_panel=_FROM_SOUND,
    ),
]
ContextOption = Annotated[
    float | None,
    typer.Option(
        "--seconds-of-context",
        metavar="S",
        min=MIN_CONTEXT_S,
        max=MAX_CONTEXT_S,
        help="How much of the end of --continue FILE the model hears, at most what it looks back "
        f"over. [default: {DEFAULT_CONTEXT_S:g}]",
        rich_help_panel=_FROM_SOUND,
    ),
]
VariationOfOption = Annotated[
    str | None,
    typer.Option(
        "--variation-of",
        metavar="FILE",
        help="Make another take of a sound, as long as it is: its coarse codes stay, the finer "
        "ones are drawn anew for the prompt.",
        rich_help_panel=_FROM_SOUND,
    ),
]
StrengthOption = Annotated[
    float | None,
    typer.Option(
        "--strength",
        metavar="X",
        min=0.0,
        max=1.0,
        help="How much of --variation-of FILE is new: 0 is what the codec makes of the file, 1 a "
        f"new sound of its length. [default: {DEFAULT_STRENGTH:g}]",
        rich_help_panel=_FROM_SOUND,
    ),
]


def sound_source(
    continue_: str | None,
    seconds_of_context: float | None,
    variation_of: str | None,
    strength: float | None,
) -> SoundSource | None:
    """Return the sound to go on from; `None` where the options name none.

    Raises:
        UsageError: They exclude each other, or one of them has nothing to say something of.
    """
    if continue_ is not None and variation_of is not None:
        raise UsageError("--continue and --variation-of exclude each other", hint="leave one out")
    for option, value, owner, file in (
        ("--seconds-of-context", seconds_of_context, "--continue", continue_),
        ("--strength", strength, "--variation-of", variation_of),
    ):
        if value is not None and file is None:
            raise UsageError(f"{option} {value:g}: there is no {owner}", hint=f"add {owner} FILE")
        if value is not None and math.isnan(value):
            raise UsageError(f"{option} {value:g}: not a number")
    from soundgen.pipelines.sound_source import SoundSource

    if continue_ is not None:
        context_s = DEFAULT_CONTEXT_S if seconds_of_context is None else seconds_of_context
        return SoundSource(path=continue_, use="continue", context_s=context_s)
    if variation_of is not None:
        strength = DEFAULT_STRENGTH if strength is None else strength
        return SoundSource(path=variation_of, use="vary", strength=strength)
    return None
