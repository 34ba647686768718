"""Prompts -> embeddings, the same for a prompt alone and among others, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soundgen.errors import CheckpointError, InputError
from soundgen.text.config import MINILM_NAME, TextEncoderConfig
from soundgen.text.weights import EncoderFiles, find_encoder


@dataclass(frozen=True, slots=True)
class TextEmbeddings:
    """What the language model sees of a batch of prompts.

    Attributes:
        states: One vector a token, float32 `[B, N, D]`; zeros where `mask` is False.
        mask: bool `[B, N]`, True at tokens, False at padding. N is the longest prompt's count.
        pooled: One vector a prompt, float32 `[B, D]`, of length 1.
    """

    states: Tensor
    mask: Tensor
    pooled: Tensor


class PromptTokens(Protocol):
    """A tokenizer that never pads and never returns an empty list."""

    def count(self, prompt: str) -> int:
        """Return how many tokens the whole prompt has, special tokens included."""

    def __call__(self, prompt: str) -> list[int]:
        """Return the prompt's token ids, cut to the encoder's `max_tokens`."""


class TextEncoder:
    """A frozen text encoder in fp32.

    Each prompt runs alone, without padding and on one thread, and only the results are stacked: a
    matrix product's rounding depends on the shape of the batch and on the number of threads, and
    what a seed gives must not.

    Attributes:
        config: What was asked for.
        digest: SHA-256 of the weight file.
        source: Where the files were found, in words.
    """

    def __init__(
        self,
        config: TextEncoderConfig,
        files: EncoderFiles,
        tokens: PromptTokens,
        network: nn.Module,
        device: torch.device,
    ) -> None:
        self.config = config
        self.digest = files.digest
        self.source = files.source
        self.device = device
        self._tokens = tokens
        self._network = network.to(device)

    def encode(self, prompts: Sequence[str]) -> TextEmbeddings:
        """Embed prompts; the empty prompt is its special tokens and as valid as any other.

        A prompt of more than `config.max_tokens` tokens keeps its first ones and the closing
        special token. The pooled vector is the mean over a prompt's tokens, special tokens
        included, divided by its length: as sentence-transformers does for MiniLM, and the same
        for every other encoder so that the language model always sees one scale.

        Args:
            prompts: B texts, any language the encoder knows.

        Returns:
            Embeddings on the encoder's device. A prompt that is not valid Unicode is an
            `InputError`.
        """
        # One run a distinct text: captions of a dataset repeat.
        known: dict[str, Tensor] = {}
        with _one_thread():
            for prompt in prompts:
                if prompt not in known:
                    known[prompt] = self._states(prompt)
        lengths = [known[prompt].shape[0] for prompt in prompts]
        B, N, D = len(prompts), max(lengths, default=0), self.config.dim
        states = torch.zeros(B, N, D, device=self.device)
        mask = torch.zeros(B, N, dtype=torch.bool, device=self.device)
        pooled = torch.zeros(B, D, device=self.device)
        for row, (prompt, length) in enumerate(zip(prompts, lengths, strict=True)):
            states[row, :length] = known[prompt]
            mask[row, :length] = True
            pooled[row] = F.normalize(known[prompt].mean(dim=0), dim=0)
        return TextEmbeddings(states, mask, pooled)

    def is_cut(self, prompt: str) -> bool:
        """Say whether the prompt is longer than `config.max_tokens`, so that its end is lost."""
        return self._count(prompt) > self.config.max_tokens

    def _count(self, prompt: str) -> int:
        check_text(prompt)
        return self._tokens.count(prompt)

    def _states(self, prompt: str) -> Tensor:
        """Return float32 `[N, D]` for one prompt."""
        check_text(prompt)
        text_ids = torch.tensor([self._tokens(prompt)], device=self.device)
        # no_grad and not inference_mode: training keeps these tensors for its backward pass.
        # autocast off: the embeddings do not depend on the precision of whoever calls.
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            states: Tensor = self._network(text_ids)[0]
        return states.float()


def load_text_encoder(
    config: TextEncoderConfig,
    *,
    device: str = "cpu",
    digest: str | None = None,
    beside: Path | None = None,
) -> TextEncoder:
    """Load the encoder that `config` names.

    Args:
        config: Name, width and longest prompt.
        device: Where it runs, as torch spells it.
        digest: SHA-256 that the weight file must have, where a model folder has recorded one.
        beside: The model folder, in which a name that begins with `./` is a folder.

    A name that is not a text encoder's, or a width that is not `config.dim`, is a `ConfigError`.

    Raises:
        CheckpointError: The files are missing or damaged, or have another digest.
    """
    files = find_encoder(config, beside=beside)
    if digest is not None and files.digest != digest:
        raise CheckpointError(
            f"text encoder {config.name}: {files.source} holds other weights (SHA-256 "
            f"{files.digest[:12]}) than the model was trained with ({digest[:12]})",
            hint="install the version that the model card names",
        )
    tokens: PromptTokens
    network: nn.Module
    if config.name == MINILM_NAME:
        from soundgen.text.minilm import load_minilm

        tokens, network = load_minilm(files, config)
    else:
        from soundgen.text.huggingface import load_huggingface

        tokens, network = load_huggingface(files, config)
    return TextEncoder(config, files, tokens, network, torch.device(device))


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def check_text(prompt: str) -> None:
    """Refuse a prompt that is not valid Unicode.

    Raises:
        InputError: It is not.
    """
    try:
        prompt.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"prompt {prompt!r}: is not valid text in UTF-8") from error
