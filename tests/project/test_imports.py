"""Light commands stay light, and the Python API is lazy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "torch",
    "torchaudio",
    "transformers",
    "tensorboard",
    "scipy",
    "sentence_transformers",
    "matplotlib",
)

# Runs the program in this very interpreter and then lists what it imported.
PROBE = """
import sys
sys.argv = ["soundgen", *sys.argv[1:]]
from soundgen.cli import main
try:
    main()
except SystemExit:
    pass
print("\\nHEAVY", *[name for name in {heavy!r} if name in sys.modules])
"""


def heavy_imports(*arguments: str, cwd: Path) -> list[str]:
    result = subprocess.run(
        [sys.executable, "-c", PROBE.format(heavy=HEAVY), *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    line = result.stdout.splitlines()[-1]
    assert line.startswith("HEAVY"), result.stdout
    return line.split()[1:]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        [],
        ["generate", "--help"],
        ["generate", ""],
        ["generate", "rain", "-d", "900"],
        ["generate", "rain", "-o", "rain.doc"],
        ["generate", "rain", "--variation-of", "tone.wav", "-d", "2"],
        ["train", "codec", "--recipe", "tiny"],
        ["train", "codec", "--recipe", "none", "--data", "data", "--out", "new"],
        ["train", "codec", "--recipe", "tiny", "--data", "data", "--out", "taken"],
        ["train", "lm", "--recipe", "tiny", "--data", "c", "--codec", "c", "--out", "taken"],
        ["train", "matcher", "--recipe", "none", "--data", "data", "--out", "new"],
        ["train", "matcher", "--recipe", "tiny", "--data", "data", "--out", "taken"],
        ["eval", "codec", "--help"],
        ["eval", "codec", "--data", "missing", "--n-q", "2;3"],
        ["eval", "codec", "--data", "missing", "--n-q", "1", "--plot", "rates.png"],
        ["search", "--help"],
        ["search", " ", "missing"],
        ["search", "rain", "missing"],
        ["dataset", "synth", "--help"],
        ["dataset", "synth", "new", "--hours", "0"],
        ["dataset", "synth", "new", "--hours", "1", "--kinds", "rain,quiet"],
        ["recipes", "list"],
        ["recipes", "show", "codec/tiny"],
        ["models", "list"],
        ["models", "pull", "hf:nobody"],
        ["models", "push", "missing", "hf:someone/rainy"],
        ["info", "tone.wav"],
        ["info", "missing.wav"],
        ["no-such-command"],
    ],
    ids=" ".join,
)
def test_light_commands_import_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    import numpy as np
    import soundfile

    soundfile.write(tmp_path / "tone.wav", np.zeros(100, dtype=np.float32), 16_000)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "config.json").touch()
    assert heavy_imports(*arguments, cwd=tmp_path) == []


def test_the_probe_sees_heavy_imports(tmp_path: Path) -> None:
    assert "torch" in heavy_imports("doctor", cwd=tmp_path)


def test_package_import_is_light() -> None:
    code = f"import soundgen, sys; print([n for n in {HEAVY!r} if n in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert shown.stdout.strip() == "[]"


def test_lazy_api() -> None:
    import soundgen

    assert callable(soundgen.load_model)
    assert soundgen.__version__[0].isdigit()
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        soundgen.nothing  # noqa: B018
