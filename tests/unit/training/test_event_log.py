"""TensorBoard's events: what is written is what TensorBoard reads."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from soundgen.errors import OutputError
from soundgen.training.event_log import EventLog

event_accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard"
)


def read(folder: Path) -> event_accumulator.EventAccumulator:
    found = event_accumulator.EventAccumulator(str(folder))
    found.Reload()
    return found


def test_numbers_and_sounds_come_back(tmp_path: Path) -> None:
    log = EventLog(tmp_path)
    for step in (1, 2):
        log.scalar(step, "train/loss", 0.5 * step)
    log.audio(2, "valid/0", torch.sin(torch.arange(1600) * 0.1), 16_000)
    log.flush()
    found = read(tmp_path)
    assert [(event.step, event.value) for event in found.Scalars("train/loss")] == [
        (1, 0.5),
        (2, 1.0),
    ]
    (sound,) = found.Audio("valid/0")
    assert sound.sample_rate == 16_000 and sound.encoded_audio_string[:4] == b"RIFF"
    log.close()


def test_steps_of_a_run_that_was_killed_are_not_shown(tmp_path: Path) -> None:
    first = EventLog(tmp_path)
    for step in (1, 2, 3):
        first.scalar(step, "loss", float(step))
    first.close()
    again = EventLog(tmp_path, first_step=3)
    again.scalar(3, "loss", 9.0)
    again.close()
    assert [event.value for event in read(tmp_path).Scalars("loss")] == [1.0, 2.0, 9.0]


def test_nothing_is_made_until_there_is_something_to_say(tmp_path: Path) -> None:
    EventLog(tmp_path / "log").close()
    assert not (tmp_path / "log").exists()


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file")
    with pytest.raises(OutputError, match="cannot be written"):
        EventLog(tmp_path / "log").scalar(1, "loss", 1.0)
