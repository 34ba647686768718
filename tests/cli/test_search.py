"""`soundgen search` as a user runs it: over a library with all that libraries hold."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundgen.pipelines.search_index import read_index
from tests.conftest import RunSoundgen, said
from tests.fixtures_audio import RATE, make_sound, make_sounds
from tests.fixtures_codec import make_tiny_codec


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Eight sounds and a stereo one; beside them what is broken, silent, or no sound at all."""
    folder = tmp_path / "library"
    make_sounds(folder / "Sound FX [old]", num_each=2)
    click = make_sound("click", 7, 0.3)
    soundfile.write(folder / "wide.flac", np.stack([click, click / 2], axis=1), 44_100)
    soundfile.write(folder / "silent.wav", np.zeros(RATE), RATE)
    soundfile.write(folder / "nan.wav", np.full(99, np.nan, np.float32), RATE, subtype="FLOAT")
    (folder / "photo.wav").write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(200))
    (folder / "cover.jpg").write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(200))
    (folder / "song.als").write_bytes(bytes(range(256)))
    return folder


def test_finds_names_what_is_broken_and_remembers(
    soundgen: RunSoundgen, library: Path, matcher_model: Path, tmp_path: Path
) -> None:
    arguments = ("search", "the sound of a click", "library", "--model", matcher_model)
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    found = soundgen(*arguments, "-n", "3", **cache)
    assert found.returncode == 0, found.stderr
    lines = [line.split("\t") for line in found.stdout.splitlines()]
    assert len(lines) == 3
    assert all(Path(path).is_relative_to("library") for _, path in lines)
    assert [float(score) for score, _ in lines] == sorted(
        (float(score) for score, _ in lines), reverse=True
    )
    assert "click" in lines[0][1] or "wide" in lines[0][1]
    assert said(found.stderr) == [
        "library/nan.wav: holds NaN or infinite samples",
        "library/photo.wav: not an audio file (a JPEG image)",
        "2 files cannot be read and were left out; --json names them",
    ]
    (index,) = (tmp_path / "cache" / "soundgen" / "search").iterdir()

    again = soundgen(*arguments, "--json", "--strict", **cache)
    assert again.returncode == 3
    assert said(again.stderr) == []
    report = json.loads(again.stdout)
    assert (report["num_sounds"], report["num_new"], len(report["results"])) == (9, 0, 9)
    assert [Path(lost["path"]).name for lost in report["failures"]] == ["nan.wav", "photo.wav"]
    assert report["index"] == str(index)
    assert report["results"][0]["path"] == lines[0][1]
    assert report["results"][0]["score"] == float(lines[0][0])


def test_refusals(
    soundgen: RunSoundgen, library: Path, matcher_model: Path, tmp_path: Path
) -> None:
    make_tiny_codec(tmp_path / "codec")
    model = ("--model", str(matcher_model))
    for arguments, code, message in (
        (["", "library"], 2, "the text is empty"),
        (["rain", "library", "-n", "0"], 2, "Invalid value for '-n'"),
        (["rain", "missing", *model], 3, "missing: no such folder"),
        (["rain", "library/silent.wav", *model], 3, "library/silent.wav: not a folder"),
        (["rain", "library", "--model", "codec"], 4, "codec: has no matcher"),
        (["rain", "library", *model, "--index", "library/silent.wav"], 5, "not a search index"),
    ):
        result = soundgen("search", *arguments, XDG_CACHE_HOME=str(tmp_path / "cache"))
        assert (result.returncode, result.stdout) == (code, ""), result.stderr
        assert message in result.stderr.splitlines()[0]
    assert not (tmp_path / "cache").exists()


def test_ctrl_c_keeps_what_was_heard(matcher_model: Path, tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    soundfile.write(library / "0000.wav", make_sound("sweep", 1, 20.0), RATE)
    for number in range(1, 1500):
        os.link(library / "0000.wav", library / f"{number:04}.wav")
    (library / "0005 broken.wav").write_text("no sound")
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "soundgen", "search", "rain", "library"),
            *("--model", str(matcher_model), "--index", "index", "--threads", "1"),
        ],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    (first,) = islice((line for line in process.stderr if said(line)), 1)
    assert first.startswith("library/0005 broken.wav: ")
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=120)
    assert (process.returncode, stdout) == (130, "")
    assert "Traceback" not in stderr
    digest = json.loads((matcher_model / "config.json").read_text())["digests"]["matcher"]
    index, problem = read_index(tmp_path / "index", digest)
    assert problem == ""
    assert 5 <= len(index.vectors) < 1500
    assert list(tmp_path.rglob(".soundgen-*")) == []
