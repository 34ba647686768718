"""The table of `lm_quality.py`: what was measured, what it is held against, what it reaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        number: As `lm_quality.py` counts them.
        what: Measured.
        value: Compared with floor and aim; `None` where it could not be had.
        floor: What must be shown.
        aim: What ought to be.
        lower_is_better: Whether `value` must stay below them.
        details: What the value was made from.
    """

    number: str
    what: str
    value: float | None
    floor: float | None
    aim: float | None
    lower_is_better: bool = False
    details: dict[str, Any] | None = None

    @property
    def verdict(self) -> str:
        """What the value reaches."""
        if self.value is None:
            return "not measured"
        sign = -1 if self.lower_is_better else 1
        if self.aim is not None and sign * self.value >= sign * self.aim:
            return "aim"
        if self.floor is None:
            return ""
        return "floor" if sign * self.value >= sign * self.floor else "missed"


def markdown(rows: Sequence[Row]) -> str:
    """Return the table."""
    lines = ["| row | measured | value | floor | aim | reached |", "|---|---|---:|---:|---:|---|"]
    for row in rows:
        sign = "<" if row.lower_is_better else ""
        value, floor, aim = (
            "" if number is None else f"{number:.3f}" for number in (row.value, row.floor, row.aim)
        )
        bounds = [f"{sign} {bound}".strip() if bound else "" for bound in (floor, aim)]
        lines.append(
            f"| {row.number} | {row.what} | {value} | {bounds[0]} | {bounds[1]} | {row.verdict} |"
        )
    return "\n".join(lines)
