"""How training segments are drawn; apart from the drawing, which needs torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentConfig:
    """How training segments are drawn from clips."""

    segment_s: float = 1.0
    duration_power: float = 0.7
    """A clip is drawn in proportion to its seconds to this power ..."""
    category_power: float = 0.3
    """... over the number of clips of its category to this one."""
    gain_db: tuple[float, ...] = (-10.0, 6.0)
    """Range of the random gain; lowered where it would clip."""
    mix_probability: float = 0.1
    """Share of segments that are the sum of two, the second -5 to 5 dB beside the first."""
    synthetic_probability: float = 0.0
    """Share of segments that are synthetic noise or tones instead of a clip."""

    def __post_init__(self) -> None:
        """Refuse ranges that are none."""
        if len(self.gain_db) != 2 or not -100 <= self.gain_db[0] <= self.gain_db[1] <= 100:
            raise ValueError(f"gain_db must be two numbers, low and high, got {self.gain_db}")
        if not 0 < self.segment_s <= 60:
            raise ValueError(f"segment_s must be above 0 and at most 60, got {self.segment_s}")
        for name in ("mix_probability", "synthetic_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")
