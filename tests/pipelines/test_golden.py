"""Files of the past decode for ever: codecs and `.sgc` files that are committed beside the tests.

A test here that fails means that files which people have are no longer read as they were. New files
may be added to tests/golden/, never changed.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundgen.checkpoint import open_model_folder
from soundgen.codec.bitstream import Chunk, SgcReader
from soundgen.codec.sgc_info import describe
from soundgen.pipelines.decompress import DecompressedFile, decompress
from soundgen.pipelines.model import load_codec
from tests.conftest import REPOSITORY

GOLDEN = REPOSITORY / "tests" / "golden"
DIGESTS = {
    "magnitude": "eba645674ba0d063e11988cb0d2ce3b7a3c440cb5cc28d9f0e338be9eceb1213",
    "seanet": "4becbc4055dfb86b59005db8c4f410e9ed375a99e40b91f91904f9cda7095643",
    "spectral": "a79cf37226e859fe54acd60e2af03842bb94e1da3f71170c43836f1a2aa862aa",
    "spectral_entropy": "f7952ef2f4e6d11838fd6d5950fcd580c18ef998570524333cd10d7e53e07750",
}
NUM_SAMPLES = 75 * 320 + 7 * 320 - 123


@pytest.mark.parametrize("name", sorted(DIGESTS))
def test_the_files_are_the_ones_that_were_made(name: str) -> None:
    folder = open_model_folder(GOLDEN / name)
    folder.verify()
    assert folder.codec_digest == DIGESTS[name]
    info = describe(GOLDEN / name / "example.sgc")
    assert (info.version, info.complete, info.damage) == (1, True, ())
    assert (info.codec_digest, info.num_samples) == (DIGESTS[name], NUM_SAMPLES)
    assert (info.sample_rate, info.original_sample_rate, info.original_channels) == (
        16_000,
        48_000,
        1,
    )
    assert (info.n_q, info.bits_per_code, info.hop_length, info.chunk_frames) == (4, 4, 320, 75)
    assert info.entropy_coded == (name == "spectral_entropy")


@pytest.mark.parametrize("name", sorted(DIGESTS))
def test_codes_are_exact(name: str) -> None:
    data = (GOLDEN / name / "example.sgc").read_bytes()
    reader = SgcReader(io.BytesIO(data), name)
    chunks = [one for one in reader.records() if isinstance(one, Chunk)]
    coder = load_codec(str(GOLDEN / name)).coder(4)
    assert (coder is not None) == reader.header.entropy_coded
    assert any(len(one.payload) < reader.header.packed_bytes(one.num_frames) for one in chunks) == (
        coder is not None
    )
    codes = reader.codes(chunks, coder)
    assert [part.shape for part in codes] == [(4, 75), (4, 7)]
    expected = json.loads((GOLDEN / name / "codes.json").read_text(encoding="utf-8"))
    np.testing.assert_array_equal(np.concatenate(codes, axis=1), expected)


@pytest.mark.parametrize("name", sorted(DIGESTS))
def test_the_sound_is_what_it_was(name: str, tmp_path: Path) -> None:
    (result,) = decompress(
        [str(GOLDEN / name / "example.sgc")],
        output=str(tmp_path / "a.wav"),
        model=str(GOLDEN / name),
        device="cpu",
    )
    assert isinstance(result, DecompressedFile)
    assert result.complete
    samples, rate = soundfile.read(tmp_path / "a.wav")
    expected, _ = soundfile.read(GOLDEN / name / "expected.flac")
    assert (rate, len(samples)) == (16_000, NUM_SAMPLES)
    assert np.abs(expected).max() > 0.01
    # Processors add in another order: some steps of 16 bits, far below the sound.
    np.testing.assert_allclose(
        samples, expected, rtol=0, atol=max(4 / 32768, 1e-3 * expected.std())
    )
