"""EnCodec weights in the layout of `transformers`, as weights of our codec.

The two are one architecture (Defossez et al. 2022): layers stand in the same order under other
names, weight norm is folded, and what differs at the edges is said by fields of `SeanetConfig`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from soundgen.codec.config import CodecConfig, SeanetConfig
from soundgen.codec.model import Codec
from soundgen.config import from_dict
from soundgen.errors import CheckpointError
from soundgen.nn.unfilled import Unfilled

_NAMES = ((".block.1.", ".narrow."), (".block.3.", ".widen."))
_CODEBOOK = re.compile(r"quantizer\.layers\.(\d+)\.codebook\.embed")
_NOT_WEIGHTS = re.compile(r"quantizer\.layers\.\d+\.codebook\.(inited|cluster_size|embed_avg)")


@dataclass(frozen=True, kw_only=True)
class _EncodecSettings:
    """Its `config.json`; defaults are those of `transformers`, which leaves them out."""

    sampling_rate: int = 24_000
    audio_channels: int = 1
    normalize: bool = False
    chunk_length_s: float | None = None
    hidden_size: int = 128
    num_filters: int = 32
    num_residual_layers: int = 1
    upsampling_ratios: tuple[int, ...] = (8, 5, 4, 2)
    norm_type: str = "weight_norm"
    kernel_size: int = 7
    last_kernel_size: int = 7
    residual_kernel_size: int = 3
    dilation_growth_rate: int = 2
    use_causal_conv: bool = True
    pad_mode: str = "reflect"
    compress: int = 2
    num_lstm_layers: int = 2
    trim_right_ratio: float = 1.0
    codebook_size: int = 1024
    codebook_dim: int | None = None
    use_conv_shortcut: bool = True


def import_codec(
    settings: Mapping[str, Any], tensors: Mapping[str, Tensor], where: str
) -> tuple[CodecConfig, dict[str, Tensor]]:
    """Return the configuration and the weights of our codec.

    Args:
        settings: `config.json` of an EnCodec model.
        tensors: Its weights, by the names that `EncodecModel` gives them.
        where: The source, for messages.

    Raises:
        CheckpointError: It is of a kind that our codec cannot be, or the weights do not fit.
    """
    names = {field.name for field in fields(_EncodecSettings)}
    known = {name: value for name, value in settings.items() if name in names}
    encodec = from_dict(_EncodecSettings, known, where)
    _check_kind(encodec, where)
    num_codebooks = sum(_CODEBOOK.fullmatch(name) is not None for name in tensors)
    if not num_codebooks:
        raise CheckpointError(f"{where}: holds no codebooks of an EnCodec model")
    config = from_dict(CodecConfig, _config(encodec, num_codebooks), where)
    with Unfilled():
        codec = Codec(config)
    weights = _weights(tensors, set(codec.state_dict()))
    try:
        codec.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise CheckpointError(f"{where}: its weights do not fit its config.json ({first})") from (
            error
        )
    return config, weights


def _check_kind(encodec: _EncodecSettings, where: str) -> None:
    wrong = {
        "audio_channels": encodec.audio_channels != 1,
        "normalize": encodec.normalize,
        "chunk_length_s": encodec.chunk_length_s is not None,
        "norm_type": encodec.norm_type != "weight_norm",
        "pad_mode": encodec.pad_mode not in ("constant", "reflect"),
        "codebook_dim": encodec.codebook_dim not in (None, encodec.hidden_size),
    }
    for name in wrong:
        if wrong[name]:
            raise CheckpointError(
                f"{where}: an EnCodec model with {name} = {getattr(encodec, name)} cannot be "
                "imported",
                hint="the mono codecs of 24 and 32 kHz can; the stereo one of 48 kHz cannot",
            )


def _config(encodec: _EncodecSettings, num_codebooks: int) -> dict[str, Any]:
    seanet: dict[str, Any] = {
        "conv_shortcut": encodec.use_conv_shortcut,
        "causal": encodec.use_causal_conv,
        "dilation_base": encodec.dilation_growth_rate,
    }
    for field in fields(SeanetConfig):
        if field.name not in seanet:
            seanet[field.name] = getattr(encodec, field.name)
    return {
        "autoencoder": "seanet",
        "sample_rate": encodec.sampling_rate,
        "strides": encodec.upsampling_ratios[::-1],
        "latent_dim": encodec.hidden_size,
        "num_codebooks": num_codebooks,
        "codebook_size": encodec.codebook_size,
        "num_paths": 1,
        "seanet": seanet,
    }


def _weights(tensors: Mapping[str, Tensor], ours: set[str]) -> dict[str, Tensor]:
    """Return the weights under our names; what we have no name for keeps its own."""
    weights: dict[str, Tensor] = {}
    codebooks: dict[int, Tensor] = {}
    for name, value in _folded(tensors).items():
        if (codebook := _CODEBOOK.fullmatch(name)) is not None:
            codebooks[int(codebook[1])] = value
        elif _NOT_WEIGHTS.fullmatch(name) is None:
            for theirs, own in _NAMES:
                name = name.replace(theirs, own)
            # The bias of a transposed convolution stands outside of ours.
            outside = name.replace(".conv.bias", ".bias")
            weights[outside if outside in ours else name] = value
    entries = torch.stack([codebooks[k] for k in sorted(codebooks)])
    weights["quantizer.embedding_sum"] = entries
    weights["quantizer.usage"] = torch.ones(entries.shape[:2])
    return weights


def _folded(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights with weight norm folded, which has two spellings."""
    folded = {}
    for name, value in tensors.items():
        for size, direction in (
            ("parametrizations.weight.original0", "parametrizations.weight.original1"),
            ("weight_g", "weight_v"),
        ):
            if name.endswith(f".{size}"):
                stem = name.removesuffix(size)
                other = tensors.get(stem + direction)
                if other is not None:
                    folded[f"{stem}weight"] = torch._weight_norm(other.float(), value.float(), 0)
                break
            if name.endswith(f".{direction}"):
                break
        else:
            folded[name] = value
    return folded
