"""`soundgen models`: which models are here, and what each is."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from soundgen.commands._completion import model_names
from soundgen.commands._terminal import (
    JsonOption,
    QuietOption,
    VerboseOption,
    note,
    print_json,
    print_line,
    print_table,
)
from soundgen.commands.info import model_rows

app = typer.Typer(no_args_is_help=True, help="List models and show what they are.")


@app.command("list")
def list_(
    json: JsonOption = False, quiet: QuietOption = False, verbose: VerboseOption = False
) -> None:
    """List the models that came with this installation.

    Example: `soundgen models list`
    """
    from soundgen.checkpoint import shipped_models
    from soundgen.pipelines.describe import describe_model

    found = [describe_model(folder) for folder in shipped_models()]
    if json:
        rows = [asdict(model) for model in found]
        for row in rows:
            row["size_bytes"] = sum(row["parts"].values())
            del row["config"]
        print_json({"models": rows})
        return
    if not found:
        note("no model ships with this installation; --model takes a folder", quiet=quiet)
    for model in found:
        size = sum(model.parts.values()) / 1e6
        parts = "+".join(model.parts)
        license_ = model.license or "licence not stated"
        print_line(f"{model.name}  {parts}  {size:.1f} MB  {license_}  {model.model_digest[:12]}")


@app.command()
def info(
    model: Annotated[
        str,
        typer.Argument(
            metavar="NAME|DIR",
            help="A shipped model, or a model folder.",
            autocompletion=model_names,
        ),
    ],
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Show a model's parts, digests, licence and configuration.

    Example: `soundgen models info soundgen-small`
    """
    from soundgen.checkpoint import resolve_model
    from soundgen.pipelines.describe import describe_model

    found = describe_model(resolve_model(model))
    if json:
        print_json({"kind": "model", **asdict(found)})
    else:
        print_table(model_rows(found))
