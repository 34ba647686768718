"""Sounds to `.sgc` files and back, with a real codec."""

from __future__ import annotations

import io
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from soundgen.checkpoint import ModelFolder
from soundgen.codec.bitstream import SgcReader
from soundgen.codec.sgc_header import encode_header
from soundgen.codec.sgc_info import describe
from soundgen.errors import (
    CheckpointError,
    InputError,
    OutputError,
    SoundgenError,
    UsageError,
)
from soundgen.pipelines.batch import FileFailure
from soundgen.pipelines.compress import CompressedFile, compress, decoded_length
from soundgen.pipelines.decompress import DecompressedFile, decompress
from soundgen.pipelines.model import load_codec
from soundgen.progress import SilentProgress
from tests.fixtures_codec import TINY_CODEC, make_tiny_codec
from tests.fixtures_pipe import Pipe

RATE, HOP = TINY_CODEC.sample_rate, TINY_CODEC.hop_length


class Notices(SilentProgress):
    """Keeps what the user is told, and the seconds that went by."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.stages: list[tuple[str, int | None]] = []
        self.seconds = 0

    def start(self, what: str, total: int | None) -> None:
        self.stages.append((what, total))

    def advance(self, n: int = 1) -> None:
        self.seconds += n

    def notice(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return make_tiny_codec(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def sound(num_samples: int, channels: int = 1, seed: int = 0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    tone = np.sin(np.arange(num_samples) / 9)[:, None] * rng.uniform(0.1, 0.5, channels)
    return np.asarray(tone + rng.normal(0, 0.05, (num_samples, channels)))


def write(name: str, num_samples: int, rate: int = RATE, channels: int = 1) -> NDArray[np.float64]:
    samples = sound(num_samples, channels)
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(name, samples, rate)
    return samples


def compress_one(model: ModelFolder, *inputs: str, **options: object) -> CompressedFile:
    (result,) = compress(inputs, model=str(model.path), device="cpu", **options)  # type: ignore[arg-type]
    assert isinstance(result, CompressedFile)
    return result


def decompress_one(model: ModelFolder, *inputs: str, **options: object) -> DecompressedFile:
    (result,) = decompress(inputs, model=str(model.path), device="cpu", **options)  # type: ignore[arg-type]
    assert isinstance(result, DecompressedFile)
    return result


def read_codes(data: bytes) -> NDArray[np.int64]:
    reader = SgcReader(io.BytesIO(data), "a.sgc")
    return np.concatenate([reader.codes([chunk])[0] for chunk in reader.records()], axis=1)  # type: ignore[list-item]


# There and back


def test_a_file_holds_the_codes_of_its_sound_and_decodes_to_its_length(model: ModelFolder) -> None:
    num_samples = 5 * RATE + 123
    write("a.wav", num_samples)
    progress = Notices()
    result = compress_one(model, "a.wav", progress=progress)
    assert progress.lines == []
    assert progress.stages == [("compress a.wav", 5)]
    assert progress.seconds == 5
    data = Path("a.sgc").read_bytes()
    assert result == replace(
        result,
        source="a.wav",
        output="a.sgc",
        sample_rate=RATE,
        num_samples=num_samples,
        duration_s=num_samples / RATE,
        original_sample_rate=RATE,
        original_channels=1,
        n_q=4,
        size_bytes=len(data),
        kbps=pytest.approx(len(data) * 8 / 1000 / (num_samples / RATE)),
        codec_digest=model.codec_digest,
        entropy_coded=False,
    )
    codec = load_codec(str(model.path), device="cpu").codec
    wav, _ = soundfile.read("a.wav", dtype="float32")
    codes = codec.encode(torch.from_numpy(wav)[None, None])[0]
    np.testing.assert_array_equal(read_codes(data), codes.numpy())
    info = describe(Path("a.sgc"))
    assert info.complete
    assert (info.num_samples, info.codec_digest) == (num_samples, model.codec_digest)

    decoded = decompress_one(model, "a.sgc", output="b.wav")
    assert decoded.complete
    assert (decoded.num_samples, decoded.duration_s) == (num_samples, num_samples / RATE)
    made, rate = soundfile.read("b.wav", dtype="float32")
    assert (rate, soundfile.info("b.wav").subtype) == (RATE, "PCM_16")
    expected = codec.decode(codes[None])[0, 0, :num_samples].numpy()
    expected = expected.clip(-1, 32767 / 32768)  # what 16 bits hold
    np.testing.assert_allclose(made, expected, atol=0.51 / 32768)


@pytest.mark.parametrize("num_samples", [1, HOP - 1, HOP, HOP + 1, 75 * HOP, 75 * HOP + 1, 24_001])
def test_lengths_at_the_edges_are_exact(model: ModelFolder, num_samples: int) -> None:
    write("a.wav", num_samples)
    assert compress_one(model, "a.wav").num_samples == num_samples
    assert decompress_one(model, "a.sgc", output="b.wav").num_samples == num_samples
    assert soundfile.info("b.wav").frames == num_samples


@pytest.mark.parametrize(
    ("rate", "num_samples", "expected"),
    [
        (192_000, 1, 1),
        (192_000, 192_007, 16_001),
        (44_100, 44_100 * 2 + 1, 32_000),
        (44_100, 44_102, 16_001),
        (8_000, 8_001, 16_002),
        (48_000, 4, 1),
        (11_025, 11_026, 16_001),
    ],
)
def test_lengths_at_other_rates_are_rounded_to_the_nearest_sample(
    model: ModelFolder, rate: int, num_samples: int, expected: int
) -> None:
    write("a.wav", num_samples, rate)
    assert decoded_length(num_samples, rate, TINY_CODEC) == expected
    assert compress_one(model, "a.wav").num_samples == expected
    piped = io.BytesIO()
    stdin = Pipe(Path("a.wav").read_bytes())
    assert compress_one(model, "-", stdin=stdin, stdout=piped).num_samples == expected
    assert piped.getvalue() == Path("a.sgc").read_bytes()


def test_any_rate_and_channel_count_is_one_notice(model: ModelFolder) -> None:
    write("a.wav", 19_200, 192_000, channels=8)
    progress = Notices()
    result = compress_one(model, "a.wav", progress=progress)
    assert progress.lines == ["a.wav: 192000 Hz, 8 channels -> 16000 Hz mono"]
    assert (result.original_sample_rate, result.original_channels) == (192_000, 8)
    info = describe(Path("a.sgc"))
    assert (info.original_sample_rate, info.original_channels) == (192_000, 8)
    assert info.num_samples == 1_600


@pytest.mark.parametrize("name", ["a.flac", "a.mp3", "a.ogg"])
def test_other_formats_go_in(model: ModelFolder, name: str) -> None:
    write(name, 3 * RATE)
    result = compress_one(model, name)
    assert result.output == "a.sgc"
    decoded, _ = soundfile.read(name)
    assert result.num_samples == len(decoded)
    assert describe(Path("a.sgc")).complete
    piped = io.BytesIO()
    compress_one(model, "-", stdin=Pipe(Path(name).read_bytes()), stdout=piped)
    assert piped.getvalue() == Path("a.sgc").read_bytes()


@pytest.mark.parametrize(("kbps", "n_q"), [(0.3, 1), (0.5, 1), (0.6, 2), (1.2, 4), (99.0, 4)])
def test_bandwidth_chooses_the_codes_in_use(model: ModelFolder, kbps: float, n_q: int) -> None:
    write("a.wav", RATE)
    assert compress_one(model, "a.wav", bandwidth_kbps=kbps).n_q == n_q
    info = describe(Path("a.sgc"))
    assert info.n_q == n_q
    assert (info.size_bytes * 8 - 110 * 8) / 1000 < kbps
    assert decompress_one(model, "a.sgc", output="b.wav").num_samples == RATE


@pytest.mark.parametrize("kbps", [0.0, -1.0, 0.29, float("nan"), float("inf")])
def test_bandwidth_out_of_range(model: ModelFolder, kbps: float) -> None:
    write("a.wav", RATE)
    with pytest.raises(UsageError, match="--bandwidth"):
        compress_one(model, "a.wav", bandwidth_kbps=kbps)


# Pipes


def test_streams_equal_files_whatever_is_known_of_the_length(model: ModelFolder) -> None:
    write("a.wav", 200_000, 44_100, channels=2)
    compress_one(model, "a.wav")
    wav = Path("a.wav").read_bytes()
    unknown = wav[:40] + b"\xff\xff\xff\xff" + wav[44:]
    known_out, unknown_out = io.BytesIO(), io.BytesIO()
    known = compress_one(model, "-", stdin=Pipe(wav), stdout=known_out)
    compress_one(model, "-", stdin=Pipe(unknown), stdout=unknown_out)
    assert (known.source, known.output) == ("<stdin>", "-")
    assert known_out.getvalue() == Path("a.sgc").read_bytes()
    assert SgcReader(io.BytesIO(unknown_out.getvalue()), "-").header.num_samples == 0
    np.testing.assert_array_equal(
        read_codes(unknown_out.getvalue()), read_codes(known_out.getvalue())
    )

    decompress_one(model, "a.sgc", output="b.wav")
    expected = Path("b.wav").read_bytes()
    for data, sizes in ((known_out, expected[:44]), (unknown_out, None)):
        piped = io.BytesIO()
        decompress_one(model, "-", stdin=Pipe(data.getvalue()), stdout=piped)
        assert piped.getvalue()[44:] == expected[44:]
        assert sizes is None or piped.getvalue()[:44] == sizes
        assert soundfile.read(io.BytesIO(piped.getvalue()))[0].size == known.num_samples
        decompress_one(model, "-", stdin=Pipe(data.getvalue()), output="c.wav", force=True)
        assert Path("c.wav").read_bytes() == expected


def test_chunks_come_out_while_sound_goes_in(model: ModelFolder) -> None:
    write("a.wav", 32 * RATE)
    stdin, stdout = Pipe(Path("a.wav").read_bytes(), step=2 * RATE), io.BytesIO()
    seen: list[tuple[int, int]] = []

    class Watching(SilentProgress):
        def advance(self, n: int = 1) -> None:
            seen.append((stdin.taken, len(stdout.getvalue())))

    compress_one(model, "-", stdin=stdin, stdout=stdout, progress=Watching())
    early = max(out for taken, out in seen if taken < 2 * RATE * 25)
    assert early > 6 * 75 * 3  # six chunks of 75 frames of 3 bytes


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "<stdin>: is empty"),
        (b"not a sound", "<stdin>: not an audio file"),
        (b"fLaC" + bytes(50), "<stdin>: "),
    ],
    ids=["nothing", "text", "flac"],
)
def test_bad_streams_are_named(model: ModelFolder, data: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        compress_one(model, "-", stdin=Pipe(data), stdout=io.BytesIO())
    assert caught.value.message.startswith(message)
    assert "/" not in caught.value.message


def test_empty_audio_is_an_error_and_leaves_no_file(model: ModelFolder) -> None:
    write("a.wav", 0)
    wav = Path("a.wav").read_bytes()
    for run in (
        lambda: compress_one(model, "a.wav"),
        lambda: compress_one(model, "-", stdin=Pipe(wav), output="a.sgc"),
    ):
        with pytest.raises(InputError, match="holds no audio"):
            run()
        assert [path.name for path in Path().iterdir()] == ["a.wav"]


def test_a_file_that_grows_while_it_is_read_is_an_error(model: ModelFolder) -> None:
    write("a.wav", 2_000)

    class Growing(SilentProgress):
        def start(self, what: str, total: int | None) -> None:
            write("a.wav", 3_000)

    with pytest.raises(InputError, match=r"a\.wav: changed while it was read"):
        compress_one(model, "a.wav", progress=Growing())
    assert not Path("a.sgc").exists()


# Several files


def test_folders_keep_their_tree(model: ModelFolder) -> None:
    for name in ("in/a.wav", "in/sub/b.flac", "in/sub/c.txt"):
        write(name, 2_000) if not name.endswith("txt") else Path(name).write_text("c")
    results = list(compress(["in"], output="packed", model=str(model.path), device="cpu"))
    assert [result.output for result in results] == ["packed/a.sgc", "packed/sub/b.sgc"]  # type: ignore[union-attr]
    decoded = list(decompress(["packed"], output="out", model=str(model.path), device="cpu"))
    assert [result.output for result in decoded] == ["out/a.wav", "out/sub/b.wav"]  # type: ignore[union-attr]
    assert soundfile.info("out/sub/b.wav").frames == 2_000


def test_of_several_files_the_good_ones_are_done(model: ModelFolder) -> None:
    write("a.wav", 2_000)
    write("c.wav", 2_000)
    Path("b.wav").write_text("not a sound")
    inputs = ["nothing.wav", "a.wav", "b.wav", "c.wav"]
    results = list(compress(inputs, model=str(model.path), device="cpu"))
    failed = [result.source for result in results if isinstance(result, FileFailure)]
    assert failed == ["nothing.wav", "b.wav"]
    assert sorted(path.name for path in Path().glob("*.sgc")) == ["a.sgc", "c.sgc"]
    Path("a.sgc").write_bytes(Path("a.sgc").read_bytes()[:-1])
    results = list(decompress(["a.sgc", "c.sgc"], output="out/", model=str(model.path)))
    assert [type(result) for result in results] == [FileFailure, DecompressedFile]
    assert [path.name for path in Path("out").iterdir()] == ["c.wav"]


def test_cheap_checks_come_before_the_model(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    write("a.wav", 2_000)
    Path("a.sgc").touch()
    for error, run in (
        (OutputError, lambda: compress(["a.wav"], model=str(broken))),
        (InputError, lambda: compress(["b.wav"], model=str(broken))),
        (CheckpointError, lambda: compress(["a.wav"], model=str(broken), force=True)),
        (OutputError, lambda: decompress(["a.sgc"])),
        (InputError, lambda: decompress(["b.sgc"])),
        (CheckpointError, lambda: decompress(["a.sgc"], model=str(broken), force=True)),
    ):
        with pytest.raises(error):
            run()


# Codecs


def test_a_codec_that_is_not_installed_is_named(model: ModelFolder, tmp_path: Path) -> None:
    write("a.wav", 2_000)
    compress_one(model, "a.wav")
    with pytest.raises(CheckpointError) as caught:
        list(decompress(["a.sgc"], output="b.wav"))
    assert model.codec_digest in caught.value.message
    assert "--model" in caught.value.hint
    other = make_tiny_codec(tmp_path / "other", seed=1)
    with pytest.raises(CheckpointError) as caught:
        decompress_one(other, "a.sgc", output="b.wav")
    assert model.codec_digest in caught.value.message
    assert other.codec_digest in caught.value.message
    assert not Path("b.wav").exists()


def test_a_header_that_its_codec_contradicts_is_refused(model: ModelFolder) -> None:
    write("a.wav", 2_000)
    compress_one(model, "a.wav")
    data = Path("a.sgc").read_bytes()
    header = SgcReader(io.BytesIO(data), "a.sgc").header
    for changed in (
        replace(header, sample_rate=8_000),
        replace(header, hop_length=160),
        replace(header, n_q=5),
        replace(header, bits_per_code=7),
    ):
        Path("b.sgc").write_bytes(encode_header(changed))
        with pytest.raises(InputError):
            decompress_one(model, "b.sgc")
        with pytest.raises(InputError, match="does not fit"):
            decompress_one(model, "-", stdin=Pipe(encode_header(changed)), stdout=io.BytesIO())


# Damage


def test_lost_seconds_are_named_and_silent(model: ModelFolder) -> None:
    num_samples = 6 * RATE - 7
    write("a.wav", num_samples)
    compress_one(model, "a.wav")
    decompress_one(model, "a.sgc", output="whole.wav")
    data = bytearray(Path("a.sgc").read_bytes())
    data[-8 - 2 * 230 + 50] ^= 1  # the last chunk but one of four, 230 bytes each
    Path("b.sgc").write_bytes(data)
    for run in (
        lambda: decompress_one(model, "b.sgc"),
        lambda: decompress_one(model, "-", stdin=Pipe(bytes(data)), output="b.wav"),
    ):
        with pytest.raises(InputError) as caught:
            run()
        assert caught.value.message.endswith("damaged: 3.00-4.50 s lost")
        assert "--recover" in caught.value.hint
        assert not Path("b.wav").exists()
    progress = Notices()
    result = decompress_one(model, "b.sgc", recover=True, progress=progress)
    assert progress.lines == ["b.sgc: damaged, and recovered: 3.00-4.50 s lost"]
    assert (result.complete, result.damage) == (False, ("3.00-4.50 s lost",))
    whole, _ = soundfile.read("whole.wav", dtype="int16")
    recovered, _ = soundfile.read("b.wav", dtype="int16")
    assert len(recovered) == num_samples
    assert not recovered[3 * RATE : 4 * RATE + RATE // 2].any()
    context = 40 * HOP
    np.testing.assert_array_equal(recovered[: 3 * RATE - context], whole[: 3 * RATE - context])
    after = 4 * RATE + RATE // 2 + context
    np.testing.assert_array_equal(recovered[after:], whole[after:])
    piped = io.BytesIO()
    decompress_one(model, "-", stdin=Pipe(bytes(data)), stdout=piped, recover=True)
    assert piped.getvalue() == Path("b.wav").read_bytes()


def test_a_file_that_ends_early_says_so(model: ModelFolder) -> None:
    write("a.wav", 6 * RATE)
    compress_one(model, "a.wav")
    data = Path("a.sgc").read_bytes()
    Path("b.sgc").write_bytes(data[:-300])
    with pytest.raises(InputError, match=r"it ends early, at 3\.00 of 6\.00 s"):
        decompress_one(model, "b.sgc")
    assert decompress_one(model, "b.sgc", recover=True).num_samples == 3 * RATE
    assert soundfile.info("b.wav").frames == 3 * RATE
    decompress_one(model, "-", stdin=Pipe(data[:-300]), output="c.wav", recover=True)
    assert Path("c.wav").read_bytes() == Path("b.wav").read_bytes()
    Path("d.sgc").write_bytes(data[:70])
    for stdin in (None, Pipe(data[:70])):
        with pytest.raises(InputError, match="nothing of it can be recovered"):
            decompress_one(
                model, "-" if stdin else "d.sgc", stdin=stdin, output="d.wav", recover=True
            )
        assert not Path("d.wav").exists()


def test_random_corruptions_never_end_in_a_bug(model: ModelFolder) -> None:
    write("a.wav", 6 * RATE - 100)
    compress_one(model, "a.wav")
    data = Path("a.sgc").read_bytes()
    rng = random.Random(0)
    outcomes = set()
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(rng.choice([1, 1, 3])):
            at = rng.randrange(len(damaged))
            if rng.random() < 0.5:
                damaged[at] ^= 1 << rng.randrange(8)
            else:
                del damaged[at : at + rng.randrange(1, 300)]
                damaged += b"\0"
        recover = rng.random() < 0.7
        piped = io.BytesIO()
        try:
            result = decompress_one(
                model, "-", stdin=Pipe(bytes(damaged)), stdout=piped, recover=recover
            )
        except SoundgenError as error:
            outcomes.add(type(error))
        else:
            outcomes.add(DecompressedFile)
            assert result.damage
            assert len(piped.getvalue()) == 44 + 2 * result.num_samples
            assert result.num_samples <= 6 * RATE - 100
    assert outcomes == {InputError, DecompressedFile}


def test_codes_beyond_the_codebook_are_refused(tmp_path: Path) -> None:
    config = replace(TINY_CODEC, codebook_size=33)
    model = make_tiny_codec(tmp_path / "odd", config=config)
    write("a.wav", 2_000)
    compress_one(model, "a.wav")
    from soundgen.codec.bitstream import SgcWriter

    header = SgcReader(io.BytesIO(Path("a.sgc").read_bytes()), "a.sgc").header
    with Path("b.sgc").open("wb") as stream:
        writer = SgcWriter(stream, header)
        writer.write(np.full((4, 7), 33))
        writer.finish(2_000)
    with pytest.raises(InputError, match=r"a code at 0\.00 s is beyond 32"):
        decompress_one(model, "b.sgc")
