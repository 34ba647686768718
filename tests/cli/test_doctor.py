"""`soundgen doctor` and `soundgen models list`, whatever this machine has."""

from __future__ import annotations

import json
from pathlib import Path

from soundgen.checkpoint import DEFAULT_MODEL, shipped_models
from tests.conftest import RunSoundgen

NAMES = ["soundgen", "python", "torch", "device", "threads", "ffmpeg", "sound formats"]


def test_says_what_was_found(soundgen: RunSoundgen) -> None:
    result = soundgen("doctor", "--json")
    report = json.loads(result.stdout)
    findings = {finding["name"]: finding for finding in report["findings"]}
    assert list(findings)[: len(NAMES)] == NAMES
    assert {"text encoder", f"model {DEFAULT_MODEL}"} <= findings.keys()
    assert result.returncode == (0 if report["ok"] else 4)
    assert report["ok"] == all(f["ok"] for f in findings.values() if f["required"])
    assert findings["torch"]["detail"].startswith("2.11.")
    assert findings["sound formats"]["ok"]
    assert "53aa51172d142c89" in findings["text encoder"]["detail"]


def test_ffmpeg_missing_is_a_note_with_a_hint(soundgen: RunSoundgen, tmp_path: Path) -> None:
    result = soundgen("doctor", PATH=str(tmp_path))
    line = next(line for line in result.stdout.splitlines() if " ffmpeg " in line)
    assert line.startswith("note")
    assert "m4a" in line
    assert "hint: ffmpeg: install ffmpeg" in result.stderr


def test_models_list_names_what_ships(soundgen: RunSoundgen) -> None:
    rows = json.loads(soundgen("models", "list", "--json").stdout)["models"]
    assert [row["name"] for row in rows] == [model.name for model in shipped_models()]
    lines = soundgen("models", "list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == [row["name"] for row in rows]


def test_no_such_model(soundgen: RunSoundgen) -> None:
    result = soundgen("models", "info", "nothing")
    assert result.returncode == 4
    assert result.stderr.startswith("error: nothing: no such model\nhint: ")
