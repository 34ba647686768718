"""Models to and from the Hugging Face hub: checked before they go and after they come."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soundgen.checkpoint import (
    CONFIG_FILE,
    MODEL_FILES,
    PARTS,
    ModelFolder,
    fetch_model,
    resolve_model,
)
from soundgen.config import from_dict
from soundgen.errors import CheckpointError, InputError, OutputError, UsageError
from soundgen.files import write_failure
from soundgen.hub import parse_hub_name, send
from soundgen.model_card import CARD_FILE, complete_card, is_non_commercial, make_card
from soundgen.text.config import TextEncoderConfig
from soundgen.text.weights import find_encoder

_PROVENANCE = "PROVENANCE.jsonl"


@dataclass(frozen=True)
class PullReport:
    """A model that was fetched.

    Attributes:
        model: `hf:owner/name@commit`: finds these very files again, anywhere.
        path: Where they are.
        license: What the weights may be used for; empty if it does not say.
        model_digest: SHA-256 over all that shapes a sound, checked.
    """

    model: str
    path: Path
    license: str
    model_digest: str


@dataclass(frozen=True)
class PushReport:
    """A model that was sent.

    Attributes:
        model: `hf:owner/name@commit`.
        files: What was sent.
        license: As its card says there.
        model_digest: SHA-256 over all that shapes a sound.
    """

    model: str
    files: tuple[str, ...]
    license: str
    model_digest: str


def pull_model(
    name: str, out: Path | None = None, *, revision: str | None = None, force: bool = False
) -> PullReport:
    """Fetch a model from the hub and check it against its digests.

    Args:
        name: `hf:owner/name`, with `@revision` or without.
        out: A folder to copy it to, beside the cache.
        revision: Branch, tag or commit.
        force: Fetch what is in the cache again, and replace `out`.

    Raises:
        CheckpointError: It cannot be had, or is not what its digests say.
        OutputError: `out` exists and `force` is off, or cannot be written.
    """
    if out is not None:
        _check_out(out, force=force)
    folder = fetch_model(parse_hub_name(name, revision=revision), force=force)
    folder.verify()
    _check_text_encoder(folder)
    if out is not None:
        _copy(folder, out)
    return PullReport(folder.hub, out or folder.path, folder.license, folder.model_digest)


def push_model(
    model: str,
    name: str,
    *,
    revision: str | None = None,
    license_name: str | None = None,
    message: str = "",
    private: bool = False,
) -> PushReport:
    """Send a model folder to the hub, in one commit.

    A card without the metadata that the hub looks for gets it on the way; the folder stays as it
    is. Parts that the repository has and the folder has not, go.

    Args:
        model: A model folder, or the name of a shipped model.
        name: `hf:owner/name`; the repository is made if there is none.
        revision: Branch to send it to; the main one if `None`.
        license_name: What the weights may be used for, where no card says it.
        message: Of the commit.
        private: Whether a repository that is made can be seen by its owner only.

    Raises:
        UsageError: Nothing says what the weights may be used for, or two things differ.
        InputError: The card's metadata cannot be read, or the hub does not accept it.
        CheckpointError: The folder is damaged.
        OutputError: The hub cannot be reached, or does not let us write.
    """
    target = parse_hub_name(name, revision=revision)
    folder = resolve_model(model)
    folder.verify()
    _check_text_encoder(folder)
    card, license_name = _card(folder, target.repo.partition("/")[2], license_name)
    files: dict[str, Path | bytes] = {CARD_FILE: card.encode()}
    for path in _files(folder):
        files.setdefault(path, folder.path / path)
    sent = send(
        target,
        files,
        replaced=MODEL_FILES,
        message=message or f"soundgen model {folder.model_digest[:12]}",
        private=private,
    )
    return PushReport(str(sent), tuple(sorted(files)), license_name, folder.model_digest)


def _files(folder: ModelFolder) -> list[str]:
    """Return the names of all that belongs to a model, and of nothing else in its folder."""
    names = [CONFIG_FILE, CARD_FILE, _PROVENANCE]
    names += [f"{part}.safetensors" for part in PARTS if folder.has(part)]
    found = [name for name in names if (folder.path / name).is_file()]
    for pattern in MODEL_FILES:
        if "/" in pattern:
            found += [str(path.relative_to(folder.path)) for path in folder.path.glob(pattern)]
    return sorted(found)


def _check_text_encoder(folder: ModelFolder) -> None:
    """Check the text encoder that travels in the folder, if one does."""
    section: dict[str, Any] = dict(folder.config.get("text_encoder", {}))
    digest = section.pop("sha256", None)
    if not str(section.get("name", "")).startswith("./"):
        return
    config = from_dict(TextEncoderConfig, section, f"{folder.path}: text_encoder")
    if find_encoder(config, beside=folder.path).digest != digest:
        raise CheckpointError(
            f"{folder.path}: its text encoder does not match its recorded digest",
            hint="the folder is damaged or was edited; get it again",
        )


def _card(folder: ModelFolder, title: str, given: str | None) -> tuple[str, str]:
    """Return the card to send, and the licence that it names."""
    stated = folder.license
    if given and stated and given.lower() != stated.lower():
        raise UsageError(f"--license {given}: {folder.path} says {stated}")
    license_name = stated or given or ""
    if not license_name:
        raise UsageError(
            f"{folder.path}: nothing says what its weights may be used for",
            hint="say it with --license, e.g. --license cc0-1.0, or in README.md",
        )
    if folder.is_non_commercial and not is_non_commercial(license_name):
        strict = next(filter(is_non_commercial, folder.licenses.values()))
        raise UsageError(
            f"{folder.path}: its card says {license_name}, but weights in it are under {strict}",
            hint=f"write license: {strict} in README.md",
        )
    file = folder.path / CARD_FILE
    has_lm = folder.has("lm")
    if not file.is_file():
        body = _summary(folder)
        tags = ["soundgen", *(["sound-effects"] if has_lm else ["neural-codec"])]
        card = make_card(title, body, license_name=license_name, tags=tags, makes_sounds=has_lm)
        return card, license_name
    try:
        text = file.read_text(encoding="utf-8")
        return complete_card(text, license_name=license_name, makes_sounds=has_lm), license_name
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{file}: its metadata cannot be read ({reason})") from error


def _summary(folder: ModelFolder) -> str:
    """Say what a model is, of what its folder tells."""
    codec = folder.config.get("codec", {})
    lines = [f"A model of soundgen: {_parts(folder)}."]
    if codec:
        lines.append(
            f"{codec.get('sample_rate', 16_000)} Hz mono, {codec.get('num_codebooks')} codebooks "
            f"of {codec.get('codebook_size')}."
        )
    for part, made in folder.config.get("training", {}).items():
        if isinstance(made, dict) and "step" in made:
            lines.append(f"The {part} took {made['step']} steps of training.")
    lines.append(f"Model digest `{folder.model_digest}`.")
    return "\n".join(f"- {line}" for line in lines)


def _parts(folder: ModelFolder) -> str:
    return ", ".join(part for part in PARTS if folder.has(part))


def _check_out(out: Path, *, force: bool) -> None:
    if not out.parent.is_dir():
        raise OutputError(
            f"{out}: the folder {out.parent} does not exist", hint=f"mkdir -p {out.parent}"
        )
    if not out.exists():
        return
    if not force:
        raise OutputError(f"{out}: exists already", hint="use -f to replace it")
    if not (out / CONFIG_FILE).is_file():
        raise OutputError(f"{out}: is not a model folder, so it is not replaced")


def _copy(folder: ModelFolder, out: Path) -> None:
    """Copy a model out of the cache: whole, or not at all."""
    temporary, old = (out.parent / f".soundgen-{kind}-{out.name}" for kind in ("pull", "old"))
    try:
        for path in (temporary, old):
            shutil.rmtree(path, ignore_errors=True)
        for name in _files(folder):
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder.path / name, temporary / name)
        if out.exists():
            out.rename(old)
        temporary.rename(out)
    except OSError as error:
        raise write_failure(out, error) from error
    finally:
        if old.exists() and not out.exists():
            old.rename(out)
        for path in (temporary, old):
            shutil.rmtree(path, ignore_errors=True)
