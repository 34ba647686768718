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
from soundgen.nn.products import product
from soundgen.training.distributed import gather_rows, sum_over_processes
from soundgen.training.launch import num_processes, process_rank

NUM_PATHS = 4
"""Of the beam search that encodes, where a codec's config names no other."""
_GROUP = 16
"""Places that are compared as one in the search of the largest."""
_HEAP_SHARE = 64
"""From so many values for each that is sought on, `topk` keeps a heap, and is fast."""


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
        """Codes restarted by the last `update_codebooks`."""
        self._seen: list[list[tuple[Tensor, Tensor]]] = []
        """Of each pass since then, each stage's vectors `[N, D]` and codes `[N]`."""

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
        num_paths = num_paths or self.num_paths
        vectors = latents.transpose(1, 2).flatten(0, 1)  # [N, D], N = B * L
        residuals = vectors[:, None]  # [N, paths, D]
        chosen = torch.zeros(len(vectors), 1, 0, dtype=torch.int64, device=vectors.device)
        for k in range(self.num_codebooks if n_q is None else n_q):
            entries = self.codebook(k)
            energy = (residuals**2).sum(2, keepdim=True)
            path, code = _nearest_of_all(_nearness(residuals, entries), energy, num_paths)
            residuals = _rows_of(residuals, path) - F.embedding(code, entries)
            chosen = torch.cat([_rows_of(chosen, path), code[:, :, None]], dim=2)
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

    def forward(
        self, latents: Tensor, n_q: Tensor | None = None, num_items: Tensor | None = None
    ) -> QuantizedLatents:
        """Quantize for training; in training mode, note what `update_codebooks` needs.

        Args:
            latents: float32 `[B, D, L]`.
            n_q: int64 `[B]`, codebooks that each item uses (quantizer dropout); all if `None`.
            num_items: float32 `[K]`, how many items use each stage on average over the parts of
                the whole batch; if `None`, these items are all.
        """
        vectors = latents.transpose(1, 2)  # [B, L, D]
        residual = vectors.detach()
        total = torch.zeros_like(residual)
        commitment = vectors.new_zeros(())
        codes = []
        seen = []
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
                seen.append((residual[used].flatten(0, 1), code[used].flatten()))
            # The stage's input is (vectors - total); only its first term carries a gradient.
            distance = ((vectors - total - quantized) ** 2).mean(dim=(1, 2))
            items = used.sum().clamp(min=1) if num_items is None else num_items[k]
            commitment = commitment + (distance * used).sum() / items
            total = total + quantized * used[:, None, None]
            residual = residual - quantized
            codes.append(code)
        if seen:
            self._seen.append(seen)
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
    def update_codebooks(self) -> None:
        """Move the codebooks by all that was quantized in training mode since the last call.

        Over all processes that train together, and all passes of each: so once a step, however
        its batch was cut. Codes that have died restart at vectors of any of them.
        """
        passes, self._seen, self.num_restarted = self._seen, [], 0
        if not passes:
            return
        sums, counts = torch.zeros_like(self.embedding_sum), torch.zeros_like(self.usage)
        # What is not finite would stay in the averages for good; the step is skipped anyway.
        spoilt = torch.zeros(self.num_codebooks, device=sums.device)
        for k in range(self.num_codebooks):
            for vectors, codes in (seen[k] for seen in passes):
                sums[k].index_add_(0, codes, vectors)
                counts[k] += torch.bincount(codes, minlength=self.codebook_size)
                spoilt[k] += not bool(vectors.isfinite().all())
        moving = torch.cat([sums.flatten(), counts.flatten(), spoilt])
        sums, counts, spoilt = sum_over_processes(moving).split(
            [sums.numel(), counts.numel(), len(spoilt)]
        )
        moved = (spoilt == 0) & (counts.view_as(self.usage).sum(dim=1) > 0)
        self._average(moved, sums.view_as(self.embedding_sum), counts.view_as(self.usage))
        self._restart_dead(moved, passes)

    def _average(self, moved: Tensor, sums: Tensor, counts: Tensor) -> None:
        for k in moved.nonzero().flatten().tolist():
            self.usage[k].mul_(self.decay).add_(counts[k], alpha=1 - self.decay)
            self.embedding_sum[k].mul_(self.decay).add_(sums[k], alpha=1 - self.decay)

    def _restart_dead(self, moved: Tensor, passes: list[list[tuple[Tensor, Tensor]]]) -> None:
        """Put the dead codes of each codebook that moved where randomly drawn vectors are."""
        fair = self.usage.mean(dim=1)
        is_dead = (self.usage < self.dead_usage * fair[:, None]) & moved[:, None]
        if not bool(is_dead.any()):
            return
        # Vectors are numbered over all passes of all processes, in the order of the whole batch.
        lengths = torch.tensor([[len(vectors) for vectors, _ in seen] for seen in passes])
        lengths = gather_rows(lengths.to(fair.device)[None]).transpose(0, 1).flatten(0, 1)
        num_owners, rank = num_processes(), process_rank()
        drawn = []
        for k in is_dead.any(dim=1).nonzero().flatten().tolist():
            ends = lengths[:, k].cumsum(0)
            num_dead = int(is_dead[k].sum())
            chosen = torch.randint(int(ends[-1]), (num_dead,), device=fair.device)
            owner = torch.searchsorted(ends, chosen, right=True)
            within = chosen - (ends - lengths[:, k])[owner]
            rows = torch.zeros(num_dead, self.embedding_sum.shape[2], device=fair.device)
            for number, seen in enumerate(passes):
                mine = owner == number * num_owners + rank
                rows[mine] = seen[k][0][within[mine]]
            drawn.append(rows)
        restarted = sum_over_processes(torch.cat(drawn))
        fair_of_dead = fair.repeat_interleave(is_dead.sum(dim=1))
        self.usage[is_dead] = fair_of_dead
        self.embedding_sum[is_dead] = restarted * fair_of_dead[:, None]
        self.num_restarted = len(restarted)


def nearest(vectors: Tensor, entries: Tensor) -> Tensor:
    """Return the index int64 `[...]` of the entry `[V, D]` closest to each vector `[..., D]`."""
    nearness = _nearness(vectors.flatten(0, -2), entries)[:, None]
    code = _nearest_of_all(nearness, nearness.new_zeros(len(nearness), 1, 1), 1)[1]
    return code.view(vectors.shape[:-1])


def _nearness(vectors: Tensor, entries: Tensor) -> Tensor:
    """Return v * e - |e|^2 / 2 `[..., V]`: half of |v|^2 less |v - e|^2, so largest is nearest."""
    with torch.no_grad():
        return product(vectors, entries, (entries**2).sum(1) * -0.5)


def _nearest_of_all(nearness: Tensor, energy: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the path and the entry of the `count` smallest distances, at most all, nearest first.

    Whole groups of entries are compared first: a maximum over vectors is several times as fast as a
    search, and what differs between paths is added to a few numbers, not to all.

    Args:
        nearness: `[N, paths, V]`, of `_nearness`.
        energy: |v|^2 `[N, paths, 1]` of each path's vector.
        count: Number of distances.

    Returns:
        int64 `[N, count]` each.
    """
    num_paths, size = nearness.shape[1:]
    num_groups = size // _GROUP
    if size % _GROUP or num_paths * num_groups <= 2 * count:
        scores = (2 * nearness - energy).flatten(1)
        found = _largest(scores, min(count, num_paths * size))
        return found // size, found % size
    # Group g is the places g, g + num_groups, g + 2 * num_groups ...
    grouped = nearness.unflatten(-1, (_GROUP, num_groups)).amax(dim=-2)
    group = _largest((2 * grouped - energy).flatten(1), count)
    path, first = group // num_groups, group % num_groups
    members = torch.arange(_GROUP, device=nearness.device) * num_groups
    places = ((path * size + first)[:, :, None] + members).flatten(1)
    scores = 2 * nearness.flatten(1).gather(1, places).unflatten(1, (count, _GROUP))
    scores = scores - energy[:, :, 0].gather(1, path)[:, :, None]
    found = places.gather(1, _largest(scores.flatten(1), count))
    return found // size, found % size


def _rows_of(values: Tensor, path: Tensor) -> Tensor:
    """Return `values` `[N, paths, D]` of the paths int64 `[N, count]`, `[N, count, D]`."""
    num, num_paths, _ = values.shape
    firsts = torch.arange(0, num * num_paths, num_paths, device=path.device)
    return F.embedding(path + firsts[:, None], values.flatten(0, 1))


def _largest(values: Tensor, count: int) -> Tensor:
    """Return the places int64 `[N, count]` of the largest of `values` `[N, M]`, largest first."""
    if count == 1:
        return values.argmax(dim=1, keepdim=True)
    if count * _HEAP_SHARE <= values.shape[1]:
        return values.topk(count, dim=1).indices
    # topk() sorts all of a few: one maximum after another takes half the time.
    left, places = values.clone(), []
    for number in range(count):
        place = left.max(dim=1, keepdim=True)[1]
        places.append(place)
        if number + 1 < count:
            left.scatter_(1, place, float("-inf"))
    return torch.cat(places, dim=1)


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
