"""`generate --precision`: in the tags, part of what a sound is, refused where there is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import RunSoundgen
from tests.fixtures_model import make_tiny_model


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny").path


def test_a_sound_says_its_precision_and_can_be_made_again(
    soundgen: RunSoundgen, tiny_model: Path, tmp_path: Path
) -> None:
    def make(*more: str) -> tuple[int, str]:
        result = soundgen(
            *("generate", "rain", "--seed", "3", "-d", "0.4", "-o", "rain.wav", "--device", "cpu"),
            *("--model", str(tiny_model), *more),
        )
        return result.returncode, result.stderr

    code, said = make("--precision", "int8")
    if code == 6 and "no products of int8" in said:
        pytest.skip("this processor or this PyTorch has no products of int8")
    assert code == 0, said
    first = (tmp_path / "rain.wav").read_bytes()
    info = json.loads(soundgen("info", "rain.wav", "--json").stdout)
    assert info["making"]["dtype"] == "int8"
    assert "--precision int8" in info["command"]
    # Made already; in another precision it is another sound, and in the way.
    assert "skipped" in make("--precision", "int8")[1]
    assert make("--precision", "float32")[0] == 5
    assert make("--precision", "int8", "-f")[0] == 0
    assert (tmp_path / "rain.wav").read_bytes() == first
    assert make("--precision", "float32", "-f")[0] == 0
    assert "--precision" not in json.loads(soundgen("info", "rain.wav", "--json").stdout)["command"]
    assert make("--precision", "float16")[0] == 2


def test_remembered_prompts_give_the_same_sound(
    soundgen: RunSoundgen, tiny_model: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    sounds = []
    for where in ("off", str(cache), str(cache)):
        result = soundgen(
            *("generate", "rain", "--seed", "3", "-d", "0.4", "-o", "rain.wav", "-f"),
            *("--model", tiny_model, "--device", "cpu"),
            SOUNDGEN_PROMPT_CACHE=where,
        )
        assert result.returncode == 0, result.stderr
        sounds.append((tmp_path / "rain.wav").read_bytes())
    assert sounds[0] == sounds[1] == sounds[2]
    assert len(list(cache.iterdir())) == 2  # the prompt, and the empty negative one
