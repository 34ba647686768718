"""Long sounds by a tiny model: made of pieces, each the draw most like the sound's first piece."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from soundgen.lm.sampling import SamplingSettings
from soundgen.pipelines import pieces
from soundgen.pipelines.model import Model, load_model
from soundgen.pipelines.pieces import NUM_DRAWS, PIECE_S, in_pieces, piece_stops

LONG_S = 6.5


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    return load_model(str(tiny_model), device="cpu")


def latents_by_piece(model: Model, seed: int) -> list[torch.Tensor]:
    """Return the mean latent of each piece of a sound, the first without its attack."""
    config = model.language_model.config
    plans = model._plans(["rain"], [seed], LONG_S, "", None)
    (codes,) = pieces.generate_in_pieces(
        model.engine, model.codec.quantizer, plans, SamplingSettings()
    )
    stops = piece_stops(codes.shape[1], config.frame_rate)
    latents = model.codec.quantizer.decode(codes[None])[0]
    begins = [round(0.5 * config.frame_rate), *stops]
    return [latents[:, begin:stop].mean(dim=1) for begin, stop in zip(begins, stops, strict=False)]


def test_a_long_sound_is_the_same_alone_and_in_a_batch(model: Model) -> None:
    seeds = [3, 9, 3]
    first, second, again = model.generate(["rain", "wind", "rain"], duration_s=LONG_S, seed=seeds)
    (alone,) = model.generate("rain", duration_s=LONG_S, seed=3)
    np.testing.assert_array_equal(first.samples, again.samples)
    np.testing.assert_array_equal(first.samples, alone.samples)
    assert len(second.samples) == round(LONG_S * model.sample_rate)
    assert not np.array_equal(first.samples, second.samples)


def test_more_draws_keep_a_sound_nearer_to_its_beginning(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def distance() -> float:
        far = []
        for seed in range(6):
            first, *later = latents_by_piece(model, seed)
            far += [float((piece - first).norm()) for piece in later]
        return float(np.mean(far))

    with_all = distance()
    monkeypatch.setattr(pieces, "NUM_DRAWS", 1)
    assert with_all < 0.95 * distance()


def test_a_sound_of_two_pieces_is_drawn_in_one_go(model: Model) -> None:
    length_s = 2 * PIECE_S
    assert not in_pieces(length_s)
    assert not in_pieces(None)
    assert in_pieces(length_s + 0.01)
    (sound,) = model.generate("rain", duration_s=length_s, seed=5)
    plans = model._plans(["rain"], [5], length_s, "", None)
    (codes,) = model.engine.generate(plans, SamplingSettings(), max_frames=1)
    decoded = model.codec.decode(codes[None])[0, 0, : len(sound.samples)].numpy()
    peak = max(1.0, float(np.abs(decoded).max()))
    np.testing.assert_allclose(sound.samples, decoded / peak, atol=0.02)


@pytest.mark.parametrize(
    ("num_frames", "stops"),
    [
        (251, [125, 251]),
        (300, [125, 300]),
        (313, [125, 250, 313]),
        (375, [125, 250, 375]),
        (2250, [*range(125, 2250, 125), 2250]),
    ],
)
def test_no_piece_is_shorter_than_half_a_piece(num_frames: int, stops: list[int]) -> None:
    assert piece_stops(num_frames, 50.0) == stops


def test_as_many_rows_are_estimated_as_are_drawn(model: Model) -> None:
    from soundgen.pipelines.sound_request import GenerateSettings
    from soundgen.pipelines.work_estimate import WorkEstimate
    from soundgen.progress import SilentProgress

    estimate = WorkEstimate(model, [], SilentProgress())
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    model.generate("rain", duration_s=LONG_S, seed=1, on_step=count)
    assert steps == estimate.num_steps(GenerateSettings(duration_s=LONG_S))
    short, long = (
        estimate._batch_bytes(GenerateSettings(duration_s=seconds), 16) for seconds in (5.0, 5.1)
    )
    # Caches of so many rows more; the samples, which are most of a tiny model's work, stay.
    assert short * 1.1 < long < short * NUM_DRAWS
