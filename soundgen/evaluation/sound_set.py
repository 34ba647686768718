"""Sounds as they are measured: what was heard in each, and which prompts they answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soundgen.audio.silence import SILENT_PEAK, swing

MAX_HEARD_S = 10.0
"""Of a sound: where generated ones end by themselves."""

_FRAME_S = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class HeardSound:
    """What is left of a sound once it was heard.

    Attributes:
        duration_s: Length of the whole sound.
        silence_share: Share of it that nobody can hear, 0 to 1.
        heard: Class that the classifier heard, or `confusion.NOTHING`.
        embedding: float32 `[D]` of length 1; zeros for a silent sound, which is like nothing.
        recording: What it was cut from; generated sounds each have their own.
    """

    duration_s: float
    silence_share: float
    heard: str
    embedding: NDArray[np.float32]
    recording: str


@dataclass(frozen=True, slots=True)
class SoundSet:
    """Sounds of one source, such as the model or the codec's round trips.

    Attributes:
        name: Of the source, as tables show it.
        sounds: All of them.
        by_prompt: For each prompt, which of `sounds` are judged as answers to it.
    """

    name: str
    sounds: tuple[HeardSound, ...]
    by_prompt: tuple[tuple[int, ...], ...]

    @property
    def embeddings(self) -> NDArray[np.float32]:
        """All embeddings, `[N, D]`."""
        return np.stack([sound.embedding for sound in self.sounds])

    def answers(self, row: int) -> list[HeardSound]:
        """Return the sounds that are judged by prompt number `row`."""
        return [self.sounds[index] for index in self.by_prompt[row]]

    def mean_over_prompts(
        self, rows: Sequence[int], measure: Callable[[int, HeardSound], float]
    ) -> float | None:
        """Return the mean over prompts of the mean over their sounds, so that each counts alike.

        Args:
            rows: Which prompts.
            measure: Of a prompt's row and a sound.

        Returns:
            `None` where no prompt has a sound.
        """
        means = [
            float(np.mean([measure(row, sound) for sound in self.answers(row)]))
            for row in rows
            if self.by_prompt[row]
        ]
        return float(np.mean(means)) if means else None


def silence_share(samples: NDArray[np.float32], sample_rate: int) -> float:
    """Return the share of 20 ms frames of `[T]` that stay below -60 dB of full scale.

    A sound of no samples is all silence.
    """
    frame = round(_FRAME_S * sample_rate)
    frames = [samples[start : start + frame] for start in range(0, len(samples), frame)]
    quiet = [swing(one) < SILENT_PEAK for one in frames]
    return float(np.mean(quiet)) if quiet else 1.0


def mean_distance(sounds: Sequence[HeardSound]) -> float | None:
    """Return the mean of 1 - cosine over pairs of sounds from different recordings.

    `None` where there is no such pair.
    """
    if len(sounds) < 2:
        return None
    embeddings = np.stack([sound.embedding for sound in sounds])
    similar = embeddings @ embeddings.T
    distances = [
        1.0 - float(similar[i, j])
        for i in range(len(sounds))
        for j in range(i)
        if sounds[i].recording != sounds[j].recording
    ]
    return float(np.mean(distances)) if distances else None


def diversity(sounds: SoundSet, rows: Sequence[int]) -> float | None:
    """Return the mean over prompts of `mean_distance` among the answers to each."""
    found = [mean_distance(sounds.answers(row)) for row in rows]
    distances = [distance for distance in found if distance is not None]
    return float(np.mean(distances)) if distances else None


def length_error_octaves(sounds: SoundSet, expected_s: Sequence[float | None]) -> float | None:
    """Return the median over all answers of |log2(length / expected length)|.

    Sounds of more than `MAX_HEARD_S` count as that long.

    Args:
        sounds: Every prompt's answers count once.
        expected_s: The length that answers to each prompt should have; `None` if not known.
    """
    errors = [
        abs(float(np.log2(min(sound.duration_s, MAX_HEARD_S) / expected)))
        for row, expected in enumerate(expected_s)
        if expected is not None
        for sound in sounds.answers(row)
        if sound.duration_s > 0
    ]
    return float(np.median(errors)) if errors else None
