"""From (seed, kind, number) to a clip: its words, its length, its samples."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soundgen.data.fingerprint import SAMPLE_RATE
from soundgen.data.synth.kind import Kind, Samples, Take

# Raised when the same seed would make other sounds, so that no corpus is a mixture of two.
SYNTH_VERSION = 1

_PEAK_DB = (-7.0, -1.0)
_MIN_CAPTIONS, _MAX_CAPTIONS = 2, 4


@dataclass(frozen=True)
class Score:
    """What a clip is to be, known before a sample of it is computed.

    Attributes:
        traits: Trait -> value.
        num_samples: Length at 16 kHz.
        peak_db: Level of its loudest sample, dBFS.
        captions: Two to four.
        tags: Key words.
    """

    traits: Mapping[str, str]
    num_samples: int
    peak_db: float
    captions: tuple[str, ...]
    tags: tuple[str, ...]


def plan(kind: Kind, seed: int, number: int, wanted: Mapping[str, str] | None = None) -> Score:
    """Draw what clip `number` of a kind is to be; a function of the arguments alone.

    Args:
        kind: What it is a sound of.
        seed: The corpus.
        number: Which of its kind, from 0.
        wanted: Values of traits that are not left to chance.
    """
    rng = _generator(kind, seed, number, 0)
    traits = {}
    for trait in kind.traits:
        drawn = str(rng.choice(kind.values(trait)))
        traits[trait] = (wanted or {}).get(trait, drawn)
    low, high = kind.span_s(traits)
    num_samples = round(SAMPLE_RATE * float(rng.uniform(low, high)))
    louder = sum(kind.level_db.get(value, 0.0) for value in traits.values())
    tags = dict.fromkeys([*kind.tags, *traits.values()])
    return Score(
        traits=traits,
        num_samples=num_samples,
        peak_db=float(rng.uniform(*_PEAK_DB)) + louder,
        captions=_captions(kind, traits, rng),
        tags=tuple(tags),
    )


def render(kind: Kind, seed: int, number: int, score: Score) -> NDArray[np.float32]:
    """Make the samples of a clip, float32 `[T]`, rounded to what 16 bits hold."""
    rng = _generator(kind, seed, number, 1)
    samples = kind.render(Take(rng, score.num_samples, score.traits))
    samples = _fit(samples, score.num_samples)
    samples = _without_offset(samples)
    samples *= _edges(score.num_samples, *kind.fade_s)
    samples *= 10 ** (score.peak_db / 20) / max(float(np.abs(samples).max()), 1e-9)
    steps: NDArray[np.float64] = np.rint(samples * 32768)
    return (steps / 32768).astype(np.float32)


def _generator(kind: Kind, seed: int, number: int, stream: int) -> np.random.Generator:
    """Draw from (seed, kind, number), so that a clip depends on no other one and on no order."""
    return np.random.default_rng([seed, zlib.crc32(kind.name.encode()), number, stream])


def _captions(kind: Kind, traits: Mapping[str, str], rng: np.random.Generator) -> tuple[str, ...]:
    """Fill two to four templates; the first names every trait by the value that was drawn."""
    found = [_filled(kind.captions[0], traits)]
    count = int(rng.integers(_MIN_CAPTIONS, _MAX_CAPTIONS + 1))
    for index in rng.permutation(2 * len(kind.captions)):
        words = {
            trait: str(rng.choice(kind.words(trait, value))) for trait, value in traits.items()
        }
        text = _filled(kind.captions[int(index) % len(kind.captions)], words)
        if text not in found and len(found) < count:
            found.append(text)
    return tuple(found)


def _filled(template: str, words: Mapping[str, str]) -> str:
    text = template.format(**words)
    text = re.sub(r"\s+", " ", text).strip(" ,")
    text = re.sub(r"\s+,", ",", text)
    text = re.sub(r"\b(an?) (an?|the)\b", r"\2", text)
    return re.sub(r"\ba (?=[aeio8])", "an ", text)


def _fit(samples: Samples, num_samples: int) -> Samples:
    fitted = np.zeros(num_samples)
    fitted[: min(num_samples, len(samples))] = samples[:num_samples]
    return fitted


def _without_offset(samples: Samples) -> Samples:
    """Remove what no loudspeaker can move: all below about 20 Hz, and the offset."""
    from scipy.signal import lfilter

    blocked: Samples = lfilter([1.0, -1.0], [1.0, -0.993], samples)
    return blocked


def _edges(num_samples: int, rise_s: float, fall_s: float) -> Samples:
    """Fade in and out by raised cosines, so that nothing clicks that is no click."""
    envelope = np.ones(num_samples)
    rise = min(num_samples // 2, max(1, round(rise_s * SAMPLE_RATE)))
    fall = min(num_samples // 2, max(1, round(fall_s * SAMPLE_RATE)))
    envelope[:rise] *= 0.5 - 0.5 * np.cos(np.pi * np.arange(rise) / rise)
    envelope[num_samples - fall :] *= 0.5 + 0.5 * np.cos(np.pi * (np.arange(fall) + 1) / fall)
    return envelope
