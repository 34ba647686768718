"""The line that announces long work."""

from __future__ import annotations

import pytest

from soundgen.pipelines.work_estimate import estimate_line


@pytest.mark.parametrize(
    ("time_s", "spoken"),
    [(0.2, "1 s"), (99, "99 s"), (100, "2 min"), (3600, "60 min"), (9000, "2 h 30 min")],
)
def test_times_are_as_exact_as_they_are_known(time_s: float, spoken: str) -> None:
    assert estimate_line(300, time_s, 1.26e9) == (
        f"300 s of sound will take about {spoken} here, and about 1.3 GB of memory"
    )


def test_sounds_that_may_end_sooner() -> None:
    assert estimate_line(80, 60, 5e8, is_open=True) == (
        "up to 80 s of sound will take at most 60 s here, and about 0.5 GB of memory"
    )
