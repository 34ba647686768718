"""How close sounds come to the clips that a model was trained on, and whether that is too close."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

_BLOCK_ROWS = 1024
"""Rows of similarities at a time: 5,000 clips would take 100 MB at once."""


@dataclass(frozen=True, slots=True)
class Closeness:
    """Sounds against their nearest training clips.

    Attributes:
        similarity: Cosine of each sound with its nearest training clip, float32 `[N]`.
        is_copy: bool `[N]`: closer to that clip than any clip of another recording is.
    """

    similarity: NDArray[np.float32]
    is_copy: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TrainingClips:
    """Training clips in an embedding space.

    Attributes:
        embeddings: float32 `[N, D]`, each of length 1.
        neighbour: Cosine of each with the nearest one from another recording, float32 `[N]`; -1
            where there is no other recording.
    """

    embeddings: NDArray[np.float32]
    neighbour: NDArray[np.float32]

    @classmethod
    def among(cls, embeddings: NDArray[np.float32], recordings: NDArray[np.int64]) -> Self:
        """Find each clip's nearest neighbour from another recording.

        Args:
            embeddings: float32 `[N, D]`, each of length 1.
            recordings: int64 `[N]`, a number for each recording. Near-duplicates must share one,
                or copies of a sound that was collected twice would pass for its neighbours.
        """
        neighbour = np.empty(len(embeddings), np.float32)
        for start in range(0, len(embeddings), _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            similar = embeddings[block] @ embeddings.T
            similar[recordings[block, None] == recordings[None]] = -1.0
            neighbour[block] = similar.max(axis=1)
        return cls(embeddings, neighbour)

    def closeness(self, sounds: NDArray[np.float32]) -> Closeness:
        """Compare sounds `[N, D]` with the training clips."""
        similar = sounds @ self.embeddings.T
        nearest = similar.argmax(axis=1)
        best = similar[np.arange(len(sounds)), nearest]
        return Closeness(best, best > self.neighbour[nearest])
