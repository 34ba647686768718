"""`soundgen recipes`."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from tests.conftest import RunSoundgen


def test_list_and_show(soundgen: RunSoundgen) -> None:
    listed = soundgen("recipes", "list")
    assert listed.returncode == 0
    assert listed.stderr == ""
    names = [line.split()[0] for line in listed.stdout.splitlines()]
    assert names == [
        "codec/seanet",
        "codec/small",
        "codec/tiny",
        "lm/small",
        "lm/tiny",
        "matcher/small",
        "matcher/tiny",
    ]
    for name in names:
        shown = soundgen("recipes", "show", name)
        assert shown.returncode == 0
        assert shown.stdout.startswith(f"# soundgen train {name.split('/')[0]} --recipe ")
        assert tomllib.loads(shown.stdout)


def test_as_json(soundgen: RunSoundgen) -> None:
    rows = json.loads(soundgen("recipes", "list", "--json").stdout)["recipes"]
    assert {"kind": "codec", "name": "tiny"}.items() <= rows[2].items()
    shown = json.loads(soundgen("recipes", "show", "codec/tiny", "--json").stdout)
    assert (shown["kind"], shown["name"]) == ("codec", "tiny")
    assert tomllib.loads(shown["toml"])


def test_no_such_recipe(soundgen: RunSoundgen) -> None:
    for name in ("tiny", "codec/huge", "", "codec/../codec/tiny"):
        result = soundgen("recipes", "show", name)
        assert result.returncode == 4
        assert result.stderr.endswith("no such recipe\nhint: see: soundgen recipes list\n")


def test_a_shown_recipe_is_a_recipe(soundgen: RunSoundgen, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(soundgen("recipes", "show", "codec/tiny").stdout)
    result = soundgen(
        "train", "codec", "--recipe", "mine.toml", "--data", "missing", "--out", "run"
    )
    assert result.returncode == 3  # it got as far as the data
    (tmp_path / "mine.toml").write_text("[codec]\nnonsense = 1\n")
    result = soundgen(
        "train", "codec", "--recipe", "mine.toml", "--data", "missing", "--out", "run"
    )
    assert result.returncode == 4
    assert "mine.toml" in result.stderr
    assert not (tmp_path / "run").exists()
