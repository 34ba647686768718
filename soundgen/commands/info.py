"""`soundgen info`: what a sound, an `.sgc` file or a model is, and how it was made."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from soundgen.commands._sound_options import (
    DEFAULT_CFG_SCALE,
    DEFAULT_TEMPERATURE,
    DEFAULT_TOP_K,
    DEFAULT_TOP_P,
)
from soundgen.commands._terminal import (
    JsonOption,
    QuietOption,
    VerboseOption,
    print_json,
    print_table,
)
from soundgen.lm.config import AUTO_PRECISION, FLOAT32

if TYPE_CHECKING:
    from soundgen.pipelines.describe import AudioDescription, ModelDescription

# Flags of `soundgen generate` by the keys that its tags use; defaults are left out of the command.
_FLAGS = {
    "device": ("--device", "auto"),
    "dtype": ("--precision", FLOAT32 if AUTO_PRECISION == FLOAT32 else None),
    "model": ("--model", "soundgen-small"),
    "loop": ("--loop", False),
    "negative_prompt": ("--negative-prompt", ""),
    "temperature": ("--temperature", DEFAULT_TEMPERATURE),
    "top_k": ("--top-k", DEFAULT_TOP_K),
    "top_p": ("--top-p", DEFAULT_TOP_P),
    "cfg_scale": ("--cfg-scale", DEFAULT_CFG_SCALE),
}
# The same for the part of them that says how it was finished.
_FINISH_FLAGS = {
    "trim": ("--trim", False),
    "sample_rate": ("--sample-rate", None),
    "fade_in_s": ("--fade-in", 0.0),
    "fade_out_s": ("--fade-out", 0.0),
    "channels": ("--channels", 1),
    "loudness_lufs": ("--loudness", None),
    "normalize": ("--normalize", False),
    "bit_depth": ("--bit-depth", None),
}


def info(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE|MODEL", help="A sound, an .sgc file, or a model (hf:owner/name too)."
        ),
    ],
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Describe a sound file, a compressed file, a model folder or a shipped model.

    For a sound that soundgen made, prints the command that makes it again.

    Example: `soundgen info rain.wav`
    """
    from soundgen.pipelines.describe import AudioDescription, ModelDescription, describe

    found = describe(file)
    if isinstance(found, AudioDescription):
        again = remake_command(found.making, str(found.path)) if found.making else None
        if json:
            print_json({"kind": "audio", **asdict(found), "command": again})
        else:
            print_table(_audio_rows(found, again))
    elif isinstance(found, ModelDescription):
        if json:
            print_json({"kind": "model", **asdict(found)})
        else:
            print_table(model_rows(found))
    elif json:
        print_json({"kind": "sgc", "path": found.path, **asdict(found.sgc)})
    else:
        print_table([("file", found.path), *asdict(found.sgc).items()])


def model_rows(model: ModelDescription) -> Iterator[tuple[str, Any]]:
    """Yield the rows that show a model: files, digests, licence, then its config's numbers."""
    yield "model", model.name
    yield "folder", model.path
    for part, size in model.parts.items():
        yield part, f"{size / 1e6:.1f} MB"
    yield "license", model.license or "not stated"
    yield "model_digest", model.model_digest
    if model.codec_digest:
        yield "codec_digest", model.codec_digest
    shown = {key: value for key, value in model.config.items() if key != "digests"}
    yield from _flatten(shown, "")


def remake_command(making: Mapping[str, Any], output: str) -> str:
    """Return the `soundgen generate` command for what a sound's tags say."""
    words = ["--seed", str(making["seed"]), "-o", output]
    if making.get("duration_s") is not None:
        words += ["-d", _number(making["duration_s"])]
    finish = making.get("finish", {})
    for flags, values in ((_FLAGS, making), (_FINISH_FLAGS, finish)):
        for key, (flag, default) in flags.items():
            if key in values and values[key] != default:
                words += [flag] if values[key] is True else [flag, _number(values[key])]
    if making.get("source"):
        words += _source_words(making["source"])
    prompt = str(making["prompt"])
    words = [*words, "--", prompt] if prompt.startswith("-") else [prompt, *words]
    return shlex.join(["soundgen", "generate", *words])


def _source_words(source: Mapping[str, Any]) -> list[str]:
    if source["use"] == "continue":
        words = ["--continue", source["path"]]
        return [*words, "--seconds-of-context", _number(source["context_s"])]
    return ["--variation-of", source["path"], "--strength", _number(source["strength"])]


def _number(value: Any) -> str:
    """Return a number in full, but whole ones without `.0`."""
    return str(value).removesuffix(".0")


def _audio_rows(audio: AudioDescription, again: str | None) -> Iterator[tuple[str, Any]]:
    yield "file", audio.path
    yield "format", f"{audio.format} {audio.subtype}"
    yield "duration_s", audio.duration_s
    yield "sample_rate", audio.sample_rate
    yield "channels", audio.channels
    yield "num_samples", audio.num_samples
    for name, text in audio.tags.items():
        if audio.making is None or name != "comment":
            yield name, text
    yield from _flatten(audio.making or {}, "making.")
    if again is not None:
        yield "command", again


def _flatten(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
