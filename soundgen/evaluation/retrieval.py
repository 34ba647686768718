"""How well sounds and texts find each other: recall, rank, zero-shot classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from soundgen.evaluation.matcher import Matcher


@dataclass(frozen=True, slots=True)
class MatchScores:
    """What a matcher makes of clips that it has not seen.

    Attributes:
        num_clips: Measured.
        recall_at_1: Share of captions whose best sound is a clip with that very caption.
        recall_at_10: Share of captions that have such a clip among the ten best.
        reciprocal_rank: Mean of one over the rank of the first such clip.
        num_classes: Categories to choose from.
        class_accuracy: Share of clips that are nearest to the name of their category, zero-shot.
        class_recall: The same, a mean over categories.
        similarity: Mean cosine of a clip with its caption.
        similarity_shuffled: Mean cosine of a clip with the captions of all others.
    """

    num_clips: int
    recall_at_1: float
    recall_at_10: float
    reciprocal_rank: float
    num_classes: int
    class_accuracy: float
    class_recall: float
    similarity: float
    similarity_shuffled: float

    @property
    def quality(self) -> float:
        """One figure to choose by: the mean of reciprocal rank and class recall, at most 1."""
        return (self.reciprocal_rank + self.class_recall) / 2


def score_matches(
    audio: Tensor, text: Tensor, captions: Sequence[str], classes: Tensor, labels: Sequence[int]
) -> MatchScores:
    """Score N clips by their captions and their categories.

    Args:
        audio: The clips, float32 `[N, D]`, each of length 1; at least one.
        text: A caption of each, likewise.
        captions: The captions themselves: clips with one caption may stand for each other.
        classes: Names of the categories, float32 `[num_classes, D]`.
        labels: The category of each clip.
    """
    similarity = Matcher.similarity(audio, text)  # [N, N]
    own = torch.eye(len(captions), dtype=torch.bool)
    numbers = {caption: number for number, caption in enumerate(captions)}
    of_caption = torch.tensor([numbers[caption] for caption in captions])
    same = of_caption[:, None] == of_caption[None]
    # Of a caption (a column), how many sounds are better than the best that it fits.
    best = similarity.masked_fill(~same, -2.0).amax(dim=0)
    rank = 1 + (similarity > best).sum(dim=0)
    right = Matcher.similarity(audio, classes).argmax(dim=1) == torch.tensor(labels)
    sizes = Counter(labels)
    weights = torch.tensor([1 / (len(sizes) * sizes[label]) for label in labels])
    shuffled = similarity[~own].mean() if len(captions) > 1 else torch.zeros(())
    return MatchScores(
        num_clips=len(captions),
        recall_at_1=float((rank <= 1).float().mean()),
        recall_at_10=float((rank <= 10).float().mean()),
        reciprocal_rank=float((1 / rank).mean()),
        num_classes=len(classes),
        class_accuracy=float(right.float().mean()),
        class_recall=float((right * weights).sum()),
        similarity=float(similarity[own].mean()),
        similarity_shuffled=float(shuffled),
    )
