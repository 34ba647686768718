"""Where the sound in a clip begins and ends."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# A file whose samples never leave this distance from their middle holds nothing to hear.
SILENT_PEAK = 1e-3  # -60 dB of full scale
# Ends are cut where they stay 55 dB below the loudest moment; some air is left, more behind, where
# a sound dies away.
_EDGE_RATIO = 10 ** (-55 / 20)
_FRAME_S = 0.01
_KEEP_BEFORE_S = 0.02
_KEEP_AFTER_S = 0.06
_BATCH_FRAMES = 4096


def swing(samples: NDArray[np.float32]) -> float:
    """Return half the distance between the highest and the lowest sample of `[T]`.

    Unlike the peak it does not see a constant offset, which nobody hears.
    """
    if not samples.size:
        return 0.0
    return (float(samples.max()) - float(samples.min())) / 2


def sounding_range(samples: NDArray[np.float32], sample_rate: int) -> tuple[int, int]:
    """Return where to cut `[T]` so that the silence at both ends goes; (0, 0) if all is silent."""
    frame = max(1, round(_FRAME_S * sample_rate))
    levels = []
    for start in range(0, len(samples), frame * _BATCH_FRAMES):
        batch = samples[start : start + frame * _BATCH_FRAMES]
        whole = len(batch) - len(batch) % frame
        frames = batch[:whole].reshape(-1, frame)
        levels.append((frames.max(axis=1) - frames.min(axis=1)) / 2)
        if whole < len(batch):
            levels.append(np.asarray([swing(batch[whole:])], dtype=np.float32))
    level = np.concatenate(levels) if levels else np.zeros(0, dtype=np.float32)
    if not level.size or float(level.max()) == 0.0:
        return 0, 0
    loud = np.flatnonzero(level >= _EDGE_RATIO * level.max())
    first = int(loud[0]) * frame - round(_KEEP_BEFORE_S * sample_rate)
    last = (int(loud[-1]) + 1) * frame + round(_KEEP_AFTER_S * sample_rate)
    return max(0, first), min(len(samples), last)
