"""The `.sgc` format: exact round trips, golden bytes, and no harm from any bytes at all."""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from soundgen.codec.bitstream import SEARCH_BYTES, Chunk, Damage, SgcReader, SgcWriter
from soundgen.codec.packing import pack_codes, read_varint, unpack_codes, write_varint
from soundgen.codec.sgc_header import MAX_PAYLOAD_BYTES, SgcHeader, decode_header, encode_header
from soundgen.codec.sgc_info import damage_error, damage_text, describe
from soundgen.errors import InputError
from tests.fixtures_corruption import corrupt
from tests.fixtures_pipe import Pipe

DIGEST = "5a" * 32
ENTROPY = "e7" * 8
Codes = NDArray[np.int64]


def make_header(**changes: object) -> SgcHeader:
    fields: dict[str, object] = {
        "sample_rate": 16_000,
        "hop_length": 320,
        "n_q": 4,
        "bits_per_code": 10,
        "original_sample_rate": 48_000,
        "original_channels": 2,
        "codec_digest": DIGEST,
    }
    return SgcHeader(**(fields | changes))  # type: ignore[arg-type]


def make_codes(header: SgcHeader, num_frames: int, seed: int = 0) -> Codes:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 1 << header.bits_per_code, (header.n_q, num_frames))


def write_file(header: SgcHeader, codes: Codes, num_samples: int | None = None) -> bytes:
    stream = io.BytesIO()
    writer = SgcWriter(stream, header)
    writer.write(codes)
    writer.finish(num_samples or codes.shape[1] * header.hop_length)
    assert writer.size_bytes == len(stream.getvalue())
    return stream.getvalue()


class Read:
    """A whole file read: what was decoded, and what was reported lost."""

    def __init__(self, data: bytes) -> None:
        self.reader = SgcReader(Pipe(data, step=1 << 20), "a.sgc")
        self.header = self.reader.header
        self.damages: list[Damage] = []
        self.codes: dict[int, Codes] = {}
        for record in self.reader.records():
            if isinstance(record, Damage):
                self.damages.append(record)
            else:
                (self.codes[record.first_frame],) = self.reader.codes([record])
        self.num_samples, self.complete = self.reader.num_samples, self.reader.complete


def check_honest(read: Read, codes: Codes, num_samples: int) -> None:
    """Every frame is either right or named as lost; nothing is invented."""
    num_frames = codes.shape[1]
    lost = np.zeros(num_frames, dtype=bool)
    got = np.zeros(num_frames, dtype=bool)
    for first, part in read.codes.items():
        stop = first + part.shape[1]
        assert stop <= num_frames
        np.testing.assert_array_equal(part, codes[:, first:stop])
        assert not got[first:stop].any()
        got[first:stop] = True
    for damage in read.damages:
        assert damage.num_bytes >= 0
        assert damage_text(read.header, damage)
        count = num_frames if damage.num_frames is None else damage.num_frames
        assert count >= 0
        lost[damage.first_frame : damage.first_frame + count] = True
    assert (got ^ lost).all()
    assert read.complete == (not read.damages)
    if all(damage.num_frames is not None for damage in read.damages):
        assert read.num_samples == num_samples
    else:
        # Without an end record the last frame cannot be known to be shorter.
        assert read.num_samples <= (read.header.num_samples or num_frames * 320)


# Packing


@given(
    n_q=st.integers(1, 9), length=st.integers(0, 40), bits=st.integers(1, 16), seed=st.integers(0)
)
def test_unpacking_undoes_packing(n_q: int, length: int, bits: int, seed: int) -> None:
    codes = np.random.default_rng(seed).integers(0, 1 << bits, (n_q, length))
    payload = pack_codes(codes, bits)
    assert len(payload) == -(-n_q * length * bits // 8)
    np.testing.assert_array_equal(unpack_codes(payload, n_q, length, bits), codes)


def test_packing_is_frame_by_frame_coarsest_first_highest_bit_first() -> None:
    codes = np.array([[0b101, 0b001], [0b010, 0b111]])
    assert pack_codes(codes, 3) == bytes([0b10101000, 0b11110000])


@pytest.mark.parametrize("codes", [[[4]], [[-1]]])
def test_packing_refuses_codes_that_do_not_fit(codes: list[list[int]]) -> None:
    with pytest.raises(ValueError, match=r"in \[0, 4\)"):
        pack_codes(np.array(codes), 2)


def test_packing_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match=r"\[n_q, L\]"):
        pack_codes(np.zeros(3, dtype=np.int64), 2)


def test_unpacking_refuses_a_wrong_length_and_bits_left_over() -> None:
    with pytest.raises(ValueError, match="expected 2 bytes, got 1"):
        unpack_codes(b"\x00", 1, 3, 3)
    with pytest.raises(ValueError, match="not zero"):
        unpack_codes(b"\x01", 1, 2, 3)


@given(st.integers(0, (1 << 56) - 1))
def test_a_number_has_one_spelling(value: int) -> None:
    data = write_varint(value)
    assert read_varint(b"x" + data + b"y", 1) == (value, 1 + len(data))
    assert read_varint(data[:-1], 0) is None


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x80\x00", b"\xff" * 8 + b"\x01"])
def test_other_spellings_are_no_number(data: bytes) -> None:
    assert read_varint(data, 0) is None


# Writing and reading


@settings(deadline=None)
@given(data=st.data())
def test_files_read_back_as_they_were_written(data: st.DataObject) -> None:
    header = make_header(
        n_q=data.draw(st.integers(1, 8)),
        bits_per_code=data.draw(st.integers(1, 16)),
        hop_length=data.draw(st.integers(1, 400)),
        chunk_frames=data.draw(st.integers(1, 12)),
    )
    num_frames = data.draw(st.integers(1, 70))
    last = data.draw(st.integers(1, header.hop_length))
    num_samples = (num_frames - 1) * header.hop_length + last
    codes = make_codes(header, num_frames)
    stream = io.BytesIO()
    writer = SgcWriter(stream, header)
    cuts = sorted(data.draw(st.lists(st.integers(0, num_frames), max_size=5)))
    for part in np.split(codes, cuts, axis=1):
        writer.write(part)
    writer.finish(num_samples)
    assert stream.getvalue() == write_file(header, codes, num_samples)
    read = Read(stream.getvalue())
    assert read.header == header
    assert read.complete
    assert read.num_samples == num_samples
    np.testing.assert_array_equal(np.concatenate(list(read.codes.values()), axis=1), codes)


def test_golden_bytes_of_a_tiny_file() -> None:
    header = make_header(
        n_q=2, bits_per_code=3, chunk_frames=2, num_samples=900, codec_digest="00" * 31 + "ff"
    )
    data = write_file(header, np.array([[5, 1, 7], [2, 7, 0]]), num_samples=900)
    fields = "00 807d c002 02 03 02 80f702 02 8407"
    expected = "534743 01 2e" + fields + "00" * 31 + "ff" + "9f9fa90c"
    expected += "00 a8f0 1f8203d5"  # chunk 0, full
    expected += "41 01 e0 98795e60"  # chunk 1, one frame
    expected += "82 8407 c950c5ba"  # end
    assert data == bytes.fromhex(expected)
    read = Read(bytes.fromhex(expected))
    assert (read.header, read.num_samples, read.complete) == (header, 900, True)
    assert {first: part.tolist() for first, part in read.codes.items()} == {
        0: [[5, 1], [2, 7]],
        2: [[7], [0]],
    }


def test_every_byte_of_the_checksums_is_as_documented() -> None:
    header = make_header(chunk_frames=2)
    encoded = encode_header(header)
    data = write_file(header, make_codes(header, 2))
    assert data.startswith(encoded)
    assert encoded[-4:] == zlib.crc32(encoded[:-4]).to_bytes(4, "little")
    record = data[len(encoded) : len(encoded) + 11]
    covered = encoded[-4:] + (0).to_bytes(4, "little") + record
    assert data[len(encoded) + 11 :][:4] == zlib.crc32(covered).to_bytes(4, "little")


@pytest.mark.parametrize("original_sample_rate", [16_000, 44_100, 48_000, 192_000])
def test_ten_seconds_at_two_kbps_cost_at_most_100_bytes_beyond_the_codes(
    original_sample_rate: int,
) -> None:
    header = make_header(original_sample_rate=original_sample_rate, num_samples=160_000)
    codes = make_codes(header, 500)
    assert len(write_file(header, codes)) - header.packed_bytes(500) <= 100


def test_reading_takes_no_byte_before_it_is_needed() -> None:
    header = make_header()
    codes = make_codes(header, 200)
    data = write_file(header, codes)
    pipe = Pipe(data, step=7)
    reader = SgcReader(pipe, "-")
    assert pipe.taken == len(encode_header(header))
    records = reader.records()
    first = next(records)
    assert isinstance(first, Chunk)
    assert pipe.taken == len(encode_header(header)) + 1 + len(first.payload) + 4
    assert sum(record.num_frames or 0 for record in records) == 200 - first.num_frames
    assert pipe.taken == len(data)


def test_writing_gives_out_a_chunk_as_soon_as_it_is_whole() -> None:
    header = make_header()
    stream = io.BytesIO()
    writer = SgcWriter(stream, header)
    sizes = [len(stream.getvalue())]
    for _ in range(6):
        writer.write(make_codes(header, 25))
        sizes.append(len(stream.getvalue()))
    assert sizes[0] == len(encode_header(header))
    assert sizes[0] == sizes[2] < sizes[3] == sizes[5] < sizes[6]


def test_the_writer_refuses_what_does_not_fit() -> None:
    header = make_header(num_samples=640)
    writer = SgcWriter(io.BytesIO(), header)
    with pytest.raises(ValueError, match=r"\[4, l\]"):
        writer.write(np.zeros((3, 2), dtype=np.int64))
    writer.write(np.zeros((4, 2), dtype=np.int64))
    with pytest.raises(ValueError, match="641 samples do not fit 2 frames"):
        writer.finish(641)
    with pytest.raises(ValueError, match="promised 640"):
        writer.finish(639)
    with pytest.raises(ValueError, match="0 samples"):
        SgcWriter(io.BytesIO(), make_header()).finish(0)
    with pytest.raises(ValueError, match="entropy"):
        SgcWriter(io.BytesIO(), make_header(entropy_digest=ENTROPY))


class ToyCoder:
    """Codes constant chunks in two bytes and gives up on others."""

    def encode(self, codes: Codes) -> bytes:
        constant = (codes == codes[0, 0]).all()
        return int(codes[0, 0]).to_bytes(2, "big") if constant else bytes(1 << 16)

    def decode(self, payloads: Sequence[bytes], num_frames: Sequence[int]) -> list[Codes]:
        if any(len(payload) != 2 for payload in payloads):
            raise ValueError("expected two bytes")
        return [
            np.full((4, length), int.from_bytes(payload, "big"), dtype=np.int64)
            for payload, length in zip(payloads, num_frames, strict=True)
        ]


def test_an_entropy_coder_shrinks_chunks_and_never_makes_one_longer() -> None:
    header = make_header(entropy_digest=ENTROPY)
    codes = np.concatenate(
        [np.full((4, 75), 700), make_codes(header, 75), np.full((4, 20), 3)], axis=1
    )
    stream = io.BytesIO()
    writer = SgcWriter(stream, header, ToyCoder())
    writer.write(codes)
    writer.finish(170 * 320)
    reader = SgcReader(io.BytesIO(stream.getvalue()), "a.sgc")
    chunks = [record for record in reader.records() if isinstance(record, Chunk)]
    assert [len(chunk.payload) for chunk in chunks] == [2, 375, 2]
    decoded = np.concatenate(reader.codes(chunks, ToyCoder()), axis=1)
    np.testing.assert_array_equal(decoded, codes)
    assert reader.complete
    with pytest.raises(ValueError, match="entropy-coded"):
        reader.codes(chunks)
    damaged = bytearray(stream.getvalue())
    damaged[-40] ^= 1
    reader = SgcReader(io.BytesIO(damaged), "a.sgc")
    damages = [record for record in reader.records() if isinstance(record, Damage)]
    assert [(damage.first_frame, damage.num_frames) for damage in damages] == [(75, 75)]


def test_codes_that_the_coder_rejects_are_an_input_error() -> None:
    header = make_header(entropy_digest=ENTROPY)
    reader = SgcReader(io.BytesIO(encode_header(header)), "a.sgc")
    with pytest.raises(InputError, match=r"a\.sgc: impossible codes at 1\.50 s"):
        reader.codes([Chunk(0, 75, b"12"), Chunk(75, 75, b"123")], ToyCoder())


# Headers


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sample_rate", 0),
        ("hop_length", 0),
        ("n_q", 0),
        ("n_q", 1 << 11),
        ("bits_per_code", 17),
        ("chunk_frames", 1 << 17),
        ("original_channels", 0),
        ("num_samples", -1),
        ("codec_digest", "5a"),
        ("codec_digest", "not hexadecimal"),
        ("entropy_digest", "e7"),
    ],
)
def test_impossible_headers_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"must be|hexadecimal"):
        make_header(**{name: value})


def test_a_chunk_is_about_a_second_and_never_large() -> None:
    assert make_header().chunk_frames == 75
    header = make_header(sample_rate=1 << 24, hop_length=1, n_q=1024, bits_per_code=16)
    assert header.packed_bytes(header.chunk_frames) <= 1 << 16
    with pytest.raises(ValueError, match="at most 65536 bytes"):
        make_header(n_q=1024, bits_per_code=16, chunk_frames=100)
    with pytest.raises(ValueError, match="at most 10 s"):
        make_header(chunk_frames=501)


def with_header_body(body: bytes, version: int = 1) -> bytes:
    encoded = b"SGC" + bytes([version, len(body)]) + body
    return encoded + zlib.crc32(encoded).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"RIFF....WAVE", "not a .sgc file"),
        (b"SG", "not a .sgc file"),
        (b"SGC", "ends within its header"),
        (encode_header(make_header())[:-1], "ends within its header"),
        (encode_header(make_header())[:20] + b"!" + encode_header(make_header())[21:], "checksum"),
        (with_header_body(b"", version=2), "version 2, newer than the 1"),
        (with_header_body(b""), "impossible header: a number is cut off"),
        (with_header_body(b"\x02" + encode_header(make_header())[6:-4]), "newer soundgen"),
        (with_header_body(encode_header(make_header())[5:-4] + b"!"), "codec_digest"),
        (with_header_body(b"\x00" * 9 + b"\x5a" * 32), "chunk_frames must be at least 1"),
    ],
)
def test_bad_headers_are_one_clear_line(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        SgcReader(io.BytesIO(data), "a.sgc")
    assert "\n" not in caught.value.message


def test_header_numbers_reach_their_bounds() -> None:
    header = make_header(sample_rate=1 << 24, hop_length=1 << 20, num_samples=1 << 48)
    encoded = encode_header(header)
    assert decode_header(encoded[5:-4]) == header


def test_the_header_names_the_entropy_model() -> None:
    header = make_header(entropy_digest=ENTROPY)
    body = encode_header(header)[5:-4]
    assert body.endswith(bytes.fromhex(DIGEST + ENTROPY))
    assert decode_header(body) == header
    with pytest.raises(ValueError, match="entropy_digest must be 8 bytes"):
        decode_header(body[:-1])


# Damage


def chunk_span(header: SgcHeader, index: int) -> slice:
    """Bytes of the full chunk `index` in a file without entropy coding."""
    size = 1 + header.packed_bytes(header.chunk_frames) + 4
    start = len(encode_header(header)) + index * size
    return slice(start, start + size)


@pytest.fixture
def sample() -> tuple[SgcHeader, Codes, bytes]:
    header = make_header(n_q=2, num_samples=96_000 - 7)
    codes = make_codes(header, 300)
    return header, codes, write_file(header, codes, 96_000 - 7)


@pytest.mark.parametrize("offset", [0, 1, 100, -5, -1])
def test_a_damaged_chunk_costs_its_own_seconds_only(
    sample: tuple[SgcHeader, Codes, bytes], offset: int
) -> None:
    header, codes, data = sample
    span = chunk_span(header, 1)
    damaged = bytearray(data)
    damaged[(span.start if offset >= 0 else span.stop) + offset] ^= 0x40
    read = Read(bytes(damaged))
    check_honest(read, codes, header.num_samples)
    assert [damage_text(header, damage) for damage in read.damages] == ["1.50-3.00 s lost"]
    error = damage_error("a.sgc", header, read.damages)
    assert error.message == "a.sgc: damaged: 1.50-3.00 s lost"
    assert "--recover" in error.hint


def test_a_damaged_last_chunk_is_known_by_the_end_record() -> None:
    header = make_header()
    codes = make_codes(header, 100)
    data = bytearray(write_file(header, codes, 31_900))
    data[-20] ^= 1
    read = Read(bytes(data))
    assert read.num_samples == 31_900
    assert [damage_text(header, damage) for damage in read.damages] == ["1.50-2.00 s lost"]


def test_missing_swapped_and_repeated_chunks_are_noticed(
    sample: tuple[SgcHeader, Codes, bytes],
) -> None:
    header, codes, data = sample
    one, two = chunk_span(header, 1), chunk_span(header, 2)
    missing = data[: one.start] + data[one.stop :]
    swapped = data[: one.start] + data[two] + data[one] + data[two.stop :]
    repeated = data[: one.stop] + data[one] + data[two.start :]
    texts = []
    for damaged in (missing, swapped, repeated):
        read = Read(damaged)
        check_honest(read, codes, header.num_samples)
        texts.append([damage_text(header, damage) for damage in read.damages])
    assert texts[0] == ["1.50-3.00 s lost"]
    assert texts[1] == ["1.50-3.00 s lost", "193 foreign bytes at 4.50 s, nothing lost"]
    assert texts[2] == ["193 foreign bytes at 3.00 s, nothing lost"]


def test_a_hole_of_many_chunks_is_bridged() -> None:
    header = make_header()
    codes = make_codes(header, 75 * 400)
    data = bytearray(write_file(header, codes))
    first, last = chunk_span(header, 30), chunk_span(header, 329)
    data[first.start : last.stop] = bytes(last.stop - first.start)
    read = Read(bytes(data))
    check_honest(read, codes, codes.shape[1] * 320)
    assert [damage_text(header, damage) for damage in read.damages] == ["45.00-495.00 s lost"]


def test_a_chunk_of_another_file_is_not_taken(sample: tuple[SgcHeader, Codes, bytes]) -> None:
    header, codes, data = sample
    other_header = make_header(n_q=2, num_samples=96_000 - 7, original_channels=1)
    other = write_file(other_header, make_codes(header, 300, seed=1), 96_000 - 7)
    span = chunk_span(header, 2)
    read = Read(data[: span.start] + other[span] + data[span.stop :])
    check_honest(read, codes, header.num_samples)
    assert [damage_text(header, damage) for damage in read.damages] == ["3.00-4.50 s lost"]


@pytest.mark.parametrize("known", [True, False])
def test_every_truncation_says_so(known: bool) -> None:
    header = make_header(n_q=1, chunk_frames=10, num_samples=32 * 320 if known else 0)
    codes = make_codes(header, 32)
    data = write_file(header, codes)
    for size in range(len(encode_header(header)), len(data)):
        read = Read(data[:size])
        check_honest(read, codes, 32 * 320)
        assert not read.complete
        text = damage_text(header, read.damages[-1])
        assert ("ends early" if known else "without an end record") in text or (
            "end record is missing" in text
        )


def test_bytes_after_the_end_are_noticed(sample: tuple[SgcHeader, Codes, bytes]) -> None:
    header, codes, data = sample
    read = Read(data + b"x")
    check_honest(read, codes, header.num_samples)
    assert not read.complete
    assert damage_text(header, read.damages[0]) == "1 foreign bytes at 6.00 s, nothing lost"


@pytest.mark.parametrize("seed", range(8))
def test_random_corruptions_end_in_an_error_or_in_honest_losses(seed: int) -> None:
    header = make_header(n_q=1 + seed % 3, num_samples=(seed % 2) * (1_250 * 320 - 11))
    codes = make_codes(header, 1_250, seed)
    num_samples = 1_250 * 320 - 11
    data = write_file(header, codes, num_samples)
    rng = random.Random(seed)
    refused = 0
    for _ in range(150):
        damaged = corrupt(data, rng)
        if rng.random() < 0.3:
            damaged = corrupt(damaged, rng) if damaged else damaged
        try:
            read = Read(damaged)
        except InputError:
            refused += 1
        else:
            check_honest(read, codes, num_samples)
    assert refused < 75


def sealed(header: SgcHeader, records: list[tuple[int, bytes]]) -> bytes:
    """A file of any records with right checksums: what only malice can make."""
    encoded = encode_header(header)
    data = encoded
    for index, record in records:
        crc = zlib.crc32(encoded[-4:] + index.to_bytes(4, "little") + record)
        data += record + crc.to_bytes(4, "little")
    return data


def test_lying_counts_with_right_checksums_are_not_believed() -> None:
    header = make_header(n_q=1, bits_per_code=8, chunk_frames=2)
    chunk = (0, b"\x00ab")
    for lie in (
        [(0, b"\x80" + write_varint(1 << 50))],  # no chunk, many samples
        [(0, b"\x80\x00")],  # nothing at all
        [chunk, (1, b"\x81" + write_varint(1 << 50))],
        [chunk, (1, b"\x81" + write_varint(3 * 320))],  # one frame more than there are
        [chunk, (1, b"\x41" + write_varint(1 << 40) + b"c")],  # a huge short chunk
        [chunk, (1, b"\x41\x00")],  # an empty one
        [chunk, (1, b"\x41\x02cd")],  # a short one that is not short
        [chunk, (1, b"\xc1")],  # a kind that does not exist
    ):
        read = Read(sealed(header, lie))
        assert not read.complete
        assert read.num_samples <= 2 * 320
    short_first = [(0, b"\x41\x01a"), (1, b"\x01bc"), (2, b"\x82" + write_varint(4 * 320))]
    assert not Read(sealed(header, short_first)).complete


class Endless(io.RawIOBase):
    """A file that begins with `start` and then repeats `rest` for ever."""

    def __init__(self, start: bytes, rest: bytes) -> None:
        self._start, self._rest, self.taken = start, rest, 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self._start:
            data, self._start = self._start[:size], self._start[size:]
        else:
            data = (self._rest * (size // len(self._rest) + 1))[:size]
        self.taken += len(data)
        return data


@pytest.mark.parametrize("entropy_coded", [False, True])
@pytest.mark.parametrize("rest", [b"\x00", b"\xff", b"\x00\xff\x01", b"\x40\x01\x80\x01\x02"])
def test_an_endless_file_is_given_up(rest: bytes, entropy_coded: bool) -> None:
    digest = ENTROPY if entropy_coded else ""
    header = make_header(entropy_digest=digest, chunk_frames=500)
    stream = Endless(encode_header(header), rest)
    reader = SgcReader(stream, "a.sgc")
    damages = list(reader.records())
    assert [damage.num_frames for damage in damages] == [None]
    assert stream.taken < SEARCH_BYTES + 3 * MAX_PAYLOAD_BYTES
    assert reader.num_samples == 0
    assert not reader.complete


# Describing


def test_describe_says_what_a_file_holds(
    tmp_path: Path, sample: tuple[SgcHeader, Codes, bytes]
) -> None:
    header, _, data = sample
    path = tmp_path / "a.sgc"
    path.write_bytes(data)
    info = describe(path)
    assert (info.version, info.sample_rate, info.n_q, info.hop_length) == (1, 16_000, 2, 320)
    assert (info.original_sample_rate, info.original_channels) == (48_000, 2)
    assert info.codec_digest == DIGEST
    assert (info.num_samples, info.duration_s) == (95_993, 95_993 / 16_000)
    assert info.size_bytes == len(data)
    assert info.kbps == pytest.approx(len(data) * 8 / 1000 / info.duration_s)
    assert info.complete
    assert info.damage == ()
    path.write_bytes(data[:-30])
    info = describe(path)
    assert not info.complete
    assert info.num_samples == 72_000
    assert info.damage == ("it ends early, at 4.50 of 6.00 s",)
    path.write_bytes(encode_header(header))
    info = describe(path)
    assert (info.num_samples, info.kbps) == (0, 0.0)


def test_describe_names_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.sgc: cannot be read"):
        describe(tmp_path / "nothing.sgc")
    with pytest.raises(InputError, match="cannot be read"):
        describe(tmp_path)


def test_the_bitstream_needs_no_torch() -> None:
    code = "import sys, soundgen.codec.bitstream; sys.exit('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": os.getcwd()})
    assert run.returncode == 0
