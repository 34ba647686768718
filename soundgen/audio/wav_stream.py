"""WAV through pipes: read while it is still being written, written before its length is known.

libsndfile must seek; this reads and writes front to back. PCM and float only: for all else there
is `soundgen.audio.io`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from soundgen.audio.io import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE
from soundgen.errors import InputError

# What stands before the samples (tags, cue points) is small in any honest file.
_MAX_PREAMBLE_BYTES = 1 << 20
# Programs that stream write 0, 0xFFFFFFFF or something near 2 GiB for a length they do not know.
_UNKNOWN_FROM = 0x7FFF_0000
_BLOCK_S = 0.5
_MAX_BLOCK_BYTES = 1 << 24
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_NO_LENGTH = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class WavStream:
    """A WAV whose header has been read and whose samples have not.

    Attributes:
        sample_rate: Hz.
        channels: Number of channels.
        num_samples: Samples in each channel; `None` if the header does not say.
    """

    sample_rate: int
    channels: int
    num_samples: int | None
    _stream: BinaryIO
    _name: str
    _sample_type: str
    _sample_bytes: int

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield float32 `[T, C]` blocks of about half a second, full scale is [-1, 1].

        Raises:
            InputError: The stream ends before what its header promised, or holds NaN or infinity.
        """
        frame_bytes = self.channels * self._sample_bytes
        frames = max(1, min(int(_BLOCK_S * self.sample_rate), _MAX_BLOCK_BYTES // frame_bytes))
        done = 0
        while self.num_samples is None or done < self.num_samples:
            want = frames if self.num_samples is None else min(frames, self.num_samples - done)
            data = _read(self._stream, want * frame_bytes, self._name)
            whole = len(data) // frame_bytes
            if whole:
                block = self._to_float(data[: whole * frame_bytes]).reshape(whole, self.channels)
                if not np.isfinite(block).all():
                    raise InputError(f"{self._name}: holds NaN or infinite samples")
                done += whole
                yield block
            if whole < want:
                break
        if self.num_samples is not None and done < self.num_samples:
            raise InputError(
                f"{self._name}: truncated: {done / self.sample_rate:.2f} s of "
                f"{self.num_samples / self.sample_rate:.2f} s came"
            )
        # Whoever writes the tags behind the samples must not find the pipe closed.
        while _read(self._stream, _MAX_PREAMBLE_BYTES, self._name):
            pass

    def _to_float(self, data: bytes) -> NDArray[np.float32]:
        if self._sample_type == "f":
            return np.frombuffer(data, dtype=f"<f{self._sample_bytes}").astype(np.float32)
        if self._sample_bytes == 1:  # the one width that WAV stores unsigned
            unsigned = np.frombuffer(data, dtype=np.uint8).astype(np.float32)
            return np.asarray((unsigned - 128) / 128, dtype=np.float32)
        if self._sample_bytes == 3:
            wide = np.zeros((len(data) // 3, 4), dtype=np.uint8)
            wide[:, 1:] = np.frombuffer(data, dtype=np.uint8).reshape(-1, 3)
            data, bits = wide.tobytes(), 32
        else:
            bits = 8 * self._sample_bytes
        integers = np.frombuffer(data, dtype=f"<i{bits // 8}")
        return np.asarray(integers / 2.0 ** (bits - 1), dtype=np.float32)


def open_wav_stream(stream: BinaryIO, name: str) -> tuple[WavStream | None, bytes]:
    """Read the header of a WAV.

    Args:
        stream: Open for reading bytes; need not be seekable.
        name: For messages.

    Returns:
        The WAV (`None`: it is something else, or samples of another kind), and the bytes taken
        from the stream, so that another reader can begin with them.

    Raises:
        InputError: The stream cannot be read, is empty, or is a damaged or cut-off WAV.
    """
    taken = bytearray(_read(stream, 12, name))
    if not taken:
        raise InputError(f"{name}: is empty")
    is_rf64 = taken.startswith(b"RF64")
    if not (is_rf64 or taken.startswith(b"RIFF")) or taken[8:] != b"WAVE":
        return None, bytes(taken)
    layout: tuple[int, ...] | None = None
    long_size: int | None = None
    while True:
        header = _read(stream, 8, name)
        taken += header
        if len(header) < 8:
            raise InputError(f"{name}: ends within its header")
        chunk_id, size = header[:4], struct.unpack("<I", header[4:])[0]
        if chunk_id == b"data":
            break
        padded = size + size % 2
        if len(taken) + padded > _MAX_PREAMBLE_BYTES:
            raise InputError(f"{name}: a damaged WAV: its samples are nowhere near the start")
        body = _read(stream, padded, name)
        taken += body
        if chunk_id == b"fmt " and len(body) >= 16:
            layout = _layout(body)
        elif chunk_id == b"ds64" and len(body) >= 16:
            long_size = struct.unpack("<Q", body[8:16])[0]
    if layout is None:
        raise InputError(f"{name}: a damaged WAV: no format comes before its samples")
    kind, channels, sample_rate, block_align, bits = layout
    width = bits // 8
    if (kind, bits) not in _KINDS or channels < 1 or block_align != channels * width:
        return None, bytes(taken)
    if not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE:
        raise InputError(f"{name}: has an impossible sample rate of {sample_rate} Hz")
    num_samples = size // block_align if 0 < size < _UNKNOWN_FROM else None
    if is_rf64 and size == _NO_LENGTH and long_size is not None and 0 < long_size < 1 << 62:
        num_samples = long_size // block_align
    sample_type = "f" if kind == _FLOAT else "i"
    wav = WavStream(sample_rate, channels, num_samples, stream, name, sample_type, width)
    return wav, bytes(taken)


_KINDS = {(_PCM, 8), (_PCM, 16), (_PCM, 24), (_PCM, 32), (_FLOAT, 32), (_FLOAT, 64)}


def wav_header(sample_rate: int, num_samples: int | None) -> bytes:
    """Return the 44 bytes before mono 16-bit samples; `None`, or too many: of unknown length."""
    size = _NO_LENGTH if num_samples is None else 2 * num_samples
    if size + 36 > _NO_LENGTH:
        size = _NO_LENGTH
    riff = min(size + 36, _NO_LENGTH)
    layout = struct.pack("<IHHIIHH", 16, _PCM, 1, sample_rate, 2 * sample_rate, 2, 16)
    return (
        b"RIFF" + struct.pack("<I", riff) + b"WAVEfmt " + layout + b"data" + struct.pack("<I", size)
    )


def to_pcm16(samples: NDArray[np.float32]) -> bytes:
    """Round float samples to 16 bits, clipping beyond full scale."""
    scaled = np.clip(np.rint(samples * np.float32(32768)), -32768, 32767)
    data: bytes = scaled.astype("<i2").tobytes()
    return data


def _layout(body: bytes) -> tuple[int, ...]:
    kind, channels, sample_rate, _, block_align, bits = struct.unpack("<HHIIHH", body[:16])
    if kind == _EXTENSIBLE and len(body) >= 26:
        kind = struct.unpack("<H", body[24:26])[0]
    return kind, channels, sample_rate, block_align, bits


def _read(stream: BinaryIO, size: int, name: str) -> bytes:
    """Read `size` bytes, fewer only at the end."""
    parts = []
    try:
        while size and (data := stream.read(size)):
            parts.append(data)
            size -= len(data)
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror})") from error
    return b"".join(parts)
