"""Which class was heard for which: the table, the share heard right, and whether chance could."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import comb

NOTHING = "nothing"
"""What is heard in a sound that is silent or not finite: never the right answer."""


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts of true against heard classes.

    Attributes:
        classes: Names, in the order of rows.
        counts: One row a true class; one column a heard class, and a last one for `NOTHING`.
    """

    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    @property
    def total(self) -> int:
        """Number of sounds."""
        return sum(map(sum, self.counts))

    @property
    def right(self) -> int:
        """Number of sounds heard right."""
        return sum(row[i] for i, row in enumerate(self.counts))

    @property
    def accuracy(self) -> float:
        """Share of sounds heard right, 0 without any."""
        return self.right / self.total if self.total else 0.0

    @property
    def class_accuracy(self) -> dict[str, float]:
        """Share heard right of each class that has sounds."""
        return {
            name: row[i] / sum(row)
            for i, (name, row) in enumerate(zip(self.classes, self.counts, strict=True))
            if sum(row)
        }

    @property
    def balanced_accuracy(self) -> float:
        """Mean of `class_accuracy`: every class weighs the same however many sounds it has."""
        shares = list(self.class_accuracy.values())
        return sum(shares) / len(shares) if shares else 0.0

    @property
    def p_value(self) -> float:
        """Chance that guessing among all classes gets at least as many right (one-sided)."""
        return binomial_tail(self.right, self.total, 1, len(self.classes))

    def markdown(self) -> str:
        """Return the table; rows are true classes, columns what was heard."""
        columns = [*self.classes, NOTHING] if any(row[-1] for row in self.counts) else self.classes
        lines = [
            f"| true \\ heard | {' | '.join(columns)} | right |",
            f"|---|{'---:|' * (len(columns) + 1)}",
        ]
        for i, (name, row) in enumerate(zip(self.classes, self.counts, strict=True)):
            if not sum(row):
                continue
            cells = [str(count) if count else "" for count in row[: len(columns)]]
            cells[i] = f"**{row[i]}**"
            lines.append(f"| {name} | {' | '.join(cells)} | {row[i] / sum(row):.0%} |")
        lines += [
            "",
            f"{self.right} of {self.total} heard right ({self.accuracy:.1%}; mean over classes "
            f"{self.balanced_accuracy:.1%}); chance is 1 in {len(self.classes)}, one-sided "
            f"binomial p = {self.p_value:.2g}",
        ]
        return "\n".join(lines)


def tabulate(classes: Sequence[str], pairs: Iterable[tuple[str, str]]) -> Confusion:
    """Count pairs of (true class, heard class or `NOTHING`)."""
    columns = [*classes, NOTHING]
    counts = [[0] * len(columns) for _ in classes]
    for true, heard in pairs:
        counts[columns.index(true)][columns.index(heard)] += 1
    return Confusion(tuple(classes), tuple(map(tuple, counts)))


def binomial_tail(successes: int, trials: int, numerator: int, denominator: int) -> float:
    """Return P(X >= successes) for X of `trials` draws, each a success by the given fraction."""
    chance = Fraction(numerator, denominator)
    tail = sum(
        comb(trials, k) * chance**k * (1 - chance) ** (trials - k)
        for k in range(successes, trials + 1)
    )
    return float(tail)
