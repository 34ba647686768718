"""The benchmark of whole models: its lists are what they claim, its measures and rows run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
import torch

from soundgen.data.manifest import Clip, read_manifest, write_manifest
from soundgen.evaluation.classifier import ClassifierConfig, SoundClassifier, save_classifier
from tests.conftest import REPOSITORY
from tests.fixtures_model import make_tiny_model

BENCHMARKS = REPOSITORY / "benchmarks"
PROMPTS = json.loads((BENCHMARKS / "prompts_lm.json").read_text(encoding="utf-8"))
DATA = Path(os.environ.get("SOUNDGEN_DATA", REPOSITORY.parent / "shared" / "data"))


@pytest.fixture(autouse=True)
def in_the_scripts_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where a script of that folder finds its neighbours, and the threads as they were."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def measures() -> ModuleType:
    return import_module("pitch_and_drift")


@pytest.fixture
def benchmark() -> ModuleType:
    return import_module("lm_quality")


def test_lists_hold_what_the_rows_need() -> None:
    assert [len(PROMPTS[name]) for name in ("tonal", "long", "rain")] == [4, 10, 1]
    for name in ("tonal", "long", "rain"):
        assert len({row["prompt"] for row in PROMPTS[name]}) == len(PROMPTS[name])


@pytest.mark.needs_data
def test_each_category_has_real_clips_to_compare_with() -> None:
    if not (DATA / "manifest.jsonl").is_file():
        pytest.skip("no data set (SOUNDGEN_DATA) to look the categories up in")
    held_out = {clip.category for clip in read_manifest(DATA) if clip.split != "train"}
    named = {row["category"] for name in ("tonal", "long", "rain") for row in PROMPTS[name]}
    assert named <= held_out


def test_drift_is_zero_for_what_stays_and_known_for_what_does_not(measures: ModuleType) -> None:
    rate = 1000
    time = np.arange(45 * rate) / rate
    steady = np.sin(2 * np.pi * 100 * time).astype(np.float32)
    assert measures.drift(steady, rate) == pytest.approx((0, 0), abs=0.01)
    # Half as loud, and an octave up, at the end.
    changed = np.where(time < 30, steady, 0.5 * np.sin(2 * np.pi * 200 * time)).astype(np.float32)
    assert measures.drift(changed, rate) == pytest.approx((-6.02, 1), abs=0.02)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("librosa") is None, reason="librosa is not installed")
def test_a_tone_has_a_pitch_and_noise_has_none(measures: ModuleType) -> None:
    time = np.arange(8000) / 16_000
    tone = np.sin(2 * np.pi * 440 * time).astype(np.float32)
    noise = np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    assert measures.pitched_share(tone, 16_000) > 0.9
    assert measures.pitched_share(noise, 16_000) < 0.3
    # What is near silence has no say.
    assert measures.pitched_share(np.concatenate([tone, 1e-4 * noise]), 16_000) > 0.9
    assert measures.pitched_share(np.zeros(100, np.float32), 16_000) is None


def _write_rain(folder: Path) -> None:
    clips = []
    for number, seconds in enumerate((10.1, 2.0)):
        noise = np.random.default_rng(number).uniform(-0.1, 0.1, round(seconds * 16_000))
        soundfile.write(folder / f"{number}.wav", noise, 16_000, subtype="PCM_16")
        clips.append(
            Clip(path=f"{number}.wav", captions=("rain",), tags=(), category="rain",
                 duration=seconds, split="test", recording=str(number), sha1_pcm16="0" * 40)
        )  # fmt: skip
    write_manifest(folder, clips)


def test_a_row_runs_alone_and_is_written(
    benchmark: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = make_tiny_model(tmp_path / "tiny").path
    torch.manual_seed(0)
    config = ClassifierConfig(
        classes=("rain", "wind"), num_mels=32, segment_frames=32, channels=(4, 4, 4, 8)
    )
    save_classifier(SoundClassifier(config), tmp_path / "c.safetensors")
    given = ("--model", model, "--data", tmp_path, "--classifier", tmp_path / "c.safetensors")
    _write_rain(tmp_path)
    asked = [*given, "--out", tmp_path / "out", "--rows", "rain", "--threads", "1", "--json"]
    assert benchmark.main([str(one) for one in asked]) == 2
    assert "the row rain needs --short-classifier" in capsys.readouterr().err
    asked += ["--short-classifier", tmp_path / "c.safetensors"]
    assert benchmark.main([str(one) for one in asked]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    heard = row["details"]["heard"]
    # 10.1 s of a real clip are four quarters; what one of 2 s holds is none.
    assert {split: sum(names.values()) for split, names in row["details"]["real"].items()} == {
        "test": 4
    }
    assert len(heard) == 10 and all(len(quarters) == 4 for quarters in heard.values())
    assert row["value"] == sum(set(quarters) == {"rain"} for quarters in heard.values()) / 10
    assert row["verdict"] == ("floor" if row["value"] >= 0.8 else "missed")
    assert json.loads((tmp_path / "out" / "rows.json").read_text(encoding="utf-8")) == [row]
    assert "| rain |" in (tmp_path / "out" / "rows.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("rows", "exit_code", "message"),
    [("10", 2, "error: --rows 10: not one of"), ("1", 3, "none: no such file")],
)
def test_mistakes_are_one_line(
    benchmark: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    rows: str, exit_code: int, message: str,
) -> None:  # fmt: skip
    out = tmp_path / "out"
    asked = ("--data", tmp_path, "--classifier", tmp_path / "none", "--out", out, "--rows", rows)
    assert benchmark.main([str(one) for one in asked]) == exit_code
    assert message in capsys.readouterr().err
    assert not out.exists()
