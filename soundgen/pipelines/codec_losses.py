"""Which losses a codec in training has: on the waveform, or on the magnitudes it predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from soundgen.audio.spectral import to_mel
from soundgen.codec.discriminator import MultiScaleSTFTDiscriminator
from soundgen.codec.losses import (
    MelSpectra,
    bin_loss,
    feature_loss,
    feature_sizes,
    generator_loss,
    magnitude_loss,
    mel_loss,
    mel_spectra,
    time_loss,
)
from soundgen.codec.magnitude import MagnitudeDecoder
from soundgen.pipelines.recipes import CodecRecipe
from soundgen.training.distributed import mean_over_processes

_NAMES = {
    "time": "l_t",
    "mel": "l_s",
    "magnitude": "l_m",
    "adversarial": "l_g",
    "feature": "l_feat",
    "commitment": "l_w",
}


def waveform_losses(
    decoded: Tensor,
    wav: Tensor,
    recipe: CodecRecipe,
    discriminator: MultiScaleSTFTDiscriminator | None,
    sizes: Tensor | None = None,
) -> dict[str, Tensor]:
    """Return EnCodec's losses of `decoded` against `wav`, both `[B, 1, T]`.

    The adversarial ones are among them if there is a discriminator. `sizes` are those of the
    features of all of a process's parts; this is the only one if `None`.
    """
    shares, rate = recipe.losses, recipe.codec.sample_rate
    windows = {*shares.mel_windows, *(shares.magnitude_windows if shares.magnitude else ())}
    ours = mel_spectra(decoded, windows, sample_rate=rate)
    theirs = mel_spectra(wav, windows, sample_rate=rate)
    losses = {
        "time": time_loss(decoded, wav),
        "mel": mel_loss(ours, theirs, windows=shares.mel_windows, l2_weight=shares.mel_l2),
    }
    if shares.magnitude:
        losses["magnitude"] = magnitude_loss(ours, theirs, windows=shares.magnitude_windows)
    if discriminator is not None:
        size = recipe.discriminator.batch_size
        discriminator.requires_grad_(False)
        fake = discriminator(decoded[:size])
        with torch.no_grad():
            real = discriminator(wav[:size])
        discriminator.requires_grad_(True)
        losses["adversarial"] = generator_loss(fake)
        sizes = feature_sizes(real) if sizes is None else sizes
        losses["feature"] = feature_loss(fake, real, mean_over_processes(sizes))
    return losses


def magnitude_losses(
    decoder: MagnitudeDecoder, predicted: Tensor, wav: Tensor, recipe: CodecRecipe
) -> dict[str, Tensor]:
    """Return the losses of predicted log-magnitudes `[B, L, F]` against `wav` `[B, 1, T]`.

    l_s in mel bands and l_m in single bins, both on the logarithm and over both windows.
    """
    spectra, rate = decoder.spectra, recipe.codec.sample_rate
    ours = spectra.split(predicted)
    with torch.no_grad():
        theirs = spectra.magnitudes(wav[:, 0])
    windows = (len(spectra.long_window), len(spectra.short_window))

    def in_bands(parts: tuple[Tensor, Tensor]) -> MelSpectra:
        return {
            window: to_mel(part.transpose(1, 2), window, sample_rate=rate)
            for window, part in zip(windows, parts, strict=True)
        }

    return {
        "mel": mel_loss(
            in_bands(ours), in_bands(theirs), windows=windows, l2_weight=recipe.losses.mel_l2
        ),
        "magnitude": torch.stack(
            [bin_loss(part, true) for part, true in zip(ours, theirs, strict=True)]
        ).mean(),
    }


def loss_metrics(losses: Sequence[Mapping[str, Tensor]]) -> dict[str, float]:
    """Return the losses by the names that the log has for them.

    Args:
        losses: Of each of this process's parts; the means are over those of all processes.
    """
    names = list(losses[0])
    rows = torch.stack([torch.stack([part[name] for name in names]) for part in losses])
    means = mean_over_processes(rows.mean(dim=0)).tolist()
    return {_NAMES[name]: mean for name, mean in zip(names, means, strict=True)}
