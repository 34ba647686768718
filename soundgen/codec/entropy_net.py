"""The trainable twin of `EntropyModel`: the same integers, computed so that gradients pass.

Every weight is rounded and every activation floored on the way forward, as the integers will be,
and gradients pass straight through. So what training measures is what the files will take.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soundgen.codec.config import EntropyConfig
from soundgen.codec.entropy import (
    ACTIVATION_BITS,
    FILTER_BITS,
    LOGIT_BITS,
    MAX_ACTIVATION,
    MIX_BITS,
    OUTPUT_BITS,
)

_HALF_LIVES = (0.5, 2.0, 6.0, 20.0)
"""Frames after which what the filters remember has faded by half, when training begins."""


_LATENT_RMS = 1.5
_OUTPUT_RMS = 0.1


class EntropyNet(nn.Module):
    """Predicts codes from those before them.

    Args:
        config: Sizes.
    """

    def __init__(self, config: EntropyConfig) -> None:
        super().__init__()
        self.config = config
        K, V, H = config.num_codebooks, config.codebook_size, config.hidden_size
        self.frame_embedding = nn.Parameter(torch.randn(K, V, H) * 0.15)
        self.code_embedding = nn.Parameter(torch.randn(K, V, H) * 0.3)
        self.filter = nn.Parameter(_decaying_filters(config.context_frames, H))
        self.bias = nn.Parameter(torch.full((K, K, H), 0.5))
        self.mix = nn.Parameter(torch.randn(K, H, H) / math.sqrt(H))
        self.mix_bias = nn.Parameter(torch.zeros(K, H))
        self.output = nn.Parameter(torch.randn(K, H, V) * 0.1)
        self.output_bias = nn.Parameter(torch.zeros(K, V))

    def forward(self, codes: Tensor) -> list[Tensor]:
        """Predict every code of some chunks.

        Args:
            codes: int64 `[B, n_q, L]`.

        Returns:
            For each codebook the logits of base 2, float32 `[B, L, V]`.
        """
        n_q = codes.shape[1]
        embedding = _weight(self.frame_embedding, ACTIVATION_BITS, 8)
        frames = codes.new_zeros((), dtype=torch.float32)
        for k in range(n_q):
            frames = frames + F.embedding(codes[:, k], embedding[k])
        depth = self.config.context_frames
        past = F.pad(frames.transpose(1, 2), (depth, 0))[:, :, :-1]  # [B, H, depth + L - 1]
        taps = _weight(self.filter, FILTER_BITS, 8).flip(0).t().unsqueeze(1)  # [H, 1, depth]
        filtered = F.conv1d(past, taps, groups=self.config.hidden_size).transpose(1, 2)
        hidden = _floor(filtered / 2**FILTER_BITS)
        bias = _weight(self.bias[n_q - 1], ACTIVATION_BITS, 16)
        own = _weight(self.code_embedding, ACTIVATION_BITS, 8)
        logits = []
        for k in range(n_q):
            logits.append(self._head(k, hidden + bias[k]))
            hidden = hidden + F.embedding(codes[:, k], own[k])
        return logits

    def _head(self, k: int, hidden: Tensor) -> Tensor:
        first = _activation(hidden)
        mixed = first @ _weight(self.mix[k], MIX_BITS, 8) / 2**MIX_BITS
        offset = _weight(self.mix_bias[k], ACTIVATION_BITS, 16)
        second = _activation(first + _floor(mixed) + offset)
        scaled = second @ _weight(self.output[k], OUTPUT_BITS, 8)
        logits = _floor(scaled / 2 ** (ACTIVATION_BITS + OUTPUT_BITS - LOGIT_BITS))
        return (logits + _weight(self.output_bias[k], LOGIT_BITS, 16)) / 2**LOGIT_BITS

    @torch.no_grad()
    def start_at(self, codebooks: Tensor) -> None:
        """Begin as a linear prediction of the codec's latents, which saves most of the training.

        What the frames before predict, less what the codes so far account for, is the residual
        that the next codebook quantizes; likely entries point the same way.

        Args:
            codebooks: float32 `[K, V, D]`.
        """
        entries = codebooks - codebooks.mean(dim=1, keepdim=True)
        energy = entries.pow(2).mean(dim=1).sum(dim=1)  # [K], of whole vectors
        shares = torch.einsum("kvd,kve->kde", entries, entries) / energy[:, None, None]
        num_kept = min(self.config.hidden_size // 2, codebooks.shape[2])
        basis = torch.linalg.eigh(shares.sum(0)).eigenvectors[:, -num_kept:]
        entries = entries @ basis
        scale = _LATENT_RMS / (energy.sum() / num_kept).sqrt()
        # Activations are at least 0, so each dimension has one channel for either sign.
        plus, minus = slice(0, num_kept), slice(num_kept, 2 * num_kept)
        rms = entries.pow(2).mean(dim=(1, 2), keepdim=True).sqrt().clamp(min=1e-9)
        outputs = (entries / rms * _OUTPUT_RMS).transpose(1, 2)
        for channels, sign in ((plus, 1), (minus, -1)):
            self.frame_embedding[:, :, channels] = sign * scale * entries
            self.code_embedding[:, :, channels] = -sign * scale * entries
            self.output[:, channels] = sign * outputs
        self.bias.zero_()
        self.mix.mul_(0.1)
        decay = 0.5 ** torch.arange(1, self.config.context_frames + 1)
        self.filter[:, : 2 * num_kept] = decay[:, None]

    @torch.no_grad()
    def integers(self) -> dict[str, Tensor]:
        """Return the tensors of an `EntropyModel`."""
        plan = {
            "frame_embedding": (ACTIVATION_BITS, 8),
            "code_embedding": (ACTIVATION_BITS, 8),
            "filter": (FILTER_BITS, 8),
            "bias": (ACTIVATION_BITS, 16),
            "mix": (MIX_BITS, 8),
            "mix_bias": (ACTIVATION_BITS, 16),
            "output": (OUTPUT_BITS, 8),
            "output_bias": (LOGIT_BITS, 16),
        }
        tensors = {}
        for name, (fraction, bits) in plan.items():
            value = _weight(getattr(self, name), fraction, bits)
            tensors[name] = value.to(torch.int8 if bits == 8 else torch.int16).cpu()
        return tensors


def _decaying_filters(num_frames: int, hidden_size: int) -> Tensor:
    """Return filters `[D, H]` that remember for `_HALF_LIVES`, in turn."""
    lives = torch.tensor(_HALF_LIVES).repeat(-(-hidden_size // len(_HALF_LIVES)))[:hidden_size]
    weights = 0.5 ** (torch.arange(num_frames)[:, None] / lives)
    return weights / weights.pow(2).sum(0).sqrt()


def _weight(value: Tensor, fraction_bits: int, bits: int) -> Tensor:
    """Round to integers of so many bits; the gradient passes straight through."""
    scaled = value * 2**fraction_bits
    most = 2 ** (bits - 1) - 1
    rounded = scaled.detach().round().clamp(-most, most)
    return scaled + (rounded - scaled).detach()


def _floor(value: Tensor) -> Tensor:
    return value + (value.detach().floor() - value.detach())


def _activation(value: Tensor) -> Tensor:
    return value.clamp(0, MAX_ACTIVATION)
