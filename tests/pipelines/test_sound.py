"""`Sound`: what can be made of it once a model has made it."""

from __future__ import annotations

import base64
import io
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundgen.audio.finish import FinishSettings
from soundgen.audio.io import probe, read_audio
from soundgen.errors import InputError, UsageError
from soundgen.pipelines.sound import Sound
from tests.fixtures_audio import loop_points


def sound_of(gains: object = 1.0, duration_s: float = 4.0) -> Sound:
    samples = np.random.default_rng(0).normal(0, 0.1, round(16_000 * duration_s)) * gains
    return Sound(samples.astype(np.float32), 16_000, "rain", 3, {"top_k": 9})


def test_a_loop_of_a_sound(tmp_path: Path) -> None:
    loop = sound_of().loop(2.5)
    assert (len(loop.samples), loop.duration_s, loop.seed) == (40_000, 2.5, 3)
    assert loop.seam is not None and loop.seam.fault == ""
    finished = loop.save(tmp_path / "a.wav", FinishSettings(sample_rate=48_000))
    assert finished.waveform.num_samples == 120_000
    assert loop_points(tmp_path / "a.wav") == [(0, 120_000)]
    making = json.loads(probe(tmp_path / "a.wav").tags["comment"])
    assert (making["loop"], making["duration_s"], making["top_k"]) == (True, 2.5, 9)
    loop.save(tmp_path / "a.flac")
    kept = read_audio(tmp_path / "a.flac").samples[0]
    np.testing.assert_allclose(kept, loop.samples, atol=2**-15)


def test_the_longest_loop_of_a_sound() -> None:
    assert sound_of().loop().duration_s == 3.5
    assert sound_of(duration_s=0.3).loop().duration_s == pytest.approx(0.2, abs=1e-4)


def test_what_cannot_be_a_loop(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no loop: its level steps by"):
        sound_of(np.geomspace(0.1, 1, 64_000)).loop()
    with pytest.raises(InputError, match=r"no loop: nothing of it goes on long enough"):
        sound_of(np.geomspace(1, 1e-9, 64_000)).loop(2.0)
    with pytest.raises(InputError, match=r"a loop of 4\.00 s needs material that is longer"):
        sound_of().loop(4.0)
    loop = sound_of().loop(1.0)
    with pytest.raises(UsageError, match=r"a loop in \.ogg would not close"):
        loop.save(tmp_path / "a.ogg")
    with pytest.raises(UsageError, match="no ends to trim or to fade"):
        loop.save(tmp_path / "a.wav", FinishSettings(fade_out_s=0.1))
    assert list(tmp_path.iterdir()) == []


def test_a_notebook_shows_a_player_and_a_picture() -> None:
    sound = replace(sound_of(duration_s=1.0), prompt='rain <b>& "wind"</b>')
    page = sound._repr_html_()
    assert "rain &lt;b&gt;&amp; &quot;wind&quot;&lt;/b&gt;</b> seed 3, 1.00 s" in page
    wav, png = re.findall(r'src="data:(?:audio/wav|image/png);base64,([^"]+)"', page)
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(wav)), dtype="float32")
    assert rate == 16_000
    np.testing.assert_allclose(samples, sound.samples, atol=2**-15)
    picture = base64.b64decode(png)
    assert picture.startswith(b"\x89PNG\r\n\x1a\n") and len(picture) > 10_000
    assert "<audio controls src=" in page
    assert "<audio controls loop src=" in sound_of(duration_s=1.0).loop()._repr_html_()


def test_without_matplotlib_a_notebook_shows_the_player_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as if it were not installed
    page = sound_of(duration_s=0.5)._repr_html_()
    assert "<audio " in page and "<img " not in page
