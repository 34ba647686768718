"""Entropy coding with a trained codec: smaller files, the same sound, the right model or none."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from soundgen.checkpoint import ModelFolder, open_model_folder
from soundgen.codec.bitstream import Chunk, SgcReader, SgcWriter
from soundgen.codec.entropy import RangeCoder
from soundgen.codec.sgc_header import SgcHeader
from soundgen.codec.sgc_info import describe
from soundgen.errors import CheckpointError, InputError
from soundgen.pipelines.compress import CompressedFile, compress
from soundgen.pipelines.decompress import DecompressedFile, decompress
from soundgen.pipelines.model import load_codec
from soundgen.pipelines.recipes import EntropyTrainingConfig
from soundgen.pipelines.train_entropy import (
    add_entropy,
    fit_entropy,
    measure_savings,
    split_codes,
)
from tests.conftest import RunSoundgen
from tests.fixtures_audio import make_sound

SHORT = EntropyTrainingConfig(seconds=4, steps=2, batch_size=2, context_frames=2, hidden_size=8)


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """Four seconds, so three chunks, the last one short."""
    parts = [make_sound(kind, 7, 1.0) for kind in ("tone", "noise", "sweep", "click")]
    soundfile.write(tmp_path / "a.wav", np.concatenate(parts)[:-100], 16_000)
    return tmp_path / "a.wav"


def compressed(model: Path, source: Path, name: str, *, entropy: bool = True) -> CompressedFile:
    output = str(source.with_name(name))
    (result,) = compress(
        [str(source)], output=output, model=str(model), device="cpu", entropy=entropy
    )
    assert isinstance(result, CompressedFile)
    return result


def decompressed(model: Path, source: Path) -> bytes:
    output = source.with_suffix(".out.wav")
    (result,) = decompress(
        [str(source)], output=str(output), model=str(model), device="cpu", force=True
    )
    assert isinstance(result, DecompressedFile)
    return output.read_bytes()


def refitted(model: Path, dataset: Path, out: Path) -> ModelFolder:
    shutil.copytree(model, out)
    return add_entropy(out, dataset, SHORT, seed=1)


def test_files_become_smaller_and_decode_to_the_same_sound(
    soundgen: RunSoundgen, tiny_codec: Path, sounds: Path
) -> None:
    options = ("--model", tiny_codec, "--device", "cpu")
    coded, packed = sounds.with_name("coded.sgc"), sounds.with_name("packed.sgc")
    for arguments in (
        ("compress", sounds, "-o", coded),
        ("compress", sounds, "-o", packed, "--no-entropy"),
        ("decompress", coded, "-o", "coded.wav"),
    ):
        result = soundgen(*arguments, *options)
        assert result.returncode == 0, result.stderr
    assert sounds.with_name("coded.wav").read_bytes() == decompressed(tiny_codec, packed)
    # The model's digest and the chunks' lengths are paid for too.
    assert coded.stat().st_size < 0.95 * packed.stat().st_size
    shown = json.loads(soundgen("info", "coded.sgc", "--json").stdout)
    digest = open_model_folder(tiny_codec).entropy_digest
    assert shown["entropy_coded"] is True
    assert shown["entropy_digest"] == digest[:16]
    assert describe(packed).entropy_coded is False


def test_a_stream_and_a_file_decode_alike(tiny_codec: Path, sounds: Path) -> None:
    compressed(tiny_codec, sounds, "a.sgc")
    whole = decompressed(tiny_codec, sounds.with_name("a.sgc"))
    data, out = sounds.with_name("a.sgc").read_bytes(), io.BytesIO()
    list(decompress(["-"], model=str(tiny_codec), device="cpu", stdin=io.BytesIO(data), stdout=out))
    assert out.getvalue() == whole


@pytest.mark.parametrize("n_q", [1, 2, 3, 4])
def test_codes_survive_at_every_n_q(tiny_codec: Path, dataset: Path, n_q: int) -> None:
    loaded = load_codec(str(tiny_codec))
    assert loaded.entropy is not None
    coder = RangeCoder(loaded.entropy, n_q)
    chunks = [codes[:n_q] for codes in split_codes(loaded.codec, dataset, "test", 3.0)]
    payloads = [coder.encode(codes) for codes in chunks]
    decoded = coder.decode(payloads, [codes.shape[1] for codes in chunks])
    for codes, ours in zip(chunks, decoded, strict=True):
        np.testing.assert_array_equal(ours, codes)


def test_the_saving_holds_on_clips_that_were_not_trained_on(
    tiny_codec: Path, dataset: Path
) -> None:
    loaded = load_codec(str(tiny_codec))
    assert loaded.entropy is not None
    chunks = split_codes(loaded.codec, dataset, "valid", 10.0)
    savings = measure_savings(loaded.entropy, chunks, loaded.codec.config.bits_per_code)
    assert [saving.n_q for saving in savings] == [1, 2, 3, 4]
    for saving in savings:
        assert saving.saving > 0.05


def test_another_entropy_model_is_refused_by_name(
    tiny_codec: Path, dataset: Path, sounds: Path, tmp_path: Path
) -> None:
    other = refitted(tiny_codec, dataset, tmp_path / "other")
    assert other.codec_digest == open_model_folder(tiny_codec).codec_digest
    assert other.config["digests"]["model"] == open_model_folder(tiny_codec).model_digest
    ours = open_model_folder(tiny_codec).entropy_digest
    assert other.entropy_digest != ours
    compressed(tiny_codec, sounds, "a.sgc")
    with pytest.raises(CheckpointError, match=f"needs entropy model {ours[:16]}"):
        decompressed(other.path, sounds.with_name("a.sgc"))
    packed = compressed(tiny_codec, sounds, "b.sgc", entropy=False)
    assert not packed.entropy_coded
    assert decompressed(other.path, sounds.with_name("b.sgc"))


def test_a_model_without_one_writes_packed_codes(
    tiny_codec: Path, sounds: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_codec, tmp_path / "plain")
    config = json.loads((tmp_path / "plain" / "config.json").read_text())
    del config["entropy"], config["digests"]["entropy"]
    (tmp_path / "plain" / "config.json").write_text(json.dumps(config))
    assert not compressed(tmp_path / "plain", sounds, "a.sgc").entropy_coded


def test_fitting_repeats_itself_and_draws_nothing_from_others(
    tiny_codec: Path, dataset: Path
) -> None:
    codec = load_codec(str(tiny_codec)).codec
    before = torch.get_rng_state()
    first, again = (fit_entropy(codec, dataset, SHORT, seed=3) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert first is not None and again is not None
    assert first.tensors.keys() == again.tensors.keys()
    for name, value in first.tensors.items():
        assert torch.equal(value, again.tensors[name]), name
    assert fit_entropy(codec, dataset, EntropyTrainingConfig(seconds=0)) is None


def test_a_language_model_keeps_the_entropy_model_of_its_codec(
    tiny_codec: Path, tiny_model: Path
) -> None:
    assert open_model_folder(tiny_model).has("entropy")
    assert (
        open_model_folder(tiny_model).entropy_digest == open_model_folder(tiny_codec).entropy_digest
    )


def test_crafted_payloads_with_right_checksums_do_no_harm(tiny_codec: Path) -> None:
    loaded = load_codec(str(tiny_codec))
    assert loaded.entropy is not None
    coder = RangeCoder(loaded.entropy, 4)
    header = SgcHeader(
        sample_rate=16_000,
        hop_length=320,
        n_q=4,
        bits_per_code=6,
        original_sample_rate=16_000,
        original_channels=1,
        codec_digest=loaded.digest,
        entropy_digest=loaded.entropy_digest,
    )
    rng = np.random.default_rng(0)
    refused = []
    for trial in range(12):

        class Liar:
            payload = rng.bytes(int(rng.integers(1, 60))) if trial else bytes(20)

            def encode(self, codes: object) -> bytes:
                return self.payload

            def decode(self, payloads: object, num_frames: object) -> list[np.ndarray]:
                raise NotImplementedError

        stream = io.BytesIO()
        writer = SgcWriter(stream, header, Liar())
        writer.write(np.zeros((4, 20), np.int64))
        writer.finish(20 * 320)
        reader = SgcReader(io.BytesIO(stream.getvalue()), "a.sgc")
        chunks = [record for record in reader.records() if isinstance(record, Chunk)]
        try:
            (codes,) = reader.codes(chunks, coder)
        except InputError as error:
            refused.append(error.message)
        else:
            assert codes.shape == (4, 20)
            assert 0 <= codes.min() <= codes.max() < 64
    assert refused
    assert all(message.startswith("a.sgc: impossible codes at 0.00 s") for message in refused)
