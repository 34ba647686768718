"""A decoder of MusicGen in the layout of `transformers`, as weights of our language model.

Both are Transformer decoders over delayed codes (Copet et al. 2023); theirs adds sinusoids for
positions, has norms with biases, hears token states only, is told no time, and never ends a sound.
Fields of `LMConfig` say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from soundgen.codec.config import CodecConfig
from soundgen.config import from_dict
from soundgen.errors import CheckpointError, ConfigError
from soundgen.lm.config import LMConfig
from soundgen.lm.model import LanguageModel
from soundgen.nn.unfilled import Unfilled

TRAINED_ON_S = 30.0
"""Length of the music that MusicGen was trained on (Copet et al. 2023, section 3.1)."""


@dataclass(frozen=True, kw_only=True)
class _MusicgenSettings:
    """The decoder's configuration; defaults are those of `transformers`, which leaves them out."""

    vocab_size: int = 2048
    max_position_embeddings: int = 2048
    num_hidden_layers: int = 24
    ffn_dim: int = 4096
    num_attention_heads: int = 16
    activation_function: str = "gelu"
    hidden_size: int = 1024
    dropout: float = 0.1
    num_codebooks: int = 4
    audio_channels: int = 1
    pad_token_id: int | None = 2048


def import_lm(
    settings: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    *,
    projection: Mapping[str, Tensor],
    codec: CodecConfig,
    where: str,
) -> tuple[LMConfig, dict[str, Tensor]]:
    """Return the configuration and the weights of our language model.

    Args:
        settings: Of a MusicGen decoder.
        tensors: Its weights, by the names that `MusicgenForCausalLM` gives them.
        projection: `weight` and `bias` that turn text states into the decoder's width; empty
            where they have that width already.
        codec: Whose codes it speaks of.
        where: The source, for messages.

    Raises:
        CheckpointError: It is of a kind that ours cannot be, or the weights do not fit.
    """
    names = {field.name for field in fields(_MusicgenSettings)}
    known = {name: value for name, value in settings.items() if name in names}
    musicgen = from_dict(_MusicgenSettings, known, where)
    _check_kind(musicgen, codec, where)
    try:
        weights = _weights(tensors, musicgen, projection)
        config = _config(musicgen, codec, text_dim=weights["conditioner.token.weight"].shape[1])
        with Unfilled():
            model = LanguageModel(config)
        model.load_state_dict(weights)
    except KeyError as error:
        raise CheckpointError(f"{where}: lacks the weight {error.args[0]}") from error
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise CheckpointError(f"{where}: its weights do not fit its config.json ({first})") from (
            error
        )
    return config, weights


def _check_kind(musicgen: _MusicgenSettings, codec: CodecConfig, where: str) -> None:
    wrong = {
        "audio_channels": musicgen.audio_channels != 1,
        "activation_function": musicgen.activation_function != "gelu",
        "pad_token_id": musicgen.pad_token_id not in (None, musicgen.vocab_size),
    }
    for name in wrong:
        if wrong[name]:
            raise CheckpointError(
                f"{where}: a MusicGen decoder with {name} = {getattr(musicgen, name)} cannot be "
                "imported",
                hint="mono models can; those for stereo or with a melody cannot",
            )
    if musicgen.vocab_size != codec.codebook_size or musicgen.num_codebooks > codec.num_codebooks:
        raise CheckpointError(
            f"{where}: speaks of {musicgen.num_codebooks} codebooks of {musicgen.vocab_size}, the "
            f"codec has {codec.num_codebooks} of {codec.codebook_size}"
        )


def _config(musicgen: _MusicgenSettings, codec: CodecConfig, *, text_dim: int) -> LMConfig:
    expansion = musicgen.ffn_dim / musicgen.hidden_size
    if int(musicgen.hidden_size * expansion) != musicgen.ffn_dim:
        expansion = (musicgen.ffn_dim + 0.5) / musicgen.hidden_size
    longest_s = (musicgen.max_position_embeddings - musicgen.num_codebooks) / codec.frame_rate
    return LMConfig(
        n_q=musicgen.num_codebooks,
        codebook_size=musicgen.vocab_size,
        frame_rate=codec.frame_rate,
        dim=musicgen.hidden_size,
        num_layers=musicgen.num_hidden_layers,
        num_heads=musicgen.num_attention_heads,
        expansion=expansion,
        dropout=musicgen.dropout,
        text_dim=text_dim,
        context_s=min(TRAINED_ON_S, longest_s),
        positions="sinusoidal",
        norm_bias=True,
        pooled_text=False,
        duration_token=False,
        end_token=False,
    )


def _weights(
    tensors: Mapping[str, Tensor], musicgen: _MusicgenSettings, projection: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    codebooks = range(musicgen.num_codebooks)
    heads = [tensors[f"lm_heads.{k}.weight"] for k in codebooks]
    # Our heads can say "the end" too. This model never does: the row is not looked at.
    end = heads[0].new_zeros(1, heads[0].shape[1])
    weights = {
        "embedding.weight": torch.cat(
            [tensors[f"model.decoder.embed_tokens.{k}.weight"] for k in codebooks]
        ),
        "head.weight": torch.cat([part for head in heads for part in (head, end)]),
        "conditioner.token.weight": projection.get("weight", torch.eye(musicgen.hidden_size)),
        "conditioner.token.bias": projection.get("bias", torch.zeros(musicgen.hidden_size)),
        **_norm(tensors, "model.decoder.layer_norm", "norm"),
    }
    for layer in range(musicgen.num_hidden_layers):
        weights.update(_layer(tensors, f"model.decoder.layers.{layer}", f"layers.{layer}"))
    return weights


def _layer(tensors: Mapping[str, Tensor], theirs: str, ours: str) -> dict[str, Tensor]:
    def joined(block: str, *names: str) -> Tensor:
        return torch.cat([tensors[f"{theirs}.{block}.{name}_proj.weight"] for name in names])

    return {
        f"{ours}.self_attention.qkv.weight": joined("self_attn", "q", "k", "v"),
        f"{ours}.self_attention.out.weight": joined("self_attn", "out"),
        f"{ours}.cross_attention.q.weight": joined("encoder_attn", "q"),
        f"{ours}.cross_attention.kv.weight": joined("encoder_attn", "k", "v"),
        f"{ours}.cross_attention.out.weight": joined("encoder_attn", "out"),
        f"{ours}.expand.weight": tensors[f"{theirs}.fc1.weight"],
        f"{ours}.project.weight": tensors[f"{theirs}.fc2.weight"],
        **_norm(tensors, f"{theirs}.self_attn_layer_norm", f"{ours}.self_norm"),
        **_norm(tensors, f"{theirs}.encoder_attn_layer_norm", f"{ours}.cross_norm"),
        **_norm(tensors, f"{theirs}.final_layer_norm", f"{ours}.feed_norm"),
    }


def _norm(tensors: Mapping[str, Tensor], theirs: str, ours: str) -> dict[str, Tensor]:
    return {f"{ours}.{part}": tensors[f"{theirs}.{part}"] for part in ("weight", "bias")}
