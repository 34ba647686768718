"""The five losses, the discriminator and the balancer."""

from __future__ import annotations

import pytest
import torch

from soundgen.codec.balancer import Balancer, send_back
from soundgen.codec.discriminator import MultiScaleSTFTDiscriminator, Verdict
from soundgen.codec.losses import (
    MelSpectra,
    discriminator_loss,
    feature_loss,
    feature_sizes,
    generator_loss,
    magnitude_loss,
    mel_loss,
    mel_spectra,
    time_loss,
)

WINDOWS = (64, 512)


def wave(seed: int = 0) -> torch.Tensor:
    return 0.2 * torch.randn(2, 1, 4000, generator=torch.Generator().manual_seed(seed))


def mel(ours: torch.Tensor, theirs: torch.Tensor, l2_weight: float = 0.0) -> float:
    return float(mel_loss(spectra(ours), spectra(theirs), windows=WINDOWS, l2_weight=l2_weight))


def spectra(wav: torch.Tensor) -> MelSpectra:
    return mel_spectra(wav, WINDOWS, sample_rate=16_000)


def test_reconstruction_losses_are_zero_on_equals_and_grow_with_distance() -> None:
    wav = wave()
    assert float(time_loss(wav, wav)) == 0.0
    assert mel(wav, wav) == 0.0
    assert float(time_loss(wav * 0.9, wav)) < float(time_loss(wav * 0.5, wav))
    assert mel(wav * 0.9, wav) < mel(wav * 0.5, wav)


def test_mel_loss_of_a_gain_is_its_logarithm() -> None:
    # log(2) for every bin that is well above the floor
    assert mel(wave() * 2, wave()) == pytest.approx(0.693, abs=0.01)
    assert mel(wave() * 2, wave(), l2_weight=1.0) == pytest.approx(2 * 0.693, abs=0.02)


def test_time_loss_counts_a_quiet_clip_as_much_as_a_loud_one() -> None:
    wav = wave()
    loud = float(time_loss(wav * 0.5, wav))
    assert float(time_loss(wav * 0.05, wav * 0.1)) == pytest.approx(loud, rel=0.1)


def test_magnitude_loss_counts_what_is_loud_and_not_how_loud_the_clip_is() -> None:
    def measured(ours: torch.Tensor, theirs: torch.Tensor) -> float:
        return float(magnitude_loss(spectra(ours), spectra(theirs), windows=WINDOWS))

    time = torch.arange(4000) / 16_000
    tone = 0.5 * torch.sin(2 * torch.pi * 440 * time).expand(2, 1, -1)
    hiss = 0.01 * wave()
    both = tone + hiss
    assert measured(both, both) == 0.0
    assert measured(both * 0.5, both) == pytest.approx(0.5, abs=0.01)
    # Most bands hold hiss only, but losing it weighs little beside losing the tone.
    assert measured(tone, both) < 0.1 < 0.8 < measured(hiss, both)
    assert mel(tone, both) > mel(hiss, both)


def verdict(value: float) -> list[Verdict]:
    return [Verdict(torch.full((1, 1, 2, 2), value), [torch.full((1, 3), value)])]


def test_hinge_losses() -> None:
    assert float(generator_loss(verdict(2.0))) == 0.0
    assert float(generator_loss(verdict(-1.0))) == 2.0
    assert float(discriminator_loss(verdict(-1.0), verdict(1.0))) == 0.0
    assert float(discriminator_loss(verdict(0.0), verdict(0.0))) == 2.0


def test_feature_loss_is_relative_to_the_real_features() -> None:
    assert float(
        feature_loss(verdict(2.0), verdict(4.0), feature_sizes(verdict(4.0)))
    ) == pytest.approx(0.5)


def test_the_discriminator_learns_noise_from_tones() -> None:
    torch.manual_seed(0)
    discriminator = MultiScaleSTFTDiscriminator((128, 256), 4)
    optimiser = torch.optim.Adam(discriminator.parameters(), 3e-3)
    real = torch.sin(torch.arange(4000) * 0.3).expand(2, 1, -1) * 0.3
    losses = []
    for step in range(30):
        loss = discriminator_loss(discriminator(wave(step)), discriminator(real))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2


def backward(
    balancer: Balancer,
    losses: dict[str, torch.Tensor],
    wav: torch.Tensor,
    *,
    unbalanced: torch.Tensor,
) -> None:
    (gradient,) = balancer.combine([balancer.gradients(losses, wav)])
    send_back(gradient, wav, unbalanced)


def test_balanced_gradients_have_the_shares_of_their_weights() -> None:
    balancer = Balancer({"big": 3.0, "small": 1.0, "off": 0.0})
    wav = torch.zeros(2, 1, 8, requires_grad=True)
    leaf = wav * 1.0
    direction = torch.zeros(2, 1, 8)
    direction[:, :, 0] = 1.0
    other = torch.zeros(2, 1, 8)
    other[:, :, 1] = 1.0
    losses = {
        "big": (leaf * direction).sum() * 1000,
        "small": (leaf * other).sum() * 1e-3,
        "off": leaf.sum() * 5,
    }
    backward(balancer, losses, leaf, unbalanced=torch.zeros(()))
    assert wav.grad is not None
    assert wav.grad[0, 0, 0] == pytest.approx(0.75)
    assert wav.grad[0, 0, 1] == pytest.approx(0.25)
    assert wav.grad[0, 0, 2] == 0.0


def test_the_unbalanced_loss_adds_its_own_gradient() -> None:
    balancer = Balancer({"a": 1.0})
    wav = torch.zeros(1, 1, 4, requires_grad=True)
    leaf = wav * 1.0
    backward(balancer, {"a": leaf.sum()}, leaf, unbalanced=(wav * 7).sum())
    assert wav.grad is not None
    assert wav.grad[0, 0, 0] == pytest.approx(7 + 0.5)


def test_a_restored_balancer_goes_on_alike() -> None:
    def gradient(balancer: Balancer, scale: float) -> torch.Tensor:
        wav = torch.zeros(1, 1, 4, requires_grad=True)
        leaf = wav * 1.0
        backward(balancer, {"a": leaf.sum() * scale}, leaf, unbalanced=torch.zeros(()))
        assert wav.grad is not None
        return wav.grad

    first = Balancer({"a": 1.0})
    gradient(first, 1.0)
    second = Balancer({"a": 1.0})
    second.load_state_dict(first.state_dict())
    assert torch.equal(gradient(first, 5.0), gradient(second, 5.0))


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
def test_a_step_that_is_not_finite_leaves_no_trace_in_the_averages(bad: float) -> None:
    balancer = Balancer({"a": 1.0, "b": 1.0})

    def gradient(scale: float) -> torch.Tensor:
        wav = torch.zeros(1, 1, 4, requires_grad=True)
        leaf = wav * 1.0
        losses = {"a": leaf.sum() * scale, "b": leaf.sum()}
        backward(balancer, losses, leaf, unbalanced=torch.zeros(()))
        assert wav.grad is not None
        return wav.grad

    before = gradient(1.0)
    assert not torch.isfinite(gradient(bad)).all()
    torch.testing.assert_close(gradient(1.0), before)
