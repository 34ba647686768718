"""The options of `soundgen generate` that say how a sound is finished, and what they come to."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from soundgen.errors import UsageError

if TYPE_CHECKING:
    from soundgen.audio.finish import FinishSettings

# As text: Typer takes no choice of numbers.
SampleRate = Literal["16000", "22050", "32000", "44100", "48000"]
Channels = Literal["1", "2"]
BitDepth = Literal["16", "24", "32"]

MAX_FADE_S = 300.0
# `soundgen.audio.finish` has these bounds too, and NumPy, which --help must not wait for.
_MIN_LUFS, _MAX_LUFS = -60.0, 0.0
_FINISH = "Finish, in this order"

TrimOption = Annotated[
    bool,
    typer.Option(
        "--trim",
        help="Cut the silence at both ends off; the sound may become shorter than --duration.",
        rich_help_panel=_FINISH,
    ),
]
SampleRateOption = Annotated[
    SampleRate | None,
    typer.Option(
        "--sample-rate",
        metavar="16000|22050|32000|44100|48000",
        help="Rate of the file, Hz; the model's own if not given, above whose half there is "
        "nothing to hear at any rate.",
        rich_help_panel=_FINISH,
    ),
]
FadeInOption = Annotated[
    float,
    typer.Option(
        "--fade-in",
        metavar="SECONDS",
        min=0.0,
        max=MAX_FADE_S,
        help="Never shorter than 5 ms, so that nothing clicks.",
        rich_help_panel=_FINISH,
    ),
]
FadeOutOption = Annotated[
    float,
    typer.Option(
        "--fade-out",
        metavar="SECONDS",
        min=0.0,
        max=MAX_FADE_S,
        help="Likewise.",
        rich_help_panel=_FINISH,
    ),
]
ChannelsOption = Annotated[
    Channels,
    typer.Option(
        "--channels",
        metavar="1|2",
        help="2 holds the same sound twice.",
        rich_help_panel=_FINISH,
    ),
]
LoudnessOption = Annotated[
    float | None,
    typer.Option(
        "--loudness",
        metavar="LUFS",
        min=_MIN_LUFS,
        max=_MAX_LUFS,
        help="Integrated loudness (ITU-R BS.1770-4), -60 to 0, as far as the true peak stays "
        "below -1 dBTP. A sound below 0.4 s has none: its true peak is set to -1 dBTP. Both are "
        "said where they happen. Decoded, a lossy format may overshoot the peak a little.",
        rich_help_panel=_FINISH,
    ),
]
NormalizeOption = Annotated[
    bool,
    typer.Option(
        "--normalize",
        help="Bring the peak to -1 dBFS, instead of --loudness.",
        rich_help_panel=_FINISH,
    ),
]
BitDepthOption = Annotated[
    BitDepth | None,
    typer.Option(
        "--bit-depth",
        metavar="16|24|32",
        help="Bits a sample, integers without dither: 16 if not given, 24 for wav and flac, 32 "
        "for wav.",
        rich_help_panel=_FINISH,
    ),
]


def finish_settings(
    *,
    trim: bool,
    sample_rate: SampleRate | None,
    fade_in_s: float,
    fade_out_s: float,
    channels: Channels,
    loudness_lufs: float | None,
    normalize: bool,
    bit_depth: BitDepth | None,
) -> FinishSettings:
    """Return what the options come to.

    Raises:
        UsageError: A number is none, or two of them exclude each other.
    """
    for option, value in (
        ("--fade-in", fade_in_s),
        ("--fade-out", fade_out_s),
        ("--loudness", loudness_lufs or 0.0),
    ):
        if not math.isfinite(value):  # Typer's bounds let NaN through
            raise UsageError(f"{option} {value}: not a finite number")
    if loudness_lufs is not None and normalize:
        raise UsageError("--loudness and --normalize exclude each other", hint="leave one out")
    from soundgen.audio.finish import FinishSettings

    return FinishSettings(
        trim=trim,
        sample_rate=None if sample_rate is None else int(sample_rate),
        fade_in_s=fade_in_s,
        fade_out_s=fade_out_s,
        channels=int(channels),
        loudness_lufs=loudness_lufs,
        normalize=normalize,
        bit_depth=None if bit_depth is None else int(bit_depth),
    )
