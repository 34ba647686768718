"""What a kind of synthetic sound is: its words, its lengths, and the function that makes it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from soundgen.data.fingerprint import SAMPLE_RATE

Samples = NDArray[np.float64]
Span = tuple[float, float]


@dataclass(frozen=True)
class Take:
    """One clip in the making.

    Attributes:
        rng: Where all its numbers are drawn from.
        num_samples: Length at 16 kHz.
        traits: Trait -> the word that was drawn for it, such as strength -> heavy.
    """

    rng: np.random.Generator
    num_samples: int
    traits: Mapping[str, str] = field(default_factory=dict)

    @property
    def duration_s(self) -> float:
        """Length, s."""
        return self.num_samples / SAMPLE_RATE

    @property
    def time(self) -> Samples:
        """Time of each sample, s, `[T]`."""
        return np.arange(self.num_samples) / SAMPLE_RATE

    def has(self, word: str) -> bool:
        """Return whether one of the traits is `word`."""
        return word in self.traits.values()

    def between(self, low: float, high: float) -> float:
        """Draw evenly from a range."""
        return float(self.rng.uniform(low, high))

    def octaves(self, low: float, high: float) -> float:
        """Draw from a range of positive numbers, evenly by ratio, as ears judge most of them."""
        return float(math.exp(self.rng.uniform(math.log(low), math.log(high))))

    def pick(self, trait: str, spans: Mapping[str, Span]) -> float:
        """Draw, by ratio, from the range that goes with the word of `trait`."""
        return self.octaves(*spans[self.traits[trait]])


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of sound.

    Attributes:
        name: Unique; part of file names.
        category: What the sounds that were recorded call it.
        render: Makes one clip, float `[T]` of about any level; its docstring names the model.
        captions: Templates; the first one names every trait.
        traits: Trait -> its values. A value may have other words for it behind bars; what is
            between bars may be empty: left unsaid.
        tags: Key words besides the values of the traits.
        duration_s: Range of lengths, s: of clips that have the trait value, else of `""`.
        level_db: How much louder a trait value makes a clip.
        fade_s: Shortest rise at the beginning and fall at the end, s.
    """

    name: str
    category: str
    render: Callable[[Take], Samples]
    captions: tuple[str, ...]
    traits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    duration_s: Mapping[str, Span]
    level_db: Mapping[str, float] = field(default_factory=dict)
    fade_s: Span = (0.001, 0.02)

    def values(self, trait: str) -> tuple[str, ...]:
        """Return the values of a trait, each by its first word."""
        return tuple(value.split("|")[0] for value in self.traits[trait])

    def words(self, trait: str, value: str) -> tuple[str, ...]:
        """Return the words for a value of a trait; an empty one leaves it unsaid."""
        for spelled in self.traits[trait]:
            names = tuple(spelled.split("|"))
            if names[0] == value:
                return names
        raise KeyError(value)

    def span_s(self, values: Mapping[str, str]) -> Span:
        """Return the range of lengths of clips with these trait values."""
        for value in values.values():
            if value in self.duration_s:
                return self.duration_s[value]
        return self.duration_s[""]
