"""Codes and counts as bytes: codes bit by bit without gaps, counts in as few bytes as they need."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MAX_VARINT_BYTES = 8


def pack_codes(codes: NDArray[np.integer], bits_per_code: int) -> bytes:
    """Pack codes without gaps: frame by frame, coarsest codebook first, highest bit first.

    Args:
        codes: Integers `[n_q, L]` in [0, 2^bits_per_code).
        bits_per_code: 1 to 16.

    Returns:
        ceil(n_q L bits_per_code / 8) bytes, filled up with zero bits.

    Raises:
        ValueError: `codes` is not `[n_q, L]`, or a code is out of range.
    """
    if codes.ndim != 2:
        raise ValueError(f"codes must be [n_q, L], got {list(codes.shape)}")
    if codes.size and (codes.min() < 0 or codes.max() >= 1 << bits_per_code):
        raise ValueError(f"codes must be in [0, {1 << bits_per_code})")
    shifts = np.arange(bits_per_code - 1, -1, -1)
    bits = (codes.T.astype(np.int64).reshape(-1, 1) >> shifts) & 1
    return np.packbits(bits.astype(np.uint8)).tobytes()


def unpack_codes(
    payload: bytes, n_q: int, num_frames: int, bits_per_code: int
) -> NDArray[np.int64]:
    """Undo `pack_codes`.

    Returns:
        int64 `[n_q, num_frames]`.

    Raises:
        ValueError: `payload` is not what `pack_codes` makes of so many codes.
    """
    num_bits = n_q * num_frames * bits_per_code
    if len(payload) != -(-num_bits // 8):
        raise ValueError(f"expected {-(-num_bits // 8)} bytes, got {len(payload)}")
    bits = np.unpackbits(np.frombuffer(payload, dtype=np.uint8))
    if bits[num_bits:].any():
        raise ValueError("the bits after the last code are not zero")
    weights = 1 << np.arange(bits_per_code - 1, -1, -1, dtype=np.int64)
    codes = bits[:num_bits].reshape(num_frames, n_q, bits_per_code) @ weights
    return np.ascontiguousarray(codes.T)


def write_varint(value: int) -> bytes:
    """Return `value` in groups of seven bits, lowest first; the upper bit says that more follow."""
    data = bytearray()
    while value >= 0x80:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)


def read_varint(data: bytes | bytearray, at: int) -> tuple[int, int] | None:
    """Return the number at `data[at:]` and the offset behind it; None if there is none.

    A number has one spelling only: the shortest, of at most `MAX_VARINT_BYTES`.
    """
    value = 0
    for i, byte in enumerate(data[at : at + MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return (value, at + i + 1) if byte or i == 0 else None
    return None


def u32(value: int) -> bytes:
    """Return `value` as four bytes, lowest first."""
    return value.to_bytes(4, "little")
