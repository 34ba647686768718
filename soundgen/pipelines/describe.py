"""What a file or a model folder is, read from its header or its config, without loading it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soundgen.audio.io import probe
from soundgen.checkpoint import PARTS, ModelFolder, resolve_model, shipped_models
from soundgen.codec.sgc_header import MAGIC
from soundgen.codec.sgc_info import SgcInfo
from soundgen.codec.sgc_info import describe as describe_sgc
from soundgen.errors import InputError
from soundgen.hub import HUB_PREFIX
from soundgen.pipelines.making import read_making


@dataclass(frozen=True, slots=True)
class AudioDescription:
    """A sound file.

    Attributes:
        path: The file.
        format: Container, e.g. `WAV`.
        subtype: Sample format, e.g. `PCM_16`.
        sample_rate: Hz.
        channels: Number of channels.
        num_samples: Samples in each channel.
        duration_s: Length in seconds.
        tags: Text tags as the file has them.
        making: How soundgen made it (prompt, seed, settings, digests); None for other files.
    """

    path: Path
    format: str
    subtype: str
    sample_rate: int
    channels: int
    num_samples: int
    duration_s: float
    tags: dict[str, str]
    making: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class SgcDescription:
    """A file that `soundgen compress` wrote.

    Attributes:
        path: The file.
        sgc: What its header and its chunks say.
    """

    path: Path
    sgc: SgcInfo


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """A model folder.

    Attributes:
        path: The folder.
        name: Its name.
        parts: The parts it has, with their sizes in bytes.
        model_digest: SHA-256 over all that shapes a sound.
        codec_digest: SHA-256 over the codec's config and tensors.
        license: What its weights may be used for; empty if it does not say.
        config: Its `config.json`.
    """

    path: Path
    name: str
    parts: dict[str, int]
    model_digest: str
    codec_digest: str
    license: str
    config: dict[str, Any]


def describe(name_or_path: str) -> AudioDescription | SgcDescription | ModelDescription:
    """Describe a sound file, an `.sgc` file, a model folder or a shipped model.

    Raises:
        InputError: The file is missing, or is none of these.
        CheckpointError: The model folder is damaged.
    """
    if not name_or_path:
        raise InputError("the name of the file is empty")
    path = Path(name_or_path)
    if path.is_dir():
        return describe_model(resolve_model(name_or_path))
    if not path.exists() and not path.is_symlink():
        return describe_model(_model_named(name_or_path))
    if _is_sgc(path):
        return SgcDescription(path, describe_sgc(path))
    found = probe(path)
    return AudioDescription(
        path=path,
        format=found.format,
        subtype=found.subtype,
        sample_rate=found.sample_rate,
        channels=found.channels,
        num_samples=found.num_samples,
        duration_s=found.duration_s,
        tags=dict(found.tags),
        making=read_making(found.tags),
    )


def describe_model(folder: ModelFolder) -> ModelDescription:
    """Describe a model folder by its config and its card."""
    parts = {
        part: (folder.path / f"{part}.safetensors").stat().st_size
        for part in PARTS
        if folder.has(part)
    }
    return ModelDescription(
        path=folder.path,
        name=folder.name,
        parts=parts,
        model_digest=folder.model_digest,
        codec_digest=folder.codec_digest if "codec" in parts else "",
        license=folder.license,
        config=folder.config,
    )


def _model_named(name: str) -> ModelFolder:
    if name.startswith(HUB_PREFIX) or name in [model.name for model in shipped_models()]:
        return resolve_model(name)
    raise InputError(f"{name}: there is no such file, model folder or shipped model")


def _is_sgc(path: Path) -> bool:
    # Opening a pipe that nobody writes to would wait for ever; `probe` says what it is instead.
    if not path.is_file():
        return False
    try:
        with path.open("rb") as stream:
            return stream.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
