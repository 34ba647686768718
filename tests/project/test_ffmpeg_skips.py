"""Where CI promises ffmpeg, a test that skips for the lack of it fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

TESTS = """
import pytest

@pytest.mark.needs_ffmpeg
def test_marked(): pass

def test_says_so(): pytest.skip("needs ffmpeg")

def test_other(): pytest.skip("no such device")
"""


@pytest.mark.parametrize(
    ("required", "summary"), [("0", "3 skipped"), ("1", "1 failed, 1 skipped, 1 error")]
)
def test_skip_or_failure(tmp_path: Path, required: str, summary: str) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    result = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider"),
            *("-n", "0", "-c", str(REPOSITORY / "pyproject.toml"), str(tmp_path / "test_it.py")),
        ],
        cwd=REPOSITORY,
        env={**os.environ, "PATH": str(tmp_path), "SOUNDGEN_REQUIRE_FFMPEG": required},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert summary in result.stdout.splitlines()[-1], result.stdout
