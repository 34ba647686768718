"""The linters, the type checker and the import contracts, run as CI runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "-m", "ruff", "check", "."],
        [sys.executable, "-m", "ruff", "format", "--check", "."],
        [sys.executable, "-m", "mypy"],
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as l; l()"],
    ],
    ids=["ruff check", "ruff format", "mypy", "lint-imports"],
)
def test_passes(command: list[str], tmp_path: Path) -> None:
    result = subprocess.run(
        command,
        cwd=REPOSITORY,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=550,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_import_contracts_are_the_ones_we_promise() -> None:
    import tomllib

    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers, *_ = settings["contracts"]
    assert layers["type"] == "layers"
    assert layers["exhaustive"]
    assert [layer.strip("()") for layer in layers["layers"]] == [
        "cli",
        "commands",
        "web",
        "pipelines",
        "evaluation",
        "codec | lm | text | data",
        "training | nn | audio | checkpoint",
        "config | progress | files | hub | model_card",
        "errors",
    ]
    assert not any("ignore_imports" in contract for contract in settings["contracts"])
