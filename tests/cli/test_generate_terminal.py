"""`soundgen generate` on real terminals of two widths, in pipes, and with nobody listening."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from tests.conftest import said
from tests.fixtures_model import make_tiny_model
from tests.fixtures_terminal import run_on_terminal, screen_of

LONG = "rain that falls on a tin roof in the middle of the night while nobody is listening to it"
SLUG = "rain-that-falls-on-a-tin-roof-in-the-middle-of-the-night-whi"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny").path


def command(model: Path, *arguments: str) -> list[str]:
    options = ("--seed", "1", "--model", str(model), "--device", "cpu", "-o", "sounds/")
    return [sys.executable, "-m", "soundgen", "generate", LONG, *arguments, *options]


@pytest.mark.parametrize(("columns", "color"), [(80, True), (200, False)])
def test_a_terminal_shows_a_bar_and_keeps_whole_lines(
    model: Path, tmp_path: Path, columns: int, color: bool
) -> None:
    (tmp_path / "sounds").mkdir()
    # Long enough that the bar is drawn many times, ten a second.
    environment = {} if color else {"NO_COLOR": "1"}
    shown = run_on_terminal(
        command(model, "-d", "20"), columns=columns, cwd=tmp_path, **environment
    )
    assert shown.returncode == 0
    # What stays is what a log would have; the bar is gone, the cursor back.
    path, told = shown.screen
    assert path == f"sounds/{SLUG}.wav"
    assert re.fullmatch(rf"sounds/{SLUG}\.wav  20\.00 s  seed 1  made in \d+\.\d s", told)
    assert not shown.cursor_hidden
    # While it was drawn it never was wider than the screen, nor lacked its numbers.
    plain = re.sub(r"\x1b\[[\d;]*m", "", shown.written)
    plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "\r", plain)
    drawn = [line for line in re.split(r"[\r\n]+", plain) if line.startswith("generate rain")]
    assert drawn and max(map(len, drawn)) <= columns
    counted = [re.search(r" (\d+)/1024 +(\S*) +\d:\d\d:\d\d", line) for line in drawn]
    assert any(counted) and any(found and found[2].endswith("/s") for found in counted)
    assert ("\x1b[3" in shown.written) == color


def test_a_reader_that_leaves_ends_it_in_silence(model: Path, tmp_path: Path) -> None:
    words = shlex.join(command(model, "-d", "0.3", "-n", "20"))
    done = subprocess.run(
        ["bash", "-c", f"{words} | head -1; exit ${{PIPESTATUS[0]}}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout == f"sounds/{SLUG}_1.wav\n"
    assert done.returncode == 141
    *told, last = said(done.stderr)
    each = r"sounds/.*\.wav  0\.30 s  seed \d+  made in .*"
    assert all(re.fullmatch(each, line) for line in told)
    # Sounds are whole, and the journal knows how to go on.
    assert re.match(r"\d+ of 20 sounds are made; to go on, run this again: soundgen gen", last)
    made = list((tmp_path / "sounds").glob("*.wav"))
    assert 1 <= len(made) < 20
    assert all(soundfile.info(path).frames == 4800 for path in made)


def test_the_terminal_of_these_tests() -> None:
    bar = "\x1b[?25l\r\x1b[2Kone\r\x1b[2Ktwo" + "\r\x1b[2K" + "path\r\n" + "bar\r\x1b[2K\x1b[?25h"
    assert screen_of(bar, 80) == ["path"]
    # A bar that the terminal had to break is not wiped out by going back one line.
    assert screen_of("abcdef\r\x1b[2K\x1b[1mx\x1b[0m\r\n", 4) == ["abcdx"]
    assert screen_of("abcdef\r\ngh\r\n", 4) == ["abcdef", "gh"]
    assert screen_of("one\r\ntwo\x1b[1A\r\x1b[2K\r\n", 9) == ["two"]
