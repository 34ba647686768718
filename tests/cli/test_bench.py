"""`soundgen bench`: every figure measured, as a table and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from soundgen.commands._terminal import print_table
from soundgen.commands.bench import table_rows
from soundgen.pipelines.bench import BenchReport
from tests.conftest import RunSoundgen
from tests.fixtures_model import make_tiny_model


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny").path


def test_figures_are_of_this_machine(
    soundgen: RunSoundgen, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", tiny_model, "--threads", "1", "--device", "cpu", "--json"]
    result = soundgen("bench", *arguments)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["threads"] == 1 and report["device"] == "cpu"
    assert report["precision"] == "float32" and report["model"] == tiny_model.name
    figures = {name: value for name, value in report.items() if name.endswith(("_s", "_x"))}
    assert len(figures) >= 8 and all(value > 0 for value in figures.values())
    # No more than the machine allows.
    assert 0 < report["lm_bandwidth_share"] < 1.5 and 0 < report["lm_batch_product_share"] < 1.5
    # The same as a table.
    print_table(table_rows(BenchReport(**report)))
    lines = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    assert "1 thread" in lines["machine"]
    assert f"{report['lm_steps_s']:g} steps/s" in lines["language model, 1 sound"]
    assert "of the matrix-product rate" in lines["language model, 16 sounds"]
    assert lines["codec, decode"].strip() == f"{report['codec_decode_x']:g} x real time"


def test_what_cannot_be_measured_says_why(soundgen: RunSoundgen, tiny_model: Path) -> None:
    missing = soundgen("bench", "--model", "none")
    assert missing.returncode == 4 and missing.stderr.startswith("error: none: no such model")
    arguments = ("--model", tiny_model, "--device", "cuda", "--json")
    device = soundgen("bench", *arguments, CUDA_VISIBLE_DEVICES="")
    assert device.returncode == 6 and json.loads(device.stdout)["error"]["exit_code"] == 6
    assert soundgen("bench", "--precision", "int4").returncode == 2
