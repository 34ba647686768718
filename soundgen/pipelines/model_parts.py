"""The parts of a model folder as they run: built from their sections, filled, ready to use."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from soundgen.checkpoint import ModelFolder
from soundgen.codec.config import CodecConfig, EntropyConfig
from soundgen.codec.entropy import EntropyModel
from soundgen.codec.model import Codec
from soundgen.config import from_dict
from soundgen.errors import CheckpointError
from soundgen.evaluation.matcher import Matcher
from soundgen.evaluation.matcher_config import MatcherConfig
from soundgen.nn.int8 import unpack_int8
from soundgen.nn.unfilled import Unfilled
from soundgen.text.config import TextEncoderConfig
from soundgen.text.encoder import TextEncoder, load_text_encoder
from soundgen.text.prompt_cache import remembering_text_encoder


def build_text_encoder(folder: ModelFolder, *, remembering: bool = False) -> TextEncoder:
    """Load the text encoder that a model folder names, with the very weights it was trained with.

    Args:
        folder: The model.
        remembering: Take prompts that came before from the user's cache; the encoder is loaded
            when another one comes.

    Raises:
        CheckpointError: It names none, or the weights found are others.
    """
    section: dict[str, Any] = dict(folder.section("text_encoder"))
    digest = section.pop("sha256", None)
    config = from_dict(TextEncoderConfig, section, f"{folder.path}: text_encoder")
    if remembering:
        return remembering_text_encoder(config, digest, beside=folder.path)
    return load_text_encoder(config, digest=digest, beside=folder.path)


def build_codec(folder: ModelFolder, device: torch.device) -> Codec:
    """Build the codec, in evaluation mode; `CheckpointError` if it does not fit its section."""
    config = from_dict(CodecConfig, folder.section("codec"), f"{folder.path}: codec")
    with Unfilled():
        codec = Codec(config)
    load_weights(codec, folder, "codec")
    return codec.to(device).eval()


def build_entropy(folder: ModelFolder) -> EntropyModel:
    """Build the entropy model; `CheckpointError` if it does not fit the codec."""
    config = from_dict(EntropyConfig, folder.section("entropy"), f"{folder.path}: entropy")
    codec = from_dict(CodecConfig, folder.section("codec"), f"{folder.path}: codec")
    tensors = {name: value.numpy() for name, value in folder.tensors("entropy").items()}
    try:
        if (config.num_codebooks, config.codebook_size) != (
            codec.num_codebooks,
            codec.codebook_size,
        ):
            raise ValueError("made for a codec of another size")
        return EntropyModel(config, tensors)
    except ValueError as error:
        raise CheckpointError(
            f"{folder.path}: its entropy model does not fit ({error})",
            hint="the folder is damaged or was edited; get it again, or train again",
        ) from error


def build_matcher(folder: ModelFolder, device: torch.device) -> Matcher:
    """Build the matcher, in evaluation mode.

    Raises:
        CheckpointError: It belongs to another text encoder, or does not fit its section.
    """
    config = check_matcher(folder)
    with Unfilled():
        matcher = Matcher(config)
    load_weights(matcher, folder, "matcher")
    return matcher.to(device).eval()


def check_matcher(folder: ModelFolder) -> MatcherConfig:
    """Return the matcher's config; `CheckpointError` if it is wrong or for another text encoder."""
    section = dict(folder.section("matcher"))
    if section.pop("text_encoder_sha256", None) != folder.section("text_encoder").get("sha256"):
        raise CheckpointError(
            f"{folder.path}: its matcher was trained with another text encoder",
            hint="train a matcher with this one: soundgen train matcher --model MODEL",
        )
    return from_dict(MatcherConfig, section, f"{folder.path}: matcher")


def load_weights(module: nn.Module, folder: ModelFolder, part: str) -> None:
    """Fill `module` with the weights of `part`; `CheckpointError` if they do not fit."""
    try:
        # copies into float32 parameters, whatever type the file holds
        module.load_state_dict(unpack_int8(folder.tensors(part)))
    except RuntimeError as error:
        raise CheckpointError(
            f"{folder.path}: the weights of its {part} do not fit its configuration",
            hint="the folder is damaged or was edited; get it again, or train again",
        ) from error
