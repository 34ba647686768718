"""A sound and what a codec made of its end, joined so that it goes on without a seam.

```
original  |=======================end|
decoded                |~~~~~~~context~~~~~~~|new===========|
joined    |===================|splice|new===========|
```
The codec decoded context and new part in one go, so there is no join between those. Only the
original passes into the decoded context, over the last moment of both.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from soundgen.audio.loop import crossfaded
from soundgen.audio.loudness import MAX_PEAK

SPLICE_S = 0.05
"""The only part of the original that changes."""
MAX_LAG_S = 0.01
"""By which the new part may move."""
# Codecs make phases up and lose some energy: the one is met by moving the new part to where both
# agree best, the other by giving it the level of the original, within 6 dB.
_LEVEL_S = 0.5
_MAX_GAIN = 2.0


def max_lag(sample_rate: int) -> int:
    """Return by how many samples the new part may move; so many more of it are needed."""
    return round(MAX_LAG_S * sample_rate)


def splice(
    original: NDArray[np.float32], decoded: NDArray[np.float32], overlap: int, sample_rate: int
) -> NDArray[np.float32]:
    """Let a sound go on as its decoded end does.

    Args:
        original: float32 `[T]`.
        decoded: float32 `[overlap + N]`, of which the first `overlap` samples stand for the last
            ones of `original`.
        overlap: At least 1, at most T.
        sample_rate: Hz.

    Returns:
        float32 `[T + M]`, M at least N - `max_lag`. All but the last `SPLICE_S` of `original` is
        in it as it was.
    """
    width = min(round(SPLICE_S * sample_rate), overlap)
    end = original[len(original) - width :]
    place = _best_place(end, decoded, overlap, max_lag(sample_rate))
    gain = _gain(original, decoded[:place], overlap, round(_LEVEL_S * sample_rate))
    peak = float(np.abs(decoded[place - width :]).max(initial=0.0))
    ceiling = max(MAX_PEAK, float(np.abs(original).max()))
    if peak * gain > ceiling:
        gain = ceiling / peak
    scaled = decoded[place - width :] * np.float32(gain)
    return np.concatenate([original[: len(original) - width], crossfaded(end, scaled[:width]),
                           scaled[width:]])  # fmt: skip


def _best_place(
    end: NDArray[np.float32], decoded: NDArray[np.float32], overlap: int, reach: int
) -> int:
    """Return where `decoded` is most like `end` just before: `overlap`, or a little beside it."""
    places = range(max(len(end), overlap - reach), min(len(decoded), overlap + reach) + 1)
    likeness = [_correlation(end, decoded[place - len(end) : place]) for place in places]
    nearest = min(places, key=lambda place: abs(place - overlap))
    best = int(np.argmax(likeness))
    return places[best] if likeness[best] > likeness[nearest - places[0]] else nearest


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    power = float(np.sqrt(float(one @ one) * float(other @ other)))
    return float(one @ other) / power if power > 0 else 0.0


def _gain(
    original: NDArray[np.float32], context: NDArray[np.float32], overlap: int, most: int
) -> float:
    """Return what brings the end of the decoded context to the level of the original's."""
    width = min(most, overlap, len(context))
    wanted, found = (
        float(np.sqrt(np.mean(part[len(part) - width :].astype(np.float64) ** 2)))
        for part in (original, context)
    )
    return float(np.clip(wanted / found, 1 / _MAX_GAIN, _MAX_GAIN)) if found > 0 else 1.0
