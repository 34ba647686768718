"""The autoencoder for machines without a GPU: ConvNeXt at the frame rate between STFTs.

Every layer runs 50 times a second instead of up to 16,000, which makes it several times cheaper
than SEANet. The decoder is of the Vocos family (Siuzdak 2023, https://arxiv.org/abs/2306.00814):
it predicts log-magnitude and phase, and an inverse STFT does the upsampling.

Frame l stands for samples `[l * hop, (l + 1) * hop)`; all windows are centred on that interval.

Phases are counted from the start of the stream, not of the frame (the phase vocoder's convention,
Flanagan & Golden 1966). A steady tone then turns its phase by at most half a bin a frame instead
of by the whole hop, so that codes which stand still mean a sound that stands still; counted from
the frame, they would mean a buzz at the frame rate. What a frame means so depends on its number
modulo `phase_period`, and whoever cuts a stream cuts it there.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from soundgen.codec.config import CodecConfig
from soundgen.codec.stft import MAX_LOG_MAGNITUDE, centred_frames, synthesise
from soundgen.nn.convnext import ConvNeXtBlock


def phase_period(config: CodecConfig) -> int:
    """Return after how many frames both transforms' phase references come round."""
    spec, hop = config.spectral, config.hop_length
    return math.lcm(
        *(n_fft // math.gcd(n_fft, hop) for n_fft in (spec.analysis_n_fft, spec.synthesis_n_fft))
    )


def whole_periods(config: CodecConfig, num_frames: int) -> int:
    """Round `num_frames` up to whole phase periods."""
    period = phase_period(config)
    return -(-num_frames // period) * period


class PhaseReference(nn.Module):
    """Turns spectra of centred frames between the frame's phase reference and the stream's.

    Args:
        n_fft: Of the transform, samples.
        hop_length: Samples per frame.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, n_fft: int, hop_length: int) -> None:
        super().__init__()
        self.period = n_fft // math.gcd(n_fft, hop_length)
        # Whole numbers modulo n_fft, so that quarter turns are exact however long the stream is.
        turns = torch.outer(torch.arange(self.period) * hop_length, torch.arange(n_fft // 2 + 1))
        angle = (turns % n_fft).double() * (2 * math.pi / n_fft)
        self.register_buffer("cos", angle.cos().float(), persistent=False)
        self.register_buffer("sin", angle.sin().float(), persistent=False)

    def to_stream(self, real: Tensor, imag: Tensor) -> tuple[Tensor, Tensor]:
        """Turn spectra `[B, L, bins]` of frames 0..L-1 to the stream's reference."""
        cos, sin = self._turns(real.shape[1])
        return real * cos + imag * sin, imag * cos - real * sin

    def to_frame(self, real: Tensor, imag: Tensor, first_frame: int = 0) -> tuple[Tensor, Tensor]:
        """Undo `to_stream`, for frames of which the first is `first_frame` of its stream."""
        cos, sin = self._turns(real.shape[1], first_frame)
        return real * cos - imag * sin, imag * cos + real * sin

    def _turns(self, num_frames: int, first_frame: int = 0) -> tuple[Tensor, Tensor]:
        frames = torch.arange(num_frames, device=self.cos.device) + first_frame % self.period
        return self.cos[frames % self.period], self.sin[frames % self.period]


class SpectralEncoder(nn.Module):
    """Waveform to latents: two STFTs, then ConvNeXt blocks.

    The short window keeps real and imaginary parts (magnitude compressed by a square root, the
    phase untouched), so that the encoder can hear timing; the long one gives log-magnitudes, so
    that it can tell partials apart.
    """

    window: Tensor
    wide_window: Tensor

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        spec = config.spectral
        self.hop_length = config.hop_length
        self.n_fft, self.wide_n_fft = spec.analysis_n_fft, spec.analysis_wide_n_fft
        self.register_buffer("window", torch.hann_window(self.n_fft), persistent=False)
        self.register_buffer("wide_window", torch.hann_window(self.wide_n_fft), persistent=False)
        self.reference = PhaseReference(self.n_fft, config.hop_length)
        features = 3 * (self.n_fft // 2 + 1) + self.wide_n_fft // 2 + 1
        self.embed = nn.Linear(features, spec.encoder_dim)
        self.embed_norm = nn.LayerNorm(spec.encoder_dim)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(
                spec.encoder_dim,
                hidden_dim=int(spec.encoder_dim * spec.expansion),
                kernel_size=spec.kernel_size,
                lookahead=spec.lookahead_frames,
                layer_scale=spec.layer_scale,
            )
            for _ in range(spec.encoder_layers)
        )
        self.norm = nn.LayerNorm(spec.encoder_dim)
        self.project = nn.Linear(spec.encoder_dim, config.latent_dim)

    def forward(self, wav: Tensor) -> Tensor:
        """Encode `wav` `[B, 1, T]`, T a multiple of the hop, to latents `[B, D, L]`."""
        x = self.embed_norm(self.embed(self._features(wav[:, 0].float())))
        for block in self.blocks:
            x = block(x)
        projected: Tensor = self.project(self.norm(x))
        return projected.transpose(1, 2)

    def _features(self, wav: Tensor) -> Tensor:
        short = torch.fft.rfft(centred_frames(wav, self.n_fft, self.hop_length) * self.window)
        wide = torch.fft.rfft(
            centred_frames(wav, self.wide_n_fft, self.hop_length) * self.wide_window
        )
        magnitude = short.abs()
        compressed = short / (magnitude + 1e-4).sqrt()
        return torch.cat(
            [
                *self.reference.to_stream(compressed.real, compressed.imag),
                _scaled_log(magnitude),
                _scaled_log(wide.abs()),
            ],
            dim=2,
        )  # [B, L, features]


def _scaled_log(magnitude: Tensor) -> Tensor:
    # About -1.2 for digital silence to 1.2 for full scale: the range LayerNorm'd layers like.
    return (magnitude + 1e-3).log() / 6


class SpectralDecoder(nn.Module):
    """Latents to waveform: ConvNeXt blocks, then log-magnitude and phase of an inverse STFT."""

    window: Tensor

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        spec = config.spectral
        self.hop_length, self.n_fft = config.hop_length, spec.synthesis_n_fft
        self.register_buffer("window", torch.hann_window(self.n_fft), persistent=False)
        self.reference = PhaseReference(self.n_fft, config.hop_length)
        self.embed = nn.Linear(config.latent_dim, spec.decoder_dim)
        self.embed_norm = nn.LayerNorm(spec.decoder_dim)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(
                spec.decoder_dim,
                hidden_dim=int(spec.decoder_dim * spec.expansion),
                kernel_size=spec.kernel_size,
                lookahead=spec.lookahead_frames,
                layer_scale=spec.layer_scale,
            )
            for _ in range(spec.decoder_layers)
        )
        self.norm = nn.LayerNorm(spec.decoder_dim)
        self.head = nn.Linear(spec.decoder_dim, self.n_fft + 2)

    def forward(self, latents: Tensor, first_frame: int = 0) -> Tensor:
        """Decode `latents` `[B, D, L]` to `wav` `[B, 1, L * hop_length]`.

        `first_frame` is the number of the first one in the stream that they were cut from.
        """
        x = self.embed_norm(self.embed(latents.transpose(1, 2)))
        for block in self.blocks:
            x = block(x)
        log_magnitude, phase = self.head(self.norm(x)).float().chunk(2, dim=2)  # [B, L, bins]
        magnitude = log_magnitude.clamp(max=MAX_LOG_MAGNITUDE).exp()
        spectrum = torch.complex(
            *self.reference.to_frame(magnitude * phase.cos(), magnitude * phase.sin(), first_frame)
        )
        return synthesise(spectrum, self.window, self.hop_length).unsqueeze(1)


def context_frames(config: CodecConfig) -> tuple[int, int, int, int]:
    """Return how many frames beside a frame can change it.

    The left ones are rounded up to whole phase periods, so that a window which begins there has
    the stream's phase reference.

    Returns:
        Left and right context of the encoder, then of the decoder. The sum of the two right
        contexts is the algorithmic look-ahead of the codec, in frames.
    """
    spec = config.spectral
    past = spec.kernel_size - 1 - spec.lookahead_frames
    widest = max(spec.analysis_n_fft, spec.analysis_wide_n_fft)
    analysis = math.ceil((widest - config.hop_length) / 2 / config.hop_length)
    synthesis = math.ceil((spec.synthesis_n_fft - config.hop_length) / 2 / config.hop_length)
    return (
        whole_periods(config, spec.encoder_layers * past + analysis),
        spec.encoder_layers * spec.lookahead_frames + analysis,
        whole_periods(config, spec.decoder_layers * past + synthesis),
        spec.decoder_layers * spec.lookahead_frames + synthesis,
    )
