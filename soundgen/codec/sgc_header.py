"""The header of a `.sgc` file: what is known before the first chunk (docs/formats.md)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from soundgen.codec.packing import read_varint, u32, write_varint

MAGIC = b"SGC"
FORMAT_VERSION = 1
# Magic, version, and the length of the body in one byte.
PREFIX_BYTES = len(MAGIC) + 2
CRC_BYTES = 4
DIGEST_BYTES = 32
ENTROPY_DIGEST_BYTES = 8

# Longer chunks cost more when one is damaged, shorter ones more bytes always. At 50 Hz, a 10 s
# file at 2 kbit/s has 100 bytes beyond its codes with 1.5 s, and 114 with 1 s.
CHUNK_S = 1.5
MAX_PAYLOAD_BYTES = 1 << 16
# Bounds the silence that a few crafted bytes can stand for.
MAX_CHUNK_S = 10

_FLAG_ENTROPY = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class SgcHeader:
    """What a `.sgc` file says of itself before its first chunk."""

    sample_rate: int
    """Of the codec and of the decoded audio, Hz."""
    hop_length: int
    """Samples per frame."""
    n_q: int
    """Codes per frame."""
    bits_per_code: int
    original_sample_rate: int
    """Of the audio before compression, Hz; information only."""
    original_channels: int
    num_samples: int = 0
    """Decoded length at `sample_rate`; 0 where it was not known when the header was written."""
    codec_digest: str
    """SHA-256 of the codec, 64 hexadecimal digits."""
    chunk_frames: int = 0
    """Frames in each chunk but the last; 0 chooses `CHUNK_S`."""
    entropy_digest: str = ""
    """First 8 bytes of the entropy model's SHA-256, 16 hexadecimal digits; empty: packed codes."""

    def __post_init__(self) -> None:
        """Refuse what no codec has, naming value and bound."""
        if self.chunk_frames == 0:
            frame_rate = self.sample_rate / max(1, self.hop_length)
            frames = default_chunk_frames(frame_rate, self.n_q * self.bits_per_code)
            object.__setattr__(self, "chunk_frames", frames)
        for name, (low, high) in _BOUNDS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} must be in {low}..{high}, got {value}")
        if self.packed_bytes(self.chunk_frames) > MAX_PAYLOAD_BYTES:
            raise ValueError(f"a chunk must be at most {MAX_PAYLOAD_BYTES} bytes")
        if self.chunk_frames > max(1, MAX_CHUNK_S * self.frame_rate):
            raise ValueError(f"a chunk must be at most {MAX_CHUNK_S} s")
        if len(bytes.fromhex(self.codec_digest)) != DIGEST_BYTES:
            raise ValueError(f"codec_digest must be {DIGEST_BYTES} bytes in hexadecimal")
        if len(bytes.fromhex(self.entropy_digest)) not in (0, ENTROPY_DIGEST_BYTES):
            raise ValueError(f"entropy_digest must be {ENTROPY_DIGEST_BYTES} bytes in hexadecimal")

    @property
    def entropy_coded(self) -> bool:
        """Chunks may be smaller than their packed codes."""
        return bool(self.entropy_digest)

    @property
    def frame_rate(self) -> float:
        """Frames per second, Hz."""
        return self.sample_rate / self.hop_length

    def num_frames(self, num_samples: int) -> int:
        """Return the frames that `num_samples` take."""
        return -(-num_samples // self.hop_length)

    def packed_bytes(self, num_frames: int) -> int:
        """Return the bytes that the packed codes of `num_frames` frames take."""
        return -(-num_frames * self.n_q * self.bits_per_code // 8)


def default_chunk_frames(frame_rate: float, bits_per_frame: int) -> int:
    """Return the frames of a chunk of `CHUNK_S`, or of as much of it as a chunk may hold."""
    most = MAX_PAYLOAD_BYTES * 8 // max(1, bits_per_frame)
    return max(1, min(round(CHUNK_S * frame_rate), most))


_BOUNDS = {
    "sample_rate": (1, 1 << 24),
    "hop_length": (1, 1 << 20),
    "n_q": (1, 1 << 10),
    "bits_per_code": (1, 16),
    "chunk_frames": (1, 1 << 16),
    "original_sample_rate": (1, 1 << 24),
    "original_channels": (1, 1 << 16),
    "num_samples": (0, 1 << 48),
}
# The order in which the header's numbers are written, after the flags and before the digests.
_HEADER_NUMBERS = tuple(_BOUNDS)


def encode_header(header: SgcHeader) -> bytes:
    """Return the header's bytes, from the magic to its checksum."""
    body = write_varint(_FLAG_ENTROPY if header.entropy_coded else 0)
    body += b"".join(write_varint(getattr(header, name)) for name in _HEADER_NUMBERS)
    body += bytes.fromhex(header.codec_digest) + bytes.fromhex(header.entropy_digest)
    encoded = MAGIC + bytes([FORMAT_VERSION, len(body)]) + body
    return encoded + u32(zlib.crc32(encoded))


def decode_header(body: bytes) -> SgcHeader:
    """Return the header whose fields `body` holds, the bytes between length and checksum.

    Raises:
        ValueError: A field is cut off or impossible.
    """
    position = 0
    values: list[int] = []
    for _ in range(1 + len(_HEADER_NUMBERS)):
        number = read_varint(body, position)
        if number is None:
            raise ValueError("a number is cut off")
        value, position = number
        values.append(value)
    flags, *numbers = values
    if flags & ~_FLAG_ENTROPY:
        raise ValueError(f"flags {flags:#x} of a newer soundgen")
    named = dict(zip(_HEADER_NUMBERS, numbers, strict=True))
    if not named["chunk_frames"]:
        raise ValueError("chunk_frames must be at least 1")
    end = position + DIGEST_BYTES if flags & _FLAG_ENTROPY else len(body)
    if flags & _FLAG_ENTROPY and len(body) - end != ENTROPY_DIGEST_BYTES:
        raise ValueError(f"entropy_digest must be {ENTROPY_DIGEST_BYTES} bytes")
    return SgcHeader(
        **named, codec_digest=body[position:end].hex(), entropy_digest=body[end:].hex()
    )
