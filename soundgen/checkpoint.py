"""The model folder: what training writes and everything else loads. Knows no model class.

`config.json` holds the format's version, one section a part, and the digests; each part's weights
stand beside it as `<part>.safetensors`. Nothing in a model folder can run code.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from soundgen.errors import CheckpointError
from soundgen.files import atomic_paths, write_failure
from soundgen.hub import HUB_PREFIX, HubName, fetch, parse_hub_name
from soundgen.model_card import CARD_FILE, is_non_commercial, read_license

if TYPE_CHECKING:
    from torch import Tensor

FORMAT_VERSION = 1
_UPDATE = "update soundgen"
DEFAULT_MODEL = "soundgen-small"
CONFIG_FILE = "config.json"
PARTS = ("codec", "entropy", "lm", "matcher")
MODEL_FILES = (
    CONFIG_FILE,
    *(f"{part}.safetensors" for part in PARTS),
    CARD_FILE,
    "PROVENANCE.jsonl",
    "text_encoder/*.json",
    "text_encoder/*.safetensors",
    "text_encoder/spiece.model",
)
"""What of a repository, or a folder, is the model."""
_MAX_HEADER_BYTES = 10_000_000


@dataclass(frozen=True)
class ModelFolder:
    """A model on disk, its configuration read and its weights not yet.

    Attributes:
        path: The folder.
        config: `config.json`, with a section for each part.
        hub: `hf:owner/name@commit` of one that was fetched; else empty.
    """

    path: Path
    config: dict[str, Any]
    hub: str = ""

    @property
    def name(self) -> str:
        """The folder's name; of one that was fetched, its name on the hub."""
        return self.hub or self.path.resolve().name

    @property
    def reference(self) -> str:
        """What finds the model again: a name, shipped or on the hub, or the path."""
        if self.hub:
            return self.hub
        shipped = self.path.resolve().parent in [root.resolve() for root in _shipped_roots()]
        return self.name if shipped else str(self.path)

    @property
    def license(self) -> str:
        """What its weights may be used for: as its card says, else its config; empty if neither."""
        return read_license(self.path) or "; ".join(sorted(set(self.licenses.values())))

    @property
    def licenses(self) -> dict[str, str]:
        """Licences of parts that were made from others' weights, by part."""
        return {part: str(name) for part, name in self.config.get("licenses", {}).items()}

    @property
    def is_non_commercial(self) -> bool:
        """Whether its licence keeps its weights from commercial use."""
        return any(map(is_non_commercial, [self.license, *self.licenses.values()]))

    def has(self, part: str) -> bool:
        """Say whether the folder holds `part`."""
        return part in self.config and (self.path / f"{part}.safetensors").is_file()

    def section(self, part: str) -> dict[str, Any]:
        """Return the configuration of `part`.

        Raises:
            CheckpointError: The folder has no such part.
        """
        if part not in self.config:
            raise CheckpointError(f"{self.path}: has no {part}", hint=_hint_for(part))
        section: dict[str, Any] = self.config[part]
        return section

    def tensors(self, part: str) -> dict[str, Tensor]:
        """Read the weights of `part`, memory-mapped, in the type they are stored in.

        Raises:
            CheckpointError: They are missing or damaged.
        """
        import safetensors
        import safetensors.torch

        path = self.path / f"{part}.safetensors"
        if not path.is_file():
            raise CheckpointError(f"{self.path}: has no {part}", hint=_hint_for(part))
        try:
            return safetensors.torch.load_file(path)
        except (OSError, safetensors.SafetensorError) as error:
            raise CheckpointError(f"{path}: damaged ({error})") from error

    @property
    def codec_digest(self) -> str:
        """SHA-256 over the codec's configuration and tensors, as recorded; hex."""
        return self._recorded("codec")

    @property
    def entropy_digest(self) -> str:
        """SHA-256 over the entropy model's configuration and tensors, as recorded; hex."""
        return self._recorded("entropy")

    @property
    def matcher_digest(self) -> str:
        """SHA-256 over the matcher's configuration and tensors, as recorded; hex."""
        return self._recorded("matcher")

    @property
    def model_digest(self) -> str:
        """SHA-256 over all that shapes a generated sound, as recorded; hex."""
        return self._recorded("model")

    @cached_property
    def computed_digests(self) -> dict[str, str]:
        """The digests, computed anew from the files."""
        return compute_digests(self.path, self.config)

    def verify(self) -> None:
        """Check that the files are what the recorded digests say.

        Raises:
            CheckpointError: One is not.
        """
        for part, digest in self.computed_digests.items():
            if self._recorded(part) != digest:
                raise CheckpointError(
                    f"{self.path}: {part} does not match its recorded digest",
                    hint=f"get it again: soundgen models pull {self.hub} --force"
                    if self.hub
                    else "the folder is damaged or was edited; get it again, or train again",
                )

    def _recorded(self, part: str) -> str:
        try:
            return str(self.config["digests"][part])
        except KeyError:
            raise CheckpointError(f"{self.path}: {CONFIG_FILE} records no {part} digest") from None


def open_model_folder(path: Path) -> ModelFolder:
    """Read the configuration of the model folder at `path`.

    Raises:
        CheckpointError: There is none, it is damaged, or its format is newer than this program.
    """
    file = path / CONFIG_FILE
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            f"{path}: not a model folder (no {CONFIG_FILE})", hint="see: soundgen models list"
        ) from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file}: cannot be read ({error})") from error
    version = config.get("format_version") if isinstance(config, dict) else None
    if not isinstance(version, int):
        raise CheckpointError(f"{file}: not the configuration of a soundgen model")
    if version > FORMAT_VERSION:
        raise CheckpointError(
            f"{file}: format {version} is newer than this program knows ({FORMAT_VERSION})",
            hint=_UPDATE,
        )
    for name in (*PARTS, "text_encoder", "digests", "licenses"):
        if not isinstance(config.get(name, {}), dict):
            raise CheckpointError(f"{file}: '{name}' is not a table")
    return ModelFolder(path, config)


def save_model_folder(
    path: Path, sections: Mapping[str, Any], tensors: Mapping[str, Mapping[str, Tensor]]
) -> ModelFolder:
    """Write a model folder. The sections replace those that are there; weights not given stay.

    Args:
        path: The folder; made if missing.
        sections: Sections of `config.json`: one for each part, and any others.
        tensors: Weights of each part that is (re)written.

    Raises:
        OutputError: It cannot be written.
    """
    import safetensors
    import safetensors.torch

    path.mkdir(parents=True, exist_ok=True)
    # The configuration comes last, and nothing is replaced until there was room for all.
    files = [CONFIG_FILE, *(f"{part}.safetensors" for part in tensors)]
    with atomic_paths([path / name for name in files]) as (config_file, *weight_files):
        written = dict(zip(tensors, weight_files, strict=True))
        for part, weights in tensors.items():
            plain = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
            try:
                safetensors.torch.save_file(plain, written[part])
            except safetensors.SafetensorError as error:
                raise write_failure(path / f"{part}.safetensors", error, written[part]) from error
        config: dict[str, Any] = {"format_version": FORMAT_VERSION, **sections}
        # A run that goes on may not know any more what it was started from.
        known = open_model_folder(path).licenses if (path / CONFIG_FILE).is_file() else {}
        licenses = {**known, **config.pop("licenses", {})}
        if licenses:
            config["licenses"] = licenses
        config["digests"] = compute_digests(path, config, written)
        config_file.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return ModelFolder(path, config)


def compute_digests(
    path: Path, config: Mapping[str, Any], written: Mapping[str, Path] = MappingProxyType({})
) -> dict[str, str]:
    """Compute the digests of a model folder's parts, and of the model as a whole.

    A part's digest is SHA-256 over its section (canonical JSON) and its tensors in the order of
    their names (name, type, shape, bytes). The model's is over those of codec and LM and the
    text encoder's section, which names that encoder's own hash. The matcher does not shape a
    sound: it chooses among sounds that have seeds of their own.

    Args:
        path: The folder.
        config: Its configuration.
        written: Files to read in place of the folder's own, by part.

    Raises:
        CheckpointError: A part's weights are missing or damaged.
    """
    digests = {}
    for part in PARTS:
        if part in config:
            digest = hashlib.sha256(_canonical(config[part]))
            _hash_tensors(written.get(part, path / f"{part}.safetensors"), digest)
            digests[part] = digest.hexdigest()
    whole = hashlib.sha256()
    for part in ("codec", "lm"):
        whole.update(digests.get(part, "").encode())
    whole.update(_canonical(config.get("text_encoder", {})))
    digests["model"] = whole.hexdigest()
    return digests


def resolve_model(name_or_path: str) -> ModelFolder:
    """Find a model: a folder, the name of a shipped one, or `hf:owner/name[@revision]`.

    Raises:
        CheckpointError: There is no such model.
    """
    if name_or_path.startswith(HUB_PREFIX):
        return fetch_model(parse_hub_name(name_or_path))
    path = Path(name_or_path)
    if (path / CONFIG_FILE).is_file():
        return open_model_folder(path)
    for root in _shipped_roots():
        if (root / name_or_path / CONFIG_FILE).is_file():
            return open_model_folder(root / name_or_path)
    if path.is_dir():
        return open_model_folder(path)
    shipped = ", ".join(folder.name for folder in shipped_models()) or "none"
    raise CheckpointError(
        f"{name_or_path}: no such model", hint=f"name a model folder, or one that ships: {shipped}"
    )


def shipped_models() -> list[ModelFolder]:
    """Return the models that came with the installation."""
    found: dict[str, ModelFolder] = {}
    for root in _shipped_roots():
        for file in sorted(root.glob(f"*/{CONFIG_FILE}")):
            found.setdefault(file.parent.name, open_model_folder(file.parent))
    return list(found.values())


def _shipped_roots() -> list[Path]:
    package = Path(__file__).resolve().parent
    # In a wheel the folder lies inside the package; in a checkout, beside it.
    return [
        root for root in (package / "checkpoints", package.parent / "checkpoints") if root.is_dir()
    ]


def fetch_model(name: HubName, *, force: bool = False) -> ModelFolder:
    """Fetch a model from the hub, or find it in the cache.

    Args:
        name: Which.
        force: Fetch again what is in the cache.

    Raises:
        CheckpointError: It cannot be had, or is not a model of ours.
    """
    found = fetch(name, MODEL_FILES, force=force)
    try:
        return replace(open_model_folder(found.path), hub=str(found.name))
    except CheckpointError as error:
        raise CheckpointError(
            error.message.replace(str(found.path), str(name)),
            hint=error.hint
            if error.hint == _UPDATE
            else f"models of transformers come in with: soundgen models import {name} OUT",
        ) from error


def _hint_for(part: str) -> str:
    return {
        "codec": "train one with: soundgen train codec",
        "lm": "train one with: soundgen train lm",
        "matcher": "train one with: soundgen train matcher --model MODEL",
    }.get(part, "")


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _hash_tensors(path: Path, digest: hashlib._Hash) -> None:
    """Feed the tensors of a safetensors file to `digest`, without torch."""
    try:
        with path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > _MAX_HEADER_BYTES:
                raise ValueError("header too long")
            header: dict[str, Any] = json.loads(stream.read(length))
            for name in sorted(header):
                if name == "__metadata__":
                    continue
                entry = header[name]
                begin, end = entry["data_offsets"]
                digest.update(_canonical([name, entry["dtype"], entry["shape"]]))
                stream.seek(8 + length + begin)
                remaining = end - begin
                while remaining:
                    block = stream.read(min(remaining, 1 << 20))
                    if not block:
                        raise ValueError("shorter than its header says")
                    digest.update(block)
                    remaining -= len(block)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: is missing", hint="get the model again") from error
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise CheckpointError(f"{path}: damaged ({error})", hint="get the model again") from error
