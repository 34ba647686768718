"""The matcher's laws, on untrained weights: what must hold whatever it has learned."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from soundgen.errors import InputError
from soundgen.evaluation.matcher import Matcher
from soundgen.evaluation.matcher_config import MatcherConfig
from soundgen.evaluation.matcher_training import (
    CaptionedClip,
    PairSampler,
    contrastive_loss,
    near_equals,
)
from soundgen.evaluation.retrieval import score_matches
from tests.fixtures_audio import make_sound

TINY = MatcherConfig(num_mels=32, segment_frames=32, channels=(8, 8, 16, 16), text_dim=24, dim=12)
SEGMENT = TINY.segment_frames * TINY.hop_length


@pytest.fixture(scope="module")
def matcher() -> Matcher:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Matcher(TINY).eval()


def sound(seconds: float, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(make_sound("sweep", seed, seconds) + make_sound("noise", seed, seconds))


@pytest.mark.parametrize("num_samples", [1, 399, 1600, SEGMENT, SEGMENT + 1, 40 * SEGMENT + 7])
def test_any_length_gives_a_unit_vector(matcher: Matcher, num_samples: int) -> None:
    vectors = matcher.embed_audio(torch.full((2, num_samples), 0.1) + sound(60)[:num_samples])
    assert vectors.shape == (2, TINY.dim)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))


def test_level_does_not_matter(matcher: Matcher) -> None:
    wav = sound(3.0)
    for gain in (0.01, 0.3, 20.0):
        torch.testing.assert_close(
            matcher.embed_audio([wav * gain]), matcher.embed_audio([wav]), atol=1e-4, rtol=0
        )


def test_silence_behind_a_sound_has_no_say(matcher: Matcher) -> None:
    wav = sound(SEGMENT * 2 / 16_000)
    padded = F.pad(wav, (0, 20 * SEGMENT))
    alone, behind = matcher.embed_audio([F.pad(wav, (0, SEGMENT)), padded])
    assert float(alone @ behind) > 0.98


def test_blocks_may_be_cut_anyhow_and_a_row_stands_for_itself(matcher: Matcher) -> None:
    wav = sound(20.0).numpy()
    whole = matcher.embed_stream([wav])
    cuts = np.sort(np.random.default_rng(0).integers(0, wav.size, 40))
    assert torch.equal(matcher.embed_stream(iter(np.split(wav, cuts))), whole)
    other = sound(1.0, seed=1)
    rows = matcher.embed_audio([other, torch.from_numpy(wav)])
    assert torch.equal(rows[1], whole)
    assert torch.equal(rows[0], matcher.embed_audio(other[None])[0])
    assert matcher.embed_audio([]).shape == (0, TINY.dim)


@pytest.mark.parametrize(
    ("wav", "message"),
    [
        (torch.zeros(0), "is empty"),
        (torch.zeros(5 * SEGMENT), "is silent"),
        (torch.full((100,), 5e-5), "is silent"),
        (torch.tensor([0.1, float("nan")]), "holds NaN or infinite samples"),
        (torch.tensor([0.1, float("inf")]), "holds NaN or infinite samples"),
    ],
)
def test_what_cannot_be_heard_is_an_input_error(
    matcher: Matcher, wav: torch.Tensor, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        matcher.embed_audio([sound(0.1), wav])


def test_texts_start_out_as_far_apart_as_the_encoder_has_them() -> None:
    wide = Matcher(MatcherConfig(text_dim=24, dim=24))
    texts = F.normalize(torch.randn(200, 24, generator=torch.Generator().manual_seed(0)), dim=1)
    wide.start_from_texts(texts)
    # A rotation about their mean: cosines of what is left of the mean stay as they were.
    centred = F.normalize(texts - texts.mean(dim=0), dim=1)
    with torch.no_grad():
        embedded = wide.embed_text(texts)
    torch.testing.assert_close(
        Matcher.similarity(embedded, embedded), centred @ centred.T, atol=1e-4, rtol=0
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"dim": 0}, "dim must be at least 1, got 0"),
        ({"hop_length": 2000}, r"hop_length \(2000\) must be at most window \(1024\)"),
        ({"segment_frames": 15}, "segment_frames must be at least 16"),
        ({"channels": ()}, "channels must be counts of 1 or more"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\)"),
        ({"range_db": 0.0}, "range_db must be above 0"),
    ],
)
def test_impossible_sizes_are_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MatcherConfig(**wrong)  # type: ignore[arg-type]


def test_near_equals_share_and_strangers_do_not() -> None:
    a, b = torch.eye(4)[0], torch.eye(4)[1]
    texts, category = torch.stack([a, a, b, -a]), torch.tensor([0, 0, 1, 2])
    targets = near_equals(texts, category, sharpness=50.0, category_bonus=0.1)
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(4))
    torch.testing.assert_close(targets[0], torch.tensor([0.5, 0.5, 0.0, 0.0]), atol=1e-3, rtol=0)
    torch.testing.assert_close(targets[2], torch.tensor([0.0, 0.0, 1.0, 0.0]), atol=1e-3, rtol=0)


def test_the_loss_is_the_entropy_of_the_targets_at_best_and_cross_entropy_else() -> None:
    vectors, sharp = torch.eye(8), torch.tensor(1e3)
    assert float(contrastive_loss(vectors, vectors, sharp, torch.eye(8))) < 1e-6
    same = torch.ones(8, 4) / 2
    loss = contrastive_loss(same, same, sharp, torch.eye(8))
    assert float(loss) == pytest.approx(math.log(8), abs=1e-5)


def test_batches_are_functions_of_the_step(matcher: Matcher) -> None:
    rng = np.random.default_rng(0)
    clips = [
        CaptionedClip(rng.random((32, length)).astype(np.float16), (0, 1), 2 + i % 2, str(i))
        for i, length in enumerate((1, 5, 32, 300))
    ]
    vectors = F.normalize(torch.randn(4, 24), dim=1)

    def sampler(share: float) -> PairSampler:
        return PairSampler(
            clips,
            vectors,
            matcher,
            batch_size=6,
            category_caption=share,
            category_power=0.5,
            seed=3,
        )

    first, again = sampler(0.5).batch(7), sampler(0.5).batch(7)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(first, again, strict=True))
    assert not torch.equal(first.spectrum, sampler(0.5).batch(8).spectrum)
    assert first.spectrum.shape == (6, 32, 32)
    assert -1 <= float(first.spectrum.min()) and float(first.spectrum.max()) <= 0
    bare = sampler(1.0).batch(0)
    assert torch.equal(bare.text, vectors[bare.category])
    with pytest.raises(InputError, match="no clips"):
        PairSampler(
            [], vectors, matcher, batch_size=6, category_caption=0.0, category_power=0.5, seed=3
        )


def test_scores_worked_by_hand() -> None:
    axes = torch.eye(4)
    # Clips 0 and 1 share a caption; clip 2 lies on the caption of clip 3, and the other way round.
    audio, text = axes[[0, 1, 3, 2]], axes[[0, 0, 2, 3]]
    scores = score_matches(audio, text, ["a", "a", "b", "c"], axes[[0, 3]], [0, 0, 1, 1])
    assert scores.num_clips == 4 and scores.num_classes == 2
    assert scores.recall_at_1 == 0.5  # both "a" find clip 0
    assert scores.recall_at_10 == 1.0
    assert scores.reciprocal_rank == pytest.approx((1 + 1 + 1 / 2 + 1 / 2) / 4)
    # Clips 1 and 3 are on neither class's axis, so the first class it is for both.
    assert scores.class_accuracy == 0.75
    assert scores.class_recall == 0.75
    assert scores.similarity == 0.25
    assert scores.similarity_shuffled == pytest.approx(3 / 12)
    assert scores.quality == pytest.approx((0.75 + 0.75) / 2)
