"""What inference computes faster equals what the plain modules compute.

Plain is what gradients are wanted of; fast is what runs on a CPU without them.
"""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional as F

from soundgen.codec.config import CodecConfig, MagnitudeConfig, SeanetConfig, SpectralConfig
from soundgen.codec.model import Codec
from soundgen.codec.quantizer import ResidualVectorQuantizer, nearest
from soundgen.codec.seanet import SeanetDecoder, SeanetEncoder, SeanetState
from soundgen.codec.seanet_rows import TILE_VALUES, RowsOf, row_layers
from soundgen.codec.stft import analyse, magnitudes, synthesise, with_magnitudes
from soundgen.nn.conv import fold_weight_norm
from soundgen.nn.products import product

SHARED = {"latent_dim": 32, "num_codebooks": 4, "codebook_size": 128}
CONFIGS = {
    "seanet": CodecConfig(autoencoder="seanet", seanet=SeanetConfig(num_filters=8), **SHARED),
    "spectral": CodecConfig(
        autoencoder="spectral",
        spectral=SpectralConfig(encoder_dim=32, encoder_layers=2, decoder_dim=32, decoder_layers=2),
        **SHARED,
    ),
    "magnitude": CodecConfig(
        autoencoder="magnitude",
        magnitude=MagnitudeConfig(
            encoder_dim=32, encoder_layers=2, decoder_dim=32, decoder_layers=2, rounds=4
        ),
        **SHARED,
    ),
}


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_latents_and_sound_equal_the_plain_modules(name: str) -> None:
    torch.manual_seed(0)
    codec = Codec(CONFIGS[name]).eval()
    wav = 0.1 * noise(1, 1, 60 * 320)
    latents = codec.encoder(wav)
    sound = codec.decoder(latents.detach())
    assert latents.requires_grad and sound.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(codec.encoder(wav), latents, rtol=1e-4, atol=1e-4)
        fast = codec.decoder(latents)
    torch.testing.assert_close(fast, sound, rtol=0, atol=1e-3 * float(sound.detach().std()))


def in_pieces(module: SeanetEncoder | SeanetDecoder, x: torch.Tensor, size: int) -> torch.Tensor:
    state: SeanetState = {}
    return torch.cat([module(piece, state) for piece in x.split(size, dim=2)], dim=2)


@pytest.mark.parametrize("size", [1, 7, 60, 130])
def test_seanet_over_rows_streams_as_the_plain_modules_do(size: int) -> None:
    torch.manual_seed(0)
    codec = Codec(CONFIGS["seanet"]).eval()
    wav, latents = 0.1 * noise(1, 1, 130 * 320), noise(1, 32, 130)
    for module, x, unit in ((codec.encoder, wav, 320), (codec.decoder, latents, 1)):
        assert isinstance(module, SeanetEncoder | SeanetDecoder)
        plain = module(x)
        with torch.no_grad():
            torch.testing.assert_close(
                in_pieces(module, x, size * unit), plain, rtol=1e-4, atol=1e-5
            )


def test_seanet_over_rows_takes_many_tiles_and_drops_half_a_frame() -> None:
    torch.manual_seed(0)
    codec = Codec(CONFIGS["seanet"]).eval()
    num_frames = 2 * TILE_VALUES // (320 * 8) + 50
    wav, latents = 0.1 * noise(1, 1, num_frames * 320 + 100), noise(1, 32, num_frames)
    for module, x in ((codec.encoder, wav), (codec.decoder, latents)):
        plain = module(x)
        with torch.no_grad():
            torch.testing.assert_close(module(x), plain, rtol=1e-4, atol=1e-5)


def test_a_codec_that_has_run_can_be_copied() -> None:
    codec = Codec(CONFIGS["seanet"]).eval()
    wav = 0.1 * noise(1, 1, 320 * 4)
    codes = codec.encode(wav)
    other = copy.deepcopy(codec)
    assert torch.equal(other.encode(wav), codes)
    assert torch.equal(other.decode(codes), codec.decode(codes))


def test_seanet_over_rows_follows_its_weights() -> None:
    codec = Codec(CONFIGS["seanet"]).eval()
    wav = 0.1 * noise(1, 1, 320 * 4)
    with torch.no_grad():
        before = codec.encoder(wav)
        for weight in codec.encoder.parameters():
            weight.mul_(1.1)
        after = codec.encoder(wav)
    assert not torch.allclose(before, after, atol=1e-3)
    torch.testing.assert_close(after, codec.encoder(wav).detach(), rtol=1e-4, atol=1e-4)


def test_weight_norm_stays_on_the_plain_way_until_it_is_folded() -> None:
    codec = Codec(CONFIGS["seanet"], training_form=True).eval()
    encoder = codec.encoder
    assert isinstance(encoder, SeanetEncoder)
    wav = 0.1 * noise(1, 1, 320 * 4)
    assert row_layers(list(encoder.layers)) is None
    assert RowsOf(320).run(encoder.layers, wav, {}) is None
    with torch.no_grad():
        plain = encoder(wav)
        fold_weight_norm(encoder)
        assert row_layers(list(encoder.layers)) is not None
        torch.testing.assert_close(encoder(wav), plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [16, 20, 256, 1024])
def test_the_search_by_groups_finds_what_a_search_of_all_finds(size: int) -> None:
    torch.manual_seed(0)
    quantizer = ResidualVectorQuantizer(3, size, 24)
    latents = noise(1, 24, 12)
    for paths in (1, 4):
        codes = quantizer.encode(latents, num_paths=paths)
        assert torch.equal(codes, searched(quantizer, latents, paths))
    vectors = latents.transpose(1, 2)
    distances = torch.cdist(vectors, quantizer.codebook(0))
    assert torch.equal(nearest(vectors, quantizer.codebook(0)), distances.argmin(dim=-1))


def searched(quantizer: ResidualVectorQuantizer, latents: torch.Tensor, paths: int) -> torch.Tensor:
    """Return what a beam search over all distances finds, in double precision."""
    vectors = latents.double().transpose(1, 2).flatten(0, 1)
    rows = []
    for vector in vectors:
        beam = [(0.0, vector, ())]
        for k in range(quantizer.num_codebooks):
            entries = quantizer.codebook(k).double()
            grown = [
                (float(distance), residual - entries[code], (*chosen, code))
                for _, residual, chosen in beam
                for code, distance in enumerate((residual - entries).square().sum(dim=1))
            ]
            beam = sorted(grown, key=lambda one: one[0])[:paths]
        rows.append(beam[0][2])
    return torch.tensor(rows).reshape(len(latents), latents.shape[2], -1).transpose(1, 2)


@pytest.mark.parametrize(("n_fft", "hop"), [(1280, 320), (320, 80), (640, 320), (1000, 320)])
def test_spectra_in_place_equal_spectra_with_gradients(n_fft: int, hop: int) -> None:
    wav, window = noise(2, 20 * hop), torch.hann_window(n_fft)
    spectra = analyse(wav, window, hop)
    target = spectra.abs().flip(1)
    torch.testing.assert_close(magnitudes(wav, window, hop), spectra.abs(), rtol=1e-4, atol=1e-5)
    plain = target * spectra / (spectra.abs() + 1e-9)
    torch.testing.assert_close(with_magnitudes(spectra, target), plain, rtol=1e-4, atol=1e-4)
    sound = synthesise(plain, window, hop)
    with torch.no_grad():
        given = with_magnitudes(spectra.clone(), target)
        torch.testing.assert_close(given, plain, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(synthesise(given, window, hop), sound, rtol=1e-4, atol=1e-4)
    assert (with_magnitudes(torch.zeros_like(spectra), target) == 0).all()


def test_products_equal_linear_with_all_that_they_can_add() -> None:
    x, weight, bias, other = noise(3, 5, 20), noise(9, 20), noise(9), noise(3, 5, 9)
    plain = F.linear(x, weight, bias)
    with torch.no_grad():
        for gelu in (False, True):
            expected = F.gelu(plain) if gelu else plain
            found = product(x, weight, bias, gelu=gelu)
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
            found = product(x, weight, bias, gelu=gelu, added_to=other)
            torch.testing.assert_close(found, expected + other, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(product(x, weight), F.linear(x, weight), rtol=1e-4, atol=1e-5)
