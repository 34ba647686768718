"""Every shipped recipe loads, and none is missed."""

from __future__ import annotations

import pytest

from soundgen.errors import ConfigError
from soundgen.pipelines.recipes import list_recipes, load_recipe, recipe_text
from tests.conftest import REPOSITORY

EXPECTED = [
    "codec/seanet",
    "codec/small",
    "codec/tiny",
    "lm/small",
    "lm/tiny",
    "matcher/small",
    "matcher/tiny",
]
FILES = sorted((REPOSITORY / "soundgen" / "recipes").rglob("*.toml"))


def test_the_list_is_complete() -> None:
    listed = [f"{kind}/{name}" for kind, name, _ in list_recipes()]
    assert listed == EXPECTED
    assert [f"{path.parent.name}/{path.stem}" for path in FILES] == EXPECTED


@pytest.mark.parametrize("recipe", EXPECTED)
def test_loads_and_opens_with_its_command(recipe: str) -> None:
    kind, name = recipe.split("/")
    load_recipe(kind, name)  # type: ignore[call-overload]
    first = recipe_text(kind, name).splitlines()[0]  # type: ignore[arg-type]
    assert first.startswith(f"# soundgen train {kind} --recipe {name} ")


@pytest.mark.parametrize("recipe", EXPECTED)
def test_refuses_an_unknown_key(recipe: str) -> None:
    kind, name = recipe.split("/")
    with pytest.raises(ConfigError, match="unknown key 'nonsense'"):
        load_recipe(kind, name, ["training.nonsense=1"])  # type: ignore[call-overload]


def test_refuses_a_wrong_type() -> None:
    with pytest.raises(ConfigError, match=r"training: steps: expected int, got 2\.5"):
        load_recipe("codec", "tiny", ["training.steps=2.5"])
