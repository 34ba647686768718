"""all-MiniLM-L6-v2 in plain torch: the forward pass of BERT, and nothing that it does not need.

It stands in for `transformers`, whose import alone takes longer than generating a sound; a test
holds the two equal. The architecture is fixed by the hash of the weights, so its sizes are
constants here.

Reference: Devlin et al. 2018 (BERT), https://arxiv.org/abs/1810.04805
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F

from soundgen.errors import CheckpointError, ConfigError
from soundgen.text.config import TextEncoderConfig
from soundgen.text.weights import EncoderFiles

DIM = 384
NUM_LAYERS = 6
NUM_HEADS = 12
MAX_POSITIONS = 512
NORM_EPS = 1e-12


class Affine(nn.Module):
    """A frozen linear layer.

    Not `nn.Linear`: filling twelve million weights with initial values, or importing what the
    "meta" device needs to leave it out (1 s), would be the longest part of loading.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, states: Tensor) -> Tensor:
        """Map `[B, N, D]` to `[B, N, D']`."""
        return F.linear(states, self.weight, self.bias)


class Norm(Affine):
    """A frozen layer norm."""

    def forward(self, states: Tensor) -> Tensor:
        """Normalise `[B, N, D]` over D."""
        return F.layer_norm(states, self.weight.shape, self.weight, self.bias, NORM_EPS)


class BertLayer(nn.Module):
    """Self-attention and feed-forward, each followed by its residual sum and its norm.

    Args:
        tensors: The weights by their names in the file.
        prefix: What the names of this layer begin with.
    """

    def __init__(self, tensors: Mapping[str, Tensor], prefix: str) -> None:
        super().__init__()

        def pair(name: str) -> tuple[Tensor, Tensor]:
            return tensors[f"{prefix}.{name}.weight"], tensors[f"{prefix}.{name}.bias"]

        self.query = Affine(*pair("attention.self.query"))
        self.key = Affine(*pair("attention.self.key"))
        self.value = Affine(*pair("attention.self.value"))
        self.attention_output = Affine(*pair("attention.output.dense"))
        self.attention_norm = Norm(*pair("attention.output.LayerNorm"))
        self.feedforward_in = Affine(*pair("intermediate.dense"))
        self.feedforward_out = Affine(*pair("output.dense"))
        self.feedforward_norm = Norm(*pair("output.LayerNorm"))

    def forward(self, states: Tensor) -> Tensor:
        """Transform token states.

        Args:
            states: float32 `[B, N, D]`; every token is real, none is padding.

        Returns:
            States of the same shape.
        """
        B, N, D = states.shape
        heads = (B, N, NUM_HEADS, D // NUM_HEADS)
        query = self.query(states).view(heads).transpose(1, 2)  # [B, H, N, D / H]
        key = self.key(states).view(heads).transpose(1, 2)
        value = self.value(states).view(heads).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(query, key, value)
        mixed = mixed.transpose(1, 2).reshape(B, N, D)
        states = self.attention_norm(states + self.attention_output(mixed))
        hidden = F.gelu(self.feedforward_in(states))  # the exact GELU (erf), as in BERT
        out: Tensor = self.feedforward_norm(states + self.feedforward_out(hidden))
        return out


class MiniLM(nn.Module):
    """The network: summed embeddings, then six layers.

    Args:
        tensors: The weights by their names in the file.
    """

    words: Tensor
    positions: Tensor
    segments: Tensor

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.register_buffer("words", tensors["embeddings.word_embeddings.weight"])
        self.register_buffer("positions", tensors["embeddings.position_embeddings.weight"])
        self.register_buffer("segments", tensors["embeddings.token_type_embeddings.weight"])
        self.norm = Norm(
            tensors["embeddings.LayerNorm.weight"], tensors["embeddings.LayerNorm.bias"]
        )
        self.layers = nn.ModuleList(
            BertLayer(tensors, f"encoder.layer.{layer}") for layer in range(NUM_LAYERS)
        )

    def forward(self, text_ids: Tensor) -> Tensor:
        """Embed one or more token sequences of equal length, without padding.

        Args:
            text_ids: int64 `[B, N]`, N at most 512.

        Returns:
            States of the last layer, float32 `[B, N, D]`.
        """
        N = text_ids.shape[1]
        # One text is one segment; segment 1 is for BERT's pairs.
        states = F.embedding(text_ids, self.words) + self.segments[0] + self.positions[:N]
        states = self.norm(states)  # [B, N, D]
        for layer in self.layers:
            states = layer(states)
        out: Tensor = states
        return out


class MiniLMTokens:
    """WordPiece as `tokenizer.json` defines it, cut to `max_tokens`."""

    def __init__(self, path: Path, max_tokens: int) -> None:
        self._tokenizer = Tokenizer.from_file(str(path))
        # The file asks for padding to 128, which would put 120 empty tokens behind "rain".
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._max_tokens = max_tokens

    def count(self, prompt: str) -> int:
        """Return how many tokens the whole prompt has, special tokens included."""
        return len(self._tokenizer.encode(prompt).ids)

    def __call__(self, prompt: str) -> list[int]:
        """Return `[CLS]`, the first `max_tokens - 2` word pieces, `[SEP]`."""
        ids: list[int] = self._tokenizer.encode(prompt).ids
        return [*ids[: self._max_tokens - 1], ids[-1]] if len(ids) > self._max_tokens else ids


def load_minilm(files: EncoderFiles, config: TextEncoderConfig) -> tuple[MiniLMTokens, MiniLM]:
    """Load tokenizer and network; the weights stay memory-mapped until they are used.

    Raises:
        ConfigError: `config` asks for a width or a length that this encoder does not have.
        CheckpointError: The weight file cannot be read.
    """
    if config.dim != DIM:
        raise ConfigError(
            f"text encoder {config.name}: is {DIM} wide, not {config.dim}",
            hint=f"set text_encoder.dim = {DIM}",
        )
    if config.max_tokens > MAX_POSITIONS:
        raise ConfigError(
            f"text encoder {config.name}: max_tokens is {config.max_tokens}, "
            f"at most {MAX_POSITIONS} are possible"
        )
    try:
        with safe_open(files.weights[0], framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{files.weights[0]}: cannot be read ({error})") from error
    network = MiniLM(tensors).eval()
    return MiniLMTokens(files.folder / "tokenizer.json", config.max_tokens), network
