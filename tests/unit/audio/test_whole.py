"""What headers promise, in every layout of chunks, and MP3s that do not say how long they are."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundgen.audio.io import probe, read_audio
from soundgen.audio.whole import missing_bytes, mp3_samples
from soundgen.errors import InputError

SOUND = 0.4 * np.sin(np.arange(40001) ** 1.3 / 40)


@pytest.mark.parametrize(
    ("file_format", "endian"),
    [("WAV", "LITTLE"), ("WAV", "BIG"), ("WAVEX", "FILE"), ("RF64", "FILE"), ("W64", "FILE"),
     ("AIFF", "FILE"), ("CAF", "FILE"), ("AU", "FILE")],
)  # fmt: skip
def test_every_missing_byte_is_counted(tmp_path: Path, file_format: str, endian: str) -> None:
    path = tmp_path / "a"
    soundfile.write(path, SOUND, 16000, subtype="PCM_24", format=file_format, endian=endian)
    with path.open("rb") as stream:
        assert missing_bytes(stream) == 0
    whole = path.read_bytes()
    assert read_audio(path).num_samples == 40001
    for kept in (len(whole) // 2, 10000):
        path.write_bytes(whole[:kept])
        with path.open("rb") as stream:
            found = missing_bytes(stream)
        # Some formats end in a chunk or a byte of padding that is not audio.
        assert 0 <= len(whole) - kept - found <= 120
        with pytest.raises(InputError, match="truncated"):
            read_audio(path)


def test_headers_of_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for content in (b"", b"RIFF", b"RIFF\0\0\0\0WAVE", b"RIFF\0\0\0\0WAVEdata", b".snd", b"caff",
                    b"riff" + bytes(100), b"FORM\0\0\0\0AIFFSSND\0"):  # fmt: skip
        path.write_bytes(content)
        with path.open("rb") as stream:
            assert missing_bytes(stream) == 0
            assert mp3_samples(stream) is None


def test_an_mp3_that_states_its_length_is_not_counted(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.mp3", SOUND, 16000)
    with (tmp_path / "a.mp3").open("rb") as stream:
        assert mp3_samples(stream) is None


@pytest.mark.needs_ffmpeg
@pytest.mark.parametrize("quality", [("-b:a", "64k"), ("-q:a", "3")])
@pytest.mark.parametrize("rate", [8000, 22050, 44100])
def test_an_mp3_without_its_length_is_read_to_its_end(
    tmp_path: Path, quality: tuple[str, str], rate: int
) -> None:
    source, path = tmp_path / "a.wav", tmp_path / "a.mp3"
    # Silence first: its bit rate is what a guess of the length would be made from.
    soundfile.write(source, np.concatenate([np.zeros(8000), SOUND]), 16000)
    command = ["ffmpeg", "-v", "error", "-i", source, "-ar", str(rate), *quality]
    subprocess.run([*command, "-write_xing", "0", path], check=True)
    with path.open("rb") as stream:
        counted = mp3_samples(stream)
    assert counted is not None
    assert counted / rate == pytest.approx(3.0, abs=0.4)
    assert read_audio(path).duration_s == pytest.approx(3.0, abs=0.4)


@pytest.mark.needs_ffmpeg
def test_a_flac_from_a_pipe_is_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "a.wav", SOUND, 16000)
    command = ["ffmpeg", "-v", "error", "-i", tmp_path / "a.wav", "-f", "flac", "-"]
    piped = subprocess.run(command, check=True, capture_output=True).stdout
    (tmp_path / "a.flac").write_bytes(piped)
    whole = read_audio(tmp_path / "a.wav").samples
    assert np.array_equal(read_audio(tmp_path / "a.flac").samples, whole)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="FLAC without a length needs ffmpeg"):
        probe(tmp_path / "a.flac")
