"""Prompts that came before: the same bits as from the encoder, and never a reason to fail."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from soundgen.errors import InputError
from soundgen.text import prompt_cache
from soundgen.text.config import TextEncoderConfig
from soundgen.text.encoder import TextEncoder, load_text_encoder
from soundgen.text.prompt_cache import (
    CACHE_VARIABLE,
    PromptCache,
    RememberingTextEncoder,
    remembering_text_encoder,
)
from soundgen.text.weights import MINILM_DIGEST

CONFIG = TextEncoderConfig()
PROMPTS = ["rain on a tin roof", "", "rain", " ".join(["thunder"] * 50)]


@pytest.fixture(scope="module")
def plain() -> TextEncoder:
    return load_text_encoder(CONFIG)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "prompts"))
    return tmp_path / "prompts"


def fresh() -> TextEncoder:
    return remembering_text_encoder(CONFIG, MINILM_DIGEST)


def test_what_is_remembered_is_what_the_encoder_says(plain: TextEncoder, folder: Path) -> None:
    first, again = fresh(), fresh()
    for encoder in (first, again):
        found, expected = encoder.encode(PROMPTS), plain.encode(PROMPTS)
        assert torch.equal(found.states, expected.states)
        assert torch.equal(found.mask, expected.mask)
        assert torch.equal(found.pooled, expected.pooled)
        assert [encoder.is_cut(prompt) for prompt in PROMPTS] == [False, False, False, True]
    # The second one never met the encoder; and no prompt can be read from the cache.
    assert isinstance(again, RememberingTextEncoder) and again._loaded is None
    files = list(folder.iterdir())
    assert len(files) == len(PROMPTS)
    assert not any(b"rain" in file.read_bytes() or "rain" in file.name for file in files)


def test_damaged_files_count_as_missing_and_are_replaced(plain: TextEncoder, folder: Path) -> None:
    expected = plain.encode(["rain"])
    fresh().encode(["rain"])
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    flipped = whole[:-1] + bytes([whole[-1] ^ 1])
    for damaged in (b"", whole[:20], whole[:-4], whole + b"0000", flipped):
        file.write_bytes(damaged)
        assert torch.equal(fresh().encode(["rain"]).states, expected.states)
        assert file.read_bytes() == whole


def test_it_can_be_switched_off_and_a_folder_that_cannot_be_written_is_no_error(
    plain: TextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = plain.encode(["rain"]).states
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv(CACHE_VARIABLE, "off")
    assert torch.equal(fresh().encode(["rain"]).states, expected)
    assert not (tmp_path / "cache").exists()
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    assert torch.equal(fresh().encode(["rain"]).states, expected)
    monkeypatch.delenv(CACHE_VARIABLE)
    fresh().encode(["rain"])
    assert len(list((tmp_path / "cache" / "soundgen" / "prompts").iterdir())) == 1


def test_other_encoders_and_lengths_do_not_share_what_is_kept(folder: Path) -> None:
    cache = PromptCache(folder, "a", CONFIG)
    cache.write("rain", torch.ones(3, 384), 3)
    assert cache.read("rain") is not None
    assert cache.read("hail") is None
    assert PromptCache(folder, "b", CONFIG).read("rain") is None
    assert PromptCache(folder, "a", TextEncoderConfig(max_tokens=16)).read("rain") is None


def test_the_oldest_make_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt_cache, "MAX_ENTRIES", 8)
    cache = PromptCache(folder, "a", CONFIG)
    for number in range(9):
        cache.write(str(number), torch.zeros(1, 384), 1)
        for file in folder.iterdir():  # older than what comes next
            stamp = file.stat().st_mtime - 10
            os.utime(file, (stamp, stamp))
    assert [cache.read(str(number)) is None for number in range(9)] == [True] * 2 + [False] * 7


def test_text_that_is_not_unicode_is_the_prompts_fault(folder: Path) -> None:
    with pytest.raises(InputError, match="not valid text"):
        fresh().is_cut("rain\ud800")
    with pytest.raises(InputError, match="not valid text"):
        fresh().encode(["rain\ud800"])
