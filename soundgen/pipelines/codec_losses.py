"""Which losses a codec in training has: on the waveform, or on the magnitudes it predicts."""

from __future__ import annotations

import torch
from torch import Tensor

from soundgen.audio.spectral import to_mel
from soundgen.codec.discriminator import MultiScaleSTFTDiscriminator
from soundgen.codec.losses import (
    MelSpectra,
    bin_loss,
    feature_loss,
    generator_loss,
    magnitude_loss,
    mel_loss,
    mel_spectra,
    time_loss,
)
from soundgen.codec.magnitude import MagnitudeDecoder
from soundgen.pipelines.recipes import CodecRecipe

_NAMES = {
    "time": "l_t",
    "mel": "l_s",
    "magnitude": "l_m",
    "adversarial": "l_g",
    "feature": "l_feat",
}


def waveform_losses(
    decoded: Tensor,
    wav: Tensor,
    recipe: CodecRecipe,
    discriminator: MultiScaleSTFTDiscriminator | None,
) -> dict[str, Tensor]:
    """Return EnCodec's losses of `decoded` against `wav`, both `[B, 1, T]`.

    The adversarial ones are among them if there is a discriminator.
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
        losses["feature"] = feature_loss(fake, real)
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


def loss_metrics(losses: dict[str, Tensor]) -> dict[str, float]:
    """Return the losses by the names that the log has for them."""
    return {_NAMES[name]: float(loss.detach()) for name, loss in losses.items()}
