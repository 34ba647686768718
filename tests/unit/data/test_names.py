"""Words, recordings and safe names from the names of files."""

from __future__ import annotations

import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soundgen.data.names import clip_stem, folder_words, recording_of, text_name, words_of


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("rain_on-tin.roof", "rain on tin roof"),
        ("RainOnTinRoof01", "rain on tin roof"),
        ("UIClick_v2_final", "ui click"),
        ("heavy rain 48khz 24bit stereo", "heavy rain"),
        ("AK47_single", "ak47 single"),
        ("sfx_alarm_loop3", "alarm loop"),
        ("8bit_jump", "8-bit jump"),
        ("Tür schließt (2)", "tür schließt"),
        ("雨の音_03", "雨の音"),
        ("0001", ""),
        ("a3f9c1d2", ""),
    ],
)
def test_words(name: str, words: str) -> None:
    assert " ".join(words_of(name)) == words


def test_the_nearest_folder_that_says_something() -> None:
    assert folder_words("animals/dogs/wav/01.wav") == ["dogs"]
    assert folder_words("sounds/audio/01.wav") == []
    assert folder_words("01.wav") == []


@pytest.mark.parametrize(
    ("name", "recording"),
    [
        ("rain/roof-01.wav", "rain/roof"),
        ("rain/roof (2).wav", "rain/roof"),
        ("rain/roof_take3.flac", "rain/roof"),
        ("rain/roof part 12.wav", "rain/roof"),
        ("clip_0001.wav", "clip_0001"),
        ("2024.wav", "2024"),
        ("07.wav", "07"),
        ("rain/roof.wav", "rain/roof"),
        ("freesound_123456.wav", "freesound_123456"),
    ],
)
def test_recordings(name: str, recording: str) -> None:
    assert recording_of(name) == recording


@settings(deadline=None, max_examples=50)
@given(st.text(min_size=1).filter(lambda text: "/" not in text and text not in (".", "..")))
def test_clip_names_are_portable(name: str) -> None:
    name = name.encode("utf-8", "replace").decode()
    assert re.fullmatch(r"dir/[a-z0-9-]{1,60}-[0-9a-f]{8}", clip_stem(f"dir/{name}"))


def test_clip_names_tell_files_apart() -> None:
    names = ["a.wav", "a.mp3", "A.wav", "ä.wav", "b/a.wav"]
    assert len({clip_stem(name) for name in names}) == len(names)
    assert clip_stem("Füße/Donner Grollen.wav").startswith("fusse/donner-grollen-")


def test_bytes_that_are_no_text_are_shown() -> None:
    assert text_name(os.fsdecode(b"b\xff.wav")) == "b\\xff.wav"
    assert text_name("雨.wav") == "雨.wav"
