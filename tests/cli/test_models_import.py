"""`soundgen models import`: from a folder of `transformers` to a sound, and what is in the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import RunSoundgen, said
from tests.fixtures_transformers import make_encodec, make_musicgen


@pytest.fixture(scope="module")
def musicgen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("import") / "musicgen"
    make_musicgen(folder)
    (folder / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n# MusicGen\n")
    return folder


def test_an_imported_model_makes_a_file_and_says_its_terms(
    soundgen: RunSoundgen, musicgen: Path, tmp_path: Path
) -> None:
    done = soundgen("models", "import", musicgen, "model")
    assert (done.returncode, done.stdout) == (0, "model\n")
    assert said(done.stderr) == [
        "imported codec and lm of musicgen: cc-by-nc-4.0, not for commercial use"
    ]
    shown = soundgen("models", "info", "model").stdout
    assert "\nlicense  " in shown and "cc-by-nc-4.0" in shown
    assert json.loads(soundgen("info", "model", "--json").stdout)["license"] == "cc-by-nc-4.0"

    made = soundgen("generate", "rain", "-d", "1", "--seed", "3", "--model", "model")
    assert made.returncode == 0, made.stderr
    terms = [line for line in said(made.stderr) if "commercial" in line]
    assert terms == ["the weights of this model are under cc-by-nc-4.0: not for commercial use"]
    sound = json.loads(soundgen("info", "rain.wav", "--json").stdout)
    assert (sound["sample_rate"], sound["duration_s"]) == (16_000, 1.0)
    # Not ours to give away.
    assert not {"license", "copyright"} & sound["tags"].keys()
    assert sound["making"]["model_license"] == "cc-by-nc-4.0"
    # Anywhere else: what it needs went with it.
    (tmp_path / "model").rename(tmp_path / "moved")
    again = soundgen(
        "generate", "rain", "-d", "1", "--seed", "3", "--model", "moved", "-o", "again.wav",
        HF_HUB_OFFLINE="1",
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    digest = json.loads(soundgen("info", "again.wav", "--json").stdout)["making"]["model_digest"]
    assert digest == sound["making"]["model_digest"]

    assert soundgen("compress", "rain.wav", "--model", "moved").returncode == 0
    back = soundgen("decompress", "rain.sgc", "-o", "back.wav", "--model", "moved")
    assert back.returncode == 0, back.stderr


def test_a_codec_compresses_at_its_own_rate(soundgen: RunSoundgen, tmp_path: Path) -> None:
    import numpy as np
    import soundfile

    make_encodec().save_pretrained(tmp_path / "encodec_24khz")
    done = soundgen("models", "import", "encodec_24khz", "codec", "--license", "mit", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["kind"], report["parts"], report["license"]) == ("encodec", ["codec"], "mit")
    wave = 0.3 * np.random.default_rng(0).standard_normal(50_000).astype(np.float32)
    soundfile.write(tmp_path / "noise.wav", wave, 24_000)
    for arguments in (
        ["compress", "noise.wav", "--model", "codec", "--bandwidth", "6"],
        ["decompress", "noise.sgc", "-o", "back.wav", "--model", "codec"],
    ):
        result = soundgen(*arguments)
        assert result.returncode == 0, result.stderr
    assert soundfile.info(tmp_path / "back.wav").samplerate == 24_000
    assert soundfile.info(tmp_path / "back.wav").frames == 50_000
    # Nothing is written over, and it makes no sounds from text.
    again = soundgen("models", "import", "encodec_24khz", "codec", "--license", "mit")
    assert again.returncode == 5
    assert again.stderr.startswith("error: codec: exists already\nhint: ")
    refused = soundgen("generate", "rain", "--model", "codec")
    assert refused.returncode == 4 and "has no lm" in refused.stderr
