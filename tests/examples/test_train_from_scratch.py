"""The reference run: all of it with models that learn nothing, and three minutes that learn."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from soundgen.data.prompt_list import read_prompts
from soundgen.data.synth.catalogue import KINDS
from soundgen.evaluation.confusion import binomial_tail
from soundgen.pipelines.recipes import load_recipe
from tests.conftest import REPOSITORY

SCRIPT = REPOSITORY / "examples" / "train_from_scratch.sh"
PROMPTS = REPOSITORY / "examples" / "reference-prompts.txt"
STAGES = ("data", "codec", "tokens", "lm", "eval", "sounds")
STRICT_BASH = ("bash", "-euo", "pipefail")


def start(*arguments: str | Path, cwd: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*STRICT_BASH, str(SCRIPT), *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(REPOSITORY), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(
    *arguments: str | Path, cwd: Path, expected: int = 0, **environment: str
) -> tuple[str, str]:
    process = start(*arguments, cwd=cwd, **environment)
    stdout, stderr = process.communicate(timeout=3600)
    assert process.returncode == expected, stdout + stderr
    return stdout, stderr


def kill(process: subprocess.Popen[str]) -> None:
    """End it and all that it started, as a power cut does."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random one: to train one takes longer than all the rest."""
    import torch

    from soundgen.evaluation.classifier import ClassifierConfig, SoundClassifier, save_classifier

    torch.manual_seed(0)
    config = ClassifierConfig(
        classes=("bell", "rain"), num_mels=32, segment_frames=32, channels=(4, 4, 4, 8)
    )
    path = tmp_path_factory.mktemp("classifier") / "random ear.safetensors"
    save_classifier(SoundClassifier(config), path)
    return path


def test_every_stage_runs_and_a_killed_run_goes_on(tmp_path: Path, classifier: Path) -> None:
    (tmp_path / "two prompts.txt").write_text("rain falling\train\na bell\tbell\n")
    options = ["my run", "--size", "smoke", "--prompts", "two prompts.txt"]
    options += ["--classifier", classifier]
    out = tmp_path / "my run"
    process = start(*options, cwd=tmp_path)
    while process.poll() is None and not (out / "codec" / "state.pt").exists():
        time.sleep(0.02)
    kill(process)
    assert (out / "done" / "data").exists() and not (out / "done" / "lm").exists()
    broken_off = (out / "times.tsv").read_text().splitlines()[-1].split("\t")[1] == "begin"
    clips = {path: path.stat().st_mtime_ns for path in (out / "data" / "audio").rglob("*.flac")}
    assert len(clips) >= 10

    stdout, _ = run(*options, cwd=tmp_path)
    assert sorted(path.name for path in (out / "done").iterdir()) == sorted(STAGES)
    assert {path: path.stat().st_mtime_ns for path in clips} == clips
    steps = [json.loads(line) for line in (out / "codec" / "metrics.jsonl").open()]
    assert [row["step"] for row in steps if row["kind"] == "train"] == [10, 20]
    assert stdout == (out / "log.txt").read_text()[-len(stdout) :]
    assert "sounds are heard as what was asked for; chance 50%" in stdout
    assert stdout.endswith(
        "model: my run/lm\nreport: my run/measured/report.md\nsounds: my run/sounds\n"
    )
    assert sorted(p.name for p in (out / "sounds").glob("*.wav")) == [
        "a-bell_2.wav",
        "rain-falling_1.wav",
    ]

    result = json.loads((out / "result.json").read_text())
    assert (result["name"], result["num_sounds"], result["chance"]) == ("smoke", 2, 0.5)
    assert result["stopped"] == broken_off

    # Done, it does nothing; with other options it says so in a line.
    state = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.name != "log.txt"}
    again, _ = run(*options, cwd=tmp_path)
    assert again.splitlines() == stdout.splitlines()[-3:]
    assert {path: path.stat().st_mtime_ns for path in state} == state
    _, stderr = run(*options, "--seed", "2", cwd=tmp_path, expected=5)
    assert re.fullmatch(r"error: my run: holds a run with other options .*\n", stderr)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "OUT is missing"),
        (["a", "b"], 2, "one OUT is enough"),
        (["out", "--sise", "mini"], 2, "unknown option --sise"),
        (["out", "--size"], 2, "--size: needs a value"),
        (["out", "--size", "huge"], 2, "--size huge: not smoke"),
        (["out", "--minutes", "0"], 2, "--minutes 0: not a whole number"),
        (["out", "--minutes", "3.5"], 2, "--minutes 3.5: not a whole number"),
        (["out", "--seed", "-1"], 2, "--seed -1: not a whole number"),
        (["out", "--device", "gpu"], 2, "--device gpu: not auto"),
        (["out", "--data", "no folder"], 3, "--data no folder: no such folder"),
        (["out", "--prompts", "none.txt"], 3, "--prompts none.txt: no such file"),
        (["a file"], 5, "a file: is a file"),
        (["a file/out"], 5, "a file/out: cannot be made"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line(arguments: list[str], code: int, words: str, tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    stdout, stderr = run(*arguments, cwd=tmp_path, expected=code)
    assert stdout == ""
    assert len(stderr.splitlines()) == 1
    assert stderr.startswith(f"error: {words}")
    assert [path.name for path in tmp_path.iterdir()] == ["a file"]


def test_an_environment_without_soundgen_is_named(tmp_path: Path) -> None:
    _, stderr = run("out", cwd=tmp_path, expected=4, PYTHON="no-such-python")
    assert stderr.startswith("error: no-such-python cannot import soundgen: ")
    assert len(stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "options",
    [
        ["--size", "smoke"],
        ["--size", "mini"],
        ["--size", "small"],
        ["--size", "large", "--device", "cuda"],
        ["--minutes", "3"],
        ["--minutes", "60", "--data", "my sounds"],
    ],
    ids=" ".join,
)
def test_the_commands_are_those_of_soundgen(options: list[str], tmp_path: Path) -> None:
    """Also of the sizes that no test can run: their options and recipes exist."""
    (tmp_path / "my sounds").mkdir()
    stdout, _ = run("an out", "--print", *options, cwd=tmp_path)
    lines = [shlex.split(line) for line in stdout.splitlines()]
    commands = [words for words in lines if words[0] == "soundgen"]
    assert len(commands) in (6, 7)
    reference = (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8")
    for words in commands:
        depth = 1 if words[1] == "generate" else 2
        section = reference.split(f"\n## soundgen {' '.join(words[1 : 1 + depth])}\n")[1]
        known = re.findall(r"^- `(.*)`:", section.split("\n## ")[0], re.MULTILINE)
        for option in (word for word in words if word.startswith("-")):
            assert re.search(rf"(^|\s|,){option}\b", "\n".join(known), re.MULTILINE), option
        if words[1] == "train":
            sets = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
            recipe = words[words.index("--recipe") + 1]
            load_recipe(words[2], recipe, sets)  # type: ignore[call-overload]
    assert list(tmp_path.iterdir()) == [tmp_path / "my sounds"]


def test_prompts_name_the_kinds_that_are_made() -> None:
    text = SCRIPT.read_text(encoding="utf-8")
    found = re.search(r"^ *kinds=(\S+)$", text, re.MULTILINE)
    assert found is not None
    made = [KINDS[name].category for name in found[1].split(",")]
    assert len(set(made)) == len(made) == 10
    asked = [prompt.category for prompt in read_prompts(PROMPTS)]
    assert sorted(made * 2) == sorted(str(category) for category in asked)


def test_shellcheck_finds_nothing() -> None:
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed")
    found = subprocess.run([shellcheck, str(SCRIPT)], capture_output=True, text=True)
    assert found.stdout == ""


@pytest.mark.slow
def test_three_minutes_tell_ten_classes_apart(tmp_path: Path) -> None:
    """At least three times chance, which guessing reaches once in 50,000 runs."""
    run("mini", "--size", "mini", cwd=tmp_path)
    report = json.loads((tmp_path / "mini" / "measured" / "report.json").read_text())
    counts = report["confusion"]["counts"]
    right, total = sum(row[i] for i, row in enumerate(counts)), sum(map(sum, counts))
    assert (len(report["confusion"]["classes"]), total) == (10, 60)
    assert right / total >= 0.3, report["confusion"]
    assert binomial_tail(right, total, 1, 10) < 2e-5
    result = json.loads((tmp_path / "mini" / "result.json").read_text())
    assert result["class_accuracy"] == pytest.approx(right / total)
    assert result["real_accuracy"] > 0.5


@pytest.mark.slow
def test_a_folder_of_ones_own(tmp_path: Path, classifier: Path) -> None:
    make_own_sounds(tmp_path / "my sounds")
    options = ["--size", "smoke", "--data", "my sounds", "--classifier", classifier]
    run("out", *options, cwd=tmp_path)
    prompts = read_prompts(tmp_path / "out" / "prompts.txt")
    assert len({prompt.category for prompt in prompts}) >= 2
    heard = json.loads((tmp_path / "out" / "measured" / "report.json").read_text())["prompts"]
    assert [row["prompt"] for row in heard] == [prompt.prompt for prompt in prompts]


def make_own_sounds(folder: Path) -> None:
    """Write so many sounds of four kinds that each split has some."""
    import soundfile

    from tests.fixtures_audio import KINDS as OWN_KINDS
    from tests.fixtures_audio import RATE, make_sound

    for number, kind in enumerate(OWN_KINDS):
        (folder / kind).mkdir(parents=True)
        for index in range(40):
            # Names without numbers: those would pass for pieces of one recording.
            name = "".join("abcdefgh"[int(digit)] for digit in f"{index:02o}")
            sound = make_sound(kind, 100 * number + index, 0.4)
            floor = 0.02 * make_sound("noise", 1000 + 100 * number + index, 0.4)
            soundfile.write(folder / kind / f"{name} {kind}.wav", sound + floor, RATE)
