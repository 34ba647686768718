"""`eval codec`: its rates are those of real files, its figures those of real decodings."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from soundgen.checkpoint import ModelFolder
from soundgen.data.manifest import Clip, pcm16_digest, write_manifest
from soundgen.errors import CheckpointError, InputError, OutputError, UsageError
from soundgen.evaluation.codec_metrics import mel_distance
from soundgen.evaluation.codec_report import CodecReport
from soundgen.evaluation.opus import opus_round_trip, opus_version
from soundgen.pipelines.compress import CompressedFile, compress
from soundgen.pipelines.decompress import decompress
from soundgen.pipelines.evaluate_codec import evaluate_codec
from soundgen.pipelines.recipes import EntropyTrainingConfig
from soundgen.pipelines.train_entropy import add_entropy
from soundgen.progress import SilentProgress
from tests.fixtures_audio import make_dataset
from tests.fixtures_codec import make_tiny_codec

needs_opus = pytest.mark.skipif(opus_version() is None, reason="opus-tools are not installed")
SOUNDS = {"piano": (16_000, 1.3, 1), "rain": (44_100, 1.5, 2), "beep": (16_000, 0.4, 1)}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return make_tiny_codec(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips of the test split, one of them short and one not at the codec's rate."""
    folder = tmp_path_factory.mktemp("data")
    clips = []
    for i, (category, (rate, duration_s, channels)) in enumerate(SOUNDS.items()):
        rng = np.random.default_rng(i)
        time = np.arange(int(duration_s * rate)) / rate
        wave = 0.3 * np.sin(2 * np.pi * 440 * time) + 0.02 * rng.standard_normal(len(time))
        samples = np.tile(wave.astype(np.float32)[:, None], (1, channels))
        soundfile.write(folder / f"{category}.flac", samples, rate)
        clips.append(
            Clip(
                path=f"{category}.flac",
                captions=(category,),
                tags=(),
                category=category,
                duration=duration_s,
                split="test",
                recording=category,
                sha1_pcm16=pcm16_digest(samples[:, 0]),
            )
        )
    write_manifest(folder, clips)
    return folder


class Notices(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.done = 0

    def advance(self, n: int = 1) -> None:
        self.done += n

    def notice(self, message: str) -> None:
        self.lines.append(message)


def evaluate(model: ModelFolder, data: Path, **options: object) -> CodecReport:
    options = {"opus_kbps": [], "device": "cpu"} | options
    return evaluate_codec(data=data, model=str(model.path), **options)  # type: ignore[arg-type]


def test_figures_are_those_of_the_files_that_compress_writes(
    model: ModelFolder, data: Path, tmp_path: Path
) -> None:
    progress = Notices()
    report = evaluate(model, data, progress=progress)
    assert (progress.lines, progress.done) == ([], 2)
    assert (report.num_clips, report.num_eligible, report.codec_digest) == (
        2,
        2,
        model.codec_digest,
    )
    assert report.seconds == pytest.approx(2.8)
    assert [point.label for point in report.points] == ["n_q 1", "n_q 2", "n_q 4"]
    assert [point.nominal_kbps for point in report.points] == pytest.approx([0.3, 0.6, 1.2])
    for point in report.points:
        size = 0
        for category, measures in point.categories.items():
            source = tmp_path / f"{category}.sgc"
            (packed,) = compress(
                [str(data / f"{category}.flac")],
                output=str(source),
                bandwidth_kbps=point.nominal_kbps + 0.01,
                model=str(model.path),
                device="cpu",
                force=True,
            )
            assert isinstance(packed, CompressedFile)
            size += packed.size_bytes
            assert packed.size_bytes == source.stat().st_size
            assert measures.kbps == pytest.approx(packed.kbps)
            back = tmp_path / f"{category}.wav"
            list(decompress([str(source)], output=str(back), model=str(model.path), force=True))
            if category == "piano":
                decoded, wave = (
                    torch.from_numpy(soundfile.read(path, dtype="float32")[0])
                    for path in (back, data / "piano.flac")
                )
                expected = mel_distance(decoded, wave, sample_rate=16_000)
                assert measures.mel_distance == pytest.approx(expected, abs=1e-6)
        assert point.overall.kbps == pytest.approx(size * 8 / 1000 / 2.8)
        assert point.tonal == point.categories["piano"]
    assert len(report.capacity_used) == 4
    assert all(0 < share < 1 for share in report.capacity_used)


def test_entropy_coded_files_count_as_they_are(
    model: ModelFolder, data: Path, tmp_path: Path
) -> None:
    shutil.copytree(model.path, tmp_path / "coded")
    short = EntropyTrainingConfig(seconds=4, steps=2, batch_size=2, context_frames=2, hidden_size=8)
    clips = make_dataset(tmp_path / "data")
    coded = add_entropy(tmp_path / "coded", clips, short, seed=1)
    point = evaluate(coded, data, n_q=[4]).points[0]
    (packed,) = compress(
        [str(data / "piano.flac")],
        output=str(tmp_path / "a.sgc"),
        model=str(coded.path),
        device="cpu",
    )
    assert isinstance(packed, CompressedFile)
    assert packed.entropy_coded
    assert point.categories["piano"].kbps == pytest.approx(packed.kbps)
    plain = evaluate(model, data, n_q=[4]).points[0]
    assert point.overall.kbps != plain.overall.kbps
    assert point.overall.mel_distance == plain.overall.mel_distance


@needs_opus
def test_opus_is_measured_on_the_same_clips(model: ModelFolder, data: Path) -> None:
    report = evaluate(model, data, n_q=[4], opus_kbps=[16, 6])
    assert report.opus is not None
    assert [point.label for point in report.points] == ["n_q 4", "opus 6", "opus 16"]
    _, low, high = (point.overall for point in report.points)
    assert low.seconds == high.seconds == pytest.approx(2.8)
    assert low.kbps < high.kbps
    assert high.mel_distance < low.mel_distance
    assert high.si_sdr_db > 10


@needs_opus
def test_opus_comes_back_in_time_and_at_its_length() -> None:
    rng = np.random.default_rng(0)
    samples = np.convolve(rng.standard_normal(16_001), np.ones(20) / 60, mode="same")
    result = opus_round_trip(samples.astype(np.float32), 64, sample_rate=16_000, name="a")
    assert result.samples.shape == samples.shape
    assert result.size_bytes > 1_000
    assert np.corrcoef(result.samples, samples)[0, 1] > 0.95


@needs_opus
def test_what_opus_refuses_is_one_line() -> None:
    with pytest.raises(InputError, match="a: opusenc failed: ") as caught:
        opus_round_trip(np.zeros(100, np.float32), 9_999, sample_rate=16_000, name="a")
    assert "\n" not in caught.value.message


def test_without_opus_one_notice_says_so(
    model: ModelFolder, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    progress = Notices()
    report = evaluate(model, data, n_q=[1], opus_kbps=[6, 8], max_clips=1, progress=progress)
    assert progress.lines == ["opusenc and opusdec are not installed: measured without Opus"]
    assert report.opus is None
    assert [point.codec for point in report.points] == ["soundgen"]
    assert (report.num_clips, report.num_eligible) == (1, 2)


def test_shorter_clips_count_if_asked_for(model: ModelFolder, data: Path) -> None:
    report = evaluate(model, data / "manifest.jsonl", n_q=[1], shortest_s=0)
    assert list(report.points[0].categories) == ["beep", "piano", "rain"]
    tonal = report.points[0].tonal
    assert tonal is not None
    assert tonal.num_clips == 2


def test_a_plot_is_drawn(model: ModelFolder, data: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot = tmp_path / "rates.png"
    evaluate(model, data, n_q=[1, 4], plot=plot)
    assert plot.read_bytes().startswith(b"\x89PNG\r\n")
    with pytest.raises(OutputError, match="exists already"):
        evaluate(model, data, plot=plot)
    evaluate(model, data, n_q=[1], plot=tmp_path / "rates.svg")
    assert "<svg" in (tmp_path / "rates.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_q": [0]}, r"--n-q must be in 1\.\.4, got 0"),
        ({"n_q": [1, 5]}, r"--n-q must be in 1\.\.4, got 5"),
        ({"n_q": []}, "--n-q must be"),
        ({"opus_kbps": [5]}, "--opus 5: Opus takes 6 to 256"),
        ({"shortest_s": -1.0}, "--shortest must be"),
        ({"shortest_s": float("nan")}, "--shortest must be"),
        ({"max_clips": 0}, "--max-clips must be at least 1"),
        ({"plot": Path("a.gif")}, r"--plot a\.gif: must end in \.png"),
    ],
)
def test_values_out_of_range(
    model: ModelFolder, data: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        evaluate(model, data, **options)


def test_bad_input_is_named(model: ModelFolder, data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"manifest\.jsonl: no such file"):
        evaluate(model, tmp_path)
    with pytest.raises(InputError, match="no clip is in split valid"):
        evaluate(model, data, split="valid")
    with pytest.raises(InputError, match="no clip of split test has 9 s or more"):
        evaluate(model, data, shortest_s=9.0)
    with pytest.raises(CheckpointError, match="no such model"):
        evaluate_codec(data=data, model="nothing")
    copy = shutil.copytree(data, tmp_path / "copy")
    (copy / "rain.flac").write_bytes((data / "rain.flac").read_bytes()[:4_000])
    with pytest.raises(InputError, match=r"rain\.flac: "):
        evaluate(model, copy, n_q=[1])
    (copy / "rain.flac").unlink()
    with pytest.raises(InputError, match=r"rain\.flac: cannot be read"):
        evaluate(model, copy, n_q=[1])
