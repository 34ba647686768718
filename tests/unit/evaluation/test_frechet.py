"""The Fréchet distance against its closed forms, and what keeps it sound with few samples."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from soundgen.evaluation.frechet import PrincipalAxes, frechet_distance


def points_with(
    mean: NDArray[np.float64], covariance: NDArray[np.float64], seed: int, count: int = 40
) -> NDArray[np.float64]:
    """Return points whose sample mean and covariance are exactly these."""
    raw = np.random.default_rng(seed).standard_normal((count, len(mean)))
    raw -= raw.mean(axis=0)
    whitened = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw.T))).T
    return whitened @ np.linalg.cholesky(covariance).T + mean


def test_between_gaussians_of_known_moments() -> None:
    # Diagonal covariances: |m1 - m2|^2 + sum (s1 - s2)^2.
    first = points_with(np.array([1.0, 0.0, -2.0]), np.diag([4.0, 1.0, 0.25]), seed=0)
    second = points_with(np.array([0.0, 2.0, -2.0]), np.diag([1.0, 9.0, 0.25]), seed=1)
    assert frechet_distance(first, second) == pytest.approx(1 + 4 + (2 - 1) ** 2 + (1 - 3) ** 2)
    assert frechet_distance(second, first) == pytest.approx(frechet_distance(first, second))


def test_turning_both_sets_changes_nothing() -> None:
    mixed = np.array([[2.0, 0.6], [0.6, 1.0]])
    first = points_with(np.zeros(2), mixed, seed=0)
    second = points_with(np.ones(2), np.diag([0.5, 3.0]), seed=1)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    turned = frechet_distance(first @ turn.T, second @ turn.T)
    assert turned == pytest.approx(frechet_distance(first, second))


def test_a_set_is_at_no_distance_from_itself_even_if_it_spans_little() -> None:
    few = np.random.default_rng(0).standard_normal((3, 10))
    assert frechet_distance(few, few) == pytest.approx(0.0, abs=1e-6)
    assert frechet_distance(few, few + 0.5) == pytest.approx(10 * 0.25, abs=1e-6)


def test_axes_are_those_of_the_widest_spread() -> None:
    rng = np.random.default_rng(0)
    turn, _ = np.linalg.qr(rng.standard_normal((5, 5)))
    spread = rng.standard_normal((500, 5)) * np.array([5.0, 3.0, 0.1, 0.1, 0.1])
    reference = (spread @ turn.T + 7.0).astype(np.float32)
    axes = PrincipalAxes.fit(reference, num_axes=2)
    assert axes.axes.T @ axes.axes == pytest.approx(np.eye(2), abs=1e-9)
    assert abs(axes.axes[:, 0] @ turn[:, 0]) > 0.99
    assert axes.project(reference).mean(axis=0) == pytest.approx(np.zeros(2), abs=1e-4)
    # No more axes than the reference spans.
    assert PrincipalAxes.fit(reference[:3]).axes.shape == (5, 3)
