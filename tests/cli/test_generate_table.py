"""`soundgen generate --prompts`: many sounds from a table, each with what its row says."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.conftest import RunSoundgen
from tests.fixtures_model import make_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny").path


def test_a_table_makes_what_its_rows_say(
    soundgen: RunSoundgen, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text(
        "prompt,output,duration,seed,n,negative_prompt\n"
        "hum,,,,,\n"
        "Ünder way,ui/under_{variation}.flac,0.3,9,2,\n"
        "hum,,0.4,,,birds\n"
    )
    options = ("-d", "0.2", "--seed", "5", "--model", model)
    made = soundgen("generate", "--prompts", "t.csv", "-o", "out/", *options, "--json")
    assert made.returncode == 0, made.stderr
    rows = [json.loads(line) for line in made.stdout.splitlines()]
    shown = [
        (row["output"], row["seed"], row["row"], row["variation"], row["duration_s"])
        for row in rows
    ]
    assert shown == [
        ("out/hum_5.wav", 5, 1, 1, 0.2),
        ("out/ui/under_1.flac", 9, 2, 1, 0.3),
        ("out/ui/under_2.flac", 10, 2, 2, 0.3),
        ("out/hum_7.wav", 7, 3, 1, 0.4),
    ]
    making = json.loads(soundgen("info", "out/hum_7.wav", "--json").stdout)["making"]
    assert (making["negative_prompt"], making["duration_s"]) == ("birds", 0.4)

    # The same by standard input in another form and under other names: the same samples.
    lines = [
        {"prompt": "hum"},
        {"prompt": "Ünder way", "duration": 0.3, "seed": 9, "n": 2},
        {"prompt": "hum", "duration": 0.4, "negative_prompt": "birds"},
    ]
    name = ("--name", "{row:02d}/{prompt}_{variation}", "--format", "flac")
    command = ["generate", "--prompts", "-", "-o", "again/", *name, *map(str, options)]
    again = subprocess.run(
        [sys.executable, "-m", "soundgen", *command],
        input="\n".join(map(json.dumps, lines)),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert again.returncode == 0, again.stderr
    names = again.stdout.splitlines()
    assert names == [f"again/{name}.flac" for name in
                     ("01/hum_1", "02/ünder-way_1", "02/ünder-way_2", "03/hum_1")]  # fmt: skip
    for row, other in zip(rows, names, strict=True):
        first, second = (soundfile.read(tmp_path / path)[0] for path in (row["output"], other))
        np.testing.assert_array_equal(first, second)


def test_one_failed_row_does_not_stop_the_rest(
    soundgen: RunSoundgen, model: Path, tmp_path: Path
) -> None:
    # Nobody can make a file there, and nobody sees that before.
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "proc").symlink_to("/proc")
    names = ("a.wav", "proc/b.wav", "c.wav")
    (tmp_path / "t.csv").write_text("prompt,output\n" + "".join(f"hum,{n}\n" for n in names))
    options = ("--prompts", "t.csv", "-d", "0.2", "--seed", "1", "--model", model, "-o", "out/")
    failed = soundgen("generate", *options, "--json")
    assert failed.returncode == 3
    first, second, third = [json.loads(line) for line in failed.stdout.splitlines()]
    assert (second["row"], second["seed"], second["error"]["exit_code"]) == (2, 2, 5)
    assert second["error"]["message"].startswith("out/proc/b.wav: cannot be written")
    for row in (first, third):
        assert "error" not in row and (tmp_path / row["output"]).is_file()


def test_a_full_disk_ends_a_batch_that_goes_on_when_there_is_room(
    model: Path, tmp_path: Path
) -> None:
    durations = {"a": 0.1, "b": 2.0, "c": 0.1}
    table = [{"prompt": prompt, "duration": told} for prompt, told in durations.items()]
    command = ["generate", "--prompts", "-", "-o", "out/", "--seed", "1", "--model", str(model)]

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "soundgen", *command, *options],
            input="\n".join(map(json.dumps, table)),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            # Two seconds are 64 kB: no file system has room for them.
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
        )

    failed = run("--json")
    assert failed.returncode == 5
    first, last = [json.loads(line) for line in failed.stdout.splitlines()]
    assert (first["output"], first["skipped"]) == ("out/a_1.wav", False)
    assert last["error"]["message"].startswith("out/b_2.wav: cannot be written")
    assert "1 of 3 sounds are made" in failed.stderr
    # The journal stays: the batch is not done.
    made = sorted(path.name for path in (tmp_path / "out").iterdir() if path.suffix == ".wav")
    assert made == ["a_1.wav"]
    # Once there is room, what is missing is made.
    table[1]["duration"] = 0.2
    done = run()
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("made already") == 1
    assert done.stdout.splitlines() == ["out/a_1.wav", "out/b_2.wav", "out/c_3.wav"]


def test_what_one_row_cannot_have_stops_all_before_the_start(
    soundgen: RunSoundgen, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text("prompt,output\na,a.wav\nb,b.mp3\n")
    options = ("--seed", "1", "--model", model, "--bit-depth", "24", "-o", "out/")
    refused = soundgen("generate", "--prompts", "t.csv", *options)
    assert refused.returncode == 2
    assert "b.mp3: .mp3 has no bit depth of 24" in refused.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--prompts", "t.csv"], 3, "t.csv: line 2: n: expected a whole number, got 'x'"),
        (["--prompts", "none.csv"], 3, "none.csv: cannot be read"),
        (["--prompts", "-"], 3, "<stdin>: holds no prompts"),
        (["rain", "--prompts", "t.csv"], 2, "prompts and --prompts exclude each other"),
        (["rain", "--name", "{oops}"], 2, "--name {oops}: unknown field 'oops'"),
        (["rain", "--name", "{prompt}.wav"], 2, "--name {prompt}.wav: the suffix is the format's"),
        (["rain", "--name", "x", "-n", "2"], 2, "x.wav: two of the sounds would have this name"),
        (["rain", "--name", "x", "-o", "y.wav"], 2, "--name x: the file is named y.wav"),
        (["rain", "--fade-in", "2", "-d", "1"], 2, "longer than the sound of 1 s"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_refusals(
    soundgen: RunSoundgen, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    (tmp_path / "t.csv").write_text("prompt,n\nrain,x\n")
    # No model is even looked for.
    result = soundgen("generate", *arguments, "--seed", "1", "--model", "nothing")
    assert (result.returncode, result.stdout) == (code, "")
    assert result.stderr.splitlines()[0].startswith("error: ")
    assert message in result.stderr.splitlines()[0]
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]
