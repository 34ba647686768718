"""The codec that a language model is trained for: read once, and held against cache and recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from soundgen.checkpoint import resolve_model
from soundgen.config import to_dict
from soundgen.data.tokens import TokenCache
from soundgen.errors import CheckpointError, ConfigError
from soundgen.pipelines.recipes import LMRecipe


class ReleasedCodec(NamedTuple):
    """A codec as it was when the training began, whatever happens to its folder meanwhile."""

    path: Path
    digest: str
    config: dict[str, Any]
    training: dict[str, Any]
    parts: dict[str, dict[str, Tensor]]
    """Weights of the codec, and of the model's entropy model and matcher where it has them."""
    others: dict[str, Any]
    """The sections that go with the latter two, under their names, and others' licences."""


def read_codec(codec: str, encoder_digest: str) -> ReleasedCodec:
    """Read the codec that a token cache was made with, and the parts that may stay beside it.

    Args:
        codec: A model that has it.
        encoder_digest: SHA-256 of the cache's text encoder: a matcher of another one is left out.

    Raises:
        CheckpointError: There is no such model, or it is damaged.
    """
    folder = resolve_model(codec)
    folder.verify()
    names = [part for part in ("codec", "entropy", "matcher") if folder.has(part)]
    # A matcher belongs to a text encoder; under another one it would be refused.
    if "matcher" in names:
        if folder.section("matcher").get("text_encoder_sha256") != encoder_digest:
            names.remove("matcher")
    # Cloned: the file stays mapped otherwise, and may be replaced while we train.
    parts = {
        part: {name: value.clone() for name, value in folder.tensors(part).items()}
        for part in names
    }
    return ReleasedCodec(
        folder.path,
        folder.codec_digest,
        folder.section("codec"),
        dict(folder.config.get("training", {})),
        parts,
        {part: folder.section(part) for part in parts if part != "codec"}
        | {"licenses": {part: name for part, name in folder.licenses.items() if part in parts}},
    )


def check_fit(recipe: LMRecipe, cache: TokenCache, codec: ReleasedCodec) -> None:
    """Refuse what does not belong together.

    Raises:
        CheckpointError: The codes are another codec's, or none is to be learnt from.
        ConfigError: The recipe wants other codes, or another text encoder.
    """
    if cache.info.codec_digest != codec.digest:
        raise CheckpointError(
            f"{cache.path}: its codes come from another codec than {codec.path}",
            hint=f"tokenize again with --model {codec.path}",
        )
    for name, ours in to_dict(recipe.text_encoder).items():
        theirs = cache.info.text_encoder[name]
        if ours != theirs:
            raise ConfigError(
                f"text_encoder.{name} is {ours}, but {cache.path} has {theirs}",
                hint=f"use --set text_encoder.{name}={theirs}",
            )
    config = recipe.lm
    for name, ours, theirs in (
        ("codebook_size", config.codebook_size, cache.info.codebook_size),
        ("frame_rate", config.frame_rate, cache.info.frame_rate),
        ("text_dim", config.text_dim, cache.info.text_encoder["dim"]),
    ):
        if ours != theirs:
            raise ConfigError(
                f"lm.{name} is {ours}, but {cache.path} has {theirs}",
                hint=f"use --set lm.{name}={theirs}",
            )
    if config.n_q > cache.info.n_q:
        raise ConfigError(f"lm.n_q is {config.n_q}, but {cache.path} has {cache.info.n_q}")
    if not cache.split("train"):
        raise CheckpointError(f"{cache.path}: holds no clip of the train split")


def first_codebooks(codec: ReleasedCodec, n_q: int) -> Tensor:
    """Return the entries of the first codebooks, float32 `[n_q, V, D]`."""
    weights = codec.parts["codec"]
    sums = weights["quantizer.embedding_sum"][:n_q].float()
    return sums / weights["quantizer.usage"][:n_q, :, None].float().clamp(min=1e-5)
