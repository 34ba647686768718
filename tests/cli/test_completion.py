"""Completion as bash does it: the script that the program gives, and what Tab then offers."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from soundgen.pipelines.recipes import list_recipes
from tests.conftest import RunSoundgen

# Sources the script and completes the last word of each line of standard input.
BASH = """
source "$1"
while read -r line; do
    eval "COMP_WORDS=($line)"
    COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
    COMPREPLY=()
    $(complete -p soundgen | sed 's/.*-F \\([^ ]*\\) .*/\\1/') soundgen
    echo "${COMPREPLY[*]}"
done
"""


def completed(script: Path, *lines: str) -> list[list[str]]:
    """Return what bash offers for the last word of each line."""
    program = script.parent / "bin" / "soundgen"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m soundgen "$@"\n')
    program.chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", f'PATH="{program.parent}:$PATH"\n{BASH}', "bash", script],
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stderr == ""
    return [line.split() for line in done.stdout.splitlines()]


def test_bash_completes_commands_options_and_names(soundgen: RunSoundgen, tmp_path: Path) -> None:
    shown = soundgen("--show-completion", "bash")
    assert (shown.returncode, shown.stderr) == (0, "")
    script = tmp_path / "completion.bash"
    script.write_text(shown.stdout)
    commands, options, formats, recipes, path, none = completed(
        script,
        "soundgen ge",
        "soundgen generate --vari",
        "soundgen generate rain --format o",
        "soundgen train codec --recipe ''",
        "soundgen recipes show lm/",
        "soundgen generate rain --model no-such",
    )
    assert commands == ["generate"]
    assert options == ["--variations", "--variation-of"]
    assert formats == ["ogg", "opus"]
    assert recipes == [name for kind, name, _ in list_recipes() if kind == "codec"]
    assert path == [f"lm/{name}" for kind, name, _ in list_recipes() if kind == "lm"]
    assert none == []  # bash then offers files


def test_models_complete(soundgen: RunSoundgen) -> None:
    listed = [line.split()[0] for line in soundgen("models", "list").stdout.splitlines()]
    done = soundgen(
        _SOUNDGEN_COMPLETE="complete_bash",
        COMP_WORDS="soundgen search x . --model ",
        COMP_CWORD="5",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == listed
