"""The journal of a batch: what it remembers, when it goes, and what of it may be damaged."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from soundgen.errors import OutputError
from soundgen.pipelines.sound_journal import SoundJournal

ASKED = {"rows": ["rain", "hum"], "model": "m", "seed": None}


def made(path: Path) -> Path:
    path.write_text("sound")
    return path


def test_what_was_drawn_and_finished_is_there_again(tmp_path: Path) -> None:
    outputs = [tmp_path / "a.wav", tmp_path / "b.wav"]
    journal = SoundJournal(tmp_path, ASKED)
    assert (journal.seed, journal.finished) == (None, set())
    with journal.held(5, outputs):
        journal.add(made(outputs[0]))
    again = SoundJournal(tmp_path, ASKED)
    assert (again.seed, again.finished) == (5, {outputs[0]})
    assert SoundJournal(tmp_path, {**ASKED, "model": "other"}).seed is None
    # A line that was cut short costs itself, not the next one.
    with again.path.open("a") as stream:
        stream.write('{"finished": "b.w')
    with SoundJournal(tmp_path, ASKED).held(5, outputs):
        pass
    # A file that is gone is not finished.
    outputs[0].unlink()
    third = SoundJournal(tmp_path, ASKED)
    assert (third.seed, third.finished) == (5, set())
    with third.held(5, outputs):
        for output in outputs:
            third.add(made(output))
    assert not third.path.exists()


def test_of_a_batch_that_came_to_nothing_nothing_is_left(tmp_path: Path) -> None:
    journal = SoundJournal(tmp_path, ASKED)
    with journal.held(5, [tmp_path / "a.wav"]):
        assert journal.path.exists()
    assert list(tmp_path.iterdir()) == []


def test_one_of_another_version_is_refused(tmp_path: Path) -> None:
    path = SoundJournal(tmp_path, ASKED).path
    path.write_text(json.dumps({"format_version": 2, "seed": 1, "pid": os.getpid()}))
    with pytest.raises(OutputError, match="written by another version"):
        SoundJournal(tmp_path, ASKED)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    journal = SoundJournal(tmp_path / "gone", ASKED)
    with pytest.raises(OutputError, match="cannot be written"), journal.held(1, []):
        pass
