"""`soundgen recipes`: what training runs ship, and what they say."""

from __future__ import annotations

from typing import Annotated

import typer

from soundgen.commands._completion import recipe_paths
from soundgen.commands._terminal import (
    JsonOption,
    QuietOption,
    VerboseOption,
    print_json,
    print_line,
)
from soundgen.errors import ConfigError

app = typer.Typer(no_args_is_help=True, help="List and show the training recipes that ship.")


@app.command("list")
def list_(
    json: JsonOption = False, quiet: QuietOption = False, verbose: VerboseOption = False
) -> None:
    """List the shipped recipes, one a line: kind/name and what it is.

    Example: `soundgen recipes list`
    """
    from soundgen.pipelines.recipes import list_recipes

    found = list_recipes()
    if json:
        rows = [{"kind": kind, "name": name, "about": about} for kind, name, about in found]
        print_json({"recipes": rows})
        return
    names = [f"{kind}/{name}" for kind, name, _ in found]
    width = max(map(len, names), default=0)
    for name, (_, _, about) in zip(names, found, strict=True):
        print_line(f"{name:<{width}}  {about}")


@app.command()
def show(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="KIND/NAME",
            help="As `soundgen recipes list` prints it.",
            autocompletion=recipe_paths,
        ),
    ],
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Print a recipe: a TOML file to copy, change and train with.

    Example: `soundgen recipes show codec/small > my-codec.toml`
    """
    from soundgen.pipelines.recipes import list_recipes, recipe_text

    for kind, name, _ in list_recipes():
        if recipe == f"{kind}/{name}":
            text = recipe_text(kind, name)
            break
    else:
        raise ConfigError(f"{recipe}: no such recipe", hint="see: soundgen recipes list")
    if json:
        print_json({"kind": kind, "name": name, "toml": text})
    else:
        print_line(text.rstrip("\n"))
