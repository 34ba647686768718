"""Loop points in WAV files, as libsndfile reads them, which did not write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mutagen.wave import WAVE

from soundgen.audio.io import check_loop_format, probe, read_audio, write_audio
from soundgen.audio.waveform import Waveform
from soundgen.errors import UsageError
from tests.fixtures_audio import loop_points


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32"])
@pytest.mark.parametrize("num_samples", [1000, 1001])
@pytest.mark.parametrize("channels", [1, 2])
def test_loop_points_read_back(
    tmp_path: Path, subtype: str, num_samples: int, channels: int
) -> None:
    samples = np.linspace(-0.5, 0.5, num_samples, dtype=np.float32)
    waveform = Waveform(np.repeat(samples[None], channels, axis=0), 44_100)
    tags = {"title": "hum", "comment": "x" * 3001, "license": "CC0-1.0"}
    write_audio(tmp_path / "a.wav", waveform, subtype=subtype, tags=tags, is_loop=True)
    assert loop_points(tmp_path / "a.wav") == [(0, num_samples)]
    # All else in the file is as it was without.
    write_audio(tmp_path / "b.wav", waveform, subtype=subtype, tags=tags)
    assert loop_points(tmp_path / "b.wav") == []
    one, other = (read_audio(tmp_path / name).samples for name in ("a.wav", "b.wav"))
    np.testing.assert_array_equal(one, other)
    assert probe(tmp_path / "a.wav").tags == tags == probe(tmp_path / "b.wav").tags
    assert WAVE(tmp_path / "a.wav").tags is not None
    data = (tmp_path / "a.wav").read_bytes()
    assert int.from_bytes(data[4:8], "little") == len(data) - 8


@pytest.mark.parametrize("suffix", ["mp3", "ogg", "opus"])
def test_formats_that_would_open_a_loop_again(suffix: str) -> None:
    with pytest.raises(UsageError, match=rf"a loop in \.{suffix} would not close"):
        check_loop_format(Path(f"a.{suffix}"))
    check_loop_format(Path("a.wav"))
    check_loop_format(Path("A.FLAC"))
