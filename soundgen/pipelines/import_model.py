"""Moving in from AudioCraft: EnCodec and MusicGen weights of `transformers` as a model folder.

Read by name from safetensors and `config.json`; no code of the source runs, and `transformers` is
not needed. What the two systems do is the same to rounding, as tests show with random weights.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from soundgen.checkpoint import ModelFolder, resolve_model, save_model_folder
from soundgen.codec.config import CodecConfig
from soundgen.config import from_dict, to_dict
from soundgen.data.licenses import is_known_license, normalize_license
from soundgen.errors import CheckpointError, InputError, OutputError, UsageError
from soundgen.files import atomic_path, check_space, write_failure
from soundgen.hub import HUB_PREFIX, fetch, parse_hub_name
from soundgen.model_card import CARD_FILE, is_non_commercial, make_card, read_license
from soundgen.pipelines.import_codec import import_codec
from soundgen.pipelines.import_lm import import_lm
from soundgen.text.config import TextEncoderConfig
from soundgen.text.weights import find_encoder

TEXT_ENCODER_FOLDER = "text_encoder"
MAX_TEXT_TOKENS = 128
"""Of an imported model; theirs has no limit but the text encoder's own, 512."""
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "spiece.model",
)
_SOURCE_FILES = (
    "config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*.safetensors",
    CARD_FILE,
    *_TOKENIZER_FILES,
)
_KINDS = "EnCodec and MusicGen models can be imported"


@dataclass(frozen=True)
class ImportReport:
    """What was imported.

    Attributes:
        path: The model folder that was written.
        source: The name of what it was made from.
        kind: `encodec`, `musicgen` or `musicgen_decoder`.
        parts: Parts of the new model.
        license: What its weights may be used for.
        non_commercial: Whether that leaves commercial use out.
        text_encoder: Name of the text encoder that prompts go through; empty for a codec.
        model_digest: SHA-256 over all that shapes a sound.
    """

    path: Path
    source: str
    kind: str
    parts: tuple[str, ...]
    license: str
    non_commercial: bool
    text_encoder: str
    model_digest: str


@dataclass
class _Source:
    """A folder in the layout of `transformers`."""

    path: Path
    name: str
    config: dict[str, Any]
    tensors: dict[str, Tensor]

    @property
    def kind(self) -> str:
        return str(self.config.get("model_type", ""))

    def below(self, prefix: str) -> dict[str, Tensor]:
        """Return the weights whose names begin so, by the rest of their names."""
        return {
            name.removeprefix(prefix): value
            for name, value in self.tensors.items()
            if name.startswith(prefix)
        }

    def section(self, name: str) -> dict[str, Any]:
        """Return the configuration of a part; `CheckpointError` if there is none."""
        section = self.config.get(name)
        if not isinstance(section, dict):
            raise CheckpointError(f"{self.path}: its config.json has no '{name}'")
        return section


@dataclass
class _Made:
    """What becomes the model folder."""

    sections: dict[str, Any]
    tensors: dict[str, Mapping[str, Tensor]]


def find_source(source: str) -> tuple[Path, str | None]:
    """Return the folder of what is to be imported, fetched if it is on the hub, and its name there.

    Raises:
        CheckpointError: It cannot be fetched.
    """
    if not source.startswith(HUB_PREFIX):
        return Path(source), None
    name = parse_hub_name(source)
    return fetch(name, _SOURCE_FILES).path, name.repo


def check_out(out: Path) -> None:
    """Refuse a folder that is there, or whose parent is not: before anything is fetched for it.

    Raises:
        OutputError: It is.
    """
    if out.exists():
        raise OutputError(f"{out}: exists already", hint="name a folder that does not")
    if not out.parent.is_dir():
        raise OutputError(
            f"{out}: the folder {out.parent} does not exist", hint=f"mkdir -p {out.parent}"
        )


def import_model(
    source: Path,
    out: Path,
    *,
    license_name: str | None = None,
    codec: str | None = None,
    text_encoder: str | None = None,
    name: str | None = None,
) -> ImportReport:
    """Read a model in the layout of `transformers` and write it as a model folder.

    Args:
        source: Folder with `config.json` and `model.safetensors`, of an `EncodecModel`, a
            `MusicgenForConditionalGeneration` or a `MusicgenForCausalLM`.
        out: The folder to write, which must not exist.
        license_name: What the weights may be used for; as the source's card says if `None`.
        codec: The model whose codec a MusicGen decoder that comes alone speaks to.
        text_encoder: Name or folder of the text encoder, where the source does not bring its own.
        name: Of the source on the hub, where it comes from there.

    Raises:
        UsageError: Neither the source nor `license_name` says the licence, or they differ.
        CheckpointError: The source is not such a model, or damaged.
        OutputError: `out` exists already or cannot be written.
    """
    check_out(out)
    license_name = _license(source, license_name)
    opened = _open_source(source, name)
    if opened.kind == "encodec":
        made = _codec_parts(opened, opened.config, opened.tensors)
    elif opened.kind == "musicgen":
        config = opened.section("audio_encoder")
        if config.get("model_type") != "encodec":
            raise CheckpointError(f"{source}: its audio encoder is not EnCodec", hint=_KINDS)
        made = _codec_parts(opened, config, opened.below("audio_encoder."))
    elif opened.kind == "musicgen_decoder":
        made = _existing_codec(codec)
    else:
        raise CheckpointError(f"{source}: is a {opened.kind or 'nameless'} model", hint=_KINDS)
    imported = [] if opened.kind == "musicgen_decoder" else ["codec"]
    if opened.kind != "encodec":
        _add_lm(opened, made, text_encoder)
        imported.append("lm")
    made.sections["licenses"] = {
        **made.sections.get("licenses", {}),
        **dict.fromkeys(imported, license_name),
    }
    return _write(opened, made, out, license_name)


def _license(source: Path, given: str | None) -> str:
    stated = _spelt(read_license(source))
    wanted = _spelt(given or "")
    if stated and wanted and stated != wanted:
        raise UsageError(
            f"--license {given}: the card of {source} says {stated}",
            hint="leave --license out; an import does not change what the weights may be used for",
        )
    if not stated and not wanted:
        raise UsageError(
            f"{source}: has no card that says what its weights may be used for",
            hint="say it with --license, e.g. --license cc-by-nc-4.0",
        )
    return stated or wanted


def _spelt(license_name: str) -> str:
    """Return a licence as the hub spells it."""
    text = license_name.strip()
    return (normalize_license(text) if is_known_license(text) else text).lower()


def _open_source(path: Path, name: str | None) -> _Source:
    if not path.is_dir():
        raise InputError(
            f"{path}: no such folder", hint="name one with config.json and model.safetensors"
        )
    file = path / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: has no config.json", hint=_KINDS) from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file}: cannot be read ({error})") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{file}: not the configuration of a model")
    if "format_version" in config:
        raise CheckpointError(
            f"{path}: is a model folder of soundgen already", hint=f"use it with --model {path}"
        )
    return _Source(path, name or path.resolve().name, config, _read_weights(path))


def _read_weights(path: Path) -> dict[str, Tensor]:
    import safetensors
    import safetensors.torch

    single, index = path / "model.safetensors", path / "model.safetensors.index.json"
    try:
        if single.is_file():
            files = [single]
        else:
            shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
            files = [path / Path(str(shard)).name for shard in sorted(set(shards))]
        tensors: dict[str, Tensor] = {}
        for file in files:
            tensors.update(safetensors.torch.load_file(file))
        return tensors
    except FileNotFoundError:
        raise CheckpointError(
            f"{path}: has no model.safetensors",
            hint="pickled weights (.bin, .th, .ckpt) are not opened: they can run code; save the "
            "model with transformers as safetensors",
        ) from None
    except (OSError, ValueError, KeyError, AttributeError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path}: its weights are damaged ({error})") from error


def _codec_parts(
    source: _Source, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> _Made:
    config, weights = import_codec(settings, tensors, str(source.path))
    return _Made({"codec": to_dict(config)}, {"codec": weights})


def _existing_codec(codec: str | None) -> _Made:
    """Return the codec that a decoder is to speak to, with the licence that it has."""
    if codec is None:
        raise UsageError(
            "--codec is missing: a MusicGen decoder alone has none",
            hint="import its codec first, and name that: --codec DIR",
        )
    folder = resolve_model(codec)
    folder.verify()
    parts = [part for part in ("codec", "entropy") if folder.has(part)]
    sections: dict[str, Any] = {part: folder.section(part) for part in parts}
    if folder.license:
        sections["licenses"] = {"codec": folder.licenses.get("codec", folder.license)}
    return _Made(sections, {part: folder.tensors(part) for part in parts})


def _add_lm(source: _Source, made: _Made, text_encoder: str | None) -> None:
    alone = source.kind == "musicgen_decoder"
    codec = from_dict(CodecConfig, made.sections["codec"], f"{source.path}: codec")
    config, weights = import_lm(
        source.config if alone else source.section("decoder"),
        source.tensors if alone else source.below("decoder."),
        projection=source.below("enc_to_dec_proj."),
        codec=codec,
        where=str(source.path),
    )
    made.sections["lm"], made.tensors["lm"] = to_dict(config), weights
    named = _text_encoder(source, text_encoder, config.text_dim)
    made.sections["text_encoder"] = to_dict(named)


def _text_encoder(source: _Source, given: str | None, dim: int) -> TextEncoderConfig:
    """Return which text encoder prompts go through; the source's own where it can be had."""
    found = TextEncoderConfig(name=f"./{TEXT_ENCODER_FOLDER}", dim=dim, max_tokens=MAX_TEXT_TOKENS)
    if given is not None:
        return replace(found, name=given)
    has_tokenizer = any(
        (source.path / name).is_file() for name in ("tokenizer.json", "spiece.model")
    )
    if source.below("text_encoder.") and has_tokenizer:
        return found
    settings = source.config.get("text_encoder")
    named = str(settings.get("_name_or_path") or "") if isinstance(settings, dict) else ""
    if not named:
        raise UsageError(
            f"{source.path}: brings no text encoder with a tokenizer",
            hint="name the one it was trained with: --text-encoder google-t5/t5-base",
        )
    # The hub has long moved the first models into folders of their owners.
    return replace(found, name=f"google-t5/{named}" if named.startswith("t5-") else named)


def _write(source: _Source, made: _Made, out: Path, license_name: str) -> ImportReport:
    import safetensors

    check_space(out.parent, sum(value.nbytes for value in source.tensors.values()))
    # Whole or absent: made under another name, and renamed.
    temporary = out.parent / f".soundgen-import-{out.name}"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        folder = _write_parts(source, made, temporary)
        text = _card(source, folder, out.name, license_name)
        with atomic_path(temporary / CARD_FILE) as file:
            file.write_text(text, encoding="utf-8")
        temporary.rename(out)
    except (OSError, safetensors.SafetensorError) as error:
        raise write_failure(out, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    written = ModelFolder(out, folder.config)
    return ImportReport(
        path=out,
        source=source.name,
        kind=source.kind,
        parts=tuple(made.tensors),
        license=written.license,
        non_commercial=written.is_non_commercial,
        text_encoder=str(made.sections.get("text_encoder", {}).get("name", "")),
        model_digest=written.model_digest,
    )


def _write_parts(source: _Source, made: _Made, folder: Path) -> ModelFolder:
    lm = made.sections.pop("lm", None)
    tensors = {part: value for part, value in made.tensors.items() if part != "lm"}
    codec = save_model_folder(folder, made.sections, tensors)
    if lm is None:
        return codec
    section = made.sections["text_encoder"]
    config = from_dict(TextEncoderConfig, section, "text_encoder")
    if config.name == f"./{TEXT_ENCODER_FOLDER}":
        _write_text_encoder(source, folder / TEXT_ENCODER_FOLDER)
    try:
        found = find_encoder(config, download=False, beside=folder)
        section["sha256"] = found.digest
    except CheckpointError:
        pass  # fetched at first use, from wherever its name leads
    lm["codec_digest"] = codec.codec_digest
    return save_model_folder(folder, {**made.sections, "lm": lm}, {"lm": made.tensors["lm"]})


def _write_text_encoder(source: _Source, folder: Path) -> None:
    import safetensors.torch

    folder.mkdir()
    safetensors.torch.save_file(
        {name: value.contiguous() for name, value in source.below("text_encoder.").items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    settings = json.dumps(source.section("text_encoder"), indent=2)
    (folder / "config.json").write_text(settings + "\n", encoding="utf-8")
    for name in _TOKENIZER_FILES:
        if (source.path / name).is_file():
            shutil.copyfile(source.path / name, folder / name)


def _card(source: _Source, folder: ModelFolder, title: str, license_name: str) -> str:
    others = sorted(set(folder.licenses.values()) - {license_name})
    # The strictest of several, for the one place where the hub reads one.
    shown = next((name for name in others if is_non_commercial(name)), license_name)
    if is_non_commercial(license_name):
        shown = license_name
    terms = f"The weights are under {license_name}, as those they were made from"
    terms += f"; its codec is under {', '.join(others)}." if others else "."
    if folder.is_non_commercial:
        terms += " They are not for commercial use."
    body = (
        f"Imported from `{source.name}` ({source.kind}, in the layout of `transformers`) by "
        "`soundgen models import`; the weights are the same but for their names and order.\n\n"
        f"## Licence\n\n{terms}"
    )
    return make_card(
        title,
        body,
        license_name=shown,
        tags=["soundgen", "imported", *folder.licenses],
        makes_sounds=folder.has("lm"),
        base_model=source.name if source.name.count("/") == 1 else None,
    )
