"""The magnitude autoencoder: components, phases that do not depend on the machine, and sounds."""

from __future__ import annotations

import math

import pytest
import torch

from soundgen.codec.config import CodecConfig, MagnitudeConfig
from soundgen.codec.losses import bin_loss
from soundgen.codec.magnitude import (
    LogSpectra,
    MagnitudeDecoder,
    MagnitudeEncoder,
    drawn_phases,
    principal_components,
)
from soundgen.codec.stft import analyse, centred_frames, synthesise
from soundgen.evaluation.codec_metrics import mel_distance

HOP, RATE = 320, 16_000
TINY = MagnitudeConfig(encoder_dim=8, encoder_layers=1, decoder_dim=8, decoder_layers=1)


def config(dim: int, spec: MagnitudeConfig = TINY) -> CodecConfig:
    return CodecConfig(autoencoder="magnitude", latent_dim=dim, magnitude=spec)


def tones(seconds: float) -> torch.Tensor:
    time = torch.arange(round(seconds * RATE)) / RATE
    turns = torch.outer(torch.tensor([443.0, 1_250.0, 2_117.0]), time)
    return 0.1 * torch.sin(2 * math.pi * turns).sum(dim=0)


def noise(seconds: float, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(round(seconds * RATE), generator=torch.Generator().manual_seed(seed))


def linear_pair(wav: torch.Tensor, dim: int) -> tuple[MagnitudeEncoder, MagnitudeDecoder]:
    """Return an untrained pair that knows the principal components of `wav` `[T]`."""
    torch.manual_seed(0)
    encoder, decoder = MagnitudeEncoder(config(dim)), MagnitudeDecoder(config(dim))
    spectra = encoder.spectra(wav[None])[0]
    found = principal_components(spectra, encoder.spectra.weights(RATE), dim)
    encoder.set_components(found)
    decoder.set_components(found)
    return encoder, decoder


def heard(encoder: MagnitudeEncoder, decoder: MagnitudeDecoder, wav: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        decoded: torch.Tensor = decoder(encoder(wav[None, None]))
    return decoded[0, 0]


@pytest.mark.parametrize(("n_fft", "hop"), [(1280, 320), (320, 80), (640, 320), (1024, 320)])
def test_synthesis_inverts_analysis(n_fft: int, hop: int) -> None:
    wav = noise(0.5)[None]
    window = torch.hann_window(n_fft)
    back = synthesise(analyse(wav, window, hop), window, hop)
    inner = slice(n_fft, -n_fft)
    torch.testing.assert_close(back[:, inner], wav[:, inner], rtol=0, atol=1e-5)
    assert centred_frames(wav, n_fft, hop).shape == (1, 8_000 // hop, n_fft)


def test_log_spectra_split_into_what_they_were_joined_from() -> None:
    spectra = LogSpectra(config(8))
    wav = noise(0.4)[None]
    rows = spectra(wav)
    assert rows.shape == (1, 20, spectra.num_features) == (1, 20, 641 + 4 * 161)
    for ours, theirs in zip(spectra.split(rows), spectra.magnitudes(wav), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=2e-3)


def test_components_are_the_best_linear_code() -> None:
    generator = torch.Generator().manual_seed(0)
    sources = torch.randn(4_000, 3, generator=generator) * torch.tensor([5.0, 2.0, 1.0])
    spectra = sources @ torch.randn(3, 12, generator=generator) - 4
    weights = torch.linspace(0.5, 2, 12)
    found = principal_components(spectra, weights, 3)
    codes = (spectra - found.mean) @ found.projection
    torch.testing.assert_close(codes @ found.basis + found.mean, spectra, rtol=0, atol=1e-3)
    assert codes.square().mean() == pytest.approx(1.0, rel=1e-3)
    # Distances of codes are weighted distances of spectra: what the quantizer's errors mean.
    ratio = (codes[:50] - codes[50:100]).norm(dim=1) / (
        (spectra[:50] - spectra[50:100]) * weights
    ).norm(dim=1)
    torch.testing.assert_close(ratio, ratio[:1].expand(50), rtol=1e-3, atol=0)


def test_without_training_tones_keep_their_partials_and_noise_its_level() -> None:
    # Some hiss: where there is nothing at all, the distance compares rounding.
    for wav in (tones(2.0) + 0.01 * noise(2.0), noise(2.0)):
        encoder, decoder = linear_pair(wav, 64)
        decoded = heard(encoder, decoder, wav)
        assert 0.8 < float(decoded.std() / wav.std()) < 1.25
        assert mel_distance(decoded, wav, sample_rate=RATE) < 0.35
    wav = tones(2.0) + 0.01 * noise(2.0)
    power = torch.fft.rfft(heard(*linear_pair(wav, 64), wav)).abs().square()
    hertz = torch.arange(len(power)) / 2.0
    partials = torch.stack([(hertz - at).abs() < 8 for at in (443.0, 1_250.0, 2_117.0)])
    shares = (power * partials).sum(dim=1) / power.sum()
    assert shares.sum() > 0.75
    assert (shares - 1 / 3).abs().max() < 0.1


def test_more_rounds_come_nearer() -> None:
    wav = torch.cat([tones(1.0), noise(1.0)])
    encoder, _ = linear_pair(wav, 64)
    distances = []
    for rounds in (1, 4, 16):
        spec = MagnitudeConfig(
            encoder_dim=8, encoder_layers=1, decoder_dim=8, decoder_layers=1, rounds=rounds
        )
        decoder = MagnitudeDecoder(config(64, spec))
        spectra = encoder.spectra(wav[None])[0]
        decoder.set_components(principal_components(spectra, encoder.spectra.weights(RATE), 64))
        distances.append(mel_distance(heard(encoder, decoder, wav), wav, sample_rate=RATE))
    assert distances[0] > distances[1] > distances[2]


def test_drawn_phases_depend_on_their_place_alone() -> None:
    whole = drawn_phases(200, 641)
    assert torch.equal(whole[70:90], drawn_phases(20, 641, first_frame=70))
    assert torch.equal(whole[:, :100], drawn_phases(200, 100))
    # The hash itself, once and for all: other values would change what old files sound like.
    assert whole[3, 5].item() == pytest.approx(5.458109378814697, abs=1e-6)
    turns = whole / (2 * math.pi)
    assert 0 <= turns.min() and turns.max() <= 1
    counts = torch.histc(turns, 16, 0, 1) / turns.numel()
    assert (counts - 1 / 16).abs().max() < 0.004
    # Neither neighbours in time nor in frequency know of each other.
    unit = torch.polar(torch.ones_like(whole), whole)
    for shifted in (unit[1:] * unit[:-1].conj(), unit[:, 1:] * unit[:, :-1].conj()):
        assert shifted.mean().abs() < 0.02


def test_hours_into_a_stream_phases_are_still_drawn_one_by_one() -> None:
    late = drawn_phases(50, 641, first_frame=50 * 3600 * 30)
    assert len(late.unique()) > 0.99 * late.numel()


def test_bins_count_alike_however_loud() -> None:
    loud, quiet = torch.full((1, 1, 2), 10.0), torch.full((1, 1, 2), 0.1)
    assert bin_loss(loud, 2 * loud) == pytest.approx(math.log(2), rel=1e-3)
    assert bin_loss(quiet, 2 * quiet) == pytest.approx(math.log(2), rel=2e-2)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"short_rows": 3}, "short_rows must divide the hop, 320"),
        ({"long_n_fft": 600}, "long_n_fft must be at least 640"),
        ({"short_n_fft": 150}, "short_n_fft must be at least 160"),
        ({"wide_n_fft": 300}, "wide_n_fft must be at least 320"),
        ({"long_n_fft": 1281}, "long_n_fft must be even"),
        ({"rounds": 0}, "rounds must be at least 1"),
        ({"lookahead_frames": 7}, "lookahead_frames must be in"),
        ({"expansion": 0.0}, "expansion must be above 0"),
    ],
)
def test_what_cannot_be_built_is_refused(values: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(8, MagnitudeConfig(**values))
    with pytest.raises(ValueError, match="latent_dim must be at most 1285"):
        config(1286)
