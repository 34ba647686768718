"""The language model: a Transformer decoder over delayed codes (AudioGen, Kreuk et al. 2022).

Pre-norm, no biases, GELU; rotary positions instead of AudioGen's sinusoids, so that a window can
slide; cross-attention to the text in every layer, with a true key mask. A decoder of MusicGen is
one too, by other values of a few fields (`pipelines/import_lm.py`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soundgen.errors import ShapeError
from soundgen.lm.conditioning import Conditioner, TextCondition, TimeCondition
from soundgen.lm.config import LMConfig
from soundgen.nn.attention import CrossAttention, SelfAttention, rotary_table
from soundgen.nn.dropout import ByteDropout


class DecoderLayer(nn.Module):
    """Self-attention, cross-attention and feed-forward, each on a normalised residual path."""

    def __init__(self, config: LMConfig) -> None:
        super().__init__()
        dim, hidden = config.dim, int(config.dim * config.expansion)
        self.self_norm = nn.LayerNorm(dim, bias=config.norm_bias)
        self.self_attention = SelfAttention(dim, config.num_heads)
        self.cross_norm = nn.LayerNorm(dim, bias=config.norm_bias)
        self.cross_attention = CrossAttention(dim, config.num_heads)
        self.feed_norm = nn.LayerNorm(dim, bias=config.norm_bias)
        self.expand = nn.Linear(dim, hidden, bias=False)
        self.project = nn.Linear(hidden, dim, bias=False)
        self.dropout = ByteDropout(config.dropout)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Map `x` `[B, S, D]` to the same shape, reading `memory` `[B, N, D]`."""
        x = x + self.dropout(self.self_attention(self.self_norm(x), cos, sin))
        x = x + self.dropout(self.cross_attention(self.cross_norm(x), memory, mask))
        hidden = F.gelu(self.expand(self.feed_norm(x)))
        # No dropout on the wide hidden layer: drawing it cost a seventh of a step on a CPU.
        fed: Tensor = self.dropout(self.project(hidden))
        return x + fed


def turns(config: LMConfig, num_positions: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return cosines and sines that positions turn queries and keys by, `[S, head_dim / 2]`."""
    cos, sin = rotary_table(num_positions, config.head_dim, device)
    if config.positions == "sinusoidal":  # those were added to the steps
        return torch.ones_like(cos), torch.zeros_like(sin)
    return cos, sin


class LanguageModel(nn.Module):
    """Predicts every codebook's next entry from the steps before, the text and the time."""

    def __init__(self, config: LMConfig) -> None:
        super().__init__()
        self.config = config
        # One table for all codebooks, each in its own range of rows: one lookup a step.
        self.embedding = nn.Embedding(config.n_q * config.vocab_size, config.dim)
        self.conditioner = Conditioner(config)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(config.dim, bias=config.norm_bias)
        self.head = nn.Linear(config.dim, config.n_q * config.vocab_size, bias=False)
        self.dropout = ByteDropout(config.dropout)
        self._initialise()

    def _initialise(self) -> None:
        # GPT-2's rule: what adds to the residual stream starts smaller with depth.
        depth = (2 * max(1, self.config.num_layers)) ** -0.5
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2 and "no_text" not in name:
                scaled = name.endswith(("out.weight", "project.weight"))
                nn.init.normal_(parameter, std=0.02 * (depth if scaled else 1.0))
        nn.init.normal_(self.embedding.weight, std=0.1)

    @torch.no_grad()
    def start_from_codebooks(self, entries: Tensor) -> None:
        """Let codes that sound alike begin alike, both as inputs and as outputs.

        Rows of the embedding and of the head become random projections of the codec's entries,
        in place of the random vectors from which likeness has to be learnt code by code. All
        codebooks share a projection, since a frame is the sum of its entries.

        Args:
            entries: float32 `[K, V, D]`, of the codec's codebooks that the model uses.

        Raises:
            ShapeError: There are other codebooks or codes than the model has.
        """
        config = self.config
        if entries.ndim != 3 or entries.shape[:2] != (config.n_q, config.codebook_size):
            raise ShapeError(
                f"entries must be [{config.n_q}, {config.codebook_size}, D], "
                f"got {list(entries.shape)}"
            )
        # Every codebook's spread becomes one: beside the first, the last would hardly be seen.
        centred = entries - entries.mean(dim=1, keepdim=True)
        scaled = centred / centred.std(dim=1, keepdim=True).clamp(min=1e-6)
        for weight in (self.embedding.weight, self.head.weight):
            projection = torch.randn(entries.shape[2], config.dim, device=weight.device)
            projected = scaled @ (projection / entries.shape[2] ** 0.5)
            rows = weight.view(config.n_q, config.vocab_size, config.dim)
            rows[:, : config.codebook_size] = projected * weight.std()

    def embed(self, inputs: Tensor) -> Tensor:
        """Sum the codebooks' embeddings of `inputs` int64 `[B, K, S]`, to `[B, S, D]`."""
        offsets = torch.arange(self.config.n_q, device=inputs.device) * self.config.vocab_size
        embedded: Tensor = self.embedding(inputs + offsets[:, None])  # [B, K, S, D]
        return embedded.sum(dim=1)

    def forward(self, inputs: Tensor, text: TextCondition, time: TimeCondition) -> Tensor:
        """Return logits for every step of a window.

        Args:
            inputs: int64 `[B, K, S]`, as `delay.training_pair` makes them.
            text: The prompts.
            time: Where the window lies.

        Returns:
            float32 `[B, K, S, V]`.

        Raises:
            ShapeError: `inputs` is not `[B, K, S]` with K = `config.n_q`.
        """
        if inputs.ndim != 3 or inputs.shape[1] != self.config.n_q:
            raise ShapeError(f"inputs must be [B, {self.config.n_q}, S], got {list(inputs.shape)}")
        batch, num_codebooks, num_steps = inputs.shape
        memory = self.conditioner.memory(text)
        x = self.embed(inputs) + self.conditioner.times(time, num_steps) + memory.pooled[:, None]
        x = self.dropout(x)
        cos, sin = turns(self.config, num_steps, x.device)
        for layer in self.layers:
            x = layer(x, cos, sin, memory.states, memory.mask)
        logits: Tensor = self.head(self.norm(x))
        return logits.view(batch, num_steps, num_codebooks, -1).transpose(1, 2)
