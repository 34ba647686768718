"""A language model made ready for generation: its products, its caches, and one step of it.

At batch 1 a step is a few hundred kilobytes of weights at a time: what surrounds the products
costs as much as they do. So products add residuals and apply GELU themselves, rotations are one
complex product, keys and values are written in one go, and the views of the caches that a step
needs are made for all layers at once.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soundgen.lm.captured_step import CapturedStep
from soundgen.lm.conditioning import Memory, TextCondition, TimeCondition
from soundgen.lm.config import FLOAT32, Precision
from soundgen.lm.fast_layer import FastLayer, decoder_layers
from soundgen.lm.model import LanguageModel, turns
from soundgen.lm.products import RowProduct, find_way

_TIMES_TILE = 32
_NORM_EPS = 1e-5


class Window(NamedTuple):
    """Caches of one attention window: written in place, never reallocated."""

    cache: Tensor
    """Keys and values of all layers, float32 `[layers, 2, R, H, window, head_dim]`."""
    text_keys: list[Tensor]
    """Per layer, float32 `[R, H, head_dim, N]`."""
    text_values: list[Tensor]
    """Per layer, float32 `[R, H, N, head_dim]`."""
    text_bias: Tensor
    """float32 `[R, H, 1, N]`: 0 on text, -inf on padding."""
    captured: CapturedStep | None = None
    """What takes single steps, on a GPU; it belongs to these caches."""

    @property
    def texts(self) -> tuple[Tensor, ...]:
        """All that comes from the text."""
        return (*self.text_keys, *self.text_values, self.text_bias)

    def of_rows(self, rows: Tensor) -> Window:
        """Return a copy that holds these rows, int64 `[R']`."""
        return Window(
            cache=self.cache[:, :, rows],
            text_keys=[part[rows] for part in self.text_keys],
            text_values=[part[rows] for part in self.text_values],
            text_bias=self.text_bias[rows],
        )


class FastModel:
    """A language model's steps.

    Args:
        model: In evaluation mode, on its device, float32.
        max_text_tokens: Longest prompt; all prompts are padded to it.
        precision: Of the layers' weights in single steps; the head, whose logits guidance
            multiplies, and windows computed at once stay float32.

    Raises:
        DeviceError: This processor has no fast products of that precision.
    """

    def __init__(
        self, model: LanguageModel, *, max_text_tokens: int, precision: Precision = FLOAT32
    ) -> None:
        self.model = model
        self.config = model.config
        self.max_text_tokens = max_text_tokens
        self.precision = precision
        self.device = model.head.weight.device
        self.window_steps = model.config.context_length
        layers = decoder_layers(model)
        weights = [
            part.weight
            for layer in layers
            for part in layer.modules()
            if isinstance(part, nn.Linear)
        ]
        way = find_way(weights, precision)
        head_way = find_way([model.head.weight], FLOAT32)
        self.row_tile = max(way.tile, head_way.tile)
        self._layers = [FastLayer(layer, self.config.num_heads, way) for layer in layers]
        self._head = RowProduct(model.head.weight, head_way)
        cos, sin = turns(model.config, self.window_steps, self.device)
        turned = torch.complex(cos, sin)
        # [window, 3, 1, head_dim / 2]: queries and keys of all heads turn, values stay.
        self._turns = torch.stack([turned, turned, torch.ones_like(turned)], dim=1)[:, :, None]
        self.captures = self.device.type == "cuda"
        """Whether single steps are recorded as a CUDA graph, and replayed."""
        self._last_captured: Window | None = None
        self._offsets = torch.arange(self.config.n_q, device=self.device) * self.config.vocab_size

    @property
    def step_bytes(self) -> int:
        """What a step reads of the weights, as they are stored."""
        return sum(product.num_bytes for product in self._products())

    @property
    def step_flops(self) -> int:
        """What a step computes in matrix products for each row."""
        return 2 * sum(product.weight.numel() for product in self._products())

    def prepare_window(self, rows: list[TextCondition]) -> tuple[Window, Tensor]:
        """Compute what the text gives every row: cross-attention memory, and the pooled vector.

        Returns:
            The window, and float32 `[R, D]` to add to every step.
        """
        memories = [self._memory(text) for text in rows]
        heads, head_dim = self.config.num_heads, self.config.head_dim
        text_keys, text_values = [], []
        for layer in decoder_layers(self.model):
            pairs = [layer.cross_attention.keys_values(memory.states) for memory in memories]
            text_keys.append(torch.cat([keys for keys, _ in pairs]).transpose(2, 3).contiguous())
            text_values.append(torch.cat([values for _, values in pairs]).contiguous())
        mask = torch.cat([memory.mask for memory in memories])
        bias = torch.zeros(mask.shape, device=self.device).masked_fill(~mask, -torch.inf)
        texts = (text_keys, text_values, bias[:, None, None].repeat(1, heads, 1, 1))
        shape = (len(self._layers), 2, len(rows), heads, self.window_steps, head_dim)
        pooled = torch.cat([memory.pooled for memory in memories])
        if self.captures:
            return self._captured_window(shape, *texts), pooled
        return Window(torch.empty(shape, device=self.device), *texts), pooled

    def times(self, start_s: float, duration_s: float | None) -> Tensor:
        """Return the time vectors of one item's window, float32 `[window_steps, D]`."""
        padded = -(-self.window_steps // _TIMES_TILE) * _TIMES_TILE
        condition = TimeCondition(
            torch.tensor([start_s], device=self.device),
            torch.tensor(
                [torch.nan if duration_s is None else duration_s],
                device=self.device,
                dtype=torch.float32,
            ),
        )
        return self.model.conditioner.times(condition, padded)[0, : self.window_steps]

    def embed(self, inputs: Tensor) -> Tensor:
        """Sum the codebooks' embeddings of `inputs` int64 `[R, K, P]`, to `[R, P, D]`."""
        return F.embedding(inputs + self._offsets[:, None], self.model.embedding.weight).sum(dim=1)

    def step_logits(self, x: Tensor, window: Window, position: int) -> Tensor:
        """Run steps as `run_layers` does, and return logits `[R, K, V]` of the last one.

        They may be overwritten by the next call.
        """
        if window.captured is not None and x.shape[1] == 1:
            return window.captured(x[:, 0], position)
        return self.logits(self.run_layers(x, window, position))

    def run_layers(self, x: Tensor, window: Window, position: int) -> Tensor:
        """Run new steps through all layers, reading and extending the caches.

        Args:
            x: float32 `[R, P, D]`: P steps from `position` on; P > 1 only at position 0.
            window: The caches.
            position: Of the first new step in the window.

        Returns:
            float32 `[R, P, D]`, before the final norm.
        """
        if x.shape[1] == 1:
            return self._step(x[:, 0], window, position)[:, None]
        return self._begin(x, window)

    def logits(self, x: Tensor) -> Tensor:
        """Return logits float32 `[R, K, V]` of the last step of `x` `[R, P, D]`."""
        flat = self._head(self.model.norm(x[:, -1]))
        return flat.view(len(x), self.config.n_q, self.config.vocab_size)

    def _captured_window(
        self,
        shape: tuple[int, ...],
        text_keys: list[Tensor],
        text_values: list[Tensor],
        text_bias: Tensor,
    ) -> Window:
        """Return a window with a captured step: that of the last call if it has the same shape.

        Recording takes longer than a short sound does, so the last recording is kept, with the
        caches that it reads.
        """
        kept = self._last_captured
        if kept is not None and kept.cache.shape == shape:
            new = (*text_keys, *text_values, text_bias)
            for old, given in zip(kept.texts, new, strict=True):
                old.copy_(given)
            return kept
        self._last_captured = None  # its memory is given back before more is taken
        cache = torch.zeros(shape, device=self.device)
        window = Window(cache, text_keys, text_values, text_bias)

        def step(x: Tensor, position: Tensor) -> Tensor:
            return self.logits(self._fixed_step(x, window, position)[:, None])

        try:
            captured = CapturedStep(step, rows=shape[2], dim=self.config.dim, device=self.device)
        except torch.OutOfMemoryError:
            raise  # a smaller batch may fit
        except RuntimeError as error:
            warnings.warn(
                f"sounds are made more slowly: this GPU cannot record steps ({error})", stacklevel=2
            )
            self.captures = False
            return window
        self._last_captured = window._replace(captured=captured)
        return self._last_captured

    def _products(self) -> Iterator[RowProduct]:
        for layer in self._layers:
            yield from layer.products
        yield self._head

    def _step(self, x: Tensor, window: Window, position: int) -> Tensor:
        """Run one step `[R, D]` that reads the caches up to it."""
        # Of each layer: where this step's keys and values go, and all up to this step.
        slots = window.cache[..., position, :].transpose(1, 2).unbind()  # [R, 2, H, head_dim]
        seen = window.cache.flatten(2, 3)[:, :, :, : position + 1]

        def store(index: int, new: Tensor) -> None:
            slots[index].copy_(new)

        return self._one_step(x, window, self._turns[position], store, seen, None)

    def _fixed_step(self, x: Tensor, window: Window, position: Tensor) -> Tensor:
        """Run one step `[R, D]` in shapes that do not depend on its `position`, int64 `[1]`.

        The caches are read whole, and must hold finite numbers behind the step.
        """

        def store(index: int, new: Tensor) -> None:
            window.cache[index].index_copy_(3, position, new.transpose(0, 1)[:, :, :, None])

        ahead = torch.arange(self.window_steps, device=x.device) > position
        mask = torch.zeros(self.window_steps, device=x.device).masked_fill(ahead, -torch.inf)
        turn = self._turns.index_select(0, position)[0]
        return self._one_step(x, window, turn, store, window.cache.flatten(2, 3), mask)

    def _one_step(
        self,
        x: Tensor,
        window: Window,
        turn: Tensor,
        store: Callable[[int, Tensor], None],
        seen: Tensor,
        mask: Tensor | None,
    ) -> Tensor:
        """Run one step `[R, D]` through all layers.

        Args:
            x: The step.
            window: The caches.
            turn: Rotation of the step's position, `[3, 1, head_dim / 2]`.
            store: Puts a layer's new keys and values `[R, 2, H, head_dim]` into its cache.
            seen: Of the caches what the step attends to, `[layers, 2, R * H, T, head_dim]`.
            mask: Added to the scores, `[T]`; `None` adds nothing.
        """
        rows, dim = x.shape
        heads, head_dim = self.config.num_heads, self.config.head_dim
        norm, text_bias = torch.layer_norm, window.text_bias.flatten(0, 1)
        keys, values = seen[:, 0].transpose(2, 3).unbind(), seen[:, 1].unbind()
        # For one query, two products are faster than attention made for many.
        for index, layer in enumerate(self._layers):
            qkv = layer.qkv(norm(x, (dim,), *layer.norms[0], _NORM_EPS))
            pairs = qkv.view(rows, 3, heads, head_dim // 2, 2)
            torch.view_as_complex(pairs).mul_(turn)
            q, new = qkv.view(rows, 3, heads, head_dim).split_with_sizes((1, 2), dim=1)
            store(index, new)
            q = q.reshape(-1, 1, head_dim)
            if mask is None:
                scores = torch.bmm(q, keys[index])
            else:
                scores = torch.baddbmm(mask, q, keys[index])
            y = torch.bmm(scores.softmax(dim=-1), values[index])
            x = layer.out(y.view(rows, dim), added_to=x)
            q = layer.q(norm(x, (dim,), *layer.norms[1], _NORM_EPS))
            text_keys, text_values = window.text_keys[index], window.text_values[index]
            scores = torch.baddbmm(text_bias, q.view(-1, 1, head_dim), text_keys.flatten(0, 1))
            y = torch.bmm(scores.softmax(dim=-1), text_values.flatten(0, 1))
            x = layer.cross_out(y.view(rows, dim), added_to=x)
            hidden = layer.expand(norm(x, (dim,), *layer.norms[2], _NORM_EPS), gelu=True)
            x = layer.project(hidden, added_to=x)
        return x

    def _begin(self, x: Tensor, window: Window) -> Tensor:
        """Run the first P steps `[R, P, D]` of a window at once."""
        rows, num_new, dim = x.shape
        shape = (rows, num_new, self.config.num_heads, self.config.head_dim)
        turn = self._turns[:num_new]
        for index, layer in enumerate(self._layers):
            cache = window.cache[index, :, :, :, :num_new]
            qkv = layer.qkv.of_sequences(F.layer_norm(x, (dim,), *layer.norms[0]))
            pairs = qkv.view(rows, num_new, 3, *shape[2:3], shape[3] // 2, 2)
            torch.view_as_complex(pairs).mul_(turn)
            q, *new = qkv.view(rows, num_new, 3, *shape[2:]).permute(2, 0, 3, 1, 4)
            cache[0], cache[1] = new
            y = F.scaled_dot_product_attention(q, cache[0], cache[1], is_causal=True, scale=1.0)
            x = layer.out.of_sequences(y.transpose(1, 2).reshape(x.shape), added_to=x)
            q = layer.q.of_sequences(F.layer_norm(x, (dim,), *layer.norms[1])).view(shape)
            y = F.scaled_dot_product_attention(
                q.transpose(1, 2),
                window.text_keys[index].transpose(2, 3),
                window.text_values[index],
                attn_mask=window.text_bias,
                scale=1.0,
            )
            x = layer.cross_out.of_sequences(y.transpose(1, 2).reshape(x.shape), added_to=x)
            hidden = layer.expand.of_sequences(F.layer_norm(x, (dim,), *layer.norms[2]), gelu=True)
            x = layer.project.of_sequences(hidden, added_to=x)
        return x

    def _memory(self, text: TextCondition) -> Memory:
        missing = self.max_text_tokens - text.states.shape[1]
        padded = TextCondition(
            F.pad(text.states, (0, 0, 0, missing)).to(self.device),
            F.pad(text.mask, (0, missing)).to(self.device),
            text.pooled.to(self.device),
            text.present.to(self.device),
        )
        return self.model.conditioner.memory(padded)
