"""What a shell offers for values that have names: asked of the program when Tab is pressed."""

from __future__ import annotations

import typer

# Where a list is empty, the shell offers files: a model may be a folder, a recipe a file.


def model_names(incomplete: str) -> list[str]:
    """Return the shipped models that begin like that."""
    from soundgen.checkpoint import shipped_models

    return _beginning([model.name for model in shipped_models()], incomplete)


def recipe_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the shipped recipes of the command's kind: codec, lm or matcher."""
    from soundgen.pipelines.recipes import list_recipes

    return _beginning(
        [name for kind, name, _ in list_recipes() if kind == ctx.info_name], incomplete
    )


def recipe_paths(incomplete: str) -> list[str]:
    """Return all shipped recipes as `recipes show` takes them."""
    from soundgen.pipelines.recipes import list_recipes

    return _beginning([f"{kind}/{name}" for kind, name, _ in list_recipes()], incomplete)


def _beginning(names: list[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
