"""The page on cost says what its figures say, and the points are measured."""

from __future__ import annotations

import json
from types import ModuleType

import pytest

from tests.conftest import REPOSITORY, load_script


@pytest.fixture(scope="module")
def cost_growth() -> ModuleType:
    return load_script("benchmarks/cost_growth.py")


def test_page_is_fresh_and_has_every_point(cost_growth: ModuleType) -> None:
    docs = REPOSITORY / "docs"
    found = json.loads((docs / "cost-growth.json").read_text(encoding="utf-8"))
    assert (docs / "cost-growth.md").read_text(encoding="utf-8") == cost_growth.page(found)
    assert [point["duration_s"] for point in found["duration"]] == [1, 5, 15, 60, 300]
    assert [point["batch"] for point in found["batch"]] == [1, 2, 4, 8, 16]
    assert len(found["size"]) == 4
    assert (docs / "cost-growth.png").stat().st_size < 150_000


@pytest.mark.slow
@pytest.mark.needs_model
def test_points_are_measured(cost_growth: ModuleType) -> None:
    found = cost_growth.measure(1, "float32", quick=True)
    for curve in ("duration", "batch", "size"):
        assert len(found[curve]) == 2
        assert all(point["time_s"] > 0 and point["peak_mb"] > 100 for point in found[curve])
    assert cost_growth.page(found).count("\n| ") == 9
