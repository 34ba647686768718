"""The page on speed says what its figures say, of every benchmark."""

from __future__ import annotations

import json
from types import ModuleType

import pytest

from tests.conftest import REPOSITORY, load_script


@pytest.fixture(scope="module")
def speed_table() -> ModuleType:
    return load_script("benchmarks/speed_table.py")


def test_page_is_fresh_and_has_every_row(speed_table: ModuleType) -> None:
    docs = REPOSITORY / "docs"
    found = json.loads((docs / "speed.json").read_text(encoding="utf-8"))
    assert set(found) == set(speed_table.SCRIPTS)
    assert (docs / "speed.md").read_text(encoding="utf-8") == speed_table.page(found)
    assert speed_table.page(found).count("\n| ") == 1 + 9 + 1 + 3 + 2 + 1 + 1 + 1


@pytest.mark.slow
@pytest.mark.needs_model
def test_a_part_is_measured(speed_table: ModuleType) -> None:
    found = speed_table.measure("start", 1, None)
    assert all(found[row]["ours, s"] > 0 for row in ("help", "generate"))
    page = speed_table.page({"start": found | {"machine": speed_table.machine(1)}})
    assert page.count("\n| ") == 1 + 2
