"""The catalogue: enough kinds, each complete; chosen by name."""

from __future__ import annotations

import string

import pytest

from soundgen.data.synth.catalogue import FAMILIES, KINDS, choose_kinds
from soundgen.errors import UsageError


def test_many_kinds_with_unique_names() -> None:
    assert len(KINDS) >= 80
    assert sum(map(len, FAMILIES.values())) == len(KINDS)
    assert not set(FAMILIES) & set(KINDS) - {"birds"}
    assert all(name == name.lower() and " " not in name for name in KINDS)


def test_every_kind_is_complete() -> None:
    for kind in KINDS.values():
        assert kind.render.__doc__, kind.name
        assert kind.traits, kind.name
        named = {field for _, field, _, _ in string.Formatter().parse(kind.captions[0]) if field}
        assert named == set(kind.traits), kind.name
        values = [value for trait in kind.traits for value in kind.values(trait)]
        assert len(values) == len(set(values)) and all(values), kind.name
        assert set(kind.duration_s) <= {"", *values}, kind.name
        assert set(kind.level_db) <= set(values), kind.name
        assert "" in kind.duration_s or any(
            set(kind.values(trait)) <= set(kind.duration_s) for trait in kind.traits
        ), kind.name
        for low, high in kind.duration_s.values():
            assert 0.05 <= low <= high <= 10, kind.name


def test_chooses_kinds_and_families_in_one_order() -> None:
    assert choose_kinds([]) == tuple(KINDS.values())
    assert [kind.name for kind in choose_kinds(["bell", "rain", "rain"])] == ["rain", "bell"]
    assert choose_kinds(["water"]) == FAMILIES["water"]
    with pytest.raises(UsageError, match="no kind 'quiet'") as caught:
        choose_kinds(["rain", "quiet"])
    assert "weather" in caught.value.hint
    assert "rain" in caught.value.hint
