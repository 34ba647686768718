"""Pictures of sounds, and sounds through a stand-in for the library that plays them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from soundgen.audio.play import check_playing, play
from soundgen.audio.plot import draw_sound, spectrogram_db
from soundgen.audio.waveform import Waveform
from soundgen.errors import DeviceError, UsageError

RATE = 16_000


def test_a_tone_is_a_line_at_its_frequency() -> None:
    time = np.arange(2 * RATE) / RATE
    samples = np.sin(2 * np.pi * 2000 * time).astype(np.float32)[None]
    levels = spectrogram_db(Waveform(samples, RATE))
    # Bins of 31.25 Hz; the tone begins and ends within the first and the last column.
    assert levels.shape == (257, 2 * RATE // 128 + 1)
    assert set(levels[:, 1:-1].argmax(axis=0)) == {64}
    assert levels.max() == 0 and levels.min() == pytest.approx(-90)


@pytest.mark.parametrize("num_samples", [1, 100, 80 * RATE])
def test_any_length_has_a_spectrogram_of_bounded_size(num_samples: int) -> None:
    samples = np.zeros((2, num_samples), np.float32)
    columns = spectrogram_db(Waveform(samples, RATE)).shape[1]
    assert 1 <= columns <= 2001


def test_a_picture_is_a_whole_png(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    samples = np.sin(np.arange(4000, dtype=np.float32))[None]
    draw_sound(Waveform(samples, RATE), tmp_path / "a.png", "costs $1 and $2 – 雨")
    data = (tmp_path / "a.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and data[-8:-4] == b"IEND"
    assert (int.from_bytes(data[16:20]), int.from_bytes(data[20:24])) == (1300, 650)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert not [one for one in recwarn if "Glyph" in str(one.message)]


STAND_IN = """
class PortAudioError(Exception):
    pass

played = []

def play(samples, rate, blocking):
    {body}
"""


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (STAND_IN.format(body="played.append((samples.copy(), rate, blocking))"), None),
        (
            STAND_IN.format(body="raise PortAudioError('Error querying device -1')"),
            "no usable output device (Error querying device -1)",
        ),
        ("raise OSError('PortAudio library not found')", "PortAudio library not found"),
    ],
    ids=["device", "no device", "no library"],
)
def test_playing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, message: str | None
) -> None:
    (tmp_path / "sounddevice.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    samples = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], np.float32)
    check_playing()
    if message is None:
        play(Waveform(samples, RATE))
        ((heard, rate, blocking),) = sys.modules["sounddevice"].played
        np.testing.assert_array_equal(heard, samples.T)
        assert (rate, blocking) == (RATE, True)
    else:
        with pytest.raises(DeviceError) as caught:
            play(Waveform(samples, RATE))
        assert caught.value.message == f"not played: {message}"
    sys.modules.pop("sounddevice", None)


def test_playing_needs_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    with pytest.raises(UsageError, match="--play needs sounddevice"):
        check_playing()
