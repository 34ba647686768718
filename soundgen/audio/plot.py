"""A picture of a sound: its waveform over its spectrogram."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soundgen.audio.extras import has_extra, require_extra
from soundgen.audio.resample import to_mono
from soundgen.audio.waveform import Waveform
from soundgen.files import atomic_path

_WINDOW_S = 0.032
_MAX_COLUMNS = 2000
"""More than the picture has pixels would only take memory."""
_FLOOR_DB = -90.0
"""Below the loudest point of a spectrogram."""


def check_plotting() -> None:
    """Refuse to draw where matplotlib is missing, before anything is computed.

    Raises:
        UsageError: It is.
    """
    require_extra("plot", "--plot", "leave --plot out")


def can_plot() -> bool:
    """Tell whether matplotlib is there."""
    return has_extra("plot")


def draw_sound(waveform: Waveform, path: Path, title: str) -> None:
    """Draw a sound as PNG, without a display.

    Args:
        waveform: `[C, T]` with at least one sample; drawn as mono.
        path: Where; an existing file is replaced.
        title: One line above the picture.

    Raises:
        OutputError: `path` cannot be written.
    """
    picture = sound_png(waveform, title)
    with atomic_path(path) as temporary:
        temporary.write_bytes(picture)


def sound_png(waveform: Waveform, title: str) -> bytes:
    """Return the picture that `draw_sound` writes; matplotlib has to be there.

    Args:
        waveform: `[C, T]` with at least one sample; drawn as mono.
        title: One line above the picture.
    """
    # Not pyplot: that would look for a screen.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    samples = to_mono(waveform).samples[0]
    figure = Figure(figsize=(10, 5), layout="constrained")
    FigureCanvasAgg(figure)
    wave, spectrum = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2))
    wave.plot(np.arange(len(samples)) / waveform.sample_rate, samples, linewidth=0.5)
    wave.set_ylim(-1, 1)
    wave.set_ylabel("full scale")
    wave.grid(alpha=0.3)
    image = spectrum.imshow(
        spectrogram_db(waveform),
        origin="lower",
        aspect="auto",
        extent=(0, waveform.duration_s, 0, waveform.sample_rate / 2000),
        vmin=_FLOOR_DB,
        vmax=0,
        cmap="magma",
    )
    spectrum.set_xlabel("s")
    spectrum.set_ylabel("kHz")
    figure.colorbar(image, ax=spectrum, label="dB of the loudest point")
    # A prompt may hold dollar signs, which are formulas to matplotlib, and letters that its font
    # has not: a box in their place is good enough, and no business of stderr.
    figure.suptitle(title, parse_math=False)
    picture = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(picture, format="png", dpi=130)
    return picture.getvalue()


def spectrogram_db(waveform: Waveform) -> NDArray[np.float64]:
    """Return levels over frequency and time, float64 `[F, L]`, in dB of the loudest.

    Row f is f / (F - 1) of half the sample rate; columns are spread evenly over the sound.
    """
    samples = to_mono(waveform).samples[0]
    window = max(2, 2 * round(_WINDOW_S * waveform.sample_rate / 2))
    # Half a window before and behind: a column for the first moment and one for the last.
    padded = np.pad(samples, window // 2)
    hop = max(window // 4, len(samples) // _MAX_COLUMNS)
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]  # [L, window]
    power = np.abs(np.fft.rfft(frames * np.hanning(window), axis=1)) ** 2
    floor = 10 ** (_FLOOR_DB / 10) * max(float(power.max()), np.finfo(np.float64).tiny)
    decibels = 10 * np.log10(np.maximum(power, floor))
    return np.asarray(decibels.T - decibels.max())
