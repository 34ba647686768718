"""What a language model is trained and measured on: a batch laid out, made harder, its losses."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from soundgen.data.tokens import TokenBatch
from soundgen.lm.conditioning import TextCondition, TimeCondition, corrupt_text
from soundgen.lm.config import LMConfig
from soundgen.lm.delay import corrupt_inputs, swap_beginnings, training_pair
from soundgen.lm.losses import codebook_cross_entropy
from soundgen.lm.model import LanguageModel
from soundgen.pipelines.recipes import LMTrainingConfig
from soundgen.training.device import wants_bfloat16


class Example(NamedTuple):
    """What the model reads, and what it must say: see `training_pair`."""

    inputs: Tensor
    targets: Tensor
    mask: Tensor
    text: TextCondition
    time: TimeCondition


def make_example(
    config: LMConfig,
    batch: TokenBatch,
    device: torch.device,
    *,
    has_text: Tensor,
    has_duration: Tensor,
) -> Example:
    """Lay a batch out for the model.

    Args:
        config: Of the model.
        batch: Windows of clips.
        device: Where the example goes.
        has_text: bool `[B]`, whose prompt is told.
        has_duration: bool `[B]`, whose length is told.
    """
    pair = training_pair(
        batch.codes.to(device),
        batch.num_frames.to(device),
        batch.ends.to(device),
        config.special,
    )
    text = TextCondition(
        batch.text_states.to(device),
        batch.text_mask.to(device),
        batch.text_pooled.to(device),
        has_text.to(device),
    )
    time = TimeCondition(
        batch.start_s.to(device),
        torch.where(has_duration, batch.duration_s, torch.nan).to(device),
    )
    return Example(*pair, text, time)


def augmented(example: Example, config: LMConfig, training: LMTrainingConfig) -> Example:
    """Return an example made harder, as it is trained on."""
    inputs, mask, text = example.inputs, example.mask, example.text
    if training.swapped_beginnings:
        chosen = torch.rand(len(inputs)) < training.swapped_beginnings
        inputs, mask = swap_beginnings(inputs, mask, chosen.to(inputs.device) & text.present)
    inputs = corrupt_inputs(inputs, config.special, training.input_noise)
    text = corrupt_text(
        text, vector_noise=training.text_noise, token_dropout=training.token_dropout
    )
    return example._replace(inputs=inputs, mask=mask, text=text)


def example_losses(
    model: LanguageModel,
    example: Example,
    *,
    training: LMTrainingConfig | None = None,
    num_targets: Tensor | None = None,
) -> Tensor:
    """Return the cross-entropy of each codebook, `[K]`.

    Args:
        model: The model.
        example: What it reads and must say.
        training: In a training step: its precision and label smoothing; `None`: to measure.
        num_targets: As `codebook_cross_entropy` takes it.
    """
    smoothing, precision = 0.0, "float32"
    if training is not None:
        smoothing, precision = training.label_smoothing, training.precision
    device = example.inputs.device
    # What is measured, unlike what is trained, is the same number on every machine.
    half = wants_bfloat16(precision, device)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
        logits = model(example.inputs, example.text, example.time)
    return codebook_cross_entropy(
        logits, example.targets, example.mask, label_smoothing=smoothing, num_targets=num_targets
    )
