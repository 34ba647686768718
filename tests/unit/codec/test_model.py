"""Both autoencoders behind one interface: lengths, canonical codes, causality, streams."""

from __future__ import annotations

import pytest
import torch

from soundgen.codec.config import CodecConfig, MagnitudeConfig, SeanetConfig, SpectralConfig
from soundgen.codec.model import Codec
from soundgen.codec.seanet import SeanetEncoder
from soundgen.codec.spectral import PhaseReference, phase_period
from soundgen.codec.streaming import (
    WINDOW_FRAMES,
    context_frames,
    decode_chunks,
    encode_chunks,
    window_frames,
)
from soundgen.errors import ShapeError
from soundgen.nn.conv import fold_weight_norm

HOP = 320
CONFIGS = {
    "seanet": CodecConfig(
        autoencoder="seanet",
        latent_dim=16,
        num_codebooks=3,
        codebook_size=32,
        seanet=SeanetConfig(num_filters=4, num_lstm_layers=1),
    ),
    "spectral": CodecConfig(
        autoencoder="spectral",
        latent_dim=16,
        num_codebooks=3,
        codebook_size=32,
        spectral=SpectralConfig(encoder_dim=24, encoder_layers=2, decoder_dim=24, decoder_layers=3),
    ),
    "magnitude": CodecConfig(
        autoencoder="magnitude",
        latent_dim=16,
        num_codebooks=3,
        codebook_size=32,
        magnitude=MagnitudeConfig(
            encoder_dim=24, encoder_layers=2, decoder_dim=24, decoder_layers=3, rounds=2
        ),
    ),
}


@pytest.fixture(params=sorted(CONFIGS))
def codec(request: pytest.FixtureRequest) -> Codec:
    torch.manual_seed(0)
    built = Codec(CONFIGS[request.param]).eval()
    built.quantizer.embedding_sum *= 0.3
    return built


def noise(num_samples: int, *, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(1, 1, num_samples, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("num_samples", [1, HOP - 1, HOP, HOP + 1, 7919])
def test_lengths(codec: Codec, num_samples: int) -> None:
    codes = codec.encode(noise(num_samples))
    assert codes.shape == (1, 3, -(-num_samples // HOP))
    assert codes.dtype == torch.int64
    assert codec.decode(codes).shape == (1, 1, codes.shape[2] * HOP)


def test_a_batch_equals_its_items_alone(codec: Codec) -> None:
    wavs = torch.cat([noise(9000, seed=seed) for seed in range(5)])
    together = codec.encode(wavs)
    for row in range(5):
        alone = codec.encode(wavs[row : row + 1])
        assert torch.equal(together[row : row + 1], alone)
        assert torch.equal(codec.decode(together)[row : row + 1], codec.decode(alone))


@pytest.mark.parametrize("chunk", [1000, 4321, 16_000])
def test_codes_and_audio_do_not_depend_on_the_chunks(codec: Codec, chunk: int) -> None:
    wav = noise((WINDOW_FRAMES + 70) * HOP + 13)[0, 0]
    whole = codec.encode(wav[None, None])[0]
    pieces = torch.cat(list(encode_chunks(codec, wav.split(chunk))), dim=1)
    assert torch.equal(pieces, whole)
    audio = codec.decode(whole[None])[0, 0]
    streamed = torch.cat(list(decode_chunks(codec, whole.split(37, dim=1))))
    assert torch.equal(streamed, audio)


def test_windows_and_states_equal_one_pass_over_the_whole(codec: Codec) -> None:
    wav = noise((WINDOW_FRAMES + 70) * HOP)
    with torch.no_grad():
        latents = codec.encoder(wav)
        codes = codec.quantizer.encode(latents)
        # Rounding may decide between two entries that are as near as each other.
        assert (codes == codec.encode(wav)).float().mean() > 0.999
        audio = codec.decoder(codec.quantizer.decode(codes))
    torch.testing.assert_close(codec.decode(codes), audio, rtol=0, atol=1e-5)


def test_seanet_is_causal_to_the_frame() -> None:
    torch.manual_seed(0)
    codec = Codec(CONFIGS["seanet"]).eval()
    wav = noise(20 * HOP)
    changed = wav.clone()
    changed[:, :, 10 * HOP :] = 0.5
    with torch.no_grad():
        before, after = codec.encoder(wav), codec.encoder(changed)
        torch.testing.assert_close(before[:, :, :10], after[:, :, :10], rtol=0, atol=1e-6)
        assert not torch.allclose(before[:, :, 10], after[:, :, 10])
        latents = torch.randn(1, 16, 20)
        other = latents.clone()
        other[:, :, 10:] = 0.0
        ours, theirs = codec.decoder(latents), codec.decoder(other)
    torch.testing.assert_close(ours[:, :, : 10 * HOP], theirs[:, :, : 10 * HOP], rtol=0, atol=1e-6)


def test_seanet_streams_frame_by_frame() -> None:
    torch.manual_seed(0)
    codec = Codec(CONFIGS["seanet"]).eval()
    assert isinstance(codec.encoder, SeanetEncoder)
    wav = noise(12 * HOP)
    state: dict[str, dict[str, torch.Tensor]] = {}
    with torch.no_grad():
        whole = codec.encoder(wav)
        frames = [codec.encoder(piece, state) for piece in wav.split(HOP, dim=2)]
    torch.testing.assert_close(torch.cat(frames, dim=2), whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["spectral", "magnitude"])
def test_nothing_is_seen_further_than_is_said(name: str) -> None:
    torch.manual_seed(0)
    codec = Codec(CONFIGS[name]).eval()
    # Layers that start at zero would see nothing.
    for parameter in codec.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    left, right, decoder_left, decoder_right = context_frames(codec.config)
    wav = noise(120 * HOP)
    changed = wav.clone()
    changed[:, :, 60 * HOP : 61 * HOP] += 0.3
    with torch.no_grad():
        moved = (codec.encoder(wav) - codec.encoder(changed)).abs().amax(dim=(0, 1)) > 1e-6
        latents = torch.randn(1, 16, 120)
        other = latents.clone()
        other[:, :, 60] += 1.0
        heard = (codec.decoder(latents) - codec.decoder(other)).abs()[0, 0].view(120, HOP)
    touched = moved.nonzero().flatten()
    assert 60 - right <= int(touched.min()) and int(touched.max()) <= 60 + left
    sounding = (heard.amax(dim=1) > 1e-6).nonzero().flatten()
    assert 60 - decoder_right <= int(sounding.min())
    assert int(sounding.max()) <= 60 + decoder_left


def test_a_steady_tone_hardly_turns_its_phase_from_frame_to_frame() -> None:
    hop, n_fft = 320, 1280
    time = torch.arange(40 * hop + n_fft) / 16_000
    tone = torch.sin(2 * torch.pi * 443.0 * time)
    spectrum = torch.fft.rfft(tone.unfold(0, n_fft, hop) * torch.hann_window(n_fft))[None]
    reference = PhaseReference(n_fft, hop)
    real, imag = reference.to_stream(spectrum.real, spectrum.imag)
    peak = int(spectrum.abs().mean(dim=(0, 1)).argmax())
    turned = torch.complex(real, imag)[0, 1:, peak] / torch.complex(real, imag)[0, :-1, peak]
    # Half a bin, 6.25 Hz, is an eighth of a turn in 20 ms.
    assert turned.angle().abs().max() < torch.pi / 4 + 0.01
    back = reference.to_frame(real, imag)
    torch.testing.assert_close(torch.complex(*back), spectrum)


@pytest.mark.parametrize(("n_fft", "period"), [(640, 2), (1280, 4), (1024, 16), (320, 1)])
def test_windows_are_whole_periods_of_the_phase_reference(n_fft: int, period: int) -> None:
    config = CodecConfig(
        autoencoder="spectral",
        spectral=SpectralConfig(analysis_n_fft=n_fft, synthesis_n_fft=n_fft),
    )
    assert phase_period(config) == period
    assert window_frames(config) % period == 0
    left, _, decoder_left, _ = context_frames(config)
    assert left % period == decoder_left % period == 0


def test_folding_weight_norm_changes_nothing() -> None:
    torch.manual_seed(0)
    codec = Codec(CONFIGS["seanet"], training_form=True).eval()
    wav = noise(5 * HOP)
    with torch.no_grad():
        before = codec.decoder(codec.encoder(wav))
        fold_weight_norm(codec)
        torch.testing.assert_close(codec.decoder(codec.encoder(wav)), before, rtol=0, atol=1e-5)
    assert set(codec.state_dict()) == set(Codec(CONFIGS["seanet"]).state_dict())


@pytest.mark.parametrize("shape", [(1, 2, 640), (1, 640), (640,), (1, 1, 0), (0, 1, 640)])
def test_a_wrong_shape_is_refused_by_name(codec: Codec, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"wav must be \[B, 1, T\]"):
        codec.encode(torch.zeros(shape))


@pytest.mark.parametrize("n_q", [0, 4, -1])
def test_an_impossible_n_q_is_refused(codec: Codec, n_q: int) -> None:
    with pytest.raises(ShapeError, match=r"n_q must be in 1..3"):
        codec.encode(noise(HOP), n_q)


def test_rates() -> None:
    config = CodecConfig(autoencoder="spectral")
    assert config.hop_length == 320
    assert config.frame_rate == 50.0
    assert config.bandwidth_kbps(8) == 4.0
    assert config.n_q_for_bandwidth(2.3) == 4
    assert config.n_q_for_bandwidth(64) == 8
    with pytest.raises(ValueError, match="below one codebook"):
        config.n_q_for_bandwidth(0.4)
