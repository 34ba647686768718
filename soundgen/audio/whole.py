"""Whether a file holds what its header promises: libsndfile reads a cut-off one without a word."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from io import FileIO
from typing import BinaryIO

# MPEG audio, by (version bits, layer bits) as in the frame header; kbit/s and Hz.
_BIT_RATES = {
    (3, 3): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (3, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (3, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 3): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 1): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLE_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


@dataclass(frozen=True)
class _Chunks:
    """How a family of formats lays out its chunks."""

    start: int  # of the first chunk
    id_bytes: int
    size: struct.Struct
    size_counts_header: bool
    align: int
    data_id: bytes
    unknown: tuple[int, ...]  # what programs write that do not know the size yet
    unknown_from: int = 1 << 62


_STREAMED = (0, 0xFFFFFFFF)
# Some write nearly 2 GiB instead.
_STREAMED_FROM = 0x7FFF_0000
_RIFF = _Chunks(12, 4, struct.Struct("<I"), False, 2, b"data", _STREAMED, _STREAMED_FROM)
_RIFX = _Chunks(12, 4, struct.Struct(">I"), False, 2, b"data", _STREAMED, _STREAMED_FROM)
_AIFF = _Chunks(12, 4, struct.Struct(">I"), False, 2, b"SSND", _STREAMED)
_CAF = _Chunks(8, 4, struct.Struct(">q"), False, 1, b"data", (-1,))
_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
_W64 = _Chunks(40, 16, struct.Struct("<Q"), True, 8, _W64_DATA, (0, 24, 2**63 - 1, 2**64 - 1))


def missing_bytes(stream: BinaryIO | FileIO) -> int:
    """Return how many bytes of audio a header promises and the file does not hold.

    0 is also the answer for formats without such a promise (their decoders notice), and for
    headers written before the length was known.
    """
    size = os.fstat(stream.fileno()).st_size
    stream.seek(0)
    head = stream.read(24)
    if head[:4] == b".snd" and len(head) == 24:
        start, length = struct.unpack(">II", head[4:12])
        return 0 if length in _STREAMED else max(0, int(start + length - size))
    layout = _layout(head)
    return 0 if layout is None else _missing_in_chunks(stream, size, layout, head[:4] == b"RF64")


def _layout(head: bytes) -> _Chunks | None:
    magic, form = head[:4], head[8:12]
    if magic in (b"RIFF", b"RF64") and form == b"WAVE":
        return _RIFF
    if magic == b"RIFX" and form == b"WAVE":
        return _RIFX
    if magic == b"FORM" and form in (b"AIFF", b"AIFC"):
        return _AIFF
    return {b"caff": _CAF, b"riff": _W64}.get(magic)


def _missing_in_chunks(stream: BinaryIO | FileIO, size: int, layout: _Chunks, is_rf64: bool) -> int:
    position = layout.start
    long_size: int | None = None  # RF64 keeps the true size of its data in the chunk ds64
    header_bytes = layout.id_bytes + layout.size.size
    while position + header_bytes <= size:
        stream.seek(position)
        header = stream.read(header_bytes)
        chunk_id = header[: layout.id_bytes]
        (length,) = layout.size.unpack(header[layout.id_bytes :])
        if chunk_id == b"ds64":
            long_size = struct.unpack("<Q", stream.read(16)[8:].ljust(8, b"\0"))[0]
        if chunk_id == layout.data_id:
            if is_rf64 and length == 0xFFFFFFFF and long_size is not None:
                length = long_size
            elif length in layout.unknown or length >= layout.unknown_from:
                return 0
        body = length - header_bytes if layout.size_counts_header else length
        end = position + header_bytes + body
        if chunk_id == layout.data_id or end > size:
            return max(0, int(end - size))
        if body < 0:
            return 0  # not a chunk; the decoder will say what is wrong
        position = end + -end % layout.align
    return 0


def mp3_samples(stream: BinaryIO | FileIO) -> int | None:
    """Count the samples of an MP3 by its frames, where no header states its length.

    libsndfile then guesses the length from the first frame's bit rate and ends there, which loses
    most of a file whose bit rate varies.

    Returns:
        Samples in each channel, or `None` for a file that states its length or has no frames.
    """
    size = os.fstat(stream.fileno()).st_size
    position = _after_id3(stream)
    num_samples = 0
    while position + 4 <= size:
        stream.seek(position)
        head = stream.read(4)
        frame = _mpeg_frame(head)
        if frame is None:
            if num_samples:
                break  # a tag at the end, or damage that the decoder will find
            return None
        length, samples = frame
        if num_samples == 0:
            first = head + stream.read(min(length, 200))
            if any(mark in first for mark in (b"Xing", b"Info", b"VBRI")):
                return None
        num_samples += samples
        position += length
    return num_samples or None


def _after_id3(stream: BinaryIO | FileIO) -> int:
    stream.seek(0)
    head = stream.read(10)
    if len(head) < 10 or head[:3] != b"ID3":
        return 0
    # Seven bits a byte, so that no size looks like the start of a frame.
    size: int = sum(
        (byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True)
    )
    return 10 + size


def _mpeg_frame(head: bytes) -> tuple[int, int] | None:
    """Return the bytes and samples of the frame that starts with these four bytes."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    rate_index, frequency_index, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    table = _BIT_RATES.get((version, layer)) or _BIT_RATES.get((2, 3 if layer == 3 else 1))
    if version == 1 or layer == 0 or not 1 <= rate_index <= 14 or frequency_index == 3 or not table:
        return None
    bit_rate = 1000 * table[rate_index - 1]
    sample_rate = _SAMPLE_RATES[version][frequency_index]
    if layer == 3:  # layer I counts in slots of four bytes
        return (12 * bit_rate // sample_rate + padding) * 4, 384
    samples = 576 if layer == 1 and version != 3 else 1152
    return samples // 8 * bit_rate // sample_rate + padding, samples
