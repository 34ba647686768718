"""Cross-entropy over the codes that exist."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def codebook_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    mask: Tensor,
    *,
    label_smoothing: float = 0.0,
    num_targets: Tensor | None = None,
) -> Tensor:
    """Return each codebook's mean cross-entropy in nats, `[K]`.

    Args:
        logits: float32 `[B, K, S, V]`.
        targets: int64 `[B, K, S]`.
        mask: bool `[B, K, S]`, true where a target counts.
        label_smoothing: Share of probability spread over the whole vocabulary.
        num_targets: float32 `[K]`, how many targets count on average over the parts of a batch that
            this is one of; those of `mask` if `None`.
    """
    losses = F.cross_entropy(
        logits.flatten(0, 2).float(),
        targets.flatten(),
        reduction="none",
        label_smoothing=label_smoothing,
    ).view_as(targets)
    counted = losses * mask
    if num_targets is None:
        num_targets = mask.sum(dim=(0, 2)).clamp(min=1)
    return counted.sum(dim=(0, 2)) / num_targets
