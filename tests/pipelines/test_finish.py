"""Finished sounds of a tiny untrained model: what their files hold, in every format."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import mutagen
import numpy as np
import pytest
import soundfile

from soundgen.audio.finish import FinishSettings
from soundgen.audio.io import read_audio
from soundgen.audio.loudness import loudness_lufs
from soundgen.errors import OutputError, UsageError
from soundgen.pipelines.generate import generate
from soundgen.pipelines.model import Model, Sound, load_model
from soundgen.pipelines.sound_request import (
    GenerateFailure,
    GenerateResult,
    GenerateSettings,
    SoundRequest,
)
from soundgen.progress import SilentProgress
from tests.fixtures_model import make_tiny_model

PROMPT = "größer $5"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Model:
    folder = make_tiny_model(tmp_path_factory.mktemp("models") / "tiny").path
    return load_model(str(folder), device="cpu")


@pytest.fixture(scope="module")
def sound(model: Model) -> Sound:
    (sound,) = model.generate(PROMPT, duration_s=3.2, seed=4)
    return sound


class Notices(SilentProgress):
    """Remembers what the user was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def notice(self, message: str) -> None:
        self.told.append(message)


def id3_texts(path: Path) -> dict[str, str]:
    """Return title, comment and licence of an ID3 tag by the names that other formats have."""
    tags = mutagen.File(path).tags
    return {
        "title": tags["TIT2"].text[0],
        "comment": tags.getall("COMM")[0].text[0],
        "license": tags["TXXX:license"].text[0],
    }


@pytest.mark.parametrize(
    ("suffix", "sample_rate"),
    [("wav", 44_100), ("flac", 48_000), ("ogg", 44_100), ("opus", 48_000), ("mp3", 44_100)],
)
def test_every_format_reads_back_with_its_tags(
    sound: Sound, tmp_path: Path, suffix: str, sample_rate: int
) -> None:
    path = tmp_path / f"a.{suffix}"
    settings = FinishSettings(sample_rate=sample_rate, channels=2, loudness_lufs=-30.0)
    finished = sound.save(path, settings)
    assert finished.warnings == ()

    # The samples.
    info = soundfile.info(path)
    assert (info.samplerate, info.channels) == (sample_rate, 2)
    off = abs(info.frames - round(3.2 * sample_rate))
    assert off <= (2 * 1152 if suffix == "mp3" else 0)
    assert loudness_lufs(read_audio(path)) == pytest.approx(-30, abs=0.5)

    # The tags, as another reader finds them.
    if suffix in ("wav", "mp3"):
        tags = id3_texts(path)
    else:
        tags = {name: texts[0] for name, texts in mutagen.File(path).tags.as_dict().items()}
    assert (tags["title"], tags["license"]) == (PROMPT, "CC0-1.0")
    making = json.loads(tags["comment"])
    assert (making["prompt"], making["seed"], making["duration_s"]) == (PROMPT, 4, 3.2)
    assert making["model_digest"] == sound.making["model_digest"]
    assert making["finish"]["loudness_lufs"] == -30 and making["finish"]["channels"] == 2
    assert making["loudness_lufs"] == finished.loudness_lufs == pytest.approx(-30, abs=0.05)


@pytest.mark.needs_ffmpeg
@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "opus", "mp3"])
def test_ffprobe_finds_the_tags(sound: Sound, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    sound.save(path)
    shown = subprocess.run(
        ["ffprobe", "-v", "error", "-show_format", "-show_streams", "-of", "json", path],
        capture_output=True,
        check=True,
    )
    found = json.loads(shown.stdout)
    tags = {**found["format"].get("tags", {}), **found["streams"][0].get("tags", {})}
    tags = {name.lower(): text for name, text in tags.items()}
    # Of a WAV that has INFO it reads nothing else, and INFO knows no licence.
    license_ = tags["copyright" if suffix == "wav" else "license"]
    assert (tags["title"], license_) == (PROMPT, "CC0-1.0")
    assert json.loads(tags["comment"])["seed"] == 4


@pytest.mark.parametrize(("bit_depth", "step"), [(16, 2**-15), (24, 2**-23), (32, 2**-31)])
def test_bit_depths_round_to_the_nearest_step(
    sound: Sound, tmp_path: Path, bit_depth: int, step: float
) -> None:
    path = tmp_path / "a.wav"
    finished = sound.save(path, FinishSettings(bit_depth=bit_depth))
    assert soundfile.info(path).subtype == f"PCM_{bit_depth}"
    read = soundfile.read(path, dtype="float64")[0]
    assert np.abs(read - finished.waveform.samples[0]).max() <= step / 2
    before = path.read_bytes()
    sound.save(path, FinishSettings(bit_depth=bit_depth))
    assert path.read_bytes() == before


def run(
    request: SoundRequest, model: Model, *, progress: SilentProgress | None = None
) -> GenerateResult:
    (result,) = generate(
        [request], model=str(model.folder.path), device="cpu", threads=1, progress=progress
    )
    assert not isinstance(result, GenerateFailure)
    return result


def test_a_file_is_skipped_only_if_finished_the_same_way(model: Model, tmp_path: Path) -> None:
    finish = FinishSettings(loudness_lufs=-20.0, sample_rate=48_000, channels=2)
    request = SoundRequest(
        prompt="hum",
        seed=1,
        output=tmp_path / "a.wav",
        settings=GenerateSettings(duration_s=0.3),
        finish=finish,
        plot=tmp_path / "a.png",
    )
    notices = Notices()
    made = run(request, model, progress=notices)
    assert notices.told == [
        "48000 Hz holds nothing above 8 kHz here: the model's own rate is 16000 Hz",
        "two channels hold the same sound twice: the model is mono",
    ]
    assert "loudness is not defined for a sound shorter than 0.4 s" in made.warning
    assert (made.loudness_lufs, made.true_peak_dbtp) == (None, -1.0)
    assert made.plot == request.plot and (tmp_path / "a.png").is_file()

    again = run(request, model)
    assert again.skipped and again.true_peak_dbtp == -1.0
    (tmp_path / "a.png").unlink()
    assert run(request, model).skipped and (tmp_path / "a.png").is_file()
    with pytest.raises(OutputError, match="exists already"):
        run(replace(request, finish=replace(finish, loudness_lufs=-21.0)), model)
    # A picture that is in the way of a new sound is found before the sound is made.
    other = replace(request, output=tmp_path / "b.wav")
    with pytest.raises(OutputError, match=r"a\.png: exists already"):
        run(other, model)
    assert not other.output.exists()


@pytest.mark.parametrize(
    ("name", "finish", "message"),
    [
        ("a.opus", FinishSettings(sample_rate=44_100), ".opus cannot hold 44100 Hz"),
        ("a.mp3", FinishSettings(bit_depth=24), ".mp3 has no bit depth of 24"),
        ("a.flac", FinishSettings(bit_depth=32), ".flac has no bit depth of 32"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_before_the_model_loads(
    model: Model, tmp_path: Path, name: str, finish: FinishSettings, message: str
) -> None:
    request = SoundRequest(
        prompt="x", seed=1, output=tmp_path / name, settings=GenerateSettings(), finish=finish
    )
    with pytest.raises(UsageError, match=message):
        run(request, model)


def test_a_trimmed_sound_tells_its_own_length(model: Model, tmp_path: Path) -> None:
    (sound,) = model.generate("hum", duration_s=0.5, seed=1)
    padded = np.concatenate([np.zeros(16_000, np.float32), sound.samples])
    finished = replace(sound, samples=padded).save(tmp_path / "a.wav", FinishSettings(trim=True))
    assert finished.waveform.duration_s == pytest.approx(0.52, abs=0.02)
    assert soundfile.info(tmp_path / "a.wav").frames == finished.waveform.num_samples
