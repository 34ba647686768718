"""Embeddings of prompts that came before, kept on disk: a prompt said again needs no encoder.

Reading the encoder, checking its 90 MB and running it is a good part of making one sound. What it
says of a text never changes, so it is kept in the user's cache (`SOUNDGEN_PROMPT_CACHE`), one small
file a prompt. A file is written under another name and renamed, so that two processes never meet
halves; it carries its own hash, and one that is damaged counts as missing. File names are hashes:
the prompts themselves are not written down.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import secrets
import struct
from pathlib import Path

import torch
from torch import Tensor

from soundgen.text.config import MINILM_NAME, TextEncoderConfig
from soundgen.text.encoder import TextEncoder, check_text, load_text_encoder

CACHE_VARIABLE = "SOUNDGEN_PROMPT_CACHE"
"""A folder, or `off`."""
MAX_ENTRIES = 4000
"""A quarter is dropped, oldest first, when there are more: 40 MB or so."""
_FORMAT = 1
_HEADER = struct.Struct("<III")  # tokens of the whole prompt, N, D
_HASH_BYTES = 32


class PromptCache:
    """Token states of prompts, as one encoder gives them on this machine.

    Args:
        folder: Made when first written to.
        digest: Of the encoder's weights.
        config: Of the encoder.
    """

    def __init__(self, folder: Path, digest: str, config: TextEncoderConfig) -> None:
        self._folder = folder
        # Another PyTorch or another processor may round otherwise, and a home may be shared.
        self._stamp = [
            _FORMAT, digest, config.max_tokens, config.dim, torch.__version__,
            torch.backends.cpu.get_cpu_capability(), platform.node(),
        ]  # fmt: skip

    def read(self, prompt: str) -> tuple[Tensor, int] | None:
        """Return states float32 `[N, D]` and the tokens of the whole prompt; `None` if unknown."""
        try:
            data = self._path(prompt).read_bytes()
        except OSError:
            return None
        digest, body = data[:_HASH_BYTES], data[_HASH_BYTES:]
        if len(body) < _HEADER.size or hashlib.sha256(body).digest() != digest:
            return None
        num_tokens, length, dim = _HEADER.unpack_from(body)
        if len(body) != _HEADER.size + 4 * length * dim:
            return None
        values = torch.frombuffer(bytearray(body[_HEADER.size :]), dtype=torch.float32)
        return values.view(length, dim), num_tokens

    def write(self, prompt: str, states: Tensor, num_tokens: int) -> None:
        """Keep states float32 `[N, D]`; where that cannot be done, the next run computes them."""
        path = self._path(prompt)
        body = _HEADER.pack(num_tokens, *states.shape) + states.contiguous().numpy().tobytes()
        temporary = path.with_name(f".{os.getpid()}-{secrets.token_hex(8)}")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                temporary.write_bytes(hashlib.sha256(body).digest() + body)
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
            self._drop_oldest()
        except OSError:
            return

    def _path(self, prompt: str) -> Path:
        key = json.dumps([*self._stamp, prompt]).encode("utf-8")
        return self._folder / f"{hashlib.sha256(key).hexdigest()}.states"

    def _drop_oldest(self) -> None:
        # What a killed process has left of a write is dropped with the rest.
        entries = list(os.scandir(self._folder))
        if len(entries) <= MAX_ENTRIES:
            return
        entries.sort(key=lambda entry: entry.stat().st_mtime)
        for entry in entries[: MAX_ENTRIES // 4]:
            Path(entry.path).unlink(missing_ok=True)


class RememberingTextEncoder(TextEncoder):
    """A text encoder that is loaded when a prompt comes that is not in the cache.

    Args:
        config: Name, width and longest prompt.
        digest: SHA-256 of the weights that the model was trained with.
        cache: What came before.
    """

    def __init__(self, config: TextEncoderConfig, digest: str, cache: PromptCache) -> None:
        # Not the base's: files, tokenizer and network are those of the encoder loaded later.
        self.config, self.digest, self.source = config, digest, "prompt cache"
        self.device = torch.device("cpu")
        self._cache = cache
        self._loaded: TextEncoder | None = None
        self._known: dict[str, tuple[Tensor, int]] = {}

    def _count(self, prompt: str) -> int:
        return self._of(prompt)[1]

    def _states(self, prompt: str) -> Tensor:
        return self._of(prompt)[0]

    def _of(self, prompt: str) -> tuple[Tensor, int]:
        check_text(prompt)
        found = self._known.get(prompt) or self._cache.read(prompt)
        if found is None:
            if self._loaded is None:
                self._loaded = load_text_encoder(self.config, digest=self.digest)
            # Private to both: one class, of which this one puts a file before the network.
            found = self._loaded._states(prompt), self._loaded._count(prompt)
            self._cache.write(prompt, *found)
        self._known = {prompt: found}  # a batch asks for both, one after the other
        return found


def remembering_text_encoder(
    config: TextEncoderConfig, digest: str | None, *, beside: Path | None = None
) -> TextEncoder:
    """Return the encoder of `config`, put behind the cache if that is on and may be used.

    Only for the encoder whose tokenizer is fixed too; others are loaded at once.

    Raises:
        CheckpointError: It is loaded at once, and its files are missing or damaged.
    """
    folder = cache_folder()
    if folder is None or digest is None or config.name != MINILM_NAME:
        return load_text_encoder(config, digest=digest, beside=beside)
    return RememberingTextEncoder(config, digest, PromptCache(folder, digest, config))


def cache_folder() -> Path | None:
    """Return where prompts are kept; `None` where they are not."""
    chosen = os.environ.get(CACHE_VARIABLE, "")
    if chosen.lower() in ("off", "0", "no", "false"):
        return None
    if chosen:
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "soundgen" / "prompts"
    except RuntimeError:  # there is no home
        return None
