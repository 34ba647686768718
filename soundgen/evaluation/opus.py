"""Opus beside our own codec: the reference encoder and decoder of opus-tools, as programs.

opusdec dithers its 16 bits unless told not to, and is not told here. The log-spectral distance has
its floor above that. The mel distance counts what is nearly silent, and so the dither too: over 24
clips of up to 6 s it added 0.015 at 12 kbit/s (0.451 against 0.436) and 0.028 at 16 (0.387 against
0.359).
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from soundgen.audio.wav_stream import to_pcm16, wav_header
from soundgen.errors import InputError, OutputError

PROGRAMS = ("opusenc", "opusdec")
OPTIONS = ("--vbr", "--comp", "10")
"""Of opusenc, beside the bitrate."""


@dataclass(frozen=True, slots=True)
class OpusResult:
    """A sound that went through Opus.

    Attributes:
        samples: float32 `[T]`, as long as what went in.
        size_bytes: Of the Opus file, container included.
    """

    samples: NDArray[np.float32]
    size_bytes: int


def opus_version() -> str | None:
    """Return which encoder is installed, `None` if one of the two programs is missing."""
    if not all(map(shutil.which, PROGRAMS)):
        return None
    shown = subprocess.run(["opusenc", "--version"], capture_output=True, text=True)
    first = (shown.stdout or shown.stderr).splitlines()[:1]
    return first[0].removeprefix("opusenc ").strip() if first else "unknown"


def opus_round_trip(
    samples: NDArray[np.float32], kbps: int, *, sample_rate: int, name: str
) -> OpusResult:
    """Encode and decode a mono sound: `opusenc --bitrate N --vbr --comp 10`, `opusdec --rate`.

    Args:
        samples: float32 `[T]`; goes in as 16 bits.
        kbps: Nominal rate, kbit/s.
        sample_rate: Hz, of both ends.
        name: For messages.

    Raises:
        InputError: Opus refuses the sound.
        OutputError: The temporary files cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="soundgen-") as folder:
            source, packed, back = (Path(folder) / end for end in ("a.wav", "a.opus", "b.wav"))
            source.write_bytes(wav_header(sample_rate, len(samples)) + to_pcm16(samples))
            _run(["opusenc", "--quiet", "--bitrate", str(kbps), *OPTIONS, source, packed], name)
            _run(["opusdec", "--quiet", "--rate", str(sample_rate), packed, back], name)
            decoded = _read(back, name)[: len(samples)]
            size_bytes = packed.stat().st_size
    except OSError as error:
        raise OutputError(f"{name}: Opus cannot be run on it ({error.strerror})") from error
    return OpusResult(np.pad(decoded, (0, len(samples) - len(decoded))), size_bytes)


def _run(command: list[str | Path], name: str) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise InputError(f"{name}: {command[0]} failed: {last}")


def _read(path: Path, name: str) -> NDArray[np.float32]:
    try:
        samples, _ = soundfile.read(path, dtype="float32")
    except soundfile.LibsndfileError as error:
        raise InputError(f"{name}: opusdec wrote no sound") from error
    return np.asarray(samples, dtype=np.float32)
