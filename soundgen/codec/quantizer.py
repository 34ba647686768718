"""Residual vector quantization with codebooks learned by moving averages.

Reference: van den Oord et al. 2017 (EMA codebooks), Zeghidour et al. 2021 (residual stages,
k-means start, quantizer dropout). Where EnCodec's restart of dead codes is undone by the next
moving average, this one writes the averages themselves, as Moshi does.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soundgen.errors import ShapeError

NUM_PATHS = 4
"""Of the beam search that encodes, where a codec's config names no other."""


class QuantizedLatents(NamedTuple):
    """What training needs of one quantization."""

    latents: Tensor
    """float32 `[B, D, L]`; the gradient passes straight through to the input."""
    codes: Tensor
    """int64 `[B, K, L]`; also for codebooks that an item did not use."""
    commitment: Tensor
    """Scalar: mean squared distance of each used stage's input from its code."""


class ResidualVectorQuantizer(nn.Module):
    """K codebooks, each of which quantizes what the ones before it left over.

    Args:
        num_codebooks: K.
        codebook_size: V, entries of each.
        dim: D, of latents and entries.
        decay: Of the moving averages that are the codebooks.
        dead_usage: A code used less than this share of its fair part is dead and restarts.
            Moshi takes 0.1; 0.25 held more of the capacity on a few hours of data.
        num_paths: Of the beam search that encodes.
    """

    embedding_sum: Tensor
    usage: Tensor

    def __init__(
        self,
        num_codebooks: int,
        codebook_size: int,
        dim: int,
        *,
        decay: float = 0.99,
        dead_usage: float = 0.25,
        num_paths: int = NUM_PATHS,
    ) -> None:
        super().__init__()
        self.decay, self.dead_usage, self.num_paths = decay, dead_usage, num_paths
        # An entry is the mean of what it was chosen for: embedding_sum / usage.
        self.register_buffer("embedding_sum", torch.randn(num_codebooks, codebook_size, dim))
        self.register_buffer("usage", torch.ones(num_codebooks, codebook_size))
        self.num_restarted = 0
        """Codes restarted by the last training step."""

    @property
    def num_codebooks(self) -> int:
        """K."""
        return int(self.usage.shape[0])

    @property
    def codebook_size(self) -> int:
        """V."""
        return int(self.usage.shape[1])

    def codebook(self, k: int) -> Tensor:
        """Return the entries of codebook `k`, `[V, D]`."""
        return self.embedding_sum[k] / self.usage[k].clamp(min=1e-5)[:, None]

    def encode(
        self, latents: Tensor, n_q: int | None = None, *, num_paths: int | None = None
    ) -> Tensor:
        """Quantize `latents` `[B, D, L]` to codes int64 `[B, n_q, L]`, coarsest first.

        The nearest entry is not always the best one for the stages that follow, so the best
        `num_paths` choices are kept at each stage (beam search, as for the multi-stage vector
        quantizers of speech coding: LeBlanc et al. 1993). Eight codebooks so come as near as ten
        do stage by stage, and nothing changes for the decoder.
        """
        vectors = latents.transpose(1, 2).flatten(0, 1)  # [N, D], N = B * L
        residuals = vectors[:, None]  # [N, paths, D]
        chosen = torch.zeros(len(vectors), 1, 0, dtype=torch.int64, device=vectors.device)
        for k in range(self.num_codebooks if n_q is None else n_q):
            entries = self.codebook(k)
            distances = (residuals**2).sum(2, keepdim=True) + _relative_distances(
                residuals, entries
            )
            candidates = distances.flatten(1)
            kept = min(num_paths or self.num_paths, candidates.shape[1])
            best = candidates.topk(kept, dim=1, largest=False, sorted=True).indices
            path, code = best // self.codebook_size, best % self.codebook_size
            before = residuals.gather(1, path[:, :, None].expand(-1, -1, residuals.shape[2]))
            residuals = before - F.embedding(code, entries)
            history = chosen.gather(1, path[:, :, None].expand(-1, -1, chosen.shape[2]))
            chosen = torch.cat([history, code[:, :, None]], dim=2)
        return chosen[:, 0].reshape(len(latents), latents.shape[2], -1).transpose(1, 2)

    def decode(self, codes: Tensor) -> Tensor:
        """Sum the entries that `codes` int64 `[B, n_q, L]` name, to `[B, D, L]`.

        Raises:
            ShapeError: There are more codebooks in `codes` than here, or a code is out of range.
        """
        if codes.ndim != 3 or not 1 <= codes.shape[1] <= self.num_codebooks:
            raise ShapeError(
                f"codes must be [B, n_q, L] with n_q in 1..{self.num_codebooks}, "
                f"got {list(codes.shape)}"
            )
        if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < self.codebook_size:
            raise ShapeError(f"codes must be in 0..{self.codebook_size - 1}")
        latents = torch.zeros(
            codes.shape[0], codes.shape[2], self.embedding_sum.shape[2], device=codes.device
        )
        for k in range(codes.shape[1]):
            latents = latents + F.embedding(codes[:, k], self.codebook(k))
        return latents.transpose(1, 2)

    def forward(self, latents: Tensor, n_q: Tensor | None = None) -> QuantizedLatents:
        """Quantize for training; in training mode the codebooks move too.

        Args:
            latents: float32 `[B, D, L]`.
            n_q: int64 `[B]`, codebooks that each item uses (quantizer dropout); all if `None`.
        """
        vectors = latents.transpose(1, 2)  # [B, L, D]
        residual = vectors.detach()
        total = torch.zeros_like(residual)
        commitment = vectors.new_zeros(())
        codes = []
        self.num_restarted = 0
        for k in range(self.num_codebooks):
            used = (
                torch.ones(len(vectors), dtype=torch.bool, device=vectors.device)
                if n_q is None
                else n_q > k
            )
            entries = self.codebook(k)
            code = nearest(residual, entries)
            quantized = F.embedding(code, entries)
            if self.training:
                self._update(k, residual[used].flatten(0, 1), code[used].flatten())
            # The stage's input is (vectors - total); only its first term carries a gradient.
            distance = ((vectors - total - quantized) ** 2).mean(dim=(1, 2))
            commitment = commitment + (distance * used).sum() / used.sum().clamp(min=1)
            total = total + quantized * used[:, None, None]
            residual = residual - quantized
            codes.append(code)
        straight_through = vectors + (total - vectors).detach()
        return QuantizedLatents(
            straight_through.transpose(1, 2),
            torch.stack(codes, dim=1),
            commitment / self.num_codebooks,
        )

    @torch.no_grad()
    def initialise(self, latents: Tensor, *, num_iterations: int = 10) -> None:
        """Place every codebook by k-means on a pool of latents.

        Args:
            latents: float32 `[N, D]`, ten or more a code.
            num_iterations: Of Lloyd's algorithm.
        """
        residual = latents
        for k in range(self.num_codebooks):
            entries, counts = kmeans(residual, self.codebook_size, num_iterations=num_iterations)
            # A rare code begins well above `dead_usage`: it has some steps to prove itself, and the
            # first moving average does not throw away what k-means has just found.
            counts = counts.clamp(min=counts.mean() / 2)
            self.usage[k] = counts
            self.embedding_sum[k] = entries * counts[:, None]
            residual = residual - F.embedding(nearest(residual, entries), entries)

    @torch.no_grad()
    def _update(self, k: int, vectors: Tensor, codes: Tensor) -> None:
        # What is not finite would stay in the averages for good; the step is skipped anyway.
        if not len(vectors) or not bool(vectors.isfinite().all()):
            return
        counts = torch.bincount(codes, minlength=self.codebook_size).to(vectors.dtype)
        sums = torch.zeros_like(self.embedding_sum[k]).index_add_(0, codes, vectors)
        self.usage[k].mul_(self.decay).add_(counts, alpha=1 - self.decay)
        self.embedding_sum[k].mul_(self.decay).add_(sums, alpha=1 - self.decay)
        fair = self.usage[k].mean()
        dead = (self.usage[k] < self.dead_usage * fair).nonzero().flatten()
        if len(dead):
            chosen = vectors[torch.randint(len(vectors), (len(dead),), device=vectors.device)]
            self.usage[k, dead] = fair
            self.embedding_sum[k, dead] = chosen * fair
            self.num_restarted += len(dead)


def nearest(vectors: Tensor, entries: Tensor) -> Tensor:
    """Return the index int64 `[...]` of the entry `[V, D]` closest to each vector `[..., D]`."""
    return _relative_distances(vectors, entries).argmin(dim=-1)


def _relative_distances(vectors: Tensor, entries: Tensor) -> Tensor:
    """Return |v - e|^2 less |v|^2, which is the same for all entries, `[..., V]`."""
    return (entries**2).sum(1) - 2 * vectors @ entries.t()


def kmeans(vectors: Tensor, num_clusters: int, *, num_iterations: int) -> tuple[Tensor, Tensor]:
    """Cluster `vectors` `[N, D]` by Lloyd's algorithm from randomly drawn vectors.

    An empty cluster moves to a random vector. With fewer vectors than clusters, vectors repeat.

    Returns:
        Means `[num_clusters, D]` and how many vectors belong to each, `[num_clusters]`.
    """
    num_vectors = len(vectors)
    if num_vectors >= num_clusters:
        chosen = torch.randperm(num_vectors, device=vectors.device)[:num_clusters]
    else:
        chosen = torch.randint(num_vectors, (num_clusters,), device=vectors.device)
    means = vectors[chosen].clone()
    counts = torch.ones(num_clusters, device=vectors.device)
    for _ in range(num_iterations):
        labels = nearest(vectors, means)
        counts = torch.bincount(labels, minlength=num_clusters).to(vectors.dtype)
        sums = torch.zeros_like(means).index_add_(0, labels, vectors)
        empty = (counts == 0).nonzero().flatten()
        means = sums / counts.clamp(min=1)[:, None]
        if len(empty):
            means[empty] = vectors[torch.randint(num_vectors, (len(empty),))]
    return means, counts


def capacity_used(codes: Tensor, codebook_size: int) -> list[float]:
    """Return the entropy of each codebook's codes as a share of its bits.

    Args:
        codes: int64 `[K, N]`, the codes of a whole corpus.
        codebook_size: V.
    """
    shares = []
    for row in codes:
        p = torch.bincount(row, minlength=codebook_size).double()
        p = p / p.sum()
        entropy_bits = float(torch.special.entr(p).sum()) / torch.log(torch.tensor(2.0)).item()
        shares.append(entropy_bits / torch.log2(torch.tensor(float(codebook_size))).item())
    return shares
