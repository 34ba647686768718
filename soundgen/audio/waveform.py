"""Audio samples and their rate, never apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soundgen.errors import ShapeError


@dataclass(frozen=True, slots=True)
class Waveform:
    """Audio in memory.

    Attributes:
        samples: float32 `[C, T]`, full scale is [-1, 1].
        sample_rate: Hz.
    """

    samples: NDArray[np.float32]
    sample_rate: int

    def __post_init__(self) -> None:
        """Refuse arrays that are not `[C, T]` float32 and rates below 1 Hz."""
        if self.samples.ndim != 2 or self.samples.dtype != np.float32:
            raise ShapeError(
                f"samples must be float32 [C, T], got {self.samples.dtype} "
                f"{list(self.samples.shape)}"
            )
        if self.sample_rate < 1:
            raise ShapeError(f"sample_rate must be at least 1 Hz, got {self.sample_rate}")

    @property
    def channels(self) -> int:
        """Number of channels C."""
        return int(self.samples.shape[0])

    @property
    def num_samples(self) -> int:
        """Number of samples T in each channel."""
        return int(self.samples.shape[1])

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.num_samples / self.sample_rate
