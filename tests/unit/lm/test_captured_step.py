"""Steps in shapes that never change: what a GPU records and replays."""

from __future__ import annotations

import pytest
import torch

from soundgen.lm.engine import Engine
from soundgen.lm.model import LanguageModel
from tests.unit.lm.test_engine import CONFIG, MAX_TOKENS, generate, plan, text

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def model_on(device: str) -> LanguageModel:
    torch.manual_seed(0)
    return LanguageModel(CONFIG).eval().to(device)


@torch.inference_mode()
def test_a_step_of_fixed_shape_equals_the_one_that_reads_as_far_as_it_must() -> None:
    engine = Engine(model_on("cpu"), max_text_tokens=MAX_TOKENS)
    prompts = [text(4, 1), text(9, 2), text(2, 3, present=False), text(7, 4)]
    free, _ = engine.prepare_window(prompts)
    fixed, _ = engine.prepare_window(prompts)
    fixed.cache.zero_()
    steps = torch.randn(engine.window_steps, len(prompts), CONFIG.dim)
    for position, x in enumerate(steps):
        torch.testing.assert_close(
            engine._fixed_step(x, fixed, torch.tensor([position])),
            engine._step(x, free, position),
            rtol=0,
            atol=2e-5,
        )
    torch.testing.assert_close(fixed.cache, free.cache, rtol=0, atol=2e-5)


@torch.inference_mode()
def test_what_lies_ahead_in_the_caches_does_not_matter() -> None:
    engine = Engine(model_on("cpu"), max_text_tokens=MAX_TOKENS)
    window, _ = engine.prepare_window([text(4, 1), text(4, 2)])
    x, position = torch.randn(2, CONFIG.dim), torch.tensor([0])
    found = []
    for value in (0.0, 9.0):
        window.cache.fill_(value)
        found.append(engine._fixed_step(x, window, position))
    assert torch.equal(*found)


@needs_cuda
def test_captured_steps_draw_what_plain_steps_do() -> None:
    engine, plain = (Engine(model_on("cuda"), max_text_tokens=MAX_TOKENS) for _ in range(2))
    assert engine.captures
    plain.captures = False
    # The second batch replays the first one's recording, the third one's window slides.
    for lengths in ((40, 25), (30, None), (180, 20), (12,)):
        batch = [[plan(seed, 4, n) for seed, n in enumerate(lengths)] for _ in range(2)]
        assert all(map(torch.equal, generate(engine, batch[0]), generate(plain, batch[1])))


@needs_cuda
@torch.inference_mode()
def test_captured_logits_are_near_the_plain_ones() -> None:
    engine = Engine(model_on("cuda"), max_text_tokens=MAX_TOKENS)
    captured, _ = engine.prepare_window([text(4, 1), text(4, 2)])
    engine.captures = False
    free, _ = engine.prepare_window([text(4, 1), text(4, 2)])
    for position in range(5):
        x = torch.randn(2, 1, CONFIG.dim, device="cuda")
        torch.testing.assert_close(
            engine.step_logits(x, captured, position),
            engine.step_logits(x, free, position),
            rtol=0,
            atol=1e-4,
        )
