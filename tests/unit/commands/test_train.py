"""Times as `--max-time` takes them."""

from __future__ import annotations

import pytest

from soundgen.commands.train import parse_time
from soundgen.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(None, None), ("90s", 90.0), ("25m", 1500.0), ("1.5h", 5400.0), (".5m", 30.0)],
)
def test_times(text: str | None, seconds: float | None) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "25", "m", "-1m", "0m", "1d", "1m30s", "nanm"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="not a time"):
        parse_time(text)
