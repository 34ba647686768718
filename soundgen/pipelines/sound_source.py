"""Sound files that `generate` goes on from: which, to what end, and whether they can be used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from soundgen.audio.io import probe, read_mono
from soundgen.audio.silence import SILENT_PEAK
from soundgen.audio.waveform import Waveform
from soundgen.errors import InputError
from soundgen.files import sha256_of

MIN_SOURCE_S = 0.1
MAX_VARIED_S, MAX_CONTINUED_S = 300.0, 3600.0
"""A variation is made whole, so it is no longer than what is made at all."""
DEFAULT_CONTEXT_S, DEFAULT_STRENGTH = 3.0, 0.5
MIN_CONTEXT_S, MAX_CONTEXT_S = 0.1, 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class SoundSource:
    """A file to go on from."""

    path: str
    use: Literal["continue", "vary"]
    context_s: float = DEFAULT_CONTEXT_S
    """Of a continuation: how much of the file's end the model hears."""
    strength: float = DEFAULT_STRENGTH
    """Of a variation: share of the codes that are drawn anew."""

    def as_made(self, digest: str) -> dict[str, Any]:
        """Return what the tags of a sound say of it, `digest` being the SHA-256 of its file."""
        amount: dict[str, Any] = (
            {"context_s": self.context_s} if self.use == "continue" else {"strength": self.strength}
        )
        return {"use": self.use, "path": self.path, **amount, "sha256": digest}


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadSource:
    """What is in such a file: `waveform` `[1, T]` at the model's rate, and which file it was."""

    waveform: Waveform
    sha256: str
    notice: str
    """What was converted, for the user; empty if nothing was."""


def check_source(source: SoundSource) -> None:
    """Refuse a file by its header, before a model is looked for.

    Raises:
        InputError: It is missing, not audio, or too short or too long.
    """
    info = probe(Path(source.path))
    longest_s = MAX_CONTINUED_S if source.use == "continue" else MAX_VARIED_S
    if not MIN_SOURCE_S <= info.duration_s <= longest_s:
        raise InputError(
            f"{source.path}: {info.duration_s:g} s; a sound to {source.use} has {MIN_SOURCE_S:g} "
            f"to {longest_s:g} s"
        )


def read_source(source: SoundSource, sample_rate: int) -> ReadSource:
    """Read a file to go on from.

    Args:
        source: Which.
        sample_rate: Of the model, Hz.

    Raises:
        InputError: It cannot be read or is damaged, or it is silent, so that nothing follows.
    """
    path = Path(source.path)
    waveform, notice = read_mono(path, sample_rate)
    if not float(abs(waveform.samples).max(initial=0.0)) > SILENT_PEAK:
        raise InputError(f"{path}: is silent: there is nothing to {source.use}")
    return ReadSource(waveform=waveform, sha256=sha256_of(path), notice=notice)


def source_duration_s(source: SoundSource) -> float:
    """Return the length of the file, s, by its header."""
    return probe(Path(source.path)).duration_s
