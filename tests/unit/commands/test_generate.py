"""How `soundgen generate` reads its options, before anything heavy is imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from soundgen.commands import _sound_options, _source
from soundgen.commands._sound_files import plan_output
from soundgen.commands.generate import parse_duration
from soundgen.errors import UsageError
from soundgen.lm.sampling import SamplingSettings
from soundgen.pipelines import sound_request, sound_source


@pytest.mark.parametrize(
    ("text", "duration_s"), [("auto", None), ("0.1", 0.1), ("3", 3.0), ("300", 300.0)]
)
def test_durations(text: str, duration_s: float | None) -> None:
    assert parse_duration(text) == duration_s


@pytest.mark.parametrize("text", ["", "0", "0.09", "301", "-1", "nan", "inf", "3s", "Auto"])
def test_impossible_durations(text: str) -> None:
    with pytest.raises(UsageError, match=r"expected auto, or 0\.1 to 300 seconds"):
        parse_duration(text)


def test_the_options_have_the_bounds_of_the_library() -> None:
    for name in ("MIN_DURATION_S", "MAX_DURATION_S", "MAX_SEED"):
        assert getattr(_sound_options, name) == getattr(sound_request, name)
    settings, sampling = sound_request.GenerateSettings(), SamplingSettings()
    for name in ("temperature", "top_k", "top_p", "cfg_scale"):
        default = getattr(_sound_options, f"DEFAULT_{name.upper()}")
        assert default == getattr(settings, name) == getattr(sampling, name)
    for name in ("MIN_CONTEXT_S", "MAX_CONTEXT_S", "DEFAULT_CONTEXT_S", "DEFAULT_STRENGTH"):
        assert getattr(_source, name) == getattr(sound_source, name)


def test_output_names(tmp_path: Path) -> None:
    assert plan_output(None, None, several=True) == (Path(), None, ".wav")
    assert plan_output(None, "mp3", several=False) == (Path(), None, ".mp3")
    assert plan_output("a/b.flac", None, several=False) == (Path("a"), "b.flac", ".flac")
    assert plan_output("A.WAV", "wav", several=False) == (Path(), "A.WAV", ".WAV")
    assert plan_output("new/", "ogg", several=True) == (Path("new"), None, ".ogg")
    assert plan_output(str(tmp_path), None, several=True) == (tmp_path, None, ".wav")


@pytest.mark.parametrize(
    ("output", "format_", "several", "message"),
    [
        ("a.wav", None, True, "one file for several sounds"),
        ("a.doc", None, False, "no sound format has the suffix '.doc'"),
        ("a", None, False, "no sound format has the suffix ''"),
        ("a.wav", "mp3", False, "not the suffix of --format mp3"),
    ],
)
def test_impossible_outputs(output: str, format_: None, several: bool, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plan_output(output, format_, several=several)
