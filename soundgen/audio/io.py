"""Audio files in and out: any format to samples, samples to a file that is whole or absent."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from soundgen.audio.ffmpeg import MediaInfo, decode_media
from soundgen.audio.resample import resample, resample_stream, to_mono
from soundgen.audio.source import (
    MAX_SAMPLE_RATE,
    MIN_SAMPLE_RATE,
    AudioInfo,
    decoder_reason,
    inspect_file,
)
from soundgen.audio.tags import check_tags, set_soundfile_tags, write_id3_tags
from soundgen.audio.tar_member import plain_file
from soundgen.audio.wav_loop import append_loop_points
from soundgen.audio.waveform import Waveform
from soundgen.errors import InputError, UsageError
from soundgen.files import atomic_path

__all__ = [
    "MAX_SAMPLE_RATE",
    "MIN_SAMPLE_RATE",
    "AudioInfo",
    "blocks_mono",
    "check_format",
    "check_loop_format",
    "conversion_notice",
    "pcm_subtype",
    "probe",
    "read_audio",
    "read_mono",
    "write_audio",
]

# suffix -> libsndfile's format and the default subtype
FORMATS: dict[str, tuple[str, str]] = {
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}
# What one read may take in memory, whatever rate and channel count a header claims: 16 MiB.
_MAX_BLOCK_VALUES = 1 << 22
# libsndfile hands a whole write to the Vorbis encoder's stack; a long one overflows it.
_WRITE_FRAMES = 1 << 16
_PCM_BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
_BIT_DEPTHS = {".wav": (16, 24, 32), ".flac": (16, 24)}


def probe(path: Path) -> AudioInfo:
    """Return what a file holds, from its header; the content decides the format, not the name.

    A file that is missing, empty, not audio, or shorter than its header says is an `InputError`.
    """
    with plain_file(path) as file:
        return inspect_file(file, str(path))[0]


def read_audio(path: Path) -> Waveform:
    """Read a whole file at its own rate and channel count.

    It is an `InputError` where `probe` says so, and if it is damaged or truncated or holds NaN or
    infinite samples.
    """
    with plain_file(path) as file:
        info, media = inspect_file(file, str(path))
        blocks = list(_blocks(file, str(path), info, media, _MAX_BLOCK_VALUES // info.channels))
    if not blocks:
        return Waveform(np.zeros((info.channels, 0), dtype=np.float32), info.sample_rate)
    return Waveform(np.ascontiguousarray(np.concatenate(blocks).T), info.sample_rate)


def read_mono(path: Path, sample_rate: int) -> tuple[Waveform, str]:
    """Read a whole file as mono at `sample_rate` Hz; fails as `read_audio` does.

    Returns:
        The waveform `[1, T]`, and one line for the user if it was downmixed or resampled (else
        empty), such as "a.wav: 48000 Hz, 2 channels -> 16000 Hz mono".
    """
    waveform = read_audio(path)
    notice = conversion_notice(path, waveform.sample_rate, waveform.channels, sample_rate)
    return resample(to_mono(waveform), sample_rate), notice


def conversion_notice(
    path: Path | str, from_rate: int, from_channels: int, sample_rate: int
) -> str:
    """Return the line that says what was converted to mono at `sample_rate`, or an empty one."""
    if from_rate == sample_rate and from_channels == 1:
        return ""
    channels = "mono" if from_channels == 1 else f"{from_channels} channels"
    return f"{path}: {from_rate} Hz, {channels} -> {sample_rate} Hz mono"


def blocks_mono(
    source: Path | BinaryIO, sample_rate: int, block_s: float = 10.0
) -> Iterator[NDArray[np.float32]]:
    """Stream a file of any length as mono at `sample_rate` Hz, in bounded memory.

    Fails as `read_audio` does, as soon as the fault is reached.

    Args:
        source: A file, or a stream such as standard input (copied to a temporary file first,
            since decoders must seek).
        sample_rate: Hz of the result.
        block_s: About how much to read at a time, s. The samples do not depend on it.

    Yields:
        float32 `[T]`, never empty; together what `read_mono` returns.
    """
    with _as_file(source) as (path, name):
        info, media = inspect_file(path, name)
        frames = max(1, int(block_s * info.sample_rate))
        frames = min(frames, _MAX_BLOCK_VALUES // info.channels)
        blocks = _blocks(path, name, info, media, frames)
        mono = (_mean_channel(block) for block in blocks)
        yield from resample_stream(mono, info.sample_rate, sample_rate)


def write_audio(
    path: Path,
    waveform: Waveform,
    *,
    subtype: str | None = None,
    tags: Mapping[str, str] | None = None,
    is_loop: bool = False,
) -> None:
    """Write a file atomically; the suffix picks wav, flac, ogg, opus or mp3.

    PCM is rounded to the nearest step, so that what 16-bit audio was read comes out the same;
    values beyond full scale are clipped. What `check_format` refuses is a `UsageError`, a file
    that cannot be written an `OutputError`.

    Args:
        path: Where; an existing file is replaced.
        waveform: Finite samples.
        subtype: libsndfile's name, such as "PCM_24" or "FLOAT"; 16 bit for wav and flac if None.
        tags: Names of `soundgen.audio.tags.TAG_NAMES` to text.
        is_loop: Give a WAV loop points: all of it, again and again.

    Raises:
        InputError: A sample is NaN or infinite, or a tag has an unknown name.
    """
    file_format, chosen = check_format(
        path, waveform.sample_rate, waveform.channels, subtype=subtype
    )
    check_tags(tags or {})
    with atomic_path(path) as temporary:
        try:
            with soundfile.SoundFile(
                os.fsencode(temporary), "w", waveform.sample_rate, waveform.channels,
                format=file_format, subtype=chosen,
            ) as file:  # fmt: skip
                set_soundfile_tags(file, tags or {})
                for start in range(0, waveform.num_samples, _WRITE_FRAMES):
                    block = waveform.samples[:, start : start + _WRITE_FRAMES].T
                    if not np.isfinite(block).all():
                        raise InputError(f"{path}: not written: NaN or infinite samples")
                    file.write(_to_pcm(block, _PCM_BITS.get(chosen)))
        except soundfile.LibsndfileError as error:
            # A full disk reaches us as libsndfile's own error; atomic_path words OSErrors.
            raise OSError(f"{error.error_string or 'the encoder failed'}") from error
        if is_loop and file_format == "WAV":
            append_loop_points(temporary, waveform.sample_rate, waveform.num_samples)
        write_id3_tags(temporary, file_format, tags or {})


def check_format(
    path: Path, sample_rate: int, channels: int, *, subtype: str | None = None
) -> tuple[str, str]:
    """Return libsndfile's format and subtype for `path`, before anything is computed.

    Raises:
        UsageError: The suffix is unknown, or the format cannot hold this rate, channel count or
            subtype.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise UsageError(
            f"{path}: unknown audio format '{suffix}'", hint=f"known: {', '.join(FORMATS)}"
        )
    file_format, default = FORMATS[suffix]
    chosen = subtype or default
    if not soundfile.check_format(file_format, chosen):
        raise UsageError(f"{path}: {suffix} cannot hold {chosen}")
    rates = _RATES.get(suffix)
    if rates and sample_rate not in rates:
        raise UsageError(
            f"{path}: {suffix} cannot hold {sample_rate} Hz",
            hint=f"it holds {', '.join(map(str, rates))} Hz",
        )
    most = _MAX_CHANNELS.get(suffix, 255)
    if channels > most:
        raise UsageError(f"{path}: {suffix} holds at most {most} channels, got {channels}")
    return file_format, chosen


def check_loop_format(path: Path) -> None:
    """Refuse a format whose coding would open a loop again: it changes what is near the ends.

    Raises:
        UsageError: The suffix is not that of wav or flac.
    """
    if path.suffix.lower() not in _BIT_DEPTHS:
        raise UsageError(
            f"{path}: a loop in {path.suffix} would not close: the coding changes its ends",
            hint="make a .wav or .flac; game engines compress those themselves",
        )


def pcm_subtype(path: Path, bit_depth: int | None) -> str | None:
    """Return libsndfile's name of integers of `bit_depth` bits; `None`, the default, for `None`.

    Raises:
        UsageError: The format that `path` names has no such bit depth, or none at all.
    """
    if bit_depth is None:
        return None
    suffix = path.suffix.lower()
    known = _BIT_DEPTHS.get(suffix, ())
    if bit_depth not in known:
        held = " or ".join(map(str, known))
        raise UsageError(
            f"{path}: {suffix} has no bit depth of {bit_depth}",
            hint=f"{suffix} has {held}" if known else "only wav and flac have a bit depth",
        )
    return f"PCM_{bit_depth}"


_RATES: dict[str, tuple[int, ...]] = {
    ".opus": (8000, 12000, 16000, 24000, 48000),
    ".mp3": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
}
_MAX_CHANNELS = {".flac": 8, ".mp3": 2}


def _blocks(
    path: Path, name: str, info: AudioInfo, media: MediaInfo | None, frames: int
) -> Iterator[NDArray[np.float32]]:
    """Yield float32 `[T, C]` at the file's own rate, each checked to be finite."""
    source = (
        _soundfile_blocks(path, name, info, frames)
        if media is None
        else decode_media(path, name, media, frames)
    )
    for block in source:
        if not np.isfinite(block).all():
            raise InputError(f"{name}: holds NaN or infinite samples")
        yield block


def _soundfile_blocks(
    path: Path, name: str, info: AudioInfo, frames: int
) -> Iterator[NDArray[np.float32]]:
    decoded = 0
    try:
        with (
            path.open("rb") as stream,
            soundfile.SoundFile(stream.fileno(), closefd=False) as file,
        ):
            while len(block := file.read(frames, dtype="float32", always_2d=True)):
                decoded += len(block)
                yield block
    except soundfile.LibsndfileError as error:
        at = _seconds(decoded, info)
        raise InputError(
            f"{name}: damaged: decoding stops at {at}{decoder_reason(error)}"
        ) from error
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror})") from error
    # Headers of MP3 promise a length only within the encoder's padding.
    promised = 0.95 * info.num_samples if info.format == "MP3" else info.num_samples
    if decoded < promised:
        whole = _seconds(info.num_samples, info)
        raise InputError(f"{name}: truncated: {_seconds(decoded, info)} of {whole} decode")


def _mean_channel(block: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of the channels of `[T, C]`, `[T]`."""
    if block.shape[1] == 1:
        return block[:, 0]
    if block.shape[1] == 2:
        # The same to the last bit as mean(), which goes row by row, in a fifth of its time.
        return (block[:, 0] + block[:, 1]) * np.float32(0.5)
    mean: NDArray[np.float32] = block.mean(axis=1, dtype=np.float32)
    return mean


def _seconds(num_samples: int, info: AudioInfo) -> str:
    return f"{num_samples / info.sample_rate:.2f} s"


@contextmanager
def _as_file(source: Path | BinaryIO) -> Iterator[tuple[Path, str]]:
    if isinstance(source, (str, os.PathLike)):
        yield Path(source), str(source)
        return
    with tempfile.NamedTemporaryFile(prefix="soundgen-", suffix=".audio") as copy:
        shutil.copyfileobj(source, copy, 1 << 20)
        copy.flush()
        yield Path(copy.name), str(getattr(source, "name", "<stdin>"))


def _to_pcm(block: NDArray[np.float32], bits: int | None) -> NDArray[Any]:
    """Round to `bits` and shift up to what libsndfile takes; floats pass when `bits` is None."""
    if bits is None:
        return np.ascontiguousarray(block)
    # float64: float32 has no room for the last bits of 32-bit full scale.
    scaled = np.rint(block.astype(np.float64) * 2.0 ** (bits - 1))
    limit = 2.0 ** (bits - 1)
    integers = np.clip(scaled, -limit, limit - 1).astype(np.int64)
    if bits <= 16:
        return (integers << (16 - bits)).astype(np.int16)
    return (integers << (32 - bits)).astype(np.int32)
