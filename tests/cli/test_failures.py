"""Each kind of failure, from the exception to what the shell sees."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from soundgen.errors import ExitCode, SoundgenError
from tests.conftest import RunSoundgen

# The real program with one more command, which fails in the way that is asked for.
PROGRAM = """
import errno, os, signal, sys, time
from typing import Annotated
import typer
from soundgen import errors
from soundgen.cli import app, main
from soundgen.commands._terminal import JsonOption, print_line

@app.command()
def fail(how: str, json: JsonOption = False) -> None:
    match how:
        case "bug": raise RuntimeError("[b, c, t] went\\nwrong")
        case "memory": raise MemoryError
        case "torch-memory": raise RuntimeError("DefaultCPUAllocator: can't allocate memory: 9")
        case "cuda-memory": raise type("OutOfMemoryError", (RuntimeError,), {})("CUDA")
        case "disk": raise OSError(errno.ENOSPC, "No space left on device", "a.wav")
        case "interrupt": os.kill(os.getpid(), signal.SIGINT); time.sleep(9)
        case "terminate": os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)
        case "none": print_line("done")
        case _: raise getattr(errors, how)("a\\x1b[2J.wav: wrong", hint="do it right")

main()
"""


def fail(
    how: str, *options: str, cwd: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, "fail", how, *options],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


CODES = {
    "none": 0,
    "bug": 1,
    "UsageError": 2,
    "InputError": 3,
    "ConfigError": 4,
    "CheckpointError": 4,
    "OutputError": 5,
    "DiskFullError": 5,
    "disk": 5,
    "DeviceError": 6,
    "memory": 6,
    "torch-memory": 6,
    "cuda-memory": 6,
    "interrupt": 130,
    "terminate": 143,
}


def test_codes_cover_every_error_and_every_exit_code() -> None:
    assert {error.__name__ for error in SoundgenError.__subclasses__()} <= CODES.keys()
    assert set(CODES.values()) == {int(code) for code in ExitCode}


@pytest.mark.parametrize("how", CODES)
def test_exit_code_and_no_traceback(how: str, tmp_path: Path) -> None:
    result = fail(how, cwd=tmp_path)
    assert result.returncode == CODES[how]
    assert "Traceback" not in result.stderr
    assert result.stdout == ("done\n" if how == "none" else "")


@pytest.mark.parametrize("how", ["InputError", "bug", "disk", "memory"])
def test_an_error_is_one_line_and_a_hint(how: str, tmp_path: Path) -> None:
    lines = fail(how, cwd=tmp_path).stderr.splitlines()
    assert lines[0].startswith("error: ")
    assert [line.split(":")[0] for line in lines[1:]] in ([], ["hint"])


def test_messages_show_control_characters_and_brackets_as_they_are(tmp_path: Path) -> None:
    assert fail("InputError", cwd=tmp_path).stderr == (
        "error: a\\x1b[2J.wav: wrong\nhint: do it right\n"
    )
    assert r"[b, c, t] went\nwrong" in fail("bug", cwd=tmp_path).stderr


def test_debug_adds_the_traceback(tmp_path: Path) -> None:
    result = fail("InputError", cwd=tmp_path, SOUNDGEN_DEBUG="1")
    assert "Traceback (most recent call last)" in result.stderr
    assert result.stderr.endswith("hint: do it right\n")
    assert result.returncode == 3


@pytest.mark.parametrize(
    ("how", "message"), [("InputError", "a\x1b[2J.wav: wrong"), ("disk", "a.wav: cannot be wri")]
)
def test_json_errors_are_an_object_on_stdout(how: str, message: str, tmp_path: Path) -> None:
    result = fail(how, "--json", cwd=tmp_path)
    error = json.loads(result.stdout)["error"]
    assert error.keys() == {"message", "hint", "exit_code"}
    assert error["message"].startswith(message)
    assert error["exit_code"] == result.returncode == CODES[how]
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (["--bogus"], "No such option: --bogus", "soundgen --help"),
        (["generat"], "No such command 'generat'.", "soundgen --help"),
        (["generate"], "Missing argument 'PROMPT", "soundgen generate --help"),
        (["generate", "rain", "-n", "0"], "Invalid value for '-n'", "soundgen generate --help"),
        (["generate", "rain", "--device", "tpu"], "Invalid value for", "soundgen generate --help"),
    ],
)
def test_usage_errors(soundgen: RunSoundgen, arguments: list[str], error: str, hint: str) -> None:
    result = soundgen(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    first, second = result.stderr.splitlines()
    assert first.startswith("error: ")
    assert error.split("'")[0] in first
    assert second == f"hint: {hint}"


def test_usage_errors_as_json(soundgen: RunSoundgen) -> None:
    result = soundgen("generate", "--json")
    assert json.loads(result.stdout)["error"]["exit_code"] == result.returncode == 2
    # Behind `--` it is a prompt, not an option.
    assert soundgen("generate", "-n", "0", "--", "--json").stdout == ""


def test_bare_program_shows_help_and_ends_with_usage(soundgen: RunSoundgen) -> None:
    for arguments in ([], ["train"], ["models"], ["recipes"], ["dataset"]):
        result = soundgen(*arguments)
        assert result.returncode == 2
        assert "Usage: soundgen" in result.stdout
        assert result.stderr == ""


def test_help_and_version(soundgen: RunSoundgen) -> None:
    assert soundgen("-h").stdout == soundgen("--help").stdout
    result = soundgen("--version")
    assert result.returncode == 0
    assert result.stdout.startswith("soundgen 0.")


def test_a_closed_pipe_is_silent(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.run(
        [sys.executable, "-m", "soundgen", "recipes", "list"],
        cwd=tmp_path,
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=60,
    )
    os.close(writing)
    assert process.stderr == b""
    assert process.returncode == 141


def test_a_full_disk_is_an_output_error(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "soundgen", "recipes", "list"],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert result.returncode == 5
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr
