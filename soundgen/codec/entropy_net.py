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

_LATENT_RMS = 1.5
_ENERGY_RMS = 0.3
_OUTPUT_SCALE = 0.1


class EntropyNet(nn.Module):
    """Predicts codes from those before them.

    A code's embedding is a linear map of what its codebook entry is (`features`), which every code
    helps to learn, plus a part of its own. All begins as a linear prediction of the codec's
    latents: what the frames before predict, less what the codes so far account for, is the
    residual that the next codebook quantizes, and likely entries point the same way.

    Args:
        config: Sizes.
        codebooks: float32 `[K, V, D]`, the entries of the codec's quantizer.
    """

    features: Tensor

    def __init__(self, config: EntropyConfig, codebooks: Tensor) -> None:
        super().__init__()
        self.config = config
        K, V, H = config.num_codebooks, config.codebook_size, config.hidden_size
        # Activations are at least 0, so each latent dimension has one channel for either sign.
        num_latent = min(3 * H // 8, codebooks.shape[2])
        latents, rms = _principal(codebooks, num_latent)
        energies = latents.pow(2)[:, :, -min(H - 2 * num_latent, num_latent) :]
        energies = energies - energies.mean(dim=1, keepdim=True)
        energies = energies / energies.std(dim=1, keepdim=True).clamp(min=1e-6)
        self.register_buffer("features", torch.cat([latents, energies], dim=2))
        X = self.features.shape[2]

        def start(latent_scale: Tensor, energy_scale: float) -> nn.Parameter:
            weights = torch.randn(K, X, H) * 0.01
            eye = torch.eye(num_latent) * latent_scale[:, None, None]
            weights[:, :num_latent, :num_latent] += eye
            weights[:, :num_latent, num_latent : 2 * num_latent] -= eye
            for i in range(X - num_latent):
                weights[:, num_latent + i, 2 * num_latent + i] += energy_scale
            return nn.Parameter(weights)

        scale = rms * (_LATENT_RMS / rms.pow(2).sum().sqrt())
        self.frame_map = start(scale, _ENERGY_RMS)
        self.code_map = start(-scale, _ENERGY_RMS)
        # The finer a codebook, the less of it can be foretold.
        self.output_map = start(_OUTPUT_SCALE * rms / rms.max(), _OUTPUT_SCALE / 4)
        self.frame_own = nn.Parameter(torch.zeros(K, V, H))
        self.code_own = nn.Parameter(torch.zeros(K, V, H))
        self.output_own = nn.Parameter(torch.zeros(K, V, H))
        decay = 0.5 ** torch.arange(1, config.context_frames + 1)
        self.filter = nn.Parameter(decay[:, None].repeat(1, H))
        self.bias = nn.Parameter(torch.zeros(K, K, H))
        self.mix = nn.Parameter(torch.randn(K, H, H) * 0.1 / math.sqrt(H))
        self.mix_bias = nn.Parameter(torch.zeros(K, H))
        self.output_bias = nn.Parameter(torch.zeros(K, V))

    def forward(self, codes: Tensor) -> list[Tensor]:
        """Predict every code of some chunks.

        Args:
            codes: int64 `[B, n_q, L]`.

        Returns:
            For each codebook the logits of base 2, float32 `[B, L, V]`.
        """
        n_q = codes.shape[1]
        features = [F.embedding(codes[:, k], self.features[k]) for k in range(n_q)]
        frames = codes.new_zeros((), dtype=torch.float32)
        for k in range(n_q):
            own = F.embedding(codes[:, k], self.frame_own[k])
            frames = frames + _weight(features[k] @ self.frame_map[k] + own, ACTIVATION_BITS, 8)
        depth = self.config.context_frames
        past = F.pad(frames.transpose(1, 2), (depth, 0))[:, :, :-1]  # [B, H, depth + L - 1]
        taps = _weight(self.filter, FILTER_BITS, 8).flip(0).t().unsqueeze(1)  # [H, 1, depth]
        filtered = F.conv1d(past, taps, groups=self.config.hidden_size).transpose(1, 2)
        hidden = _floor(filtered / (1 << FILTER_BITS))
        bias = _weight(self.bias[n_q - 1], ACTIVATION_BITS, 16)
        logits = []
        for k in range(n_q):
            logits.append(self._head(k, hidden + bias[k]))
            own = F.embedding(codes[:, k], self.code_own[k])
            hidden = hidden + _weight(features[k] @ self.code_map[k] + own, ACTIVATION_BITS, 8)
        return logits

    def _head(self, k: int, hidden: Tensor) -> Tensor:
        first = hidden.clamp(0, MAX_ACTIVATION)
        mixed = first @ _weight(self.mix[k], MIX_BITS, 8) / (1 << MIX_BITS)
        offset = _weight(self.mix_bias[k], ACTIVATION_BITS, 16)
        second = (first + _floor(mixed) + offset).clamp(0, MAX_ACTIVATION)
        scaled = second @ _weight(self._output(k), OUTPUT_BITS, 8).t()
        logits = _floor(scaled / (1 << ACTIVATION_BITS + OUTPUT_BITS - LOGIT_BITS))
        return (logits + _weight(self.output_bias[k], LOGIT_BITS, 16)) / (1 << LOGIT_BITS)

    def _output(self, k: int) -> Tensor:
        output: Tensor = self.features[k] @ self.output_map[k] + self.output_own[k]
        return output

    @torch.no_grad()
    def integers(self) -> dict[str, Tensor]:
        """Return the tensors of an `EntropyModel`."""
        num_codebooks = self.config.num_codebooks
        output = torch.stack([self._output(k) for k in range(num_codebooks)]).transpose(1, 2)
        plan = {
            "frame_embedding": (self.features @ self.frame_map + self.frame_own, ACTIVATION_BITS),
            "code_embedding": (self.features @ self.code_map + self.code_own, ACTIVATION_BITS),
            "filter": (self.filter, FILTER_BITS),
            "mix": (self.mix, MIX_BITS),
            "output": (output, OUTPUT_BITS),
        }
        wide = {
            "bias": (self.bias, ACTIVATION_BITS),
            "mix_bias": (self.mix_bias, ACTIVATION_BITS),
            "output_bias": (self.output_bias, LOGIT_BITS),
        }
        tensors = {name: _weight(*value, 8).to(torch.int8) for name, value in plan.items()}
        tensors |= {name: _weight(*value, 16).to(torch.int16) for name, value in wide.items()}
        return {name: value.cpu().contiguous() for name, value in tensors.items()}


def _principal(codebooks: Tensor, num_kept: int) -> tuple[Tensor, Tensor]:
    """Turn entries `[K, V, D]` to their main directions.

    Returns:
        Entries `[K, V, num_kept]`, the main direction last, of variance 1 in each codebook; and
        what they were divided by, `[K]`.
    """
    entries = codebooks - codebooks.mean(dim=1, keepdim=True)
    energy = entries.pow(2).mean(dim=(1, 2)).clamp(min=1e-12)
    shares = torch.einsum("kvd,kve->kde", entries, entries) / energy[:, None, None]
    entries = entries @ torch.linalg.eigh(shares.sum(0)).eigenvectors[:, -num_kept:]
    rms = entries.pow(2).mean(dim=(1, 2)).sqrt().clamp(min=1e-6)
    return entries / rms[:, None, None], rms


def _weight(value: Tensor, fraction_bits: int, bits: int) -> Tensor:
    """Round to integers of so many bits; the gradient passes straight through."""
    scaled = value * (1 << fraction_bits)
    most = (1 << bits - 1) - 1
    rounded = scaled.detach().round().clamp(-most, most)
    return scaled + (rounded - scaled).detach()


def _floor(value: Tensor) -> Tensor:
    floored: Tensor = value + (value.detach().floor() - value.detach())
    return floored
