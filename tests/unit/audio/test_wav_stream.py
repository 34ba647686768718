"""WAV through pipes, against what libsndfile makes of the same bytes."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile

from soundgen.audio.wav_stream import open_wav_stream, to_pcm16, wav_header
from soundgen.errors import InputError
from tests.fixtures_pipe import Pipe


def make_wav(
    subtype: str, channels: int = 2, rate: int = 44_100, num_samples: int = 50_000
) -> bytes:
    samples = np.random.default_rng(0).uniform(-1, 1, (num_samples, channels))
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, subtype=subtype, format="WAV")
    return stream.getvalue()


def read_all(data: bytes, step: int = 1_000) -> np.ndarray:
    wav, _ = open_wav_stream(Pipe(data, step), "<stdin>")
    assert wav is not None
    return np.concatenate([np.zeros((0, wav.channels), np.float32), *wav.blocks()])


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_samples_are_those_of_libsndfile(subtype: str, channels: int) -> None:
    data = make_wav(subtype, channels)
    expected, _ = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    read = read_all(data)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, expected)


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_samples_do_not_depend_on_how_they_come(step: int) -> None:
    data = make_wav("PCM_24", num_samples=300)
    np.testing.assert_array_equal(read_all(data, step), read_all(data))


def with_data_size(data: bytes, size: int) -> bytes:
    at = data.index(b"data") + 4
    return data[:at] + struct.pack("<I", size) + data[at + 4 :]


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0x80000000])
def test_a_length_that_is_not_known_means_to_the_end(size: int) -> None:
    data = make_wav("PCM_16")
    wav, _ = open_wav_stream(Pipe(with_data_size(data, size)), "<stdin>")
    assert wav is not None
    assert (wav.sample_rate, wav.channels, wav.num_samples) == (44_100, 2, None)
    np.testing.assert_array_equal(read_all(with_data_size(data, size) + b"xyz"), read_all(data))


def test_a_known_length_is_kept_and_the_rest_is_drained() -> None:
    data = make_wav("PCM_16", num_samples=100)
    pipe = Pipe(data + b"LIST" + bytes(5_000))
    wav, taken = open_wav_stream(pipe, "<stdin>")
    assert wav is not None
    assert wav.num_samples == 100
    assert data.startswith(taken)
    assert sum(map(len, wav.blocks())) == 100
    assert pipe.rest == b""


def test_rf64_has_its_length_elsewhere() -> None:
    fmt = struct.pack("<HHIIHH", 1, 1, 8_000, 16_000, 2, 16)
    for size, expected in ((6, 3), (0, None), (0xFFFFFFFFFFFFFFFF, None)):
        data = b"RF64" + b"\xff" * 4 + b"WAVEds64" + struct.pack("<IQQQI", 28, 0, size, 0, 0)
        data += b"fmt " + struct.pack("<I", 16) + fmt + b"data" + b"\xff" * 4 + bytes(6)
        wav, _ = open_wav_stream(Pipe(data), "<stdin>")
        assert wav is not None
        assert wav.num_samples == expected
        assert sum(map(len, wav.blocks())) == 3


@pytest.mark.parametrize(
    "data",
    [
        b"fLaC" + bytes(100),
        b"RIFF\0\0\0\0AVI LIST",
        make_wav("IMA_ADPCM", 1),
        make_wav("ULAW", 1),
        b"R",
    ],
)
def test_what_is_no_plain_wav_is_handed_back_whole(data: bytes) -> None:
    pipe = Pipe(data)
    wav, taken = open_wav_stream(pipe, "<stdin>")
    assert wav is None
    assert taken + pipe.rest == data


def without_format(data: bytes) -> bytes:
    return data.replace(b"fmt ", b"junk")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (make_wav("PCM_16")[:20], "ends within its header"),
        (make_wav("PCM_16")[:36], "ends within its header"),
        (without_format(make_wav("PCM_16")), "no format"),
        (b"RIFF\0\0\0\0WAVEjunk\xff\xff\xff\xff" + bytes(100), "nowhere near the start"),
        (make_wav("PCM_16").replace(struct.pack("<I", 44_100), bytes(4)), "rate of 0 Hz"),
    ],
)
def test_damaged_headers(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=f"^<stdin>: .*{message}"):
        open_wav_stream(Pipe(data), "<stdin>")


def test_a_stream_cut_off_says_so() -> None:
    data = make_wav("PCM_16", rate=16_000, num_samples=16_000)
    wav, _ = open_wav_stream(Pipe(data[:-32_000]), "<stdin>")
    assert wav is not None
    with pytest.raises(InputError, match=r"truncated: 0\.50 s of 1\.00 s came"):
        list(wav.blocks())


def test_nan_is_refused() -> None:
    stream = io.BytesIO()
    soundfile.write(stream, np.array([0.0, np.nan]), 16_000, subtype="FLOAT", format="WAV")
    wav, _ = open_wav_stream(Pipe(stream.getvalue()), "<stdin>")
    assert wav is not None
    with pytest.raises(InputError, match="NaN or infinite"):
        list(wav.blocks())


def test_written_headers_are_read_by_libsndfile() -> None:
    samples = np.array([0.0, 0.5, -1.0, 1.0, 2.0, -2.0], dtype=np.float32)
    pcm = to_pcm16(samples)
    for known in (len(samples), None):
        stored, rate = soundfile.read(io.BytesIO(wav_header(16_000, known) + pcm), dtype="int16")
        assert rate == 16_000
        assert stored.tolist() == [0, 16_384, -32_768, 32_767, 32_767, -32_768]
    assert wav_header(16_000, 1 << 40) == wav_header(16_000, None)
    assert len(wav_header(16_000, 5)) == 44
