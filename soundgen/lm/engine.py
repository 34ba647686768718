"""Generation: one step a frame, with everything that does not change computed beforehand.

A prompt's codes with a seed are the same alone and in any batch. Three things make them so:
every item draws from its own generator; what is computed once for an item (text memory, its keys
and values, the time vectors) is computed for that item alone in shapes that never vary; and the
matrix products of the steps run in a way in which a row's result was found not to depend on
how many rows there are (`products`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from soundgen.lm.conditioning import TextCondition
from soundgen.lm.delay import delay_codes, undelay_codes
from soundgen.lm.fast_model import FastModel
from soundgen.lm.sampling import SamplingSettings, guide, num_candidates, sample

_KEPT_SHARE = 0.4
"""Of the window, kept as context when it slides."""
_ANCHOR_SHARE = 0.75
"""Of that, from the sound's beginning; the rest is its end. Of 20 sounds of 45 s, as like their
beginnings at their ends as row 9 of benchmarks/lm_quality.py asks: 16, and 14 with half."""
_ANCHOR_S = 0.5
"""Where what is kept of the beginning begins: behind a fade or an attack."""
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
    stop_frame: int | None = None
    """Where to stop for now; `num_frames` stays the length that the model is told."""

    def limit(self, max_frames: int) -> int:
        """Return how many frames it has at most, where one that ends by itself has `max_frames`."""
        if self.stop_frame is not None:
            return self.stop_frame
        return max_frames if self.num_frames is None else self.num_frames


class Engine(FastModel):
    """Generates codes with a language model."""

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
        self.num_candidates = num_candidates(config.vocab_size, settings)
        texts = [plan.text for plan in plans]
        if self.guided:
            texts += [plan.negative for plan in plans]
        self.active = list(range(len(plans)))
        """Plans that are not finished, in the order of their rows."""
        self.rows, filled = self._rows()
        self.window, self.pooled = engine.prepare_window([texts[row] for row in filled])
        self.num_frames = [plan.num_frames for plan in plans]
        self.limits = [plan.limit(max_frames) for plan in plans]
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
        self.origin = 0  # the step at which the window begins, but for its anchor
        self.num_anchored = 0  # steps of the window that are the sound's beginning
        self.position = 0  # steps of the window that are in the caches
        if self.now >= engine.window_steps:
            self._slide()
        else:
            self.conditions = self._conditions()

    @property
    def done(self) -> bool:
        """Say whether every sound has all its codes."""
        return self.now >= max(self.limits) + self.num_codebooks - 1

    def step(self) -> None:
        """Predict and draw one step."""
        if self.position == self.engine.window_steps:
            self._slide()
        x = self._inputs(self.position, self.now - self.origin + 1)
        logits = self.engine.step_logits(x, self.window, self.position)
        self.position = self.now - self.origin + 1
        count = len(self.active)
        if self.guided:
            chosen = guide(logits[:count], logits[count : 2 * count], self.settings.cfg_scale)
        else:
            chosen = logits[:count]
        drawn = self._draw(chosen)
        if count == len(self.plans):
            self.delayed[:, :, self.now] = drawn
        else:
            self.delayed[self.active, :, self.now] = drawn
        self.now += 1
        self._leave_out_finished()

    def codes(self) -> list[Tensor]:
        """Return the finished codes, int64 `[K, L]` each."""
        return [
            undelay_codes(self.delayed[item : item + 1, :, : limit + self.num_codebooks])[0].cpu()
            for item, limit in enumerate(self.limits)
        ]

    def _rows(self) -> tuple[Tensor, list[int]]:
        """Return the plan of each row, int64 `[R]`, and which row of all plans' it is.

        Rows with the prompts, with guidance those without, then padding: it repeats the last one,
        and what it computes is thrown away.
        """
        filled = self.active + [len(self.plans) + item for item in self.active * self.guided]
        filled += [filled[-1]] * (-len(filled) % self.engine.row_tile)
        return torch.tensor([row % len(self.plans) for row in filled]), filled

    def _leave_out_finished(self) -> None:
        """Compute no more rows of finished sounds, as soon as that saves a quarter of all."""
        left = [
            item for item in self.active if self.now < self.limits[item] + self.num_codebooks - 1
        ]
        if not left or 4 * len(left) > 3 * len(self.active) or self.engine.captures:
            return  # a captured step has its rows, and on a GPU more of them cost nothing
        places = {item: place for place, item in enumerate(self.active)}
        count, self.active = len(self.active), left
        self.rows, filled = self._rows()
        kept = torch.tensor(
            [places[row % len(self.plans)] + count * (row >= len(self.plans)) for row in filled],
            device=self.engine.device,
        )
        self.pooled = self.pooled[kept]
        self.window = self.window.of_rows(kept)
        self.conditions = self.conditions[kept]

    def _draw(self, logits: Tensor) -> Tensor:
        """Draw the codes of this step, int64 `[A, K]`, from logits `[A, K, V]` of active plans.

        Overwrites logits that must not be drawn.
        """
        shape = (len(self.active), self.num_codebooks, self.num_candidates)
        noise = torch.empty(shape)
        for own, item in zip(noise.unbind(), self.active, strict=True):
            own.exponential_(generator=self.plans[item].generator)
        noise = noise.to(logits.device)
        logits[:, 1:, self.special] = -torch.inf
        if not self.engine.config.end_token:
            logits[:, 0, self.special] = -torch.inf
        for place, item in enumerate(self.active):
            if self.num_frames[item] is not None or self.now < self.begins[item] + self.min_frames:
                logits[place, 0, self.special] = -torch.inf
        codes = sample(logits, noise, self.settings)
        for place, item in enumerate(self.active):
            if (given := self.given[item]) is not None:
                there = given[:, self.now]
                codes[place] = torch.where(there == _TO_DRAW, codes[place], there)
            if self.num_frames[item] is None and self.now < self.limits[item]:
                if int(codes[place, 0]) == self.special:
                    self.limits[item] = self.now
            for q in range(self.num_codebooks):
                if not q <= self.now < q + self.limits[item]:
                    codes[place, q] = self.special
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
        return self.engine.embed(inputs) + self.conditions[:, begin:end]

    def _window_codes(self, begin: int, end: int) -> Tensor:
        """Return the inputs int64 `[B, K, P]` of window steps: each the step before it."""
        if end - begin == 1 and begin >= self.num_codebooks:
            last = self._sound_step(begin) - 1
            return self.delayed[:, :, last : last + 1]
        columns = []
        for step in range(begin, end):
            if step:
                column = self.delayed[:, :, self._sound_step(step) - 1].clone()
            else:
                column = torch.full_like(self.delayed[:, :, 0], self.special)
            # A window that starts inside a sound looks as a crop did in training: codebook q
            # has nothing before its own first step.
            for q in range(step, self.num_codebooks):
                column[:, q] = self.special
            columns.append(column)
        return torch.stack(columns, dim=2)

    def _sound_step(self, step: int) -> int:
        """Return which step of the sound a step of the window is."""
        if step < self.num_anchored:
            return round(_ANCHOR_S * self.engine.config.frame_rate) + step
        return self.origin + step

    def _slide(self) -> None:
        """Begin a new window that keeps some of the sound's beginning, and its last steps.

        With the last steps alone, each window is a little further from the first, and a minute
        of rain ends as something else. Time is told as if the beginning came right before them,
        since windows in training are of one piece.
        """
        kept = max(1, int(self.engine.window_steps * _KEPT_SHARE))
        self.num_anchored = int(kept * _ANCHOR_SHARE)
        self.origin = self.now - kept
        self.conditions = self._conditions()
        self.position = 0

    def _conditions(self) -> Tensor:
        """Return what time and text add to every row's steps, float32 `[R, window_steps, D]`."""
        rate = self.engine.config.frame_rate
        rows = []
        for plan, n in zip(self.plans, self.num_frames, strict=True):
            told_s = None if n is None else (plan.start_frame + n) / rate
            rows.append(self.engine.times((plan.start_frame + self.origin) / rate, told_s))
        return torch.stack(rows)[self.rows] + self.pooled[:, None]
