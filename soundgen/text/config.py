"""Which text encoder turns prompts into embeddings; part of every LM recipe. No torch here."""

from __future__ import annotations

from dataclasses import dataclass

MINILM_NAME = "sentence-transformers/all-MiniLM-L6-v2"
"""The encoder of the shipped model: 384 wide, Apache-2.0, reachable without a hub."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TextEncoderConfig:
    """A frozen text encoder, named so that a model folder can find it again.

    Attributes:
        name: `sentence-transformers/all-MiniLM-L6-v2`, a Hugging Face hub id, or a local folder.
        dim: Width D of its states and of its pooled vector.
        max_tokens: Longest prompt in tokens, special tokens included; what is beyond is cut.
    """

    name: str = MINILM_NAME
    dim: int = 384
    max_tokens: int = 32

    def __post_init__(self) -> None:
        """Refuse values that no encoder can have."""
        if not self.name.strip():
            raise ValueError("name must not be empty")
        if self.dim < 1:
            raise ValueError(f"dim must be at least 1, got {self.dim}")
        # Two special tokens ([CLS], [SEP]) and one word.
        if self.max_tokens < 3:
            raise ValueError(f"max_tokens must be at least 3, got {self.max_tokens}")
