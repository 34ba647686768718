"""Short-time Fourier transforms of a frame grid: windows centred on hops, and overlap-add.

Frame l stands for samples `[l * hop, (l + 1) * hop)`; its window is centred on that interval, so
that L frames are exactly L * hop samples, whatever the window.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


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
    # Real arithmetic: twice as fast on a CPU as abs() of complex numbers.
    parts = torch.view_as_real(analyse(wav, window, hop_length))
    return (parts.square().sum(dim=-1) + 1e-12).sqrt()


def synthesise(spectra: Tensor, window: Tensor, hop_length: int) -> Tensor:
    """Return the `wav` `[B, L * hop]` whose spectra are nearest to complex `[B, L, bins]`.

    Nearest in squared error: windowed overlap-add over the sum of squared windows (Griffin & Lim
    1984, equation 6).
    """
    n_fft, num_frames = len(window), spectra.shape[1]
    frames = torch.fft.irfft(spectra, n=n_fft) * window
    margin = (n_fft - hop_length) // 2
    total = (num_frames - 1) * hop_length + n_fft

    def fold(columns: Tensor) -> Tensor:
        return F.fold(columns, (1, total), kernel_size=(1, n_fft), stride=(1, hop_length)).flatten(
            1
        )

    wav = fold(frames.transpose(1, 2))
    envelope = fold((window**2).expand(1, num_frames, n_fft).transpose(1, 2))
    kept = slice(margin, margin + num_frames * hop_length)
    return wav[:, kept] / envelope[:, kept].clamp(min=1e-3)
