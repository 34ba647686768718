"""The model folder: complete, verified, and never a reason to run code."""

from __future__ import annotations

import errno
import json
import struct
from pathlib import Path

import pytest
import torch

from soundgen.checkpoint import (
    FORMAT_VERSION,
    open_model_folder,
    resolve_model,
    save_model_folder,
)
from soundgen.errors import CheckpointError, OutputError
from soundgen.hub import _failures, parse_hub_name

SECTIONS = {"codec": {"a": 1}, "lm": {"b": 2, "codec_digest": "x"}, "text_encoder": {"name": "n"}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    parts = {"codec": {"w": torch.arange(6.0).view(2, 3)}, "lm": {"v": torch.ones(4).half()}}
    save_model_folder(tmp_path / "model", SECTIONS, parts)
    return tmp_path / "model"


def test_what_is_saved_is_opened_and_verified(folder: Path) -> None:
    model = open_model_folder(folder)
    model.verify()
    assert model.name == "model"
    assert model.section("codec") == {"a": 1}
    assert torch.equal(model.tensors("codec")["w"], torch.arange(6.0).view(2, 3))
    assert model.has("lm") and not model.has("matcher")
    assert len(model.codec_digest) == len(model.model_digest) == 64


def test_digests_depend_on_contents_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    first = open_model_folder(folder)
    parts = {"lm": {"v": torch.ones(4).half()}, "codec": {"w": torch.arange(6.0).view(2, 3)}}
    second = save_model_folder(tmp_path / "other", SECTIONS, parts)
    assert second.model_digest == first.model_digest
    parts["codec"]["w"] = parts["codec"]["w"] + 1
    third = save_model_folder(tmp_path / "third", SECTIONS, parts)
    assert third.codec_digest != first.codec_digest
    assert third.model_digest != first.model_digest
    renamed = save_model_folder(
        tmp_path / "fourth", {**SECTIONS, "text_encoder": {"name": "m"}}, parts
    )
    assert renamed.model_digest != third.model_digest
    assert renamed.codec_digest == third.codec_digest


def test_a_changed_weight_is_noticed(folder: Path) -> None:
    path = folder / "codec.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="codec does not match"):
        open_model_folder(folder).verify()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read"),
        ("[]", "not the configuration"),
        ("{}", "not the configuration"),
        (json.dumps({"format_version": FORMAT_VERSION + 1}), "newer"),
    ],
)
def test_a_wrong_config_is_one_clear_error(folder: Path, text: str, words: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=words):
        open_model_folder(folder)


@pytest.mark.parametrize(
    "content",
    [b"", b"x", struct.pack("<Q", 2**60), struct.pack("<Q", 2) + b"{}", b"\0" * 100],
)
def test_damaged_weights_are_one_clear_error(folder: Path, content: bytes) -> None:
    (folder / "codec.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError):
        open_model_folder(folder).verify()


def test_models_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such model"):
        resolve_model("nothing-of-this-name")
    with pytest.raises(CheckpointError, match="not a model folder"):
        resolve_model(str(tmp_path))
    with pytest.raises(CheckpointError, match="not a name of the form"):
        resolve_model("hf:a/b/c/d")


def test_the_hub_offline_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        CheckpointError, match="not in the cache, and HF_HUB_OFFLINE keeps the hub away"
    ):
        resolve_model("hf:someone/something-that-is-nowhere")


def test_a_full_disk_is_not_taken_for_a_hub_out_of_reach() -> None:
    name = parse_hub_name("hf:someone/rainy")
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OutputError, match="cannot be kept in the cache"):
        with _failures(name, CheckpointError):
            raise full
    with pytest.raises(CheckpointError, match="the transfer failed"):
        with _failures(name, CheckpointError):
            raise ValueError("Expecting value: line 1 column 1")  # a proxy's page, read as JSON
