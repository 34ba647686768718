"""From sounds that were heard to the figures of each source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soundgen.evaluation.confusion import Confusion, tabulate
from soundgen.evaluation.lm_frechet import FrechetDistances
from soundgen.evaluation.lm_report import (
    REAL,
    ROUND_TRIP,
    UNPROMPTED,
    PromptFigures,
    SourceFigures,
)
from soundgen.evaluation.memorisation import TrainingClips
from soundgen.evaluation.sound_set import HeardSound, SoundSet, diversity, length_error_octaves


@dataclass(frozen=True, slots=True, eq=False)
class Yardstick:
    """What all sources are held against.

    Attributes:
        prompts: What was asked for.
        categories: What each should be heard as.
        text: The prompts in the matcher's space, float32 `[P, D]`; `None` without a matcher.
        judged: Rows of the prompts that count: those that real clips answer, all if there are none.
        classes: Names that the classifier knows.
        expected_s: Length that answers to each prompt should have; `None` if not known, or if
            the length was asked for.
        training: The clips that the model was trained on.
    """

    prompts: tuple[str, ...]
    categories: tuple[str | None, ...]
    text: NDArray[np.float32] | None
    judged: tuple[int, ...]
    classes: tuple[str, ...]
    expected_s: tuple[float | None, ...]
    training: TrainingClips

    @property
    def class_rows(self) -> list[int]:
        """Rows of the judged prompts whose category the classifier knows."""
        return [row for row in self.judged if self.categories[row] in self.classes]

    def text_match(self, sounds: SoundSet, rows: Sequence[int]) -> float | None:
        """Return the mean cosine of prompts and their answers."""
        text = self.text
        if text is None:
            return None
        return sounds.mean_over_prompts(rows, lambda row, one: float(text[row] @ one.embedding))

    def class_accuracy(self, sounds: SoundSet, rows: Sequence[int]) -> float | None:
        """Return the mean over prompts of the share heard as their category."""
        return sounds.mean_over_prompts(
            rows, lambda row, one: float(one.heard == self.categories[row])
        )


def source_figures(
    sources: Sequence[SoundSet], yardstick: Yardstick, frechet: FrechetDistances | None
) -> tuple[SourceFigures, ...]:
    """Measure every source; what is relative needs those named in `lm_report` to be among them."""
    judged, class_rows = yardstick.judged, yardstick.class_rows
    match = {source.name: yardstick.text_match(source, judged) for source in sources}
    accuracy = {source.name: yardstick.class_accuracy(source, class_rows) for source in sources}
    low, high, ceiling = match[UNPROMPTED], match[REAL], accuracy[ROUND_TRIP]
    found = []
    for source in sources:
        nearest = yardstick.training.closeness(source.embeddings) if source.sounds else None
        found.append(
            SourceFigures(
                name=source.name,
                num_sounds=len(source.sounds),
                text_match=match[source.name],
                text_match_normalised=_normalised(match[source.name], low, high),
                frechet=frechet.distances.get(source.name) if frechet else None,
                class_accuracy=accuracy[source.name],
                relative_accuracy=_normalised(accuracy[source.name], 0.0, ceiling),
                diversity=diversity(source, judged),
                silence_share=source.mean_over_prompts(judged, _silence),
                copied_share=float(nearest.is_copy.mean()) if nearest else None,
                nearest_similarity=float(nearest.similarity.mean()) if nearest else None,
                length_error_octaves=length_error_octaves(source, yardstick.expected_s),
            )
        )
    return tuple(found)


def prompt_figures(sounds: SoundSet, yardstick: Yardstick) -> tuple[PromptFigures, ...]:
    """Measure the answers to each prompt by themselves."""
    return tuple(
        PromptFigures(
            prompt=prompt,
            category=category,
            text_match=yardstick.text_match(sounds, [row]),
            class_accuracy=yardstick.class_accuracy(sounds, [row])
            if category in yardstick.classes
            else None,
            heard=dict(Counter(sound.heard for sound in sounds.answers(row))),
        )
        for row, (prompt, category) in enumerate(
            zip(yardstick.prompts, yardstick.categories, strict=True)
        )
    )


def confusion_of(sounds: SoundSet, yardstick: Yardstick) -> Confusion | None:
    """Return what was heard for what; `None` if no prompt names a class."""
    pairs = [
        (category, sound.heard)
        for row, category in enumerate(yardstick.categories)
        if category is not None and category in yardstick.classes
        for sound in sounds.answers(row)
    ]
    return tabulate(yardstick.classes, pairs) if pairs else None


def _silence(row: int, sound: HeardSound) -> float:
    return sound.silence_share


def _normalised(value: float | None, low: float | None, high: float | None) -> float | None:
    """Return where `value` lies between `low` (0) and `high` (1); `None` if that says nothing."""
    if value is None or low is None or high is None or high == low:
        return None
    return (value - low) / (high - low)
