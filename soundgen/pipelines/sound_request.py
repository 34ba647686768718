"""What `generate` is asked for, and what it answers."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from soundgen.audio.finish import FinishSettings
from soundgen.errors import SoundgenError

_MAX_SLUG = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerateSettings:
    """How a sound is made, seed and prompt apart."""

    duration_s: float | None = None
    """Length; `None` lets the model end the sound."""
    temperature: float = 1.0
    top_k: int = 100
    top_p: float = 0.0
    cfg_scale: float = 3.0
    negative_prompt: str = ""


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
    warning: str = ""
    skipped: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerateFailure:
    """One file of several that could not be made; the others go on."""

    output: Path
    error: SoundgenError


def prompt_slug(prompt: str) -> str:
    """Return a file name for a prompt that every file system takes: letters, digits, hyphens."""
    plain = unicodedata.normalize("NFKC", prompt).lower()
    slug = re.sub(r"[^\w]+", "-", plain).strip("-_")[:_MAX_SLUG].rstrip("-_")
    # Windows refuses a file of these names whatever its suffix.
    reserved = re.fullmatch(r"con|prn|aux|nul|com\d|lpt\d", slug)
    return f"sound-{slug}" if reserved else slug or "sound"
