"""`soundgen eval` as a program: tables, JSON, exit codes, no torch for mistakes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from soundgen.checkpoint import ModelFolder
from tests.conftest import RunSoundgen, said
from tests.fixtures_audio import make_dataset
from tests.fixtures_codec import make_tiny_codec


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return make_tiny_codec(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "set", per_kind=1)


def test_a_table_and_a_plot(
    soundgen: RunSoundgen, model: ModelFolder, data: Path, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    result = soundgen(
        "eval", "codec", "--data", data, "--model", model.path, "--shortest", "0.1",
        "--opus", "none", "--plot", "r.png",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert said(result.stderr) == ["drawn: r.png"]
    assert (tmp_path / "r.png").stat().st_size > 5_000
    lines = result.stdout.splitlines()
    assert lines[0].startswith("tiny on test: 4 clips of 0.1 s or more, ")
    starts = [line.split()[:2] for line in lines if line.strip()]
    assert [["n_q", "1"], ["n_q", "2"], ["n_q", "4"]] == [row for row in starts if row[0] == "n_q"]
    for category in ("click", "noise", "sweep", "tone"):
        assert sum(row[0] == category for row in starts) == 2
    assert "codebook capacity used: " in result.stdout
    assert "\x1b" not in result.stdout


def test_json_is_one_object(soundgen: RunSoundgen, model: ModelFolder, data: Path) -> None:
    result = soundgen(
        "eval", "codec", "--data", data, "--model", model.path, "--shortest", "0", "--n-q", "4,1",
        "--opus", "none", "--max-clips", "2", "--json",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    report = json.loads(result.stdout)
    assert (report["num_clips"], report["num_eligible"], report["opus"]) == (2, 4, None)
    assert [point["n_q"] for point in report["points"]] == [1, 4]
    overall = report["points"][1]["overall"]
    assert overall.keys() == {
        "num_clips", "seconds", "kbps", "mel_distance", "log_spectral_distance_db", "si_sdr_db",
    }  # fmt: skip
    assert overall["kbps"] > 1.2
    assert report["points"][0]["tonal"] is None


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        ((), 2, "Missing option '--data'"),
        (("--data", "none"), 3, "none: no such file"),
        (("--data", "none", "--model", "none"), 4, "none: no such model"),
        (("--data", "set", "--split", "dev"), 2, "Invalid value for '--split'"),
        (("--data", "set", "--n-q", "2;8"), 2, "--n-q 2;8: not a list of whole numbers"),
        (("--data", "set", "--n-q", "9"), 2, "--n-q must be in 1..4, got 9"),
        (("--data", "set", "--plot", "r.doc"), 2, "--plot r.doc: must end in .png"),
        (("--data", "set", "--shortest", "99"), 3, "set: no clip of split test has 99 s or more"),
    ],
)
def test_mistakes_are_one_line(
    soundgen: RunSoundgen,
    model: ModelFolder,
    data: Path,
    tmp_path: Path,
    arguments: tuple[str, ...],
    exit_code: int,
    message: str,
) -> None:
    (tmp_path / "set").symlink_to(data)
    if "--model" not in arguments:
        arguments = (*arguments, "--model", str(model.path))
    result = soundgen("eval", "codec", *arguments)
    assert result.returncode == exit_code
    assert result.stdout == ""
    first, *hints = result.stderr.splitlines()
    assert first.startswith(f"error: {message}")
    assert all(line.startswith("hint: ") for line in hints)


def test_a_plot_without_matplotlib_is_one_line(
    model: ModelFolder, data: Path, tmp_path: Path
) -> None:
    code = """
import sys
from importlib.abc import MetaPathFinder

# As if it were not installed: everything else is found as ever.
real = sys.meta_path[:]
class Hiding(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "matplotlib":
            return None
        for finder in real:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                return spec
        return None
sys.meta_path[:] = [Hiding()]
from soundgen.cli import main
main()
"""
    result = subprocess.run(
        [sys.executable, "-c", code, "eval", "codec", "--data", str(data), "--model",
         str(model.path), "--plot", "r.png"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert result.returncode == 2
    assert result.stderr.splitlines() == [
        "error: --plot needs matplotlib, which is not installed",
        "hint: pip install 'soundgen[plot]', or leave --plot out",
    ]


def test_lm_prints_both_tables_and_says_where_they_are(
    soundgen: RunSoundgen, matcher_model: Path, data: Path, tmp_path: Path
) -> None:
    classifier = tmp_path / "c.safetensors"
    make_classifier(classifier)
    (tmp_path / "p.txt").write_text("a tone\ttone\na hum\n", encoding="utf-8")
    result = soundgen(
        "eval", "lm", "--data", data, "--model", matcher_model, "--prompts", "p.txt", "--out",
        "out", "--seeds", "1", "-d", "0.3", "--classifier", classifier, "--no-sheet",
        "--device", "cpu", "--threads", "1",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stderr.splitlines()[-1] == "written to out"
    lines = [line.split() for line in result.stdout.splitlines() if line.strip()]
    assert lines[0][:5] == ["run:", "2", "prompts,", "1", "seeds"]
    for source in ("generated", "without a prompt", "codec round trip", "real clips"):
        assert any(row[: len(source.split())] == source.split() for row in lines)
    assert any(row[:3] == ["a", "tone", "tone"] for row in lines)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        ".lock", "report.json", "report.md", "sounds", "training-clips.safetensors",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (("--splits", "dev"), 2, "--splits dev: not a list of train, valid, test"),
        (("-d", "long"), 2, "--duration long: expected auto"),
        (("--prompts", "none.txt"), 3, "none.txt: cannot be read"),
    ],
)
def test_lm_mistakes_are_one_line(
    soundgen: RunSoundgen, data: Path, arguments: tuple[str, ...], exit_code: int, message: str
) -> None:
    given = ("--data", str(data), "--out", "out", "--no-sheet")
    prompts = () if "--prompts" in arguments else ("--prompts", "p.txt")
    result = soundgen("eval", "lm", *given, *prompts, *arguments)
    assert (result.returncode, result.stdout) == (exit_code, "")
    assert result.stderr.startswith(f"error: {message}")


def make_classifier(path: Path) -> None:
    import torch

    from soundgen.evaluation.classifier import ClassifierConfig, SoundClassifier, save_classifier

    torch.manual_seed(0)
    config = ClassifierConfig(classes=("noise", "tone"), num_mels=32, segment_frames=32)
    save_classifier(SoundClassifier(config), path)
