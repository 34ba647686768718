"""Between a codec in training form and the released one: averages, weight norm, entries."""

from __future__ import annotations

import torch

from soundgen.checkpoint import resolve_model
from soundgen.codec.model import Codec
from soundgen.config import from_dict
from soundgen.errors import CheckpointError
from soundgen.nn.conv import fold_weight_norm
from soundgen.training.ema import WeightAverage


def released_codec(codec: Codec, average: WeightAverage) -> Codec:
    """Return the averaged codec in its released form: weight norm folded, entries as means."""
    # Built anew: a deep copy shares the classes that weight norm made for the original's layers,
    # and folding the copy would take the original's weights away.
    released = Codec(codec.config, training_form=True).to(codec.quantizer.usage.device)
    released.load_state_dict(average.shadow)
    fold_weight_norm(released)
    quantizer = released.quantizer
    for k in range(quantizer.num_codebooks):
        quantizer.embedding_sum[k] = quantizer.codebook(k)
    quantizer.usage.fill_(1.0)
    return released.eval()


def load_folded(codec: Codec, model: str) -> None:
    """Start a codec in training form from released weights."""
    folder = resolve_model(model)
    folder.verify()
    config = from_dict(type(codec.config), folder.section("codec"), f"{folder.path}: codec")
    if config != codec.config:
        raise CheckpointError(
            f"{folder.path}: its codec has another architecture than the recipe",
            hint="compare: soundgen models info, soundgen recipes show",
        )
    released = {name: value.float() for name, value in folder.tensors("codec").items()}
    if released.keys() != Codec(config).state_dict().keys():
        raise CheckpointError(f"{folder.path}: the weights of its codec do not fit its config")
    with torch.no_grad():
        for name, value in released.items():
            owner, _, leaf = name.rpartition(".")
            module = codec.get_submodule(owner)
            if torch.nn.utils.parametrize.is_parametrized(module, leaf):
                # Assignment goes through weight norm's right inverse.
                setattr(module, leaf, value.to(codec.quantizer.usage.device))
            else:
                getattr(module, leaf).copy_(value)
