"""A contact sheet: the mel spectrograms of many sounds in one picture, a row a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soundgen.audio.extras import require_extra
from soundgen.audio.waveform import Waveform
from soundgen.files import atomic_path

_WINDOW = 512
_RANGE_DB = 70.0
_TILE_WIDTH = 150
_GAP = 4
_INCH_PIXELS = 100


@dataclass(frozen=True, slots=True)
class SheetRow:
    """The sounds of one prompt.

    Attributes:
        label: Shown on the left.
        sounds: One a column, mono `[1, T]`; `None` leaves its place empty.
    """

    label: str
    sounds: tuple[Waveform | None, ...]


def check_sheet() -> None:
    """Refuse a contact sheet that could not be drawn, before anything is made.

    Raises:
        UsageError: matplotlib is not installed.
    """
    require_extra("plot", "the contact sheet", "use --no-sheet")


def draw_sheet(
    rows: Sequence[SheetRow], columns: Sequence[str], path: Path, *, span_s: float
) -> None:
    """Draw the sheet; each row has as many sounds as there are `columns`.

    Args:
        rows: From top to bottom, at least one.
        columns: Heads.
        path: PNG to write; an existing one is replaced.
        span_s: Time that a tile shows, so that lengths can be compared.

    Raises:
        OutputError: `path` cannot be written.
    """
    # Not pyplot: that would look for a screen.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # One picture: hundreds of axes would take a minute.
    mosaic = np.concatenate(
        [
            np.concatenate([_framed(_tile(sound, span_s)) for sound in row.sounds], axis=1)
            for row in rows
        ]
    )
    height, width = mosaic.shape
    margin = 220
    figure = Figure(
        figsize=((width + margin) / _INCH_PIXELS, (height + 60) / _INCH_PIXELS), dpi=_INCH_PIXELS
    )
    FigureCanvasAgg(figure)
    axes = figure.add_axes(
        (margin / (width + margin), 10 / (height + 60), width / (width + margin),
         height / (height + 60))
    )  # fmt: skip
    axes.imshow(mosaic, cmap="magma", vmin=-_RANGE_DB, vmax=0.0, aspect="auto")
    tile_height, tile_width = height / len(rows), width / len(columns)
    axes.set_yticks([(i + 0.5) * tile_height for i in range(len(rows))])
    axes.set_yticklabels([row.label[:34] for row in rows], fontsize=8, parse_math=False)
    axes.set_xticks([(i + 0.5) * tile_width for i in range(len(columns))])
    axes.set_xticklabels(columns, fontsize=8)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_frame_on(False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary)


def _tile(sound: Waveform | None, span_s: float) -> NDArray[np.float32]:
    """Return decibels below the loudest point `[M, width]`, the lowest band at the bottom."""
    import torch

    from soundgen.audio.spectral import mel_magnitude

    if sound is None or not sound.num_samples:
        return np.full((64, _TILE_WIDTH), -_RANGE_DB, np.float32)
    samples = torch.from_numpy(sound.samples[:, : round(span_s * sound.sample_rate)])
    magnitude = mel_magnitude(samples, _WINDOW, sample_rate=sound.sample_rate)[0]
    level = 20 * (magnitude / magnitude.amax().clamp(min=1e-9)).clamp(min=1e-9).log10()
    # The loudest of the frames that share a column: a click must not fall between two.
    frames = span_s * sound.sample_rate / (_WINDOW // 4)
    starts = np.arange(_TILE_WIDTH) * frames / _TILE_WIDTH
    tile = np.full((level.shape[0], _TILE_WIDTH), -_RANGE_DB, np.float32)
    for column, start in enumerate(starts):
        chosen = level[:, int(start) : max(int(start) + 1, int(start + frames / _TILE_WIDTH))]
        if chosen.shape[1]:
            tile[:, column] = chosen.amax(dim=1).clamp(min=-_RANGE_DB).numpy()
    return np.ascontiguousarray(tile[::-1])


def _framed(tile: NDArray[np.float32]) -> NDArray[np.float32]:
    # White between the tiles: cells without a number are not drawn.
    return np.pad(tile, ((0, _GAP), (0, _GAP)), constant_values=np.nan)
