"""One source file to clips: decoded, mono, 16 kHz, cut, written as FLAC, described."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from soundgen.audio.io import blocks_mono, conversion_notice, probe, write_audio
from soundgen.audio.silence import SILENT_PEAK, sounding_range, swing
from soundgen.audio.waveform import Waveform
from soundgen.data.fingerprint import SAMPLE_RATE, fingerprint
from soundgen.data.manifest import pcm16_digest
from soundgen.errors import InputError, OutputError
from soundgen.files import write_failure

# Shorter than any sound that could be learnt; the shortest free effects last 56 ms.
MIN_CLIP_S = 0.05
# Longer files are kept in a temporary file instead of memory: 17 minutes, 64 MiB.
_MAX_SAMPLES_IN_MEMORY = 1 << 24
_BATCH = 1 << 20
_TAG_NAMES = ("title", "comment", "description", "artist", "author", "license", "copyright")
_MAX_TAG_LENGTH = 2000


@dataclass(frozen=True, kw_only=True)
class ConvertJob:
    """A file to convert.

    Attributes:
        source: The file.
        name: What the dataset calls it: its path relative to the source folder.
        folder: The dataset's folder.
        stem: Path of the clips in it, without suffix.
        trim: Whether to cut silence at the ends.
        split_s: Longest clip, s; longer files are cut into equal parts. `None`: never cut.
    """

    source: Path
    name: str
    folder: Path
    stem: str
    trim: bool
    split_s: float | None


@dataclass(frozen=True, kw_only=True)
class ConvertedClip:
    """A clip that was written; `path` is relative to the dataset, `part` counts from 1, 0 = all."""

    path: str
    part: int
    num_samples: int
    sha1_pcm16: str
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Converted:
    """What became of a file.

    Attributes:
        name: The file, as in the job.
        clips: What was written.
        rejected: Why parts were left out.
        failure: Why nothing could be made of the file; empty if something was.
        was_changed: Whether it was downmixed or resampled.
        was_attenuated: Whether it exceeded full scale and was turned down to fit.
        tags: The tags inside the file that may describe it.
    """

    name: str
    clips: tuple[ConvertedClip, ...] = ()
    rejected: tuple[str, ...] = ()
    failure: str = ""
    was_changed: bool = False
    was_attenuated: bool = False
    tags: dict[str, str] = field(default_factory=dict)


def convert_file(job: ConvertJob) -> Converted:
    """Convert a file; what is wrong with it is in the result, what is wrong with the disk raised.

    Raises:
        OutputError: A clip cannot be written.
    """
    try:
        info = probe(job.source)
        samples = _gather(blocks_mono(job.source, SAMPLE_RATE), job.folder)
        change = conversion_notice(job.name, info.sample_rate, info.channels, SAMPLE_RATE)
        start, stop = _sounding(samples, trim=job.trim)
        was_attenuated = _quantize(samples)
    except InputError as error:
        reason = error.message.removeprefix(f"{job.source}: ")
        return Converted(name=job.name, failure=reason)
    except MemoryError:
        return Converted(name=job.name, failure="needs more memory than there is")
    except OSError as error:
        raise write_failure(job.folder, error) from error
    clips, rejected = _write_parts(job, samples[start:stop])
    failure = "" if clips else rejected[0] if len(rejected) == 1 else "all of its parts are silent"
    return Converted(
        name=job.name,
        clips=tuple(clips),
        rejected=tuple(rejected) if clips else (),
        failure=failure,
        was_changed=bool(change),
        was_attenuated=was_attenuated,
        tags={k: v[:_MAX_TAG_LENGTH] for k, v in info.tags.items() if k in _TAG_NAMES},
    )


def _gather(blocks: Iterable[NDArray[np.float32]], folder: Path) -> NDArray[np.float32]:
    """Return all blocks as one writable `[T]`, in memory or in a nameless temporary file."""
    held: list[NDArray[np.float32]] = []
    num_held = 0
    with ExitStack() as stack:
        spill: IO[bytes] | None = None
        for block in blocks:
            num_held += len(block)
            if spill is None and num_held > _MAX_SAMPLES_IN_MEMORY:
                # Where the clips go there must be room anyway; /tmp may be memory.
                spill = stack.enter_context(tempfile.TemporaryFile(dir=folder))
                for earlier in held:
                    spill.write(earlier.tobytes())
                held.clear()
            if spill is None:
                held.append(block)
            else:
                spill.write(block.tobytes())
        if spill is not None:
            spill.flush()
            return np.memmap(spill, dtype=np.float32, mode="r+")  # outlives the file's handle
    return np.concatenate(held) if held else np.zeros(0, dtype=np.float32)


def _sounding(samples: NDArray[np.float32], *, trim: bool) -> tuple[int, int]:
    """Return the range to keep, having refused what holds nothing to hear."""
    if not samples.size:
        raise InputError("holds no samples")
    _refuse_silence(samples)
    start, stop = sounding_range(samples, SAMPLE_RATE) if trim else (0, len(samples))
    if stop - start < MIN_CLIP_S * SAMPLE_RATE:
        raise InputError(f"too short: {(stop - start) / SAMPLE_RATE:.3f} s of sound")
    return start, stop


def _refuse_silence(samples: NDArray[np.float32]) -> None:
    level = swing(samples)
    if level < SILENT_PEAK:
        said = f"{20 * math.log10(level):.0f} dB" if level > 0 else "all samples equal"
        raise InputError(f"silent ({said})")


def _quantize(samples: NDArray[np.float32]) -> bool:
    """Round `[T]` in place to what 16 bits hold; turn down what exceeds full scale, and say so.

    From here on the samples are what a reader of the clip gets, to the last bit.
    """
    peak = max(float(samples.max()), -float(samples.min()))
    gain = np.float32(1.0 if peak <= 1.0 else 1.0 / peak)
    for start in range(0, len(samples), _BATCH):
        batch = samples[start : start + _BATCH]
        steps = np.clip(np.rint(batch * gain * np.float32(32768)), -32768, 32767)
        batch[:] = steps / np.float32(32768)
    return peak > 1.0


def _write_parts(
    job: ConvertJob, samples: NDArray[np.float32]
) -> tuple[list[ConvertedClip], list[str]]:
    longest = job.split_s * SAMPLE_RATE if job.split_s else len(samples)
    num_parts = math.ceil(len(samples) / longest)
    # Equal parts: cutting at the limit would leave a stump at the end.
    edges = np.rint(np.linspace(0, len(samples), num_parts + 1)).astype(np.int64).tolist()
    clips, rejected = [], []
    for part, (start, stop) in enumerate(pairwise(edges), start=1):
        where = ""
        if num_parts > 1:
            where = f"part {part} ({start / SAMPLE_RATE:.1f}-{stop / SAMPLE_RATE:.1f} s): "
        try:
            _refuse_silence(samples[start:stop])
        except InputError as error:
            rejected.append(where + error.message)
            continue
        name = f"{job.stem}-p{part:04d}.flac" if num_parts > 1 else f"{job.stem}.flac"
        clips.append(_write_clip(job, name, part if num_parts > 1 else 0, samples[start:stop]))
    return clips, rejected


def _write_clip(
    job: ConvertJob, name: str, part: int, samples: NDArray[np.float32]
) -> ConvertedClip:
    path = job.folder / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path.parent}: cannot be made ({error.strerror})") from error
    write_audio(path, Waveform(samples[None], SAMPLE_RATE))
    return ConvertedClip(
        path=name,
        part=part,
        num_samples=len(samples),
        sha1_pcm16=pcm16_digest(samples),
        fingerprint=fingerprint(samples).to_text(),
    )
