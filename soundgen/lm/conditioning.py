"""What the model is told: the text, and where in time each step stands.

The text goes in twice: token by token as memory for cross-attention, and pooled, added to every
step. Time goes in as seconds since the sound began and seconds until it must end; the latter are
not known with `-d auto`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soundgen.lm.config import LMConfig
from soundgen.nn.attention import sinusoids

_NUM_WAVES = 8
_SHORTEST_S = 0.02
_LONGEST_S = 60.0


class TextCondition(NamedTuple):
    """A batch of prompts as the text encoder sees them.

    A prompt whose `present` is false is "no prompt": its other entries do not matter.
    """

    states: Tensor
    """float32 `[B, N, D_text]`."""
    mask: Tensor
    """bool `[B, N]`, true on tokens."""
    pooled: Tensor
    """float32 `[B, D_text]`."""
    present: Tensor
    """bool `[B]`."""


def corrupt_text(
    text: TextCondition, *, vector_noise: float = 0.0, token_dropout: float = 0.0
) -> TextCondition:
    """Blur what a model is told in training, so that it also follows words it has never met.

    A few thousand captions name each sound in one or two ways; a model that learns those by heart
    is lost with the third. A noisy sentence vector stands for the neighbourhood of its caption,
    and with tokens missing no single word decides (as word dropout does for classifiers of text,
    Iyyer et al. 2015).

    Args:
        text: The prompts; sentence vectors of norm 1.
        vector_noise: Most that is added to a sentence vector, as a norm: how much is drawn for each
            item, evenly from 0; the sum is normalised again.
        token_dropout: Mean share of tokens that are hidden; drawn for each item, evenly from 0 to
            twice as much.
    """
    pooled, mask = text.pooled, text.mask
    if vector_noise:
        noise = torch.randn_like(pooled) / math.sqrt(pooled.shape[1])
        amount = torch.rand(len(pooled), 1, device=pooled.device) * vector_noise
        pooled = F.normalize(pooled + amount * noise, dim=1)
    if token_dropout:
        share = torch.rand(len(mask), 1, device=mask.device) * 2 * token_dropout
        mask = mask & (torch.rand(mask.shape, device=mask.device) >= share)
    return text._replace(pooled=pooled, mask=mask)


class TimeCondition(NamedTuple):
    """Where a batch of windows lies in its sounds."""

    start_s: Tensor
    """float32 `[B]`, seconds of sound before the window."""
    duration_s: Tensor
    """float32 `[B]`, length of the whole sound; NaN where it is not said."""


class Memory(NamedTuple):
    """What cross-attention reads."""

    states: Tensor
    """float32 `[B, M, D]`: M is N tokens, and the pooled text before them where it goes in."""
    mask: Tensor
    """bool `[B, M]`; true somewhere in every row."""
    pooled: Tensor
    """float32 `[B, D]`, to add to every step."""


class Conditioner(nn.Module):
    """Projects text and time into the model's width."""

    def __init__(self, config: LMConfig) -> None:
        super().__init__()
        self.config = config
        self.frame_rate = config.frame_rate
        self.token = nn.Linear(config.text_dim, config.dim, bias=not config.pooled_text)
        if config.pooled_text:
            self._add_pooled_text(config)
        if config.duration_token:
            self._add_time(config)

    def _add_pooled_text(self, config: LMConfig) -> None:
        self.token_norm = nn.LayerNorm(config.dim, bias=False)
        self.pooled = nn.Linear(config.text_dim, config.dim, bias=False)
        self.pooled_memory = nn.Linear(config.text_dim, config.dim, bias=False)
        self.no_text = nn.Parameter(torch.randn(2, config.dim) * 0.02)
        """What stands for no prompt: added to steps, and read by cross-attention."""

    def _add_time(self, config: LMConfig) -> None:
        self.elapsed = nn.Linear(2 * _NUM_WAVES, config.dim, bias=False)
        self.remaining = nn.Linear(2 * _NUM_WAVES, config.dim, bias=False)
        self.duration = nn.Linear(2 * _NUM_WAVES, config.dim, bias=False)
        self.no_duration = nn.Parameter(torch.randn(config.dim) * 0.02)

    def memory(self, text: TextCondition) -> Memory:
        """Build what cross-attention reads.

        The first entry is the pooled text, or the learned "no prompt": so there always is one,
        and a prompt's result cannot depend on its neighbours' padding.
        """
        if not self.config.pooled_text:
            return self._token_memory(text)
        # sentence vectors have norm 1; scaled so that an element is of order 1, as the states are
        scale = math.sqrt(text.pooled.shape[1])
        present = text.present[:, None]
        first = torch.where(present, self.pooled_memory(text.pooled * scale), self.no_text[1])
        tokens = self.token(text.states)
        states = self.token_norm(torch.cat([first[:, None], tokens], dim=1))
        mask = torch.cat([torch.ones_like(present), text.mask & present], dim=1)
        pooled = torch.where(present, self.pooled(text.pooled * scale), self.no_text[0])
        return Memory(states, mask, pooled)

    def _token_memory(self, text: TextCondition) -> Memory:
        """Build what cross-attention reads of token states alone, as MusicGen does.

        No prompt is zeros: values without bias make nothing of them, however they are weighed.
        """
        mask = text.mask & text.present[:, None]
        states = self.token(text.states) * mask[:, :, None]
        mask = mask | ~mask.any(dim=1, keepdim=True)
        return Memory(states, mask, states.new_zeros(len(states), self.config.dim))

    def times(self, time: TimeCondition, num_steps: int) -> Tensor:
        """Return what time and place add to steps 0..num_steps - 1, `[B, num_steps, D]`."""
        dim = self.config.dim
        if self.config.duration_token:
            added = self._told(time, num_steps)
        else:
            added = time.start_s.new_zeros(len(time.start_s), num_steps, dim)
        if self.config.positions == "sinusoidal":
            added = added + sinusoids(num_steps, dim, added.device)
        return added

    def _told(self, time: TimeCondition, num_steps: int) -> Tensor:
        """Return what the model is told of the time, `[B, num_steps, D]`."""
        offsets = torch.arange(num_steps, device=time.start_s.device) / self.frame_rate
        elapsed = time.start_s[:, None] + offsets  # [B, S]
        known = ~time.duration_s.isnan()
        duration = torch.where(known, time.duration_s, 0.0)
        told = self.remaining(_waves(duration[:, None] - elapsed)) + self.duration(
            _waves(duration)
        ).unsqueeze(1)
        told = torch.where(known[:, None, None], told, self.no_duration)
        since: Tensor = self.elapsed(_waves(elapsed))
        return since + told


def _waves(seconds: Tensor) -> Tensor:
    """Describe times `[...]` by sines and cosines of their logarithm, `[..., 2 * _NUM_WAVES]`."""
    clamped = seconds.clamp(0.0, _LONGEST_S)
    position = ((clamped + _SHORTEST_S) / _SHORTEST_S).log() / math.log(_LONGEST_S / _SHORTEST_S)
    waves = 2.0 ** torch.arange(_NUM_WAVES, device=seconds.device) * (math.pi / 2)
    angles = position[..., None] * waves
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
