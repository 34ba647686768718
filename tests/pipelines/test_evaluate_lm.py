"""`eval lm` on a tiny model: its figures are those of its files, and a second run makes nothing."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from soundgen.audio.waveform import Waveform
from soundgen.errors import CheckpointError, InputError, OutputError, UsageError
from soundgen.evaluation.classifier import ClassifierConfig, SoundClassifier, save_classifier
from soundgen.evaluation.lm_report import (
    GENERATED,
    OTHERS,
    REAL,
    RETRIEVED,
    ROUND_TRIP,
    UNPROMPTED,
    LmReport,
    markdown,
)
from soundgen.pipelines.evaluate_lm import HEARD_FILE, REPORT_FILE, evaluate_lm
from soundgen.pipelines.listening import join_recordings, pieces
from soundgen.pipelines.model import load_matcher
from soundgen.pipelines.sound_request import GenerateSettings
from soundgen.progress import SilentProgress
from tests.fixtures_audio import make_dataset

pytestmark = pytest.mark.usefixtures("one_thread")
SHORT = GenerateSettings(duration_s=0.4)
PROMPTS = "a tone\ttone\nthe sound of a click\tclick\nsomething else\n"


class Notices(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def notice(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "set", per_kind=2)


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prompts") / "prompts.txt"
    path.write_text(PROMPTS, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random one: it hears something in everything."""
    torch.manual_seed(0)
    config = ClassifierConfig(
        classes=("click", "noise", "tone"), num_mels=32, segment_frames=32, channels=(4, 4, 4, 8)
    )
    path = tmp_path_factory.mktemp("classifier") / "c.safetensors"
    save_classifier(SoundClassifier(config), path)
    return path


@pytest.fixture(scope="module")
def measured(
    matcher_model: Path,
    data: Path,
    prompts: Path,
    classifier: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[LmReport, Path]:
    out = tmp_path_factory.mktemp("eval") / "out"
    sheet = find_spec("matplotlib") is not None
    report = evaluate(matcher_model, data, prompts, out, classifier=classifier, sheet=sheet)
    return report, out


def evaluate(model: Path, data: Path, prompts: Path, out: Path, **options: object) -> LmReport:
    options = {"settings": SHORT, "num_seeds": 2, "sheet": False, "device": "cpu"} | options
    return evaluate_lm(data=data, prompts=prompts, out=out, model=str(model), threads=1, **options)  # type: ignore[arg-type]


def test_every_source_has_its_figures(measured: tuple[LmReport, Path]) -> None:
    report, out = measured
    counts = {source.name: source.num_sounds for source in report.sources}
    # 3 prompts x 2 seeds; as many without a prompt; train clips of the two other kinds.
    assert counts.pop(RETRIEVED) in range(2, 7)
    assert counts == {GENERATED: 6, UNPROMPTED: 6, OTHERS: 4, ROUND_TRIP: 2, REAL: 2}
    assert (report.space, report.n_q) == ("matcher", 4)
    # An untrained model may well hum nothing: that is silence, and it is counted.
    assert report.num_failed == 12 - len(list((out / "sounds").rglob("*.wav")))
    silent = report.source(UNPROMPTED).silence_share
    assert silent is not None and silent >= report.num_failed / 12
    assert report.source(UNPROMPTED).text_match_normalised == pytest.approx(0.0)
    assert report.source(REAL).text_match_normalised == pytest.approx(1.0)
    assert report.source(ROUND_TRIP).relative_accuracy in (None, 1.0)
    for source in report.sources:
        assert source.silence_share is not None and 0 <= source.silence_share <= 1
        assert source.copied_share is not None and 0 <= source.copied_share <= 1
        # The length was asked for: there is no error of it.
        assert source.length_error_octaves is None
    # One held-out clip of each kind cannot be halved.
    assert report.frechet_sounds == 0
    assert report.source(GENERATED).frechet is None


def test_the_text_match_is_that_of_the_files(
    measured: tuple[LmReport, Path], matcher_model: Path
) -> None:
    report, out = measured
    loaded = load_matcher(str(matcher_model))
    for found, slug in zip(report.prompts, ("a-tone", "the-sound-of-a-click"), strict=False):
        text = loaded.embed_prompt(found.prompt)[0]
        files = sorted((out / "sounds" / slug).glob("*.wav"))
        assert [file.name for file in files] == ["0.wav", "1.wav"]
        sounds = [torch.from_numpy(soundfile.read(file, dtype="float32")[0]) for file in files]
        assert all(sound.shape == (6400,) for sound in sounds)
        cosines = loaded.matcher.embed_audio(sounds) @ text
        assert found.text_match == pytest.approx(float(cosines.mean()), abs=1e-5)
        assert sum(found.heard.values()) == 2
    assert report.prompts[2].class_accuracy is None


def test_retrieval_finds_the_clips_with_the_caption(measured: tuple[LmReport, Path]) -> None:
    """They are training clips, so each is its own nearest one."""
    report, _ = measured
    retrieved = report.source(RETRIEVED)
    assert retrieved.nearest_similarity == pytest.approx(1.0, abs=1e-5)
    assert retrieved.copied_share == 1.0


def test_everything_is_written(measured: tuple[LmReport, Path]) -> None:
    report, out = measured
    written = json.loads((out / REPORT_FILE).read_text(encoding="utf-8"))
    assert written["sources"][0]["text_match"] == report.source(GENERATED).text_match
    page = (out / "report.md").read_text(encoding="utf-8")
    assert page == markdown(report)
    assert f"| {UNPROMPTED} | 6 |" in page and "| a tone | tone |" in page


def test_a_contact_sheet_is_drawn(measured: tuple[LmReport, Path]) -> None:
    image = pytest.importorskip("matplotlib.image")
    _, out = measured
    height, width, _ = image.imread(out / "sheet.png").shape
    # A tile is 150 by 64 and a gap: two seeds and a real clip by three prompts, and the labels.
    assert height == pytest.approx(3 * 68 + 60, abs=1)
    assert width == pytest.approx(3 * 154 + 220, abs=1)


def test_a_second_run_makes_only_what_is_missing(
    measured: tuple[LmReport, Path], matcher_model: Path, data: Path, prompts: Path,
    classifier: Path,
) -> None:  # fmt: skip
    report, out = measured
    kept, lost = out / "sounds" / "a-tone" / "0.wav", out / "sounds" / "a-tone" / "1.wav"
    before, samples = kept.stat().st_mtime_ns, lost.read_bytes()
    lost.unlink()
    heard = (out / HEARD_FILE).stat().st_mtime_ns
    again = evaluate(matcher_model, data, prompts, out, classifier=classifier)
    assert again == report
    assert kept.stat().st_mtime_ns == before
    assert (out / HEARD_FILE).stat().st_mtime_ns == heard
    assert lost.read_bytes() == samples
    with pytest.raises(OutputError, match="holds the report of another evaluation"):
        evaluate(matcher_model, data, prompts, out, classifier=classifier, num_seeds=3)


def test_without_matcher_and_classifier_it_says_what_it_does_instead(
    tmp_path: Path, data: Path, prompts: Path, classifier: Path
) -> None:
    from tests.fixtures_model import make_tiny_model

    model = make_tiny_model(tmp_path / "tiny").path
    progress = Notices()
    report = evaluate(
        model, data, prompts, tmp_path / "out", classifier=classifier, num_seeds=1,
        progress=progress, splits=("test", "valid"),
    )  # fmt: skip
    assert [line for line in progress.lines if "has no matcher" in line]
    assert report.space == "classifier"
    assert all(source.text_match is None for source in report.sources)
    assert all(source.nearest_similarity is not None for source in report.sources)
    # Two held-out clips of each of two categories: one on each side.
    assert report.frechet_sounds == 2
    assert report.source(GENERATED).frechet is not None
    with pytest.raises(CheckpointError, match="has no matcher"):
        evaluate(model, data, prompts, tmp_path / "other", matcher=str(model))


def test_mistakes_come_before_the_work(
    tmp_path: Path, matcher_model: Path, data: Path, prompts: Path
) -> None:
    with pytest.raises(UsageError, match="--seeds must be at least 1"):
        evaluate(matcher_model, data, prompts, tmp_path / "out", num_seeds=0)
    with pytest.raises(InputError, match=r"none: no such file"):
        evaluate(matcher_model, data, prompts, tmp_path / "out", classifier=Path("none"))
    wrong = tmp_path / "wrong.txt"
    wrong.write_text("rain\train\n", encoding="utf-8")
    with pytest.raises(InputError, match="has no clips of category 'rain'"):
        evaluate(matcher_model, data, wrong, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_long_clips_are_heard_in_equal_pieces() -> None:
    sound = Waveform(np.arange(25, dtype=np.float32)[None], 1)  # 25 s
    cut = pieces(sound)
    assert [piece.num_samples for piece in cut] == [8, 8, 9]
    assert np.array_equal(np.concatenate([one.samples for one in cut], axis=1), sound.samples)
    assert len(pieces(Waveform(np.zeros((1, 10), np.float32), 1))) == 1


def test_near_duplicates_join_their_recordings() -> None:
    names = ["a", "b", "a", "c", "d"]
    # Clip 3 sounds like clip 2, which is of recording a.
    assert join_recordings(names, [0, 1, 2, 2, 4]).tolist() == [0, 1, 0, 0, 4]
