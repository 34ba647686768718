"""Sounds made from sounds by a tiny trained model: what is kept, what is new, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from soundgen.audio.waveform import Waveform
from soundgen.errors import InputError
from soundgen.pipelines.model import Model, load_model
from soundgen.pipelines.origin import Continuation, Variation, drawn_anew
from tests.fixtures_audio import make_sound

LENGTH = 12_345


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    return load_model(str(tiny_model), device="cpu")


@pytest.fixture(scope="module")
def take() -> Waveform:
    return Waveform(make_sound("tone", 3, 2.0)[None, :LENGTH], 16_000)


def codes_of(model: Model, samples: NDArray[np.float32]) -> torch.Tensor:
    n_q = model.language_model.config.n_q
    return model.codec.encode(torch.from_numpy(samples)[None, None], n_q)


def test_a_sound_goes_on_and_stays_as_it_was(model: Model, take: Waveform) -> None:
    first, second, again = model.generate(
        ["a tone"] * 3, duration_s=0.7, seed=[1, 2, 1], origin=Continuation(waveform=take)
    )
    for sound in (first, second):
        assert len(sound.samples) == LENGTH + 11_200
        np.testing.assert_array_equal(
            sound.samples[: LENGTH - 800], take.samples[0, : LENGTH - 800]
        )
        assert np.isfinite(sound.samples).all() and np.abs(sound.samples[LENGTH:]).max() > 1e-3
    assert not np.array_equal(first.samples, second.samples)
    np.testing.assert_array_equal(first.samples, again.samples)
    (alone,) = model.generate(
        "a tone", duration_s=0.7, seed=1, origin=Continuation(waveform=take, context_s=60.0)
    )
    # The whole sound is less than both contexts.
    np.testing.assert_array_equal(alone.samples, first.samples)
    (short,) = model.generate(
        "a tone", duration_s=0.7, seed=1, origin=Continuation(waveform=take, context_s=0.1)
    )
    assert len(short.samples) == len(first.samples)
    assert not np.array_equal(short.samples, first.samples)


def test_the_model_may_end_what_it_adds(model: Model, take: Waveform) -> None:
    (sound,) = model.generate("a tone", seed=5, origin=Continuation(waveform=take))
    assert LENGTH + 1600 - 160 <= len(sound.samples) <= LENGTH + 160_000 + 160
    np.testing.assert_array_equal(sound.samples[: LENGTH - 800], take.samples[0, : LENGTH - 800])


def test_a_variation_keeps_as_much_as_its_strength_says(model: Model, take: Waveform) -> None:
    made = {}
    for strength in (0.0, 0.3, 1.0):
        origin = Variation(waveform=take, strength=strength)
        (sound,) = model.generate("a tone", seed=3, origin=origin)
        assert len(sound.samples) == LENGTH
        made[strength] = sound.samples
    trip = model.codec.decode(codes_of(model, take.samples[0]))[0, 0, :LENGTH].numpy()
    np.testing.assert_allclose(made[0.0], trip, atol=1e-6)
    assert not np.array_equal(made[0.3], made[0.0])
    # All new is a new sound of that length.
    (new,) = model.generate("a tone", seed=3, duration_s=LENGTH / 16_000)
    np.testing.assert_array_equal(made[1.0], new.samples)
    (same,) = model.generate(
        "a click", seed=9, origin=Variation(waveform=new.waveform, strength=0.0)
    )
    assert len(same.samples) == len(new.samples)


def test_other_rates_and_channels_are_heard_as_mono(model: Model) -> None:
    stereo = Waveform(np.repeat(make_sound("noise", 1, 1.0)[None], 2, axis=0), 32_000)
    (sound,) = model.generate("noise", seed=3, origin=Variation(waveform=stereo))
    assert (sound.sample_rate, len(sound.samples)) == (16_000, 8000)


def test_what_is_drawn_anew_grows_with_the_strength() -> None:
    before = torch.zeros(4, 50, dtype=torch.bool)
    for strength in np.linspace(0, 1, 21):
        drawn = drawn_anew(4, 50, float(strength))
        assert float(drawn.float().mean()) == pytest.approx(strength, abs=0.01)
        assert bool((drawn | ~before).all()), "what a lower strength draws, a higher draws too"
        # Where a coarse code is new, the finer ones that refine it are.
        assert bool((drawn[1:] | ~drawn[:-1]).all())
        before = drawn


def test_what_cannot_be(model: Model, take: Waveform) -> None:
    with pytest.raises(InputError, match="as long as its origin"):
        model.generate("x", duration_s=1.0, origin=Variation(waveform=take))
    tiny = Waveform(np.ones((1, 100), dtype=np.float32), 16_000)
    with pytest.raises(InputError, match="too short to go on from"):
        model.generate("x", duration_s=1.0, origin=Continuation(waveform=tiny))
    with pytest.raises(ValueError, match=r"strength must be in \[0, 1\], got 1.5"):
        Variation(waveform=take, strength=1.5)
    with pytest.raises(ValueError, match="context_s must be above 0"):
        Continuation(waveform=take, context_s=0.0)
