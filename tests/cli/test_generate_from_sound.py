"""`soundgen generate --continue` and `--variation-of`: what is kept, said, repeated, refused."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.conftest import RunSoundgen
from tests.fixtures_audio import make_sound
from tests.fixtures_model import make_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny").path


@pytest.fixture
def take(tmp_path: Path) -> Path:
    path = tmp_path / "take.wav"
    soundfile.write(path, 0.5 * make_sound("noise", 1, 0.8), 16_000)
    return path


def samples(path: Path) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    read: np.ndarray[tuple[int], np.dtype[np.int16]] = soundfile.read(path, dtype="int16")[0]
    return read


def test_a_take_goes_on(soundgen: RunSoundgen, model: Path, take: Path, tmp_path: Path) -> None:
    told = ("-d", "0.5", "--seed", "1", "--model", model, "-n", "2", "--json")
    options = ("--continue", "take.wav", "--seconds-of-context", "9", *told)
    made = soundgen("generate", "hum", *options, "-o", "out/")
    assert made.returncode == 0, made.stderr
    assert made.stderr.count("looks back over 2 s") == 2
    rows = [json.loads(line) for line in made.stdout.splitlines()]
    assert [(row["output"], row["duration_s"], row["source"]) for row in rows] == [
        ("out/hum_1.wav", 1.3, "take.wav"),
        ("out/hum_2.wav", 1.3, "take.wav"),
    ]
    first, second = (samples(tmp_path / row["output"]) for row in rows)
    # All but the fade of 5 ms at the beginning and the splice of 50 ms.
    for sound in (first, second):
        np.testing.assert_array_equal(sound[80 : 12_800 - 800], samples(take)[80 : 12_800 - 800])
    assert not np.array_equal(first, second)

    shown = json.loads(soundgen("info", "out/hum_2.wav", "--json").stdout)
    assert shown["making"]["source"]["use"] == "continue"
    words = shlex.split(shown["command"].replace("--model tiny", f"--model {model}"))
    again = soundgen(*[word.replace("out/hum_2.wav", "again.flac") for word in words[1:]])
    assert again.returncode == 0, again.stderr
    np.testing.assert_array_equal(samples(tmp_path / "again.flac"), second)

    # The file may lie elsewhere; another file of its name makes another sound.
    shutil.move(take, tmp_path / "moved.wav")
    moved = [str(word).replace("take.wav", "moved.wav") for word in options]
    kept = soundgen("generate", "hum", *moved, "-o", "out/")
    assert [json.loads(line)["skipped"] for line in kept.stdout.splitlines()] == [True, True]
    soundfile.write(take, make_sound("tone", 2, 0.8), 16_000)
    assert soundgen("generate", "hum", *options, "-o", "out/").returncode == 5


def test_variations_of_takes_in_a_table(
    soundgen: RunSoundgen, model: Path, take: Path, tmp_path: Path
) -> None:
    stereo = np.stack([make_sound("tone", 4, 0.5)] * 2, axis=1)
    soundfile.write(tmp_path / "step.flac", stereo, 32_000)
    (tmp_path / "t.csv").write_text(
        "prompt,output,continue,variation_of,strength,duration\n"
        "hum,all.wav,,take.wav,1,\n"
        "hum,none.wav,,take.wav,0,\n"
        "step,step.wav,,step.flac,,\n"
        "hum,more.wav,take.wav,,,0.3\n"
    )
    made = soundgen("generate", "--prompts", "t.csv", "--seed", "1", "--model", model, "-o", "o/")
    assert made.returncode == 0, made.stderr
    assert "warning: step.flac: 32000 Hz, 2 channels -> 16000 Hz mono" in made.stderr
    lengths = {path.name: len(samples(path)) for path in (tmp_path / "o").glob("*.wav")}
    assert lengths == {"all.wav": 12_800, "none.wav": 12_800, "step.wav": 4000, "more.wav": 17_600}
    assert not np.array_equal(samples(tmp_path / "o/all.wav"), samples(tmp_path / "o/none.wav"))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--continue", "no.wav"], 3, "no.wav: cannot be read"),
        (["--variation-of", "t.csv"], 3, "t.csv: not an audio file"),
        (["--continue", "take.wav", "--variation-of", "take.wav"], 2, "exclude each other"),
        (["--strength", "0.5"], 2, "--strength 0.5: there is no --variation-of"),
        (["--variation-of", "take.wav", "--strength", "1.5"], 2, "'--strength'"),
        (["--variation-of", "take.wav", "-d", "2"], 2, "a variation is as long as take.wav"),
        (["--continue", "take.wav", "--loop", "-d", "2"], 2, "cannot be a loop"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_refusals(
    soundgen: RunSoundgen,
    take: Path,
    tmp_path: Path,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    (tmp_path / "t.csv").write_text("prompt\nrain\n")
    # No model is even looked for.
    result = soundgen("generate", "rain", *arguments, "--seed", "1", "--model", "nothing")
    assert (result.returncode, result.stdout) == (code, "")
    assert message in result.stderr.splitlines()[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.csv", "take.wav"]
