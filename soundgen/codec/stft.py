"""Short-time Fourier transforms of a frame grid: windows centred on hops, and overlap-add.

Frame l stands for samples `[l * hop, (l + 1) * hop)`; its window is centred on that interval, so
that L frames are exactly L * hop samples, whatever the window.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

MAX_LOG_MAGNITUDE = 7.0
"""Above what a full-scale sinusoid gives in a 2048 window (e^7 = 1097); keeps exp() finite."""


def centred_frames(wav: Tensor, n_fft: int, hop_length: int) -> Tensor:
    """Cut `wav` `[B, T]` into `[B, L, n_fft]` windows, each centred on its hop, zeros outside."""
    margin = (n_fft - hop_length) // 2
    return F.pad(wav, (margin, n_fft - hop_length - margin)).unfold(1, n_fft, hop_length)


def analyse(wav: Tensor, window: Tensor, hop_length: int) -> Tensor:
    """Return the spectra of `wav` `[B, T]` under `window` `[n_fft]`, complex `[B, L, bins]`."""
    spectra: Tensor = torch.fft.rfft(centred_frames(wav, len(window), hop_length) * window)
    return spectra


def magnitudes(wav: Tensor, window: Tensor, hop_length: int) -> Tensor:
    """Return the magnitudes of `analyse`, `[B, L, bins]`."""
    spectra = analyse(wav, window, hop_length)
    # Several times as fast on a CPU as abs(), and as a sum over the last dimension.
    return (spectra.real.square() + spectra.imag.square() + 1e-12).sqrt()


def with_magnitudes(spectra: Tensor, magnitude: Tensor) -> Tensor:
    """Give complex `spectra` the `magnitude`, both `[B, L, bins]`; phases stay.

    Where gradients are not wanted, in place.
    """
    power = spectra.real.square() + spectra.imag.square()
    # Far below all that is heard; keeps what is nothing at nothing.
    scale = magnitude * (power + 1e-18).rsqrt()
    return spectra * scale if torch.is_grad_enabled() else spectra.mul_(scale)


def synthesise(
    spectra: Tensor, window: Tensor, hop_length: int, envelope: Tensor | None = None
) -> Tensor:
    """Return the `wav` `[B, L * hop]` whose spectra are nearest to complex `[B, L, bins]`.

    Nearest in squared error: windowed overlap-add over the sum of squared windows (Griffin & Lim
    1984, equation 6).

    Args:
        spectra: Of the frames.
        window: `[n_fft]`.
        hop_length: Samples.
        envelope: `squared_windows` of as many frames, where it is needed more than once.
    """
    if envelope is None:
        envelope = squared_windows(window, hop_length, spectra.shape[1])
    frames = torch.fft.irfft(spectra, n=len(window))
    if torch.is_grad_enabled():
        return _overlap_add(frames * window, hop_length) / envelope
    return _overlap_add(frames.mul_(window), hop_length).div_(envelope)


def squared_windows(window: Tensor, hop_length: int, num_frames: int) -> Tensor:
    """Return the sum of the squared windows over each sample, `[1, num_frames * hop]`."""
    frames = (window**2).expand(1, num_frames, len(window))
    return _overlap_add(frames, hop_length).clamp(min=1e-3)


def _overlap_add(frames: Tensor, hop_length: int) -> Tensor:
    """Add up frames `[B, L, n_fft]`; return what lies in their hops, `[B, L * hop]`."""
    num_items, num_frames, n_fft = frames.shape
    margin = (n_fft - hop_length) // 2
    total = (num_frames - 1) * hop_length + n_fft
    if n_fft % hop_length == 0 and not torch.is_grad_enabled():
        # Hop by hop: several times as fast as fold(), which adds sample by sample.
        overlap = n_fft // hop_length
        parts = frames.view(num_items, num_frames, overlap, hop_length)
        hops = frames.new_zeros(num_items, num_frames + overlap - 1, hop_length)
        for part in range(overlap):
            hops[:, part : part + num_frames] += parts[:, :, part]
        return hops.flatten(1)[:, margin : margin + num_frames * hop_length]
    added = F.fold(
        frames.transpose(1, 2), (1, total), kernel_size=(1, n_fft), stride=(1, hop_length)
    ).flatten(1)
    return added[:, margin : margin + num_frames * hop_length]
