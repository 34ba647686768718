"""The `.sgc` file, byte for byte: header, chunks of packed codes, end record (docs/formats.md).

Pure bytes and integers: no model, no audio. Every length that a file claims is checked against
what the header allows before it is believed, so memory stays bounded on any input.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from soundgen.codec.packing import (
    MAX_VARINT_BYTES,
    pack_codes,
    read_varint,
    u32,
    unpack_codes,
    write_varint,
)
from soundgen.codec.sgc_header import (
    CRC_BYTES,
    FORMAT_VERSION,
    MAGIC,
    PREFIX_BYTES,
    SgcHeader,
    decode_header,
    encode_header,
)
from soundgen.errors import InputError

# How far to search behind a damaged chunk for the next whole one, and for how much work in one
# file (bytes of checksum; each trial counts 1 kB on top): about a second in the worst case.
SEARCH_BYTES = 1 << 18
_SEARCH_WORK = 1 << 29
_TRIAL_WORK = 1 << 10

# The first byte of a record: its kind in the upper two bits, its chunk index modulo 64 below.
_FULL, _SHORT, _END = 0, 1, 2
_INDEX_CYCLE = 64


class EntropyCoder(Protocol):
    """What makes chunks smaller than their packed codes; each chunk is coded on its own."""

    def encode(self, codes: NDArray[np.int64]) -> bytes:
        """Code `codes` `[n_q, L]`."""

    def decode(
        self, payloads: Sequence[bytes], num_frames: Sequence[int]
    ) -> list[NDArray[np.int64]]:
        """Return codes int64 `[n_q, num_frames]` of each; `ValueError` if a payload holds none."""


class Chunk(NamedTuple):
    """A chunk whose checksum is right."""

    first_frame: int
    num_frames: int
    payload: bytes


class Damage(NamedTuple):
    """A place where the file is not what was written."""

    first_frame: int
    num_frames: int | None
    """How many frames are lost there; `None`: all that may have followed."""
    num_bytes: int
    """Bytes of the file that were passed over."""


class SgcWriter:
    """Writes a `.sgc` file as its codes come; the stream need not be seekable.

    Args:
        stream: Open for writing bytes; flushed after each chunk.
        header: Written at once.
        entropy: Makes the chunks smaller; `header.entropy_digest` must name it.
    """

    def __init__(
        self, stream: BinaryIO, header: SgcHeader, entropy: EntropyCoder | None = None
    ) -> None:
        if header.entropy_coded != (entropy is not None):
            raise ValueError("header.entropy_digest must say whether an entropy coder is in use")
        self.header = header
        self.size_bytes = 0
        self._stream = stream
        self._entropy = entropy
        self._held = np.empty((header.n_q, 0), dtype=np.int64)
        self._num_chunks = 0
        self._num_frames = 0
        encoded = encode_header(header)
        self._seed = zlib.crc32(encoded[-CRC_BYTES:])
        self._put(encoded)

    def write(self, codes: NDArray[np.integer]) -> None:
        """Append codes `[n_q, l]`; whole chunks go out at once.

        Raises:
            ValueError: `codes` has another n_q, or a code does not fit the header's bits.
        """
        if codes.ndim != 2 or codes.shape[0] != self.header.n_q:
            raise ValueError(f"codes must be [{self.header.n_q}, l], got {list(codes.shape)}")
        held = np.concatenate([self._held, codes.astype(np.int64)], axis=1)
        length = self.header.chunk_frames
        for start in range(0, held.shape[1] - length + 1, length):
            self._put_chunk(held[:, start : start + length])
        self._held = held[:, held.shape[1] - held.shape[1] % length :]

    def finish(self, num_samples: int) -> None:
        """Write the rest and the end record, which makes the file whole.

        Args:
            num_samples: Exact decoded length; the last frame may be longer.

        Raises:
            ValueError: `num_samples` does not fit the frames written or the header's count.
        """
        num_frames = self._num_frames + self._held.shape[1]
        if num_samples < 1 or self.header.num_frames(num_samples) != num_frames:
            raise ValueError(f"{num_samples} samples do not fit {num_frames} frames")
        if self.header.num_samples not in (0, num_samples):
            raise ValueError(f"the header promised {self.header.num_samples} samples")
        if self._held.shape[1]:
            self._put_chunk(self._held)
        self._put_record(bytes([_lead(_END, self._num_chunks)]) + write_varint(num_samples))

    def _put_chunk(self, codes: NDArray[np.int64]) -> None:
        num_frames = codes.shape[1]
        full = num_frames == self.header.chunk_frames
        record = bytes([_lead(_FULL if full else _SHORT, self._num_chunks)])
        if not full:
            record += write_varint(num_frames)
        payload = pack_codes(codes, self.header.bits_per_code)
        if self._entropy is not None:
            coded = self._entropy.encode(codes)
            # A payload of the packed length is packed codes: no chunk is ever longer than that.
            payload = coded if len(coded) < len(payload) else payload
            record += write_varint(len(payload))
        self._put_record(record + payload)
        self._num_chunks += 1
        self._num_frames += num_frames

    def _put_record(self, record: bytes) -> None:
        crc = zlib.crc32(record, zlib.crc32(u32(self._num_chunks), self._seed))
        self._put(record + u32(crc))

    def _put(self, data: bytes) -> None:
        self._stream.write(data)
        self._stream.flush()
        self.size_bytes += len(data)


class _Record(NamedTuple):
    kind: int
    chunk: int
    num_frames: int
    payload: bytes
    num_samples: int
    size: int


class SgcReader:
    """Reads a `.sgc` file from front to back; the stream need not be seekable.

    Args:
        stream: Open for reading bytes. No more is read than the records need.
        name: For messages.

    Raises:
        InputError: No `.sgc` file, a damaged header, or one of a newer format.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.name = name
        self.complete = False
        """All chunks and the end record were there and right; known after `records`."""
        self.num_samples = 0
        """Exact decoded length; known after `records`."""
        self._stream = stream
        self._buffer = bytearray()
        self._index = 0
        self._num_frames = 0
        self._ended_short = False
        self._work = _SEARCH_WORK
        self.header, self._seed = self._read_header()

    def records(self) -> Iterator[Chunk | Damage]:
        """Yield the chunks in order, and a `Damage` wherever something is missing or foreign."""
        damaged = False
        while True:
            skipped, record = self._next_record()
            if record is None:
                known = self._num_frames * self.header.hop_length
                self.num_samples = min(known, self.header.num_samples or known)
                yield Damage(self._num_frames, None, skipped)
                return
            if skipped or record.chunk != self._index:
                damaged = True
                frames = record.chunk * self.header.chunk_frames
                if record.kind == _END:
                    frames = self.header.num_frames(record.num_samples)
                yield Damage(self._num_frames, frames - self._num_frames, skipped)
                self._num_frames = frames
            if record.kind == _END:
                self.num_samples = record.num_samples
                extra = self._need(1)
                self.complete = not damaged and not extra
                if extra:
                    yield Damage(self._num_frames, 0, len(self._buffer))
                return
            yield Chunk(self._num_frames, record.num_frames, record.payload)
            self._num_frames += record.num_frames
            self._index = record.chunk + 1
            self._ended_short = record.kind == _SHORT

    def codes(
        self, chunks: Sequence[Chunk], entropy: EntropyCoder | None = None
    ) -> list[NDArray[np.int64]]:
        """Return the codes int64 `[n_q, l]` of each chunk; many at once are faster than one by one.

        Raises:
            ValueError: They are entropy-coded and no `entropy` is given.
            InputError: They are impossible although the checksum is right.
        """
        found: dict[int, NDArray[np.int64]] = {}
        coded = [chunk for chunk in chunks if self._is_coded(chunk)]
        if coded:
            if entropy is None:
                raise ValueError("the codes are entropy-coded: an entropy coder must be given")
            try:
                decoded = entropy.decode(
                    [chunk.payload for chunk in coded], [chunk.num_frames for chunk in coded]
                )
            except ValueError as error:
                if len(chunks) > 1:  # one by one, to say which
                    return [self.codes([chunk], entropy)[0] for chunk in chunks]
                raise self._impossible(coded[0], error) from error
            found = {chunk.first_frame: codes for chunk, codes in zip(coded, decoded, strict=True)}
        return [
            found[chunk.first_frame] if self._is_coded(chunk) else self._unpack(chunk)
            for chunk in chunks
        ]

    def _is_coded(self, chunk: Chunk) -> bool:
        packed = self.header.packed_bytes(chunk.num_frames)
        return self.header.entropy_coded and len(chunk.payload) < packed

    def _unpack(self, chunk: Chunk) -> NDArray[np.int64]:
        n_q, bits = self.header.n_q, self.header.bits_per_code
        try:
            return unpack_codes(chunk.payload, n_q, chunk.num_frames, bits)
        except ValueError as error:
            raise self._impossible(chunk, error) from error

    def _impossible(self, chunk: Chunk, error: ValueError) -> InputError:
        at_s = chunk.first_frame / self.header.frame_rate
        return InputError(f"{self.name}: impossible codes at {at_s:.2f} s ({error})")

    def _next_record(self) -> tuple[int, _Record | None]:
        """Return the next whole record and the bytes passed over before it; None: there is none."""
        record = self._parse(0, self._index)
        skipped = 0
        if record is None:
            skipped, record = self._search()
        del self._buffer[: skipped + (record.size if record else 0)]
        return skipped, record

    def _search(self) -> tuple[int, _Record | None]:
        """Return the first whole record from here on, and where it begins in the buffer."""
        at = 0
        for at, index in self._candidates():
            if self._work < 0:
                break
            self._work -= self._full_bytes() + _TRIAL_WORK
            record = self._parse(at, index)
            if record is not None:
                return at, record
        return at, None

    def _candidates(self) -> Iterator[tuple[int, int]]:
        """Yield buffer offsets and the chunk that may begin there, the likeliest first."""
        yield from self._candidates_at(0)
        full = self._full_bytes()
        if not self.header.entropy_coded:
            # Bytes that were overwritten in place leave all that follows where it was.
            for k in range(1, SEARCH_BYTES // full):
                if not self._need(k * full + 1):
                    break
                yield k * full, self._index + k
        at = 1
        while at < SEARCH_BYTES and self._need(at + 1):
            yield from self._candidates_at(at)
            at += 1

    def _candidates_at(self, at: int) -> Iterator[tuple[int, int]]:
        # Fewer than 64 chunks may have gone without a trace; more, if their bytes are still there.
        if self._need(at + 1):
            shortest = 1 + CRC_BYTES if self.header.entropy_coded else self._full_bytes()
            first = self._index + (self._buffer[at] - self._index) % _INDEX_CYCLE
            last = self._index + _INDEX_CYCLE + at // shortest
            yield from ((at, index) for index in range(first, last, _INDEX_CYCLE))

    def _full_bytes(self) -> int:
        return 1 + self.header.packed_bytes(self.header.chunk_frames) + CRC_BYTES

    def _parse(self, at: int, index: int) -> _Record | None:
        """Return the record of chunk `index` at buffer offset `at`, None if there is none."""
        if not self._need(at + 1) or self._buffer[at] % _INDEX_CYCLE != index % _INDEX_CYCLE:
            return None
        kind = self._buffer[at] // _INDEX_CYCLE
        if kind > _END or (self._ended_short and (kind != _END or index != self._index)):
            return None
        header, position = self.header, at + 1
        num_frames, num_samples, length = header.chunk_frames, 0, 0
        if kind != _FULL:
            number = self._read_varint(position)
            if number is None:
                return None
            value, position = number
            if kind == _END and self._fits_end(value, index):
                num_samples, num_frames = value, 0
            elif kind == _SHORT and 1 <= value < header.chunk_frames:
                num_frames = value
            else:
                return None
        if kind != _END:
            length = packed = header.packed_bytes(num_frames)
            if header.entropy_coded:
                number = self._read_varint(position)
                if number is None or not 1 <= number[0] <= packed:
                    return None
                length, position = number
        if not self._crc_holds(at, position + length, index):
            return None
        payload = bytes(self._buffer[position : position + length])
        size = position + length + CRC_BYTES - at
        return _Record(kind, index, num_frames, payload, num_samples, size)

    def _fits_end(self, num_samples: int, num_chunks: int) -> bool:
        """Say whether `num_samples` agrees with the chunks, those seen and those counted."""
        num_frames = self.header.num_frames(num_samples)
        if num_chunks == self._index and num_frames != self._num_frames:
            return False
        length = self.header.chunk_frames
        return (
            num_samples >= 1
            and self.header.num_samples in (0, num_samples)
            and (num_chunks - 1) * length < num_frames <= num_chunks * length
        )

    def _crc_holds(self, start: int, end: int, index: int) -> bool:
        if not self._need(end + CRC_BYTES):
            return False
        with memoryview(self._buffer) as view:
            crc = zlib.crc32(view[start:end], zlib.crc32(u32(index), self._seed))
            return view[end : end + CRC_BYTES] == u32(crc)

    def _read_varint(self, at: int) -> tuple[int, int] | None:
        """Return the number at buffer offset `at` and the offset behind it; None if there is none.

        Reads not one byte more than the number has: the next may not have been written yet.
        """
        for end in range(at + 1, at + 1 + MAX_VARINT_BYTES):
            if not self._need(end):
                return None
            if self._buffer[end - 1] < 0x80:
                return read_varint(self._buffer, at)
        return None

    def _read_header(self) -> tuple[SgcHeader, int]:
        self._need(len(MAGIC) + 1)
        if not self._buffer:
            raise InputError(f"{self.name}: is empty")
        if self._buffer[: len(MAGIC)] != MAGIC:
            raise InputError(f"{self.name}: not a .sgc file")
        version = self._buffer[len(MAGIC)] if len(self._buffer) > len(MAGIC) else 0
        if version > FORMAT_VERSION:
            raise InputError(
                f"{self.name}: .sgc format version {version}, newer than the {FORMAT_VERSION} "
                "that this soundgen reads",
                hint="upgrade soundgen",
            )
        end = PREFIX_BYTES
        if self._need(end):
            end += self._buffer[end - 1]
        if not self._need(end + CRC_BYTES):
            raise InputError(f"{self.name}: ends within its header")
        crc = bytes(self._buffer[end : end + CRC_BYTES])
        if crc != u32(zlib.crc32(self._buffer[:end])):
            raise InputError(f"{self.name}: the header is damaged (its checksum is wrong)")
        try:
            header = decode_header(bytes(self._buffer[PREFIX_BYTES:end]))
        except ValueError as error:
            raise InputError(f"{self.name}: an impossible header: {error}") from error
        del self._buffer[: end + CRC_BYTES]
        return header, zlib.crc32(crc)

    def _need(self, size: int) -> bool:
        """Read until the buffer holds `size` bytes; False if the stream ends before."""
        while len(self._buffer) < size:
            try:
                data = self._stream.read(size - len(self._buffer))
            except OSError as error:
                raise InputError(f"{self.name}: cannot be read ({error.strerror})") from error
            if not data:
                return False
            self._buffer += data
        return True


def _lead(kind: int, index: int) -> int:
    return kind * _INDEX_CYCLE + index % _INDEX_CYCLE
