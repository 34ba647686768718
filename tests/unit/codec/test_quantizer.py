"""Laws of residual vector quantization, row 6 of the first issue among them."""

from __future__ import annotations

import pytest
import torch

from soundgen.codec.quantizer import (
    NUM_PATHS,
    ResidualVectorQuantizer,
    capacity_used,
    kmeans,
    nearest,
)
from soundgen.errors import ShapeError


def clustered(num: int, *, seed: int = 0, dim: int = 16) -> torch.Tensor:
    centres = 3 * torch.randn(64, dim, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randint(64, (num,), generator=generator)
    return centres[chosen] + 0.3 * torch.randn(num, dim, generator=generator)


def error_of(quantizer: ResidualVectorQuantizer, vectors: torch.Tensor) -> float:
    latents = vectors.t()[None]
    return float((quantizer.decode(quantizer.encode(latents)) - latents).square().mean())


@pytest.fixture
def trained() -> ResidualVectorQuantizer:
    torch.manual_seed(0)
    quantizer = ResidualVectorQuantizer(4, 128, 16)
    quantizer.initialise(clustered(4096))
    return quantizer


def test_kmeans_start_is_kept_by_the_first_moving_average(trained: ResidualVectorQuantizer) -> None:
    vectors = clustered(4096, seed=0)
    before = error_of(trained, vectors)
    trained.train()
    trained(vectors.t()[None])
    trained.update_codebooks()
    assert error_of(trained, vectors) <= before * 1.001


def test_each_codebook_lowers_the_error(trained: ResidualVectorQuantizer) -> None:
    latents = clustered(1000, seed=1).t()[None]
    codes = trained.encode(latents)
    errors = [
        float((trained.decode(codes[:, :n_q]) - latents).square().mean()) for n_q in range(1, 5)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0] / 2


def test_one_codebook_means_its_nearest_entry(trained: ResidualVectorQuantizer) -> None:
    latents = clustered(50).t()[None]
    expected = nearest(latents.transpose(1, 2), trained.codebook(0))
    assert torch.equal(trained.encode(latents, 1)[:, 0], expected)


def test_the_beam_search_finds_what_all_combinations_hold() -> None:
    torch.manual_seed(3)
    quantizer = ResidualVectorQuantizer(2, NUM_PATHS, 6).eval()
    latents = torch.randn(1, 6, 200)
    # As many paths as entries: the search leaves no combination of two stages out.
    pairs = torch.cartesian_prod(torch.arange(NUM_PATHS), torch.arange(NUM_PATHS))
    sums = quantizer.codebook(0)[pairs[:, 0]] + quantizer.codebook(1)[pairs[:, 1]]
    best = pairs[nearest(latents.transpose(1, 2), sums)[0]]
    assert torch.equal(quantizer.encode(latents)[0].t(), best)


def test_the_beam_search_is_nearer_than_the_nearest_stage_by_stage(
    trained: ResidualVectorQuantizer,
) -> None:
    vectors = clustered(500)
    latents = vectors.t()[None]
    greedy = trained.decode(trained.encode(latents, num_paths=1))
    found = trained.decode(trained.encode(latents))
    assert (found - latents).square().mean() < 0.97 * (greedy - latents).square().mean()


def test_a_dead_code_revives(trained: ResidualVectorQuantizer) -> None:
    trained.train()
    # Far from everything, so that it is never nearest, and without usage.
    trained.embedding_sum[0, 7] = 1e4
    trained.usage[0, 7] = 1e-3
    vectors = clustered(2048, seed=2)
    assert 7 not in trained.encode(vectors.t()[None])[0, 0]
    for _ in range(3):
        trained(vectors.t()[None])
        trained.update_codebooks()
    assert 7 in trained.encode(vectors.t()[None])[0, 0]


def test_no_code_is_lost_while_the_data_drift() -> None:
    torch.manual_seed(0)
    quantizer = ResidualVectorQuantizer(1, 64, 16)
    quantizer.initialise(clustered(2048, seed=0))
    quantizer.train()
    for step in range(300):
        quantizer((clustered(2048, seed=0) + 0.05 * step).t()[None])
        quantizer.update_codebooks()
    (share,) = capacity_used(
        quantizer.encode((clustered(4096, seed=0) + 15.0).t()[None])[0], quantizer.codebook_size
    )
    assert share > 0.7


def test_the_gradient_passes_straight_through(trained: ResidualVectorQuantizer) -> None:
    latents = clustered(10).t()[None].requires_grad_()
    output = trained.eval()(latents)
    weight = torch.randn_like(output.latents)
    (output.latents * weight).sum().backward()
    assert latents.grad is not None
    torch.testing.assert_close(latents.grad, weight)


def test_commitment_pulls_latents_to_their_codes(trained: ResidualVectorQuantizer) -> None:
    latents = clustered(10).t()[None].requires_grad_()
    trained.eval()(latents).commitment.backward()
    assert latents.grad is not None
    moved = latents.detach() - 10 * latents.grad
    codes = trained.encode(latents.detach())
    target = trained.decode(codes)
    assert (moved - target).square().mean() < (latents.detach() - target).square().mean()


def test_items_use_only_their_own_number_of_codebooks(trained: ResidualVectorQuantizer) -> None:
    latents = clustered(60).view(3, 20, 16).transpose(1, 2)
    output = trained.eval()(latents, torch.tensor([1, 2, 4]))
    for row, n_q in enumerate((1, 2, 4)):
        # Training takes the nearest entry stage by stage.
        codes = trained.encode(latents[row : row + 1], n_q, num_paths=1)
        torch.testing.assert_close(output.latents[row : row + 1], trained.decode(codes))


def test_evaluation_leaves_the_codebooks_alone(trained: ResidualVectorQuantizer) -> None:
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    trained.eval()(clustered(100).t()[None])
    for name, value in trained.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("shape", [(1, 0, 5), (1, 5, 5), (4, 5)])
def test_codes_of_a_wrong_shape_are_refused(
    trained: ResidualVectorQuantizer, shape: tuple[int, ...]
) -> None:
    with pytest.raises(ShapeError, match=r"\[B, n_q, L\]"):
        trained.decode(torch.zeros(shape, dtype=torch.int64))


@pytest.mark.parametrize("code", [-1, 128])
def test_a_code_outside_the_codebook_is_refused(
    trained: ResidualVectorQuantizer, code: int
) -> None:
    with pytest.raises(ShapeError, match=r"0\.\.127"):
        trained.decode(torch.full((1, 1, 3), code))


def test_kmeans_finds_the_clusters() -> None:
    torch.manual_seed(3)
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    vectors = centres.repeat_interleave(50, dim=0) + 0.1 * torch.randn(150, 2)
    # More means than clusters, since Lloyd's algorithm may leave one of three in between.
    means, counts = kmeans(vectors, 9, num_iterations=20)
    assert float(counts.sum()) == 150
    assert (means[nearest(centres, means)] - centres).norm(dim=1).max() < 0.3


def test_kmeans_with_fewer_vectors_than_clusters_still_gives_entries() -> None:
    torch.manual_seed(0)
    means, _ = kmeans(torch.randn(5, 4), 16, num_iterations=3)
    assert means.shape == (16, 4)
    assert torch.isfinite(means).all()


def test_capacity_is_entropy_over_bits() -> None:
    even = torch.arange(64).repeat(10)
    half = torch.arange(8).repeat(80)
    one = torch.zeros(640, dtype=torch.int64)
    assert capacity_used(torch.stack([even, half, one]), 64) == pytest.approx([1.0, 0.5, 0.0])


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
def test_a_batch_that_is_not_finite_does_not_reach_the_codebooks(
    trained: ResidualVectorQuantizer, bad: float
) -> None:
    vectors = clustered(100)
    vectors[3, 3] = bad
    trained.train()(vectors.t()[None])
    trained.update_codebooks()
    assert torch.isfinite(trained.embedding_sum).all()
    assert torch.isfinite(trained.usage).all()
