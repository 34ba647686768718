"""Strict configuration: a typo is an error that names file, key and cure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from soundgen.config import apply_overrides, from_dict, load_toml, to_dict
from soundgen.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Inner:
    sizes: tuple[int, ...] = (1, 2)
    rate: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    kind: Literal["a", "b"] = "a"
    inner: Inner = Inner()
    limit: int | None = None
    on: bool = False

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 0:
            raise ValueError(f"limit must be 0 or more, got {self.limit}")


def test_round_trip() -> None:
    given = {"name": "x", "kind": "b", "inner": {"sizes": [3], "rate": 2}, "limit": 4, "on": True}
    config = from_dict(Outer, given, "f")
    assert config.inner == Inner(sizes=(3,), rate=2.0)
    assert from_dict(Outer, to_dict(config), "f") == config


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "f: missing key 'name'"),
        ({"name": "x", "nam": 1}, "f: unknown key 'nam'; known: name, kind"),
        ({"name": 3}, "f: name: expected str, got 3"),
        ({"name": "x", "kind": "c"}, "f: kind: expected one of 'a', 'b', got 'c'"),
        ({"name": "x", "inner": {"sizes": [1, 2.5]}}, r"f: inner: sizes\[1\]: expected int"),
        ({"name": "x", "inner": {"rate": "fast"}}, "f: inner: rate: expected float"),
        ({"name": "x", "inner": 3}, "f: inner: expected a table"),
        ({"name": "x", "on": 1}, "f: on: expected bool"),
        ({"name": "x", "limit": True}, "f: limit: expected int"),
        ({"name": "x", "limit": -1}, "f: limit must be 0 or more, got -1"),
        ({"name": "x", "inner": {"sizes": 3}}, "f: inner: sizes: expected a list"),
    ],
)
def test_what_is_wrong_is_named(data: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        from_dict(Outer, data, "f")


def test_overrides() -> None:
    data = {"a": {"b": 1}, "c": 2}
    changed = apply_overrides(data, ["a.b=3", "a.d=[1, 2]", "e=word", 'f="1"', "g=true"])
    assert changed == {"a": {"b": 3, "d": [1, 2]}, "c": 2, "e": "word", "f": "1", "g": True}
    assert data == {"a": {"b": 1}, "c": 2}


@pytest.mark.parametrize("override", ["a", "=1", "c.x=1"])
def test_wrong_overrides(override: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        apply_overrides({"c": 2}, [override])


@pytest.mark.parametrize("content", [b"a = ", b"\xff\xfe", b"a = 1\na = 2"])
def test_files_that_are_not_toml(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "r.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"r\.toml"):
        load_toml(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_toml(tmp_path / "missing.toml")
