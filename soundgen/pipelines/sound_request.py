"""What `generate` is asked for, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from soundgen.audio.finish import FinishSettings
from soundgen.audio.loop import Seam, surplus_s
from soundgen.errors import SoundgenError
from soundgen.pipelines.sound_source import SoundSource

BATCH_SIZE = 16
"""Sounds of the same settings that are made at a time, where memory suffices."""
MIN_DURATION_S, MAX_DURATION_S = 0.1, 300.0
MAX_SEED = 2**63 - 1
"""The largest that PyTorch takes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerateSettings:
    """How a sound is made, seed and prompt apart."""

    duration_s: float | None = None
    """Length, of a continuation that of what is added; `None` lets the model end the sound."""
    temperature: float = 1.0
    top_k: int = 50
    top_p: float = 0.0
    cfg_scale: float = 4.0
    negative_prompt: str = ""
    loop: bool = False
    """Whether its end runs into its beginning."""
    source: SoundSource | None = None
    """A sound to go on from, if any."""

    @property
    def told_s(self) -> float | None:
        """Length that the model is told, s: a loop is cut from a longer sound."""
        if self.duration_s is None or not self.loop:
            return self.duration_s
        return self.duration_s + surplus_s(self.duration_s)


@dataclass(frozen=True, kw_only=True, slots=True)
class SoundRequest:
    """One file to make: the sound of `seed`, or the best of so many that follow it."""

    prompt: str
    seed: int
    output: Path
    settings: GenerateSettings
    best_of: int = 1
    finish: FinishSettings = field(default_factory=FinishSettings)
    plot: Path | None = None
    """Where to draw it, if anywhere."""
    row: int = 1
    """Of the prompts, counted from 1."""
    variation: int = 1
    """Of the row's, counted from 1."""

    @property
    def candidates(self) -> range:
        """The seeds to choose from."""
        return range(self.seed, self.seed + self.best_of)


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerateResult:
    """One file that was made, or was there already."""

    output: Path
    prompt: str
    seed: int
    """Of this sound, of all candidates."""
    duration_s: float
    model_digest: str
    seconds_spent: float
    best_of: int = 1
    match: float | None = None
    """Cosine with the prompt, as the model's matcher hears it; only where it had to choose."""
    true_peak_dbtp: float | None = None
    """`None` for a file of an earlier version."""
    loudness_lufs: float | None = None
    """As measured; only where a loudness was asked for, and the sound has one."""
    plot: Path | None = None
    seam: Seam | None = None
    """Of a loop."""
    source: str | None = None
    """The file that it goes on from."""
    row: int = 1
    variation: int = 1
    warning: str = ""
    skipped: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerateFailure:
    """One file of several that could not be made; the others go on."""

    output: Path
    prompt: str
    seed: int
    error: SoundgenError
    row: int = 1
    variation: int = 1


def clean_prompt(text: str) -> str:
    """Return a prompt with single spaces.

    Raises:
        ValueError: Nothing is left.
    """
    prompt = " ".join(text.split())
    if not prompt:
        raise ValueError("the prompt is empty")
    return prompt


def duration_of(text: str) -> float | None:
    """Return the seconds that `text` asks for, `None` for `auto`.

    Raises:
        ValueError: Not a number, or outside the allowed range.
    """
    if text == "auto":
        return None
    try:
        duration_s = float(text)
    except ValueError:
        duration_s = float("nan")
    if not MIN_DURATION_S <= duration_s <= MAX_DURATION_S:
        raise ValueError(f"expected auto, or {MIN_DURATION_S:g} to {MAX_DURATION_S:g} seconds")
    return duration_s
