"""Any other text encoder (T5, BERT and their kin), run by `transformers`.

Imported only when a config names such an encoder: `transformers` takes seconds to import.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from soundgen.errors import CheckpointError, ConfigError
from soundgen.text.config import TextEncoderConfig
from soundgen.text.weights import EncoderFiles

_T5_CLASSES = {"t5": "T5EncoderModel", "mt5": "MT5EncoderModel", "umt5": "UMT5EncoderModel"}
"""Encoder-only classes: half the memory of the whole model, the decoder is never built."""
_LOAD_FAILURES = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    ImportError,
    RuntimeError,
    SafetensorError,
)
"""What transformers raises for a folder that it cannot use; it has no error class of its own."""
_SUPPORTED = "T5 and BERT-like encoders are supported, decoder-only language models are not"


class HuggingFaceNetwork(nn.Module):
    """A `transformers` encoder as a function of token ids."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, text_ids: Tensor) -> Tensor:
        """Embed one or more token sequences of equal length, without padding.

        Args:
            text_ids: int64 `[B, N]`.

        Returns:
            States of the last layer, `[B, N, D]`.
        """
        states: Tensor = self.model(
            input_ids=text_ids, attention_mask=torch.ones_like(text_ids)
        ).last_hidden_state
        return states


class HuggingFaceTokens:
    """The folder's own tokenizer, cut to `max_tokens`."""

    def __init__(self, tokenizer: Any, max_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens

    def count(self, prompt: str) -> int:
        """Return how many tokens the whole prompt has, special tokens included."""
        return len(self._tokenizer(prompt, verbose=False)["input_ids"])

    def __call__(self, prompt: str) -> list[int]:
        """Return the ids of the first tokens and the special tokens, at most `max_tokens`."""
        ids: list[int] = self._tokenizer(
            prompt, truncation=True, max_length=self._max_tokens, verbose=False
        )["input_ids"]
        # A tokenizer without special tokens has none for "", and attention needs something.
        return ids or [self._tokenizer.pad_token_id or 0]


def load_huggingface(
    files: EncoderFiles, config: TextEncoderConfig
) -> tuple[HuggingFaceTokens, HuggingFaceNetwork]:
    """Load tokenizer and network in fp32.

    A folder that holds no text encoder (a decoder-only model, say), or one of another width than
    `config.dim`, is a `ConfigError`.

    Raises:
        CheckpointError: The folder cannot be loaded.
    """
    with _quiet_transformers():
        try:
            model_class = _model_class(files, config)
            model = model_class.from_pretrained(
                files.folder, local_files_only=True, use_safetensors=True
            )
            tokenizer = _auto("AutoTokenizer").from_pretrained(files.folder, local_files_only=True)
        except _LOAD_FAILURES as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
            raise CheckpointError(f"text encoder {config.name}: cannot be loaded ({reason})") from (
                error
            )
    if getattr(model.config, "is_encoder_decoder", False):
        model = model.get_encoder()
    network = HuggingFaceNetwork(model.float().eval().requires_grad_(False))
    tokens = HuggingFaceTokens(tokenizer, config.max_tokens)
    _check_width(network, tokens, config)
    return tokens, network


def encoder_width(files: EncoderFiles, name: str) -> int:
    """Return the width of an encoder's states, by its own configuration.

    Raises:
        ConfigError: The configuration does not say.
    """
    text = (files.folder / "config.json").read_text(encoding="utf-8")
    settings: dict[str, Any] = json.loads(text)
    for key in ("d_model", "hidden_size", "dim"):
        if isinstance(settings.get(key), int):
            return int(settings[key])
    raise ConfigError(
        f"text encoder {name}: its config.json does not name a width", hint=_SUPPORTED
    )


def _model_class(files: EncoderFiles, config: TextEncoderConfig) -> Any:
    from transformers.models.auto import modeling_auto

    text = (files.folder / "config.json").read_text(encoding="utf-8")
    settings: dict[str, Any] = json.loads(text)
    model_type = str(settings.get("model_type", ""))
    if model_type in _T5_CLASSES:
        return _auto(_T5_CLASSES[model_type])
    causal = model_type in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    masked = model_type in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    two_sided = bool(settings.get("is_encoder_decoder", False))
    if settings.get("is_decoder") or (causal and not masked and not two_sided):
        raise ConfigError(
            f"text encoder {config.name}: '{model_type}' is a decoder-only language model",
            hint=_SUPPORTED,
        )
    return _auto("AutoModel")


def _auto(name: str) -> Any:
    import transformers

    return getattr(transformers, name)


def _check_width(
    network: HuggingFaceNetwork, tokens: HuggingFaceTokens, config: TextEncoderConfig
) -> None:
    # Asked of the model itself: configs call their width d_model, hidden_size, dim, ...
    try:
        with torch.no_grad():
            states = network(torch.tensor([tokens("rain")]))
        width = int(states.shape[2])
    except (TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        raise ConfigError(
            f"text encoder {config.name}: does not turn text into one vector a token",
            hint=_SUPPORTED,
        ) from error
    if width != config.dim:
        raise ConfigError(
            f"text encoder {config.name}: is {width} wide, not {config.dim}",
            hint=f"set text_encoder.dim = {width}",
        )


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Keep load reports and progress bars off stderr, and put the settings back afterwards."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    had_bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if had_bars:
            logging.enable_progress_bar()
