"""What fixes a language model: its sizes and what it was trained against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Precision = Literal["float32", "bfloat16", "int8"]
"""Of the weights in generation."""
FLOAT32: Final = "float32"
AUTO_PRECISION: Precision = FLOAT32
"""What `auto` stands for on processors with instructions for bfloat16; elsewhere it is float32.

The others are faster, and the shipped model is heard right as often with them. But a seed makes
other sounds with each, and should make the same one on a colleague's machine that has only float32.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class LMConfig:
    """Decoder-only Transformer over residual codes, conditioned on text and duration."""

    n_q: int = 4
    """Codebooks it models, coarsest first; the codec may have more."""
    codebook_size: int = 1024
    frame_rate: float = 50.0
    """Hz; turns frames into the seconds that the duration condition speaks of."""
    dim: int = 320
    num_layers: int = 6
    num_heads: int = 5
    expansion: float = 4.0
    """Width of the feed-forward layers over `dim`."""
    dropout: float = 0.1
    text_dim: int = 384
    """Width of the text encoder's states and pooled vector."""
    context_s: float = 10.0
    """Seconds the model attends over; longer sounds slide a window."""
    positions: Literal["rotary", "sinusoidal"] = "rotary"
    """Turned into queries and keys, or added to each step (MusicGen)."""
    norm_bias: bool = False
    """Whether layer norms add something too (MusicGen)."""
    pooled_text: bool = True
    """Whether the sentence vector goes in beside the token states. Without (MusicGen) these are
    all there is, projected with a bias, and no prompt is nothing to attend to."""
    duration_token: bool = True
    """Whether the model is told the time: since the beginning, to the end, in all."""
    end_token: bool = True
    """Whether it can end a sound by itself."""

    def __post_init__(self) -> None:
        """Refuse sizes that cannot work."""
        for name in ("n_q", "codebook_size", "dim", "num_layers", "num_heads", "text_dim"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.dim % (2 * self.num_heads):
            raise ValueError(
                f"dim ({self.dim}) must be a multiple of 2 x num_heads ({self.num_heads})"
            )
        if self.frame_rate <= 0 or self.context_s <= 0:
            raise ValueError("frame_rate and context_s must be above 0")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.dim // self.num_heads

    @property
    def special(self) -> int:
        """Index beside the codes: "nothing here" as input, "the sound has ended" as output."""
        return self.codebook_size

    @property
    def vocab_size(self) -> int:
        """V: codes and the special index."""
        return self.codebook_size + 1

    @property
    def context_length(self) -> int:
        """Steps of the attention window: frames of `context_s` and the delay."""
        return round(self.context_s * self.frame_rate) + self.n_q
