"""Corrupt `.sgc` files through `decompress`: a clear error, or an honest decoding.

What the reader makes of the bytes alone is in tests/unit/codec/test_bitstream.py; here whole files
go through the whole program, and what comes out is compared with what was there before.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from soundgen.checkpoint import ModelFolder
from soundgen.codec.sgc_header import CRC_BYTES, SgcHeader, encode_header
from soundgen.codec.sgc_info import describe
from soundgen.codec.spectral import context_frames, phase_period
from soundgen.errors import SoundgenError
from soundgen.pipelines.batch import FileFailure
from soundgen.pipelines.compress import compress
from soundgen.pipelines.decompress import DecompressedFile, decompress
from soundgen.pipelines.recipes import EntropyTrainingConfig
from soundgen.pipelines.train_entropy import add_entropy
from tests.conftest import REPOSITORY
from tests.fixtures_audio import make_dataset
from tests.fixtures_codec import TINY_CODEC, make_tiny_codec
from tests.fixtures_corruption import corrupt, lie

RATE, HOP = TINY_CODEC.sample_rate, TINY_CODEC.hop_length
NUM_SAMPLES = 6 * RATE - 100
NUM_FRAMES = -(-NUM_SAMPLES // HOP)
# A chunk is 75 frames of 4 codes of 6 bits.
FULL_BYTES = 1 + 225 + CRC_BYTES


@dataclass(frozen=True)
class Whole:
    """A file before anything happened to it, and what it decodes to."""

    model: ModelFolder
    data: bytes
    samples: NDArray[np.int16]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = tmp_path_factory.mktemp("whole")
    return make_whole(folder, make_tiny_codec(folder / "tiny"))


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """The same, entropy-coded."""
    folder = tmp_path_factory.mktemp("coded")
    make_tiny_codec(folder / "tiny")
    short = EntropyTrainingConfig(seconds=4, steps=2, batch_size=2, context_frames=2, hidden_size=8)
    return make_whole(
        folder, add_entropy(folder / "tiny", make_dataset(folder / "data"), short, seed=1)
    )


def make_whole(folder: Path, model: ModelFolder) -> Whole:
    rng = np.random.default_rng(0)
    wave = 0.3 * np.sin(np.arange(NUM_SAMPLES) / 9) + rng.normal(0, 0.05, NUM_SAMPLES)
    soundfile.write(folder / "a.wav", wave, RATE)
    options = {"model": str(model.path), "device": "cpu"}
    list(compress([str(folder / "a.wav")], **options))  # type: ignore[arg-type]
    list(decompress([str(folder / "a.sgc")], output=str(folder / "b.wav"), **options))  # type: ignore[arg-type]
    samples, _ = soundfile.read(folder / "b.wav", dtype="int16")
    return Whole(model, (folder / "a.sgc").read_bytes(), samples)


def run(
    whole: Whole, files: dict[str, bytes], *, recover: bool
) -> dict[str, DecompressedFile | FileFailure]:
    """Decompress all of `files` in one call, in this process."""
    for name, data in files.items():
        Path(name).write_bytes(data)
    results = decompress(
        list(files),
        output="out/",
        recover=recover,
        model=str(whole.model.path),
        device="cpu",
        force=True,
    )
    return dict(zip(files, results, strict=True))


def lost_frames(result: DecompressedFile) -> NDArray[np.bool_]:
    """Return which frames the phrases of `result` call lost."""
    lost = np.zeros(NUM_FRAMES, dtype=bool)
    for phrase in result.damage:
        if match := re.fullmatch(r"(\d+\.\d\d)-(\d+\.\d\d) s lost", phrase):
            start, end = (round(float(text) * RATE / HOP) for text in match.groups())
            lost[start:end] = True
        elif match := re.match(r"it ends early, at (\d+\.\d\d) of 5\.99 s", phrase):
            lost[round(float(match[1]) * RATE / HOP) :] = True
        else:
            assert phrase.endswith("nothing lost") or phrase.endswith("its sound is all there")
    return lost


def check_failure(failure: FileFailure) -> None:
    assert isinstance(failure.error, SoundgenError)
    assert failure.error.message.startswith(failure.source)
    assert "\n" not in failure.error.message + failure.error.hint


def check_recovered(whole: Whole, name: str, result: DecompressedFile) -> None:
    """All that is not said to be lost is as it was, but for a stated transition beside a gap."""
    samples, _ = soundfile.read(Path("out") / name.replace(".sgc", ".wav"), dtype="int16")
    assert len(samples) == result.num_samples <= NUM_SAMPLES
    assert result.complete == (not result.damage)
    lost = lost_frames(result)
    if not result.damage:
        np.testing.assert_array_equal(samples, whole.samples)
        return
    _, _, left, right = context_frames(TINY_CODEC)
    unsure = lost.copy()
    for first in np.flatnonzero(lost):
        unsure[max(0, first - right) : first + left + 1] = True
    mask = np.repeat(~unsure, HOP)[: len(samples)]
    # Windows that begin elsewhere round elsewhere: one step of 16 bits.
    difference = samples.astype(int) - whole.samples[: len(samples)]
    assert np.abs(difference[mask], dtype=int).max(initial=0) <= 1
    if len(samples) < NUM_SAMPLES:
        assert lost[-(-len(samples) // HOP) :].all()
    silent = np.repeat(lost, HOP)[: len(samples)]
    assert not samples[silent].any()


@pytest.mark.parametrize(
    "count", [pytest.param(300, id="300"), pytest.param(2_000, id="2000", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("kind", ["whole", "coded"])
def test_random_corruptions_end_in_a_clear_error_or_an_honest_decoding(
    request: pytest.FixtureRequest,
    kind: str,
    count: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    whole: Whole = request.getfixturevalue(kind)
    rng = random.Random(count)
    files = {}
    for i in range(count):
        damaged = corrupt(whole.data, rng)
        if damaged and rng.random() < 0.3:
            damaged = corrupt(damaged, rng)
        files[f"{i}.sgc"] = damaged
    outcomes: Counter[str] = Counter()
    for name, result in run(whole, files, recover=False).items():
        if isinstance(result, FileFailure):
            check_failure(result)
            assert files[name] != whole.data
        else:  # swapping bytes with themselves, and the like
            assert result.complete
            check_recovered(whole, name, result)
    for name, result in run(whole, files, recover=True).items():
        outcomes[type(result).__name__] += 1
        if isinstance(result, FileFailure):
            check_failure(result)
        else:
            check_recovered(whole, name, result)
    assert outcomes["DecompressedFile"] > count // 2
    assert outcomes["FileFailure"] > count // 20


@pytest.mark.parametrize(
    "count", [pytest.param(150, id="150"), pytest.param(1_000, id="1000", marks=pytest.mark.slow)]
)
def test_lies_with_right_checksums_end_in_a_clear_error_or_a_bounded_decoding(
    whole: Whole, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = random.Random(count)
    files = {f"{i}.sgc": lie(whole.data, FULL_BYTES, rng) for i in range(count)}
    for recover in (False, True):
        for name, result in run(whole, files, recover=recover).items():
            if isinstance(result, FileFailure):
                check_failure(result)
                continue
            # No more sound than bytes of codes, whatever is claimed, and silence of 64 chunks.
            assert result.num_samples <= 70 * 75 * HOP
            assert soundfile.info(f"out/{name[:-4]}.wav").frames == result.num_samples
            assert result.complete or recover
    assert lie(whole.data, FULL_BYTES, random.Random(0)) != whole.data


@pytest.mark.parametrize("lost_chunk", [0, 1, 2, 3])
def test_behind_a_gap_codes_mean_what_they_meant(
    whole: Whole, lost_chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Phases of `spectral` are counted from the start of the stream, not from the gap's end."""
    monkeypatch.chdir(tmp_path)
    assert 75 % phase_period(TINY_CODEC)
    damaged = bytearray(whole.data)
    damaged[5 + whole.data[4] + CRC_BYTES + lost_chunk * FULL_BYTES + 20] ^= 1
    results = run(whole, {"a.sgc": bytes(damaged), "b.sgc": b""}, recover=True)
    result = results["a.sgc"]
    assert isinstance(result, DecompressedFile)
    assert lost_frames(result).sum() == 75
    check_recovered(whole, "a.sgc", result)


# Runs `decompress` with so little address space to spare that a count believed would not fit.
PROBE = """
import resource, sys
from pathlib import Path
from soundgen.errors import SoundgenError
from soundgen.pipelines.batch import FileFailure
from soundgen.pipelines.decompress import decompress

model, spare, *files = sys.argv[1:]
# The first file is whole: what decoding needs is loaded before the limit is set.
list(decompress(files[:1], output="out/", model=model, device="cpu"))
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + int(spare), -1))
results = list(decompress(files[1:], output="out/", model=model, device="cpu", recover=True))
assert all(isinstance(r.error, SoundgenError) for r in results if isinstance(r, FileFailure))
print(len(results), sum(isinstance(r, FileFailure) for r in results))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_memory_stays_bounded_whatever_a_file_claims(whole: Whole, tmp_path: Path) -> None:
    header = SgcHeader(
        sample_rate=RATE,
        hop_length=HOP,
        n_q=4,
        bits_per_code=6,
        original_sample_rate=RATE,
        original_channels=1,
        num_samples=1 << 48,
        codec_digest=whole.model.codec_digest,
    )
    rng = random.Random(3)
    files = {
        "0 whole": whole.data,
        "a huge length": encode_header(header) + whole.data[60:],
        "longer chunks": encode_header(replace(header, chunk_frames=500)) + bytes(1 << 22),
        "zeros": whole.data[:300] + bytes(1 << 25),
        "ones": whole.data[:300] + b"\xff" * (1 << 22),
        "itself again and again": whole.data + whole.data[60:] * 200,
        **{f"lie {i}": lie(whole.data, FULL_BYTES, rng) for i in range(40)},
        **{f"corrupt {i}": corrupt(whole.data, rng) for i in range(40)},
    }
    names = []
    for name, data in files.items():
        names.append(f"{name}.sgc")
        (tmp_path / names[-1]).write_bytes(data)
    result = subprocess.run(
        [sys.executable, "-c", PROBE, str(whole.model.path), str(256 << 20), *names],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=550,
    )
    assert result.returncode == 0, result.stderr
    total, failed = map(int, result.stdout.split())
    assert total == len(files) - 1
    assert 5 <= failed < total


def test_the_file_that_is_corrupted_is_what_it_should_be(whole: Whole, tmp_path: Path) -> None:
    (tmp_path / "a.sgc").write_bytes(whole.data)
    info = describe(tmp_path / "a.sgc")
    assert (info.complete, info.num_samples, info.chunk_frames) == (True, NUM_SAMPLES, 75)
    header_bytes = 5 + whole.data[4] + CRC_BYTES
    assert len(whole.data) == header_bytes + 4 * FULL_BYTES + 1 + 3 + CRC_BYTES


def test_the_coded_one_is_entropy_coded(coded: Whole, whole: Whole, tmp_path: Path) -> None:
    (tmp_path / "a.sgc").write_bytes(coded.data)
    assert describe(tmp_path / "a.sgc").entropy_coded
    np.testing.assert_array_equal(coded.samples, whole.samples)
