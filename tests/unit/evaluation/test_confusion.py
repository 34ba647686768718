"""The confusion table and its significance."""

from __future__ import annotations

import pytest

from soundgen.evaluation.confusion import NOTHING, binomial_tail, tabulate

CLASSES = ("rain", "bell", "drum")


def test_counts_accuracies_and_markdown() -> None:
    pairs = [("rain", "rain")] * 3 + [("rain", "bell"), ("bell", "bell"), ("bell", NOTHING)]
    table = tabulate(CLASSES, pairs)
    assert table.counts == ((3, 1, 0, 0), (0, 1, 0, 1), (0, 0, 0, 0))
    assert (table.total, table.right) == (6, 4)
    assert table.accuracy == pytest.approx(4 / 6)
    assert table.class_accuracy == {"rain": 0.75, "bell": 0.5}
    assert table.balanced_accuracy == pytest.approx(0.625)
    lines = table.markdown().splitlines()
    assert lines[0] == "| true \\ heard | rain | bell | drum | nothing | right |"
    assert lines[2] == "| rain | **3** | 1 |  |  | 75% |"
    assert not any(line.startswith("| drum") for line in lines)
    assert lines[-1].startswith("4 of 6 heard right (66.7%")


def test_column_for_nothing_only_where_needed() -> None:
    assert NOTHING not in tabulate(CLASSES, [("rain", "rain")]).markdown()


def test_binomial_tail_against_known_values() -> None:
    assert binomial_tail(0, 10, 1, 14) == 1.0
    assert binomial_tail(10, 10, 1, 2) == pytest.approx(2**-10)
    assert binomial_tail(2, 3, 1, 2) == pytest.approx(0.5)
    # 48 sounds, chance 1/14: what issue 2 asks for (p < 0.001) takes 11 right.
    assert binomial_tail(10, 48, 1, 14) > 1e-3 > binomial_tail(11, 48, 1, 14)


def test_no_sounds_are_no_evidence() -> None:
    table = tabulate(CLASSES, [])
    assert (table.accuracy, table.balanced_accuracy, table.p_value) == (0.0, 0.0, 1.0)
