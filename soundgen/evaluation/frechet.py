"""Fréchet distance between two sets of embeddings, made fit for dozens of sounds.

The distance of Heusel et al. 2017 (https://arxiv.org/abs/1706.08500) and Kilgour et al. 2019
(for audio, https://arxiv.org/abs/1812.08466) fits a Gaussian to each set. With few samples it has
two faults: a covariance of more dimensions than samples is singular, and every estimate is too
large by an amount that falls with the number of samples (Chong and Forsyth 2020,
https://arxiv.org/abs/1911.07023). Against the first, embeddings are projected on the few leading
principal axes of a large reference set; against the second, whatever is to be compared is drawn in
equal numbers, so that the excess is the same on both sides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

NUM_AXES = 16
"""Dimensions that are kept: a quarter of the 64 sounds that a distance is usually taken over."""


@dataclass(frozen=True, slots=True)
class PrincipalAxes:
    """The directions in which a reference set varies most.

    Attributes:
        centre: Its mean, float64 `[D]`.
        axes: Orthonormal, float64 `[D, num_axes]`, the widest first.
    """

    centre: NDArray[np.float64]
    axes: NDArray[np.float64]

    @classmethod
    def fit(cls, reference: NDArray[np.float32], num_axes: int = NUM_AXES) -> Self:
        """Find the axes of `reference` `[N, D]`; at most as many as it spans."""
        points = reference.astype(np.float64)
        centre = points.mean(axis=0)
        _, _, rows = np.linalg.svd(points - centre, full_matrices=False)
        return cls(centre, rows[:num_axes].T)

    def project(self, points: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return `[N, D]` as float64 `[N, num_axes]`."""
        return (points.astype(np.float64) - self.centre) @ self.axes


def frechet_distance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return the squared Fréchet distance between Gaussians fitted to two sets of points.

    |m1 - m2|^2 + tr(C1) + tr(C2) - 2 tr((C1^1/2 C2 C1^1/2)^1/2): the form under the root is
    symmetric, so that it needs no root of a general matrix, and none that comes out complex.

    Args:
        first: `[N1, D]`, at least two points.
        second: `[N2, D]`, at least two points.
    """
    shift = first.mean(axis=0) - second.mean(axis=0)
    cov_first, cov_second = _covariance(first), _covariance(second)
    root = _root(cov_first)
    # Rounding may leave eigenvalues of a semi-definite matrix a little below 0.
    mixed = np.sqrt(np.linalg.eigvalsh(root @ cov_second @ root).clip(min=0)).sum()
    distance = shift @ shift + np.trace(cov_first) + np.trace(cov_second) - 2 * mixed
    return max(0.0, float(distance))


def _covariance(points: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = points - points.mean(axis=0)
    covariance: NDArray[np.float64] = centred.T @ centred / (len(points) - 1)
    return covariance


def _root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the symmetric square root of a positive semi-definite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    root: NDArray[np.float64] = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    return root
