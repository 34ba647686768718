"""The commands of docs/recipes-for-sound-designers.md, pasted one after the other."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import soundfile

from tests.conftest import REPOSITORY, RunSoundgen
from tests.fixtures_audio import make_sound
from tests.fixtures_model import make_tiny_model


@pytest.mark.slow
def test_every_command_makes_what_it_says(soundgen: RunSoundgen, tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "recipes-for-sound-designers.md").read_text(encoding="utf-8")
    # What the page takes for granted.
    for name in ("recordings/boom.wav", "sounds/wind.wav", "sounds/take.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, 0.5 * make_sound("noise", 1, 1.0), 16_000)
    (tmp_path / "sounds.csv").write_text("prompt\nhum\nclick\n")
    (ladder,) = re.findall(r"```\n(prompt,.*?)```", page, re.DOTALL)
    (tmp_path / "ladder.csv").write_text(ladder)
    model = make_tiny_model(tmp_path / "tiny").path
    blocks = "".join(re.findall(r"```sh\n(.*?)```", page, re.DOTALL))
    commands = [line for line in blocks.replace("\\\n", " ").splitlines() if "soundgen" in line]
    assert len(commands) >= 12
    for command in commands:
        # The tiny model has no matcher, and minutes of it are not worth waiting for.
        told = re.sub(r" --best-of \d+| > .*", "", command).replace("-d 180", "-d 8")
        words = shlex.split(told)[1:]
        done = soundgen(*words, *(["--model", str(model)] if words[0] == "generate" else []))
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    made = {str(path.relative_to(tmp_path)) for path in (tmp_path / "sounds").rglob("*.wav")}
    assert {f"sounds/footstep_gravel_{number:02d}.wav" for number in range(1, 13)} <= made
    assert soundfile.info(tmp_path / "sounds/rain_loop.wav").frames == 8 * 48_000
    assert soundfile.info(tmp_path / "sounds/wind_longer.wav").frames == 6 * 16_000
    assert {f"sounds/boom_{strength}.wav" for strength in (20, 40, 60, 80)} <= made
