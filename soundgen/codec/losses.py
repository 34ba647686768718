"""The losses of EnCodec (Defossez et al. 2022, sections 3.4): l_t, l_s, l_g, l_feat and l_d.

The fifth of the generator's, the commitment l_w, comes from the quantizer itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from soundgen.audio.spectral import LOG_FLOOR, mel_magnitude, to_log
from soundgen.codec.discriminator import Verdict

MelSpectra = dict[int, Tensor]
"""Mel magnitudes `[B, M, frames]` by STFT window, samples."""


def time_loss(wav: Tensor, target: Tensor) -> Tensor:
    """l_t: L1 distance of waveforms `[B, 1, T]` relative to the target's own L1 norm.

    Relative, so that a quiet clip counts as much as a loud one.
    """
    scale = target.abs().mean(dim=(1, 2)) + 1e-3
    return ((wav - target).abs().mean(dim=(1, 2)) / scale).mean()


def mel_spectra(wav: Tensor, windows: Iterable[int], *, sample_rate: int) -> MelSpectra:
    """Return the mel magnitudes of `wav` `[B, 1, T]` by window, for both losses below."""
    return {window: mel_magnitude(wav[:, 0], window, sample_rate=sample_rate) for window in windows}


def mel_loss(
    ours: MelSpectra, theirs: MelSpectra, *, windows: Sequence[int], l2_weight: float
) -> Tensor:
    """l_s: L1 plus weighted L2 distance of log-mel spectra over several windows.

    EnCodec takes L1 on magnitudes and fixes 64 bands for all windows. Here both terms are on the
    logarithm, which is what is heard and what the evaluation measures, and the number of bands
    follows the window so that none is empty (as DAC found necessary, Kumar et al. 2023).

    Args:
        ours: `mel_spectra` of what was decoded.
        theirs: Of the target.
        windows: STFT windows, samples.
        l2_weight: Of the root-mean-square term against the L1 term.
    """
    terms = []
    for window in windows:
        difference = to_log(ours[window]) - to_log(theirs[window])
        term = difference.abs().mean()
        if l2_weight:
            term = term + l2_weight * (difference.square().mean(dim=(1, 2)) + 1e-8).sqrt().mean()
        terms.append(term)
    return torch.stack(terms).mean()


def magnitude_loss(ours: MelSpectra, theirs: MelSpectra, *, windows: Sequence[int]) -> Tensor:
    """l_m: L1 distance of mel magnitudes relative to the target's, over several windows.

    The logarithm counts a near-silent band as much as a loud one; this counts what is loud: the
    partials of a tone, which are few of all bands, and the level of a noise (the spectral
    convergence of Arik et al. 2018, with L1 as EnCodec takes it on magnitudes).

    Args:
        ours: `mel_spectra` of what was decoded.
        theirs: Of the target.
        windows: STFT windows, samples.
    """
    terms = []
    for window in windows:
        scale = theirs[window].mean(dim=(1, 2)) + LOG_FLOOR
        difference = (ours[window] - theirs[window]).abs().mean(dim=(1, 2))
        terms.append((difference / scale).mean())
    return torch.stack(terms).mean()


def bin_loss(ours: Tensor, theirs: Tensor) -> Tensor:
    """L1 distance of log-magnitudes bin by bin, any shape: where partials are, not only how much.

    The floor is ten times that of mel bands, each of which sums several bins.
    """
    floor = 10 * LOG_FLOOR
    return ((ours + floor).log() - (theirs + floor).log()).abs().mean()


def generator_loss(fake: list[Verdict]) -> Tensor:
    """l_g: hinge loss of the decoder against every scale's logits."""
    return torch.stack([F.relu(1 - verdict.logits).mean() for verdict in fake]).mean()


def feature_sizes(real: list[Verdict]) -> Tensor:
    """Return the mean size of each feature of real audio, `[scales * layers]`."""
    return torch.stack(
        [feature.detach().abs().mean() for verdict in real for feature in verdict.features]
    )


def feature_loss(fake: list[Verdict], real: list[Verdict], sizes: Tensor) -> Tensor:
    """l_feat: L1 distance of discriminator features relative to the real ones' mean size.

    Args:
        fake: Of what was decoded.
        real: Of the target.
        sizes: `feature_sizes` of the target, of the whole batch where this is a part of one.
    """
    distances = [
        (ours - theirs.detach()).abs().mean()
        for fake_verdict, real_verdict in zip(fake, real, strict=True)
        for ours, theirs in zip(fake_verdict.features, real_verdict.features, strict=True)
    ]
    return (torch.stack(distances) / sizes.clamp(min=1e-6)).mean()


def discriminator_loss(fake: list[Verdict], real: list[Verdict]) -> Tensor:
    """l_d: hinge loss that pushes real logits above 1 and fake ones below -1."""
    terms = [
        F.relu(1 - theirs.logits).mean() + F.relu(1 + ours.logits).mean()
        for ours, theirs in zip(fake, real, strict=True)
    ]
    return torch.stack(terms).mean()
