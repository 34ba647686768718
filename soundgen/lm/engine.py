"""Generation: one step a frame, with everything that does not change computed beforehand.

A prompt's codes with a seed are the same alone and in any batch. Three things make them so:
every item draws from its own generator; what is computed once for an item (text memory, its keys
and values, the time vectors) is computed for that item alone in shapes that never vary; and the
matrix products of the steps run over a number of rows that is a multiple of `row_tile`, within
which a row's result was found not to depend on how many rows there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soundgen.lm.conditioning import Memory, TextCondition, TimeCondition
from soundgen.lm.delay import delay_codes, undelay_codes
from soundgen.lm.model import DecoderLayer, LanguageModel
from soundgen.lm.sampling import SamplingSettings, guide, sample
from soundgen.nn.attention import rotary_table, rotate

_TILES = (4, 8, 16, 32)
_KEPT_SHARE = 0.4
"""Of the window, kept as context when it slides."""
_TO_DRAW = -1


class SoundPlan(NamedTuple):
    """One sound to generate."""

    text: TextCondition
    """Of batch 1."""
    negative: TextCondition
    """Of batch 1; not `present` for plain guidance."""
    num_frames: int | None
    """Length; `None` lets the model end the sound."""
    generator: torch.Generator
    """On the CPU."""
    given: Tensor | None = None
    """Codes that are there already, int64 `[K, L]`; -1 where one is to be drawn, as behind L."""
    start_frame: int = 0
    """Frames of the sound before its first one here."""


class _Window(NamedTuple):
    """Caches of one attention window: written in place, never reallocated."""

    keys: list[Tensor]
    """Per layer, float32 `[R, H, window, head_dim]`."""
    values: list[Tensor]
    text_keys: list[Tensor]
    """Per layer, float32 `[R, H, N, head_dim]`."""
    text_values: list[Tensor]
    text_bias: Tensor
    """float32 `[R, 1, 1, N]`: 0 on text, -inf on padding."""


class Engine:
    """Generates codes with a language model.

    Args:
        model: In evaluation mode, on its device, float32.
        max_text_tokens: Longest prompt; all prompts are padded to it.
    """

    def __init__(self, model: LanguageModel, *, max_text_tokens: int) -> None:
        self.model = model
        self.config = model.config
        self.max_text_tokens = max_text_tokens
        self.device = model.head.weight.device
        self.window_steps = model.config.context_length
        self.row_tile = find_row_tile(
            [part.weight for part in model.modules() if isinstance(part, nn.Linear)]
        )
        self._cos, self._sin = rotary_table(self.window_steps, model.config.head_dim, self.device)

    @torch.inference_mode()
    def generate(
        self,
        plans: Sequence[SoundPlan],
        settings: SamplingSettings,
        *,
        max_frames: int,
        min_frames: int = 1,
        on_step: Callable[[], None] = lambda: None,
    ) -> list[Tensor]:
        """Generate one sound a plan, in lockstep.

        It begins at the first step at which any plan has a code to be drawn. So a plan with given
        codes sounds the same alone and among others that begin where it does.

        Args:
            plans: At least one.
            settings: How codes are drawn.
            max_frames: Where a sound that does not end by itself is cut.
            min_frames: Before which a sound may not end by itself; counted from where a plan
                begins.
            on_step: Called after every step.

        Returns:
            Codes int64 `[K, L]` for each plan, L its number of frames.
        """
        run = _Run(self, plans, settings, max_frames=max_frames, min_frames=min_frames)
        while not run.done:
            run.step()
            on_step()
        return run.codes()

    def prepare_window(self, rows: list[TextCondition]) -> tuple[_Window, Tensor]:
        """Compute what the text gives every row: cross-attention memory, and the pooled vector.

        Returns:
            The window, and float32 `[R, D]` to add to every step.
        """
        memories = [self._memory(text) for text in rows]
        heads, head_dim = self.config.num_heads, self.config.head_dim
        shape = (len(rows), heads, self.window_steps, head_dim)
        text_keys, text_values = [], []
        for layer in self._layers():
            pairs = [layer.cross_attention.keys_values(memory.states) for memory in memories]
            text_keys.append(torch.cat([keys for keys, _ in pairs]).contiguous())
            text_values.append(torch.cat([values for _, values in pairs]).contiguous())
        mask = torch.cat([memory.mask for memory in memories])
        bias = torch.zeros(mask.shape, device=self.device).masked_fill(~mask, -torch.inf)
        window = _Window(
            keys=[torch.zeros(shape, device=self.device) for _ in self.model.layers],
            values=[torch.zeros(shape, device=self.device) for _ in self.model.layers],
            text_keys=text_keys,
            text_values=text_values,
            text_bias=bias[:, None, None],
        )
        return window, torch.cat([memory.pooled for memory in memories])

    def times(self, start_s: float, duration_s: float | None) -> Tensor:
        """Return the time vectors of one item's window, float32 `[window_steps, D]`."""
        padded = -(-self.window_steps // _TILES[-1]) * _TILES[-1]
        condition = TimeCondition(
            torch.tensor([start_s], device=self.device),
            torch.tensor(
                [torch.nan if duration_s is None else duration_s],
                device=self.device,
                dtype=torch.float32,
            ),
        )
        return self.model.conditioner.times(condition, padded)[0, : self.window_steps]

    def run_layers(self, x: Tensor, window: _Window, position: int) -> Tensor:
        """Run new steps through all layers, reading and extending the caches.

        Args:
            x: float32 `[R, P, D]`: P steps from `position` on; P > 1 only at position 0.
            window: The caches.
            position: Of the first new step in the window.

        Returns:
            float32 `[R, P, D]`, before the final norm.
        """
        rows, num_new, dim = x.shape
        heads = self.config.num_heads
        end = position + num_new
        cos, sin = self._cos[position:end], self._sin[position:end]
        for index, layer in enumerate(self._layers()):
            attention = layer.self_attention
            qkv = F.linear(_flat(layer.self_norm(x)), attention.qkv.weight)
            qkv = qkv.view(rows, num_new, 3, heads, dim // heads)
            q, k, v = qkv.permute(2, 0, 3, 1, 4)
            window.keys[index][:, :, position:end] = rotate(k, cos, sin)
            window.values[index][:, :, position:end] = v
            y = F.scaled_dot_product_attention(
                rotate(q, cos, sin),
                window.keys[index][:, :, :end],
                window.values[index][:, :, :end],
                is_causal=num_new > 1,
            )
            y = F.linear(_flat(y.transpose(1, 2)), attention.out.weight)
            x = x + y.view(rows, num_new, dim)
            cross = layer.cross_attention
            q = F.linear(_flat(layer.cross_norm(x)), cross.q.weight)
            y = F.scaled_dot_product_attention(
                q.view(rows, num_new, heads, dim // heads).transpose(1, 2),
                window.text_keys[index],
                window.text_values[index],
                attn_mask=window.text_bias,
            )
            y = F.linear(_flat(y.transpose(1, 2)), cross.out.weight)
            x = x + y.view(rows, num_new, dim)
            hidden = F.gelu(F.linear(_flat(layer.feed_norm(x)), layer.expand.weight))
            x = x + F.linear(hidden, layer.project.weight).view(rows, num_new, dim)
        return x

    def logits(self, x: Tensor) -> Tensor:
        """Return logits float32 `[R, K, V]` of the last step of `x` `[R, P, D]`."""
        flat: Tensor = self.model.head(self.model.norm(x[:, -1]))
        return flat.view(len(x), self.config.n_q, self.config.vocab_size)

    def _layers(self) -> list[DecoderLayer]:
        return [layer for layer in self.model.layers if isinstance(layer, DecoderLayer)]

    def _memory(self, text: TextCondition) -> Memory:
        missing = self.max_text_tokens - text.states.shape[1]
        padded = TextCondition(
            F.pad(text.states, (0, 0, 0, missing)).to(self.device),
            F.pad(text.mask, (0, missing)).to(self.device),
            text.pooled.to(self.device),
            text.present.to(self.device),
        )
        return self.model.conditioner.memory(padded)


class _Run:
    """One batch on its way."""

    def __init__(
        self,
        engine: Engine,
        plans: Sequence[SoundPlan],
        settings: SamplingSettings,
        *,
        max_frames: int,
        min_frames: int,
    ) -> None:
        self.engine, self.plans, self.settings = engine, plans, settings
        self.min_frames = min_frames
        config = engine.config
        self.num_codebooks, self.special = config.n_q, config.special
        self.guided = settings.cfg_scale != 1
        texts = [plan.text for plan in plans]
        if self.guided:
            texts += [plan.negative for plan in plans]
        self.num_rows = len(texts)
        # Padding rows repeat the last one; what they compute is thrown away.
        texts += [texts[-1]] * (-len(texts) % engine.row_tile)
        self.rows = torch.tensor(
            [row % len(plans) if row < self.num_rows else len(plans) - 1
             for row in range(len(texts))]
        )  # fmt: skip
        self.window, self.pooled = engine.prepare_window(texts)
        self.num_frames = [plan.num_frames for plan in plans]
        self.limits = [max_frames if plan.num_frames is None else plan.num_frames for plan in plans]
        longest = max(self.limits) + self.num_codebooks
        self.delayed = torch.full(
            (len(plans), self.num_codebooks, longest), self.special, device=engine.device
        )
        placed = [self._place(*pair) for pair in zip(plans, self.limits, strict=True)]
        self.given = [steps for steps, _ in placed]
        self.begins = [begin for _, begin in placed]
        for item, (steps, begin) in enumerate(placed):
            if steps is not None:
                self.delayed[item, :, :begin] = steps[:, :begin]
        self.now = min(self.begins)  # the step that is predicted next
        self.origin = 0  # the step at which the window begins
        self.position = 0  # steps of the window that are in the caches
        self.times = self._times()
        if self.now >= engine.window_steps:
            self._slide()

    @property
    def done(self) -> bool:
        """Say whether every sound has all its codes."""
        return self.now >= max(self.limits) + self.num_codebooks - 1

    def step(self) -> None:
        """Predict and draw one step."""
        if self.position == self.engine.window_steps:
            self._slide()
        x = self._inputs(self.position, self.now - self.origin + 1)
        hidden = self.engine.run_layers(x, self.window, self.position)
        self.position = self.now - self.origin + 1
        logits = self.engine.logits(hidden)
        count = len(self.plans)
        if self.guided:
            chosen = guide(logits[:count], logits[count : 2 * count], self.settings.cfg_scale)
        else:
            chosen = logits[:count]
        codes = self._draw(chosen)
        self.delayed[:, :, self.now] = codes
        self.now += 1

    def codes(self) -> list[Tensor]:
        """Return the finished codes, int64 `[K, L]` each."""
        return [
            undelay_codes(self.delayed[item : item + 1, :, : limit + self.num_codebooks])[0].cpu()
            for item, limit in enumerate(self.limits)
        ]

    def _draw(self, logits: Tensor) -> Tensor:
        shape = logits.shape[1:]
        noise = torch.stack(
            [torch.empty(shape).exponential_(generator=plan.generator) for plan in self.plans]
        ).to(logits.device)
        logits = logits.clone()
        logits[:, 1:, self.special] = -torch.inf
        for item, planned in enumerate(self.num_frames):
            if planned is not None or self.now < self.begins[item] + self.min_frames:
                logits[item, 0, self.special] = -torch.inf
        codes = sample(logits, noise, self.settings)
        for item, given in enumerate(self.given):
            if given is not None:
                there = given[:, self.now]
                codes[item] = torch.where(there == _TO_DRAW, codes[item], there)
        for item, limit in enumerate(self.limits):
            if self.num_frames[item] is None and self.now < limit:
                if int(codes[item, 0]) == self.special:
                    self.limits[item] = limit = self.now
            for q in range(self.num_codebooks):
                if not q <= self.now < q + limit:
                    codes[item, q] = self.special
        return codes

    def _place(self, plan: SoundPlan, limit: int) -> tuple[Tensor | None, int]:
        """Return a plan's given codes by step, int64 `[K, S]`, and the first step to be drawn."""
        if plan.given is None:
            return None, 0
        known = plan.given[:, :limit].to(self.delayed.device)
        frames = F.pad(known, (0, limit - known.shape[1]), value=_TO_DRAW)
        steps = delay_codes(frames[None], self.special)[0]
        missing = (steps == _TO_DRAW).any(dim=0).nonzero()
        begin = int(missing[0]) if len(missing) else limit + self.num_codebooks - 1
        steps = F.pad(steps, (0, self.delayed.shape[2] - steps.shape[1]), value=self.special)
        return steps, begin

    def _inputs(self, begin: int, end: int) -> Tensor:
        """Embed steps `begin` to `end` of the window for all rows, float32 `[R, P, D]`."""
        inputs = self._window_codes(begin, end)[self.rows]
        x = self.engine.model.embed(inputs)
        return x + self.times[self.rows, begin:end] + self.pooled[:, None]

    def _window_codes(self, begin: int, end: int) -> Tensor:
        """Return the inputs int64 `[B, K, P]` of window steps: each the step before it."""
        columns = []
        for step in range(begin, end):
            column = self.delayed[:, :, self.origin + step - 1].clone() if step else None
            if column is None:
                column = torch.full_like(self.delayed[:, :, 0], self.special)
            # A window that starts inside a sound looks as a crop did in training: codebook q
            # has nothing before its own first step.
            for q in range(step, self.num_codebooks):
                column[:, q] = self.special
            columns.append(column)
        return torch.stack(columns, dim=2)

    def _slide(self) -> None:
        """Begin a new window that keeps the last steps as context."""
        self.origin = self.now - max(1, int(self.engine.window_steps * _KEPT_SHARE))
        self.times = self._times()
        self.position = 0

    def _times(self) -> Tensor:
        rate = self.engine.config.frame_rate
        rows = []
        for plan, n in zip(self.plans, self.num_frames, strict=True):
            told_s = None if n is None else (plan.start_frame + n) / rate
            rows.append(self.engine.times((plan.start_frame + self.origin) / rate, told_s))
        return torch.stack(rows)


def find_row_tile(weights: Sequence[Tensor]) -> int:
    """Find how many rows make a matrix product's rows independent of their number.

    BLAS libraries compute a few rows at a time and use other kernels, with another order of
    summation, for what is left over. Which multiple has no rest differs between processors, so
    it is tried out on every shape that the model has, with the threads that there are
    (milliseconds).

    Args:
        weights: float32 `[O, D]` each.
    """
    generator = torch.Generator().manual_seed(0)
    shapes = {tuple(weight.shape): weight for weight in weights}
    for tile in _TILES:
        if all(_rows_agree(weight, tile, generator) for weight in shapes.values()):
            return tile
    # No multiple without a rest was found: batches may differ from single prompts by rounding.
    return _TILES[-1]


@torch.no_grad()
def _rows_agree(weight: Tensor, tile: int, generator: torch.Generator) -> bool:
    probe = torch.randn(16 * tile, weight.shape[1], generator=generator).to(weight.device)
    whole = F.linear(probe, weight)
    for num_rows in (tile, 3 * tile, 5 * tile):
        parts = [F.linear(part, weight) for part in probe.split(num_rows)]
        if not torch.equal(torch.cat(parts), whole):
            return False
    return True


def _flat(x: Tensor) -> Tensor:
    """Return `[R, P, ...]` as a matrix `[R * P, D]`, so that products see plain rows."""
    return x.reshape(x.shape[0] * x.shape[1], -1)
