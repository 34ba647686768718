"""`soundgen models`: which models are here, and what each is."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
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

app = typer.Typer(
    no_args_is_help=True, help="List and show models, and bring them in from elsewhere."
)


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
            metavar="NAME|DIR|hf:OWNER/NAME",
            help="A shipped model, a model folder, or one on the hub.",
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


@app.command()
def pull(
    name: Annotated[
        str, typer.Argument(metavar="hf:OWNER/NAME[@REVISION]", help="A model on the hub.")
    ],
    revision: Annotated[
        str | None,
        typer.Option(
            "--revision",
            metavar="REVISION",
            help="Branch, tag or commit; the newest if not given.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="DIR", help="Copy it to this folder, beside the cache."
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("-f", "--force", help="Fetch what is there again, and replace DIR.")
    ] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Fetch a model from the Hugging Face hub and check it against its digests.

    `--model hf:owner/name` does so by itself. A private model needs a token, in HF_TOKEN. What was
    fetched is used without a network too (HF_HUB_OFFLINE=1 asks for that).

    Example: `soundgen models pull hf:someone/rainy -o rainy`
    """
    from soundgen.pipelines.share_model import pull_model

    found = pull_model(name, output, revision=revision, force=force)
    if json:
        print_json(found)
        return
    note(f"{found.model}  {found.license or 'licence not stated'}  checked", quiet=quiet)
    print_line(str(found.path))


@app.command()
def push(
    model: Annotated[
        str,
        typer.Argument(
            metavar="DIR|NAME",
            help="A model folder, or a shipped model.",
            autocompletion=model_names,
        ),
    ],
    name: Annotated[
        str, typer.Argument(metavar="hf:OWNER/NAME", help="Where to; made if it is not there.")
    ],
    revision: Annotated[
        str | None,
        typer.Option(
            "--revision",
            metavar="BRANCH",
            help="Branch that is there already; the main one if not given.",
        ),
    ] = None,
    license_: Annotated[
        str | None,
        typer.Option(
            "--license",
            metavar="NAME",
            help="What the weights may be used for, where README.md does not say it.",
        ),
    ] = None,
    message: Annotated[
        str, typer.Option("-m", "--message", metavar="TEXT", help="Of the commit.")
    ] = "",
    private: Annotated[
        bool, typer.Option("--private", help="Let nobody else see a repository that is made.")
    ] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Send a model to the Hugging Face hub, in one commit, with a card that it accepts.

    Only the model's own files go: its parts, config.json, README.md (made if there is none) and
    PROVENANCE.jsonl. The token is read from HF_TOKEN.

    Example: `soundgen models push runs/lm hf:someone/rainy --license cc0-1.0`
    """
    from soundgen.pipelines.share_model import push_model

    done = push_model(
        model,
        name,
        revision=revision,
        license_name=license_,
        message=message,
        private=private,
    )
    if json:
        print_json(done)
        return
    note(f"sent {len(done.files)} files under {done.license}", quiet=quiet)
    print_line(done.model)


@app.command("import")
def import_(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC|hf:OWNER/NAME",
            help="Folder with config.json and model.safetensors, or a model on the hub.",
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Model folder to write.")],
    license_: Annotated[
        str | None,
        typer.Option(
            "--license",
            metavar="NAME",
            help="What the weights may be used for, e.g. cc-by-nc-4.0; as the card of SRC says if "
            "not given.",
        ),
    ] = None,
    codec: Annotated[
        str | None,
        typer.Option(
            "--codec",
            autocompletion=model_names,
            metavar="MODEL",
            help="Whose codec a MusicGen decoder speaks to that comes without one.",
        ),
    ] = None,
    text_encoder: Annotated[
        str | None,
        typer.Option(
            "--text-encoder",
            metavar="NAME|DIR",
            help="Text encoder, where SRC does not bring its own with a tokenizer.",
        ),
    ] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Bring in EnCodec and MusicGen models in the layout of `transformers`.

    Reads an `EncodecModel` (mono, weight norm) as a codec, a `MusicgenForConditionalGeneration`
    as a whole model, and a `MusicgenForCausalLM` as a language model beside `--codec`. Outputs are
    those of `transformers`, to rounding; the licence of the weights goes with them.

    Example: `soundgen models import encodec_24khz encodec --license cc-by-nc-4.0`
    """
    from soundgen.pipelines.import_model import check_out, find_source, import_model

    check_out(out)
    path, name = find_source(source)
    made = import_model(
        path, out, name=name, license_name=license_, codec=codec, text_encoder=text_encoder
    )
    if json:
        print_json(made)
        return
    use = ", not for commercial use" if made.non_commercial else ""
    note(f"imported {' and '.join(made.parts)} of {made.source}: {made.license}{use}", quiet=quiet)
    print_line(str(made.path))
