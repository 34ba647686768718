"""What all tests share: the program run as a user runs it, and skips that name their reason."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from types import ModuleType
from typing import Protocol

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def load_script(path: str) -> ModuleType:
    """Return a Python file of the repository that is in no package, as a module."""
    spec = importlib.util.spec_from_file_location("loaded", REPOSITORY / path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Two tests run at once, and models so small gain nothing from a second thread each. Set before
# anything imports torch; the programs that the tests start inherit it.
os.environ["OMP_NUM_THREADS"] = "1"
# Prompts of earlier runs must not hide what a test asks of the encoder.
os.environ["SOUNDGEN_PROMPT_CACHE"] = "off"


def said(stderr: str) -> list[str]:
    """Return the lines on stderr but for counts of progress, which only a slow machine shows."""
    return [line for line in stderr.splitlines() if not re.fullmatch(r".+: \d+(/\d+)?", line)]


class RunSoundgen(Protocol):
    """Runs `soundgen` in a process of its own."""

    def __call__(
        self, *arguments: str | Path, cwd: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run it with `arguments` in `cwd` (a temporary folder if not given)."""


def files_below(folder: Path) -> dict[str, bytes]:
    """Return all files of a dataset or a cache but for hidden ones, which are state."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    }


@pytest.fixture
def soundgen(tmp_path: Path) -> RunSoundgen:
    """The program, without terminal; its exit code is the test's business."""

    def run(
        *arguments: str | Path, cwd: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "soundgen", *map(str, arguments)],
            cwd=cwd or tmp_path,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture(scope="session")
def matcher_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole model: an untrained one that hums, and a matcher trained on sounds of the tests."""
    from tests.fixtures_audio import make_dataset
    from tests.fixtures_model import make_tiny_model

    root = tmp_path_factory.mktemp("matcher")
    model, data, out = make_tiny_model(root / "tiny").path, make_dataset(root / "set"), root / "run"
    subprocess.run(
        [
            *(sys.executable, "-m", "soundgen", "train", "matcher", "--recipe", "tiny"),
            *("--data", str(data), "--model", str(model), "--out", str(out), "--device", "cpu"),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=True,
    )
    return out


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("needs_ffmpeg") and shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    if item.get_closest_marker("needs_model") and not _default_model_ships():
        pytest.skip("no shipped model in this checkout")
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no CUDA device")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail where ffmpeg was promised (CI) and a test skipped for the lack of it all the same."""
    report = yield
    if report.skipped and os.environ.get("SOUNDGEN_REQUIRE_FFMPEG") == "1":
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else "")
        if "ffmpeg" in reason:
            report.outcome = "failed"
            report.longrepr = f"SOUNDGEN_REQUIRE_FFMPEG=1 allows no such skip: {reason}"
    return report


def _default_model_ships() -> bool:
    from soundgen.checkpoint import DEFAULT_MODEL, shipped_models

    return DEFAULT_MODEL in [model.name for model in shipped_models()]
