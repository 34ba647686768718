"""The autoencoder that says what is heard and leaves the phases out: log-magnitudes both ways.

A waveform loss, or one on the spectra of a waveform, makes a network learn phases; on a CPU's
budget it learns to avoid them, and tones are lost. Here the codes stand for the magnitudes of two
STFTs, a long one that tells partials apart and a short one that tells when. The network's task is
then plain regression, and it starts from the best linear answer: the principal components of the
training data's log-spectra. It only learns what to add to that.

The decoder finds a waveform that has both sets of magnitudes by Griffin and Lim's alternating
projections (1984, IEEE TASSP 32/2), each round through the short STFT and then the long one. It
starts from phases drawn by a hash of frame and bin, the same on every machine. Noise so sounds
like noise, and steady partials find their phases within some rounds.

Frame l stands for samples `[l * hop, (l + 1) * hop)`; all windows are centred on that interval.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from soundgen.codec.config import CodecConfig, MagnitudeConfig
from soundgen.codec.stft import (
    MAX_LOG_MAGNITUDE,
    analyse,
    magnitudes,
    squared_windows,
    synthesise,
    with_magnitudes,
)
from soundgen.nn.convnext import ConvNeXtBlock
from soundgen.nn.products import linear, product

_FLOOR = 1e-3
"""Added to magnitudes before the logarithm: about -108 dB of full scale in the long window."""


class LogSpectra(nn.Module):
    """The two STFTs' log-magnitudes of a waveform, a row per frame: what the codes stand for."""

    long_window: Tensor
    short_window: Tensor

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        spec = config.magnitude
        self.short_rows = spec.short_rows
        self.hop_length, self.short_hop = config.hop_length, config.hop_length // spec.short_rows
        self.register_buffer("long_window", torch.hann_window(spec.long_n_fft), persistent=False)
        self.register_buffer("short_window", torch.hann_window(spec.short_n_fft), persistent=False)
        self.num_long = spec.long_n_fft // 2 + 1
        self.num_features = self.num_long + spec.short_rows * (spec.short_n_fft // 2 + 1)

    def forward(self, wav: Tensor) -> Tensor:
        """Return the log-magnitudes of `wav` `[B, T]`, `[B, L, F]`."""
        long, short = self.magnitudes(wav)
        short = short.reshape(len(short), long.shape[1], -1)
        return (torch.cat([long, short], dim=2) + _FLOOR).log()

    def magnitudes(self, wav: Tensor) -> tuple[Tensor, Tensor]:
        """Return both STFTs' magnitudes of `wav` `[B, T]`, each `[B, frames, bins]`."""
        return (
            magnitudes(wav, self.long_window, self.hop_length),
            magnitudes(wav, self.short_window, self.short_hop),
        )

    def split(self, log_spectra: Tensor) -> tuple[Tensor, Tensor]:
        """Turn rows `[B, L, F]` back into both STFTs' magnitudes, each `[B, frames, bins]`."""
        capped = log_spectra.float().clamp(max=MAX_LOG_MAGNITUDE).exp()
        long, short = capped.split([self.num_long, self.num_features - self.num_long], dim=2)
        return long, short.reshape(len(short), -1, len(self.short_window) // 2 + 1)

    def weights(self, sample_rate: int) -> Tensor:
        """Return how much an error in each feature counts, `[F]`.

        Each STFT counts alike, and a bin as the mel scale's bands are dense: the scale on which
        distances are measured and, roughly, heard.
        """
        parts = []
        for n_fft, rows in ((len(self.long_window), 1), (len(self.short_window), self.short_rows)):
            hertz = torch.arange(n_fft // 2 + 1) * (sample_rate / n_fft)
            density = 1 / (700 + hertz)
            weight = (density / density.mean() / (rows * len(hertz))).sqrt()
            parts.append(weight.repeat(rows))
        joined = torch.cat(parts)
        return joined / joined.mean()


class PrincipalComponents(NamedTuple):
    """The best linear code of log-spectra: `(spectra - mean) @ projection`, and back by `basis`."""

    mean: Tensor
    """`[F]`."""
    projection: Tensor
    """`[F, D]`; codes have a mean square of 1."""
    basis: Tensor
    """`[D, F]`."""


def principal_components(spectra: Tensor, weights: Tensor, dim: int) -> PrincipalComponents:
    """Find the `dim` directions in which weighted log-spectra differ most.

    Args:
        spectra: float32 `[N, F]`.
        weights: `[F]`, above 0.
        dim: D, at most F.
    """
    mean = spectra.mean(dim=0)
    weighted = ((spectra - mean) * weights).double()
    variances, directions = torch.linalg.eigh(weighted.T @ weighted / len(spectra))
    # Ascending, so the last ones. Rounding can leave the smallest below 0.
    directions = directions[:, -dim:].flip(1).float()
    scale = float(variances[-dim:].clamp(min=0).mean().sqrt().clamp(min=1e-6))
    return PrincipalComponents(
        mean,
        weights[:, None] * directions / scale,
        directions.T * scale / weights,
    )


class MagnitudeEncoder(nn.Module):
    """Waveform to latents: principal components, and what ConvNeXt blocks add to them.

    The blocks also see a wider window than the codes can say, for what belongs together.
    """

    mean: Tensor
    projection: Tensor
    wide_window: Tensor

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        spec = config.magnitude
        self.spectra = LogSpectra(config)
        features = self.spectra.num_features
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("projection", _random_directions(features, config.latent_dim))
        self.register_buffer("wide_window", torch.hann_window(spec.wide_n_fft), persistent=False)
        self.embed = nn.Linear(spec.wide_n_fft // 2 + 1 + features, spec.encoder_dim)
        self.blocks = _Blocks(spec, spec.encoder_dim, spec.encoder_layers)
        self.project = nn.Linear(spec.encoder_dim, config.latent_dim)
        _start_at_nothing(self.project)

    def set_components(self, components: PrincipalComponents) -> None:
        """Take the linear code to start from."""
        self.mean.copy_(components.mean)
        self.projection.copy_(components.projection)

    def forward(self, wav: Tensor) -> Tensor:
        """Encode `wav` `[B, 1, T]`, T a multiple of the hop, to latents `[B, D, L]`."""
        audio = wav[:, 0].float()
        spectra = self.spectra(audio)
        wide = (magnitudes(audio, self.wide_window, self.spectra.hop_length) + _FLOOR).log()
        # Roughly zero mean and unit variance, for the optimiser's sake.
        x = self.blocks(linear((torch.cat([wide, spectra], dim=2) + 2) / 3, self.embed))
        latents = product(
            spectra - self.mean, self.projection.t(), added_to=linear(x, self.project)
        )
        return latents.transpose(1, 2)


class MagnitudeDecoder(nn.Module):
    """Latents to waveform: log-magnitudes by regression, then phases that fit them."""

    mean: Tensor
    basis: Tensor

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        spec = config.magnitude
        self.spectra = LogSpectra(config)
        self.rounds = spec.rounds
        features = self.spectra.num_features
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("basis", _random_directions(features, config.latent_dim).T.clone())
        self.embed = nn.Linear(config.latent_dim, spec.decoder_dim)
        self.blocks = _Blocks(spec, spec.decoder_dim, spec.decoder_layers)
        self.head = nn.Linear(spec.decoder_dim, features)
        _start_at_nothing(self.head)

    def set_components(self, components: PrincipalComponents) -> None:
        """Take the linear code to start from."""
        self.mean.copy_(components.mean)
        self.basis.copy_(components.basis)

    def predict(self, latents: Tensor) -> Tensor:
        """Return the log-magnitudes `[B, L, F]` that latents `[B, D, L]` stand for."""
        x = latents.transpose(1, 2)
        learnt = linear(self.blocks(linear(x, self.embed)), self.head)
        return product(x, self.basis.t(), self.mean, added_to=learnt)

    def forward(self, latents: Tensor, first_frame: int = 0) -> Tensor:
        """Decode `latents` `[B, D, L]` to `wav` `[B, 1, L * hop_length]`.

        `first_frame` is the number of the first one in the stream that they were cut from.
        """
        spectra = self.spectra
        predicted = spectra.split(self.predict(latents))
        long = _target(predicted[0], spectra.long_window, spectra.hop_length)
        short = _target(predicted[1], spectra.short_window, spectra.short_hop)
        _, num_frames, num_bins = long.magnitude.shape
        phases = drawn_phases(num_frames, num_bins, first_frame).to(latents.device)
        drawn = torch.polar(long.magnitude, phases.expand_as(long.magnitude))
        wav = synthesise(drawn, long.window, long.hop_length, long.envelope)
        for _ in range(self.rounds):
            wav = long.project(short.project(wav))
        return wav.unsqueeze(1)


class _Target(NamedTuple):
    """The magnitudes `[B, frames, bins]` that a waveform shall have in one STFT."""

    magnitude: Tensor
    window: Tensor
    hop_length: int
    envelope: Tensor

    def project(self, wav: Tensor) -> Tensor:
        """Give `wav` `[B, T]` these magnitudes, keeping its phases."""
        found = analyse(wav, self.window, self.hop_length)
        wanted = with_magnitudes(found, self.magnitude)
        return synthesise(wanted, self.window, self.hop_length, self.envelope)


def _target(magnitude: Tensor, window: Tensor, hop_length: int) -> _Target:
    envelope = squared_windows(window, hop_length, magnitude.shape[1])
    return _Target(magnitude, window, hop_length, envelope)


def drawn_phases(num_frames: int, num_bins: int, first_frame: int = 0) -> Tensor:
    """Return phases float32 `[num_frames, num_bins]` that look random, a function of their place.

    An integer hash of frame and bin (the mixing of Wellons' lowbias32), so that a stream's phases
    are the same on all machines and wherever it is cut.
    """
    mask = 0xFFFFFFFF
    frame = torch.arange(first_frame, first_frame + num_frames)[:, None]
    place = (frame * 0x9E3779B1 + torch.arange(num_bins) * 0x85EBCA77) & mask
    place = ((place ^ (place >> 16)) * 0x7FEB352D) & mask
    place = ((place ^ (place >> 15)) * 0x846CA68B) & mask
    place = place ^ (place >> 16)
    return (place.double() * (2 * math.pi / (mask + 1))).float()


class _Blocks(nn.Module):
    """ConvNeXt blocks between two norms."""

    def __init__(self, spec: MagnitudeConfig, dim: int, num_layers: int) -> None:
        super().__init__()
        self.first_norm = nn.LayerNorm(dim)
        self.layers = nn.ModuleList(
            ConvNeXtBlock(
                dim,
                hidden_dim=int(dim * spec.expansion),
                kernel_size=spec.kernel_size,
                lookahead=spec.lookahead_frames,
                layer_scale=spec.layer_scale,
            )
            for _ in range(num_layers)
        )
        self.last_norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map `x` `[B, L, dim]` to the same shape."""
        x = self.first_norm(x)
        for layer in self.layers:
            x = layer(x)
        normed: Tensor = self.last_norm(x)
        return normed


def _random_directions(features: int, dim: int) -> Tensor:
    """Return what stands in for the components until they are fitted, `[features, dim]`."""
    return torch.randn(features, dim) / math.sqrt(features)


def _start_at_nothing(layer: nn.Linear) -> None:
    """Let the linear code be the whole answer at first."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)


def context_frames(config: CodecConfig) -> tuple[int, int, int, int]:
    """Return how many frames beside a frame can change it, as `spectral.context_frames` does."""
    spec, hop = config.magnitude, config.hop_length
    past = spec.kernel_size - 1 - spec.lookahead_frames
    widest = max(spec.wide_n_fft, spec.long_n_fft, spec.short_n_fft)
    analysis = math.ceil((widest - hop) / 2 / hop)
    # A projection carries a sample as far as one window reaches; the phases drawn at first
    # reach half a long window, and both ends are rounded to frames.
    reach = spec.rounds * (spec.short_n_fft + spec.long_n_fft) + spec.long_n_fft // 2
    synthesis = math.ceil(reach / hop) + 1
    return (
        spec.encoder_layers * past + analysis,
        spec.encoder_layers * spec.lookahead_frames + analysis,
        spec.decoder_layers * past + synthesis,
        spec.decoder_layers * spec.lookahead_frames + synthesis,
    )
