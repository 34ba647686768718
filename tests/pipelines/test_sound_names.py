"""File names of sounds: safe whatever the prompt, and templates that are refused early."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundgen.errors import UsageError
from soundgen.pipelines.sound_names import MAX_NAME_BYTES, NameTemplate, name_key, prompt_slug

# What Windows, macOS and Linux refuse or trip over, as their documents have it.
BAD_SIGNS = set('<>:"/\\|?*') | {chr(code) for code in range(32)}
BAD_NAMES = {"con", "prn", "aux", "nul"} | {f"{d}{n}" for d in ("com", "lpt") for n in range(10)}


@pytest.mark.parametrize(
    ("prompt", "slug"),
    [
        ("rain", "rain"),
        ("Rain on a tin roof!", "rain-on-a-tin-roof"),
        ("../../etc/passwd", "etc-passwd"),
        ("grüner Wald", "grüner-wald"),
        ("gru\u0308n", "gr\u00fcn"),
        ("बारिश", "बारिश"),
        ("???", "sound"),
        ("CON", "sound-con"),
        ("com1", "sound-com1"),
        ("x" * 300, "x" * 60),
    ],
)
def test_slugs(prompt: str, slug: str) -> None:
    assert prompt_slug(prompt) == slug


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("{prompt}_{seed}", "soft-rain_7.wav"),
        ("{row:03d}_{variation:02d}", "012_03.wav"),
        ("{prompt}/{seed}", "soft-rain/7.wav"),
        ("{duration}s {{{row}}}", "2.5s {12}.wav"),
        ("con", "sound-con.wav"),
        ("lpt{variation}", "sound-lpt3.wav"),
        ("nul.{seed}/{prompt}", "sound-nul.7/soft-rain.wav"),
        ("e\u0301", "\u00e9.wav"),
    ],
)
def test_templates(template: str, path: str) -> None:
    values = {"prompt": "soft-rain", "seed": 7, "row": 12, "variation": 3, "duration": "2.5"}
    assert NameTemplate(template).path(values, ".wav") == Path(path)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{promt}", "unknown field 'promt'"),
        ("{}", "unknown field ''"),
        ("{prompt.__class__}", "unknown field 'prompt.__class__'"),
        ("{prompt[0]}", "unknown field"),
        ("{seed!r}", "takes no such form"),
        ("{seed:0999999999d}", "takes no such form"),
        ("{prompt:5}", "takes no such form"),
        ("{prompt", "expected '}'"),
        ("a:b", "':' is not for the names of every file system"),
        ("a\\{row}", "is not for the names of every file system"),
        ("a\n", "holds the sign"),
        ("", "'' is no name"),
        ("a//b", "'' is no name"),
        ("/{prompt}", "'' is no name"),
        ("../{prompt}", "'..' is no name"),
        ("{prompt}.", "is no name"),
        (" {prompt}", "is no name"),
    ],
)
def test_impossible_templates(template: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        NameTemplate(template)
    assert caught.value.message.startswith(f"--name {template}: ")
    assert message in caught.value.message


@given(st.text(min_size=1, max_size=400), st.integers(0, 2**63 - 1))
def test_every_prompt_has_a_name_that_every_file_system_takes(prompt: str, seed: int) -> None:
    values = {"prompt": prompt_slug(prompt), "seed": seed, "row": 1, "variation": 1, "duration": 1}
    path = NameTemplate("{prompt}_{seed}").path(values, ".flac")
    (name,) = path.parts
    assert name.endswith(f"_{seed}.flac")
    assert len(name.encode()) <= MAX_NAME_BYTES
    assert not set(name) & BAD_SIGNS and name.isprintable()
    assert name.split(".")[0].lower() not in BAD_NAMES
    assert not name.startswith((" ", ".", "-")) and unicodedata.is_normalized("NFC", name)
    assert NameTemplate("{prompt}").path(values, ".wav").stem.lower() not in BAD_NAMES


def test_a_name_too_long_without_its_prompt_is_refused() -> None:
    values = {"prompt": "x", "seed": 1, "row": 1, "variation": 1, "duration": "auto"}
    with pytest.raises(UsageError, match=r"makes a name of 155 bytes; every file system takes 143"):
        NameTemplate("y" * 150 + "{prompt}").path(values, ".wav")


def test_names_that_one_file_system_or_another_takes_for_the_same() -> None:
    assert name_key(Path("A/Rain.WAV")) == name_key(Path("a/rain.wav"))
    assert name_key(Path("e\u0301.wav")) == name_key(Path("\u00c9.wav"))
    assert name_key(Path("rain.wav")) != name_key(Path("rain.flac"))
