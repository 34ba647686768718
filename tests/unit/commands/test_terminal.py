"""What is shown, on a terminal, in a log and in a pipe."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from soundgen.commands import _terminal
from tests import fixtures_terminal
from tests.fixtures_terminal import read_terminal

STAGES = """
import sys
from soundgen.commands._terminal import console_progress, note, print_line
from soundgen.commands import _terminal
_terminal.LOG_EVERY_S = float(sys.argv[2])
with console_progress(quiet=sys.argv[1] == "quiet") as progress:
    progress.start("training", 3)
    for step in range(3):
        progress.advance()
        progress.metrics(step, {"loss": 1 / (1 + step)})
    progress.notice("a [b]notice[/b]")
    print_line("result")
    progress.finish()
    progress.start("endless", None)
    progress.advance(5)
    progress.finish()
    progress.finish()
"""


@dataclass(frozen=True)
class Report:
    out: Path
    loss: float


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", STAGES, *arguments], capture_output=True, text=True, timeout=60
    )


def run_on_terminal(*arguments: str, terminal: str = "xterm", color: bool = True) -> str:
    """Run with stderr on a terminal and stdout to nowhere; return what the terminal got."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": terminal, "COLUMNS": "120"}
    environment.pop("NO_COLOR", None)
    if not color:
        environment["NO_COLOR"] = "1"
    process = subprocess.Popen(
        [sys.executable, "-c", STAGES, *arguments],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=environment,
        text=True,
    )
    os.close(theirs)
    shown = read_terminal(ours)
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert stdout == "result\n"  # the result itself never goes through the terminal
    return shown


def test_a_short_command_is_silent_in_a_log() -> None:
    result = run("loud", "30")
    assert result.stdout == "result\n"
    assert result.stderr == "a [b]notice[/b]\ntraining: step 2  loss 0.3333\n"


def test_a_long_one_gets_plain_lines() -> None:
    lines = run("loud", "0").stderr.splitlines()
    assert lines[0] == "training: 1/3"
    assert "training: step 1  loss 0.5" in lines
    assert lines[-1] == "endless: 5"


def test_quiet() -> None:
    result = run("quiet", "0")
    assert (result.stdout, result.stderr) == ("result\n", "")


def test_a_terminal_gets_a_bar_and_the_notice_unchanged() -> None:
    shown = run_on_terminal("loud", "30")
    assert "training" in shown
    assert "a [b]notice[/b]" in shown
    assert "\x1b[?25h" in shown  # the cursor is visible again


MEASUREMENTS = """
import time
from soundgen.commands._terminal import console_progress
with console_progress(False) as progress:
    progress.start("training the language model", 1000)
    for step in range(4):
        time.sleep(0.15)
        progress.advance()
        progress.metrics(step, {f"loss_{k}": 5.123 for k in range(10)})
        progress.metrics(step, {"valid": 4.5})
"""


def test_measurements_leave_the_bar_its_numbers(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MEASUREMENTS]
    written = fixtures_terminal.run_on_terminal(command, columns=80, cwd=tmp_path).written
    frames = written.split("training the ")[1:]
    count, first, second = frames[-1].split("\r\n")[:3]
    assert "4/1000" in count and "/s" in count and "0:00:0" in count
    assert first.startswith("step 3  loss_0 5.123") and "…" in first
    assert second.startswith("step 3  valid 4.5")


@pytest.mark.parametrize("arguments", [("quiet", "30")])
def test_a_quiet_terminal_stays_empty(arguments: tuple[str, str]) -> None:
    assert run_on_terminal(*arguments) == ""


def test_no_colour_when_asked() -> None:
    assert "\x1b[3" in run_on_terminal("loud", "30")
    assert "\x1b[3" not in run_on_terminal("loud", "30", color=False)


def test_a_dumb_terminal_gets_lines() -> None:
    assert "\x1b" not in run_on_terminal("loud", "30", terminal="dumb")


def test_json_is_one_valid_line(capsys: pytest.CaptureFixture[str]) -> None:
    _terminal.print_json({"report": Report(Path("ä [x]\n.wav"), float("nan")), "t": (1, True)})
    shown = capsys.readouterr().out
    assert shown.count("\n") == 1
    assert json.loads(shown) == {
        "report": {"out": "ä [x]\n.wav", "loss": None},
        "t": [1, True],
    }


def test_table_cells_stay_on_their_line(capsys: pytest.CaptureFixture[str]) -> None:
    _terminal.print_table([("a", True), ("long", 0.5), ("c", ("x", "y")), ("d", "e\nf"), ("n", ())])
    assert capsys.readouterr().out.splitlines() == [
        "a     yes",
        "long  0.5",
        "c     x; y",
        "d     e\\nf",
        "n     none",
    ]


def test_notes_go_to_stderr_unless_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    _terminal.note("seen [x]")
    _terminal.note("unseen", quiet=True)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "seen [x]\n")
