"""Generation: equal to the model's forward pass, and the same alone and in a batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from soundgen.errors import DeviceError
from soundgen.lm.conditioning import TextCondition, TimeCondition
from soundgen.lm.config import LMConfig
from soundgen.lm.delay import delay_codes, training_pair
from soundgen.lm.engine import Engine, SoundPlan
from soundgen.lm.model import LanguageModel
from soundgen.lm.sampling import SamplingSettings

CONFIG = LMConfig(
    n_q=3,
    codebook_size=32,
    dim=48,
    num_layers=2,
    num_heads=3,
    dropout=0.0,
    text_dim=16,
    context_s=1.0,
)
SETTINGS = SamplingSettings(top_k=20)
MAX_TOKENS = 20


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    torch.manual_seed(0)
    built = LanguageModel(CONFIG).eval()
    with torch.no_grad():
        for parameter in built.parameters():
            if parameter.ndim == 2:
                # far from uniform, so that a difference would show in what is drawn
                parameter.mul_(3.0)
    return built


@pytest.fixture(scope="module")
def engine(model: LanguageModel) -> Engine:
    return Engine(model, max_text_tokens=MAX_TOKENS)


def text(num_tokens: int, seed: int, *, present: bool = True) -> TextCondition:
    generator = torch.Generator().manual_seed(seed)
    return TextCondition(
        torch.randn(1, num_tokens, 16, generator=generator),
        torch.ones(1, num_tokens, dtype=torch.bool),
        torch.nn.functional.normalize(torch.randn(1, 16, generator=generator)),
        torch.tensor([present]),
    )


def plan(seed: int, num_tokens: int, num_frames: int | None) -> SoundPlan:
    return SoundPlan(
        text=text(num_tokens, seed),
        negative=text(2, 0, present=False),
        num_frames=num_frames,
        generator=torch.Generator().manual_seed(seed),
    )


def generate(engine: Engine, plans: list[SoundPlan], settings: SamplingSettings = SETTINGS):  # type: ignore[no-untyped-def]
    return engine.generate(plans, settings, max_frames=60, min_frames=5)


def test_steps_equal_the_forward_pass(model: LanguageModel, engine: Engine) -> None:
    codes = torch.randint(0, 32, (1, 3, 30), generator=torch.Generator().manual_seed(1))
    inputs, _, _ = training_pair(codes, torch.tensor([30]), torch.tensor([True]), CONFIG.special)
    prompt = text(4, 1)
    with torch.no_grad():
        whole = model(inputs, prompt, TimeCondition(torch.tensor([0.0]), torch.tensor([0.6])))
        window, pooled = engine.prepare_window([prompt])
        x = model.embed(inputs) + engine.times(0.0, 0.6)[None, :33] + pooled[:, None]
        steps = [engine.logits(engine.run_layers(x[:, s : s + 1], window, s)) for s in range(33)]
    torch.testing.assert_close(torch.stack(steps, dim=2), whole, rtol=0, atol=2e-5)


def test_a_prompt_alone_equals_the_prompt_among_longer_ones(engine: Engine) -> None:
    (alone,) = generate(engine, [plan(7, 3, 40)])
    others = [plan(seed, 5 + seed, 40 if seed % 2 else 55) for seed in range(7)]
    among = generate(engine, [*others[:3], plan(7, 3, 40), *others[3:]])
    assert torch.equal(among[3], alone)


def test_a_long_sound_does_not_feel_that_shorter_ones_leave_the_batch(engine: Engine) -> None:
    rows: list[int] = []
    run_layers = engine.run_layers

    def watched(x: torch.Tensor, *others: Any) -> torch.Tensor:
        rows.append(len(x))
        return run_layers(x, *others)

    lengths = (150, 3, None, 60, 3, 20, 3)
    alone = [generate(engine, [plan(seed, 4, n)])[0] for seed, n in enumerate(lengths)]
    engine.run_layers = watched  # type: ignore[method-assign]
    try:
        together = generate(engine, [plan(seed, 4, n) for seed, n in enumerate(lengths)])
    finally:
        del engine.run_layers  # type: ignore[method-assign]
    assert all(map(torch.equal, together, alone))
    # The window slides meanwhile; of 14 rows and padding, those of one prompt are left.
    assert rows[0] >= 14 and rows[-1] <= engine.row_tile


def test_the_row_tile_holds_for_every_number_of_prompts(engine: Engine) -> None:
    (alone,) = generate(engine, [plan(1, 4, 20)])
    for count in range(2, 7):
        batch = generate(engine, [plan(1, 4, 20), *(plan(9, 2, 20) for _ in range(count - 1))])
        assert torch.equal(batch[0], alone), count


def test_seeds_repeat_and_differ(engine: Engine) -> None:
    first, again, other = (generate(engine, [plan(s, 4, 30)])[0] for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_lengths_are_as_asked_and_codes_in_range(engine: Engine) -> None:
    sounds = generate(engine, [plan(1, 4, 1), plan(2, 4, 33), plan(3, 4, 50)])
    assert [sound.shape for sound in sounds] == [(3, 1), (3, 33), (3, 50)]
    for sound in sounds:
        assert 0 <= int(sound.min()) and int(sound.max()) < 32


def test_a_sound_of_open_length_ends_between_the_bounds(engine: Engine) -> None:
    sounds = generate(engine, [plan(seed, 4, None) for seed in range(6)])
    lengths = [sound.shape[1] for sound in sounds]
    assert all(5 <= length <= 60 for length in lengths)
    # This model's END is as likely as any other entry: 40 steps on average.
    assert len(set(lengths)) > 1
    for sound in sounds:
        assert int(sound.max()) < 32


def test_a_sound_longer_than_the_window_slides_and_stays_the_same_in_a_batch(
    engine: Engine,
) -> None:
    assert engine.window_steps == 53
    (alone,) = generate(engine, [plan(1, 4, 180)])
    assert alone.shape == (3, 180)
    among = generate(engine, [plan(1, 4, 180), plan(2, 8, 20)])
    assert torch.equal(among[0], alone)


def test_after_sliding_the_model_sees_the_beginning_and_the_last_steps(
    model: LanguageModel,
) -> None:
    wide = LanguageModel(replace(CONFIG, context_s=2.0)).eval()
    wide.load_state_dict(model.state_dict())
    engine = Engine(wide, max_text_tokens=MAX_TOKENS)
    assert engine.window_steps == 103
    greedy = SamplingSettings(temperature=0.0, cfg_scale=1.0)
    (codes,) = engine.generate([plan(1, 4, 150)], greedy, max_frames=150)
    # 41 steps are kept: 20 from half a second on, and the last 21.
    origin = 103 - 41
    places = torch.tensor([*range(25, 45), *range(origin + 20, 153)])
    delayed = delay_codes(codes[None], CONFIG.special)
    inputs, targets = delayed[:, :, places - 1], delayed[:, :, places]
    for q in range(3):  # as a crop begins: codebook q has nothing before its own first step
        inputs[:, q, : q + 1] = CONFIG.special
    time = TimeCondition(torch.tensor([origin / 50]), torch.tensor([3.0]))
    with torch.no_grad():
        logits = wide(inputs, text(4, 1), time)
    logits[:, :, :, CONFIG.special] = -torch.inf
    said = logits.argmax(dim=3)
    later = (targets != CONFIG.special) & (torch.arange(len(places)) >= 41)
    assert later.sum() > 100
    assert (said == targets)[later].float().mean() > 0.99


def test_guidance_of_one_is_no_guidance(engine: Engine) -> None:
    plain = generate(engine, [plan(1, 4, 20)], SamplingSettings(top_k=20, cfg_scale=1.0))[0]
    almost = generate(engine, [plan(1, 4, 20)], SamplingSettings(top_k=20, cfg_scale=1.000001))[0]
    assert torch.equal(plain, almost)


def test_the_prompt_and_the_negative_prompt_matter(engine: Engine) -> None:
    base = plan(1, 4, 30)
    (plain,) = generate(engine, [base])
    (other,) = generate(
        engine, [base._replace(text=text(4, 99), generator=torch.Generator().manual_seed(1))]
    )
    (against,) = generate(
        engine, [base._replace(negative=text(4, 98), generator=torch.Generator().manual_seed(1))]
    )
    assert not torch.equal(plain, other)
    assert not torch.equal(plain, against)


def test_padding_of_a_prompt_does_not_change_logits(model: LanguageModel) -> None:
    inputs = torch.full((1, 3, 4), CONFIG.special)
    short = text(3, 5)
    padded = TextCondition(
        torch.cat([short.states, torch.full((1, 6, 16), 7.0)], dim=1),
        torch.cat([short.mask, torch.zeros(1, 6, dtype=torch.bool)], dim=1),
        short.pooled,
        short.present,
    )
    time = TimeCondition(torch.tensor([0.0]), torch.tensor([1.0]))
    with torch.no_grad():
        torch.testing.assert_close(
            model(inputs, short, time), model(inputs, padded, time), rtol=0, atol=1e-5
        )


def test_no_prompt_is_the_same_whatever_stands_there(model: LanguageModel) -> None:
    inputs = torch.full((1, 3, 4), CONFIG.special)
    time = TimeCondition(torch.tensor([0.0]), torch.tensor([torch.nan]))
    with torch.no_grad():
        first = model(inputs, text(3, 5, present=False), time)
        second = model(inputs, text(9, 6, present=False), time)
    torch.testing.assert_close(first, second, rtol=0, atol=1e-5)
    assert torch.isfinite(first).all()


def continued(codes: torch.Tensor, seed: int, num_frames: int | None, start: int = 0) -> SoundPlan:
    return plan(seed, 4, num_frames)._replace(given=codes, start_frame=start)


def test_given_codes_stay_and_what_follows_is_what_the_forward_pass_says(
    model: LanguageModel, engine: Engine
) -> None:
    known = torch.randint(0, 32, (3, 12), generator=torch.Generator().manual_seed(4))
    greedy = SamplingSettings(temperature=0.0, cfg_scale=1.0)
    begun = continued(known, 1, 30, start=50)
    (codes,) = engine.generate([begun], greedy, max_frames=60)
    assert codes.shape == (3, 30) and torch.equal(codes[:, :12], known)
    inputs, targets, mask = training_pair(
        codes[None], torch.tensor([30]), torch.tensor([False]), CONFIG.special
    )
    with torch.no_grad():
        logits = model(inputs, begun.text, TimeCondition(torch.tensor([1.0]), torch.tensor([1.6])))
    logits[..., CONFIG.special] = -torch.inf
    # What was given was not drawn.
    steps, delays = torch.arange(33), torch.arange(3)[:, None]
    drawn = mask & (steps - delays >= 12)
    assert torch.equal(logits.argmax(dim=3)[drawn], targets[drawn])


def test_single_codes_may_be_given_and_all_of_them(engine: Engine) -> None:
    known = torch.randint(0, 32, (3, 40), generator=torch.Generator().manual_seed(5))
    assert torch.equal(generate(engine, [continued(known, 1, 40)])[0], known)
    some = known.clone()
    some[2] = -1
    some[1, 10:20] = -1
    (codes,) = generate(engine, [continued(some, 1, 40)])
    assert torch.equal(codes[some >= 0], known[some >= 0])
    assert 0 <= int(codes.min()) and int(codes.max()) < 32
    assert not torch.equal(codes, known)
    # With nothing given it is a sound like any other.
    nothing = torch.full((3, 40), -1)
    assert torch.equal(generate(engine, [continued(nothing, 1, 40)])[0],
                       generate(engine, [plan(1, 4, 40)])[0])  # fmt: skip


def test_a_continuation_is_the_same_in_a_batch_and_may_end_by_itself(engine: Engine) -> None:
    known = torch.randint(0, 32, (3, 25), generator=torch.Generator().manual_seed(6))
    (alone,) = generate(engine, [continued(known, 7, 40)])
    among = generate(engine, [continued(known, 8, 40), continued(known, 7, 40)])
    assert torch.equal(among[1], alone)
    lengths = {generate(engine, [continued(known, seed, None)])[0].shape[1] for seed in range(5)}
    assert all(30 <= length <= 60 for length in lengths) and len(lengths) > 1


def test_more_may_be_given_than_the_window_holds(engine: Engine) -> None:
    known = torch.randint(0, 32, (3, 90), generator=torch.Generator().manual_seed(7))
    (codes,) = generate(engine, [continued(known, 1, 100)])
    assert codes.shape == (3, 100) and torch.equal(codes[:, :90], known)


@pytest.fixture(scope="module", params=["bfloat16", "int8"])
def reduced(request: pytest.FixtureRequest) -> Engine:
    torch.manual_seed(0)
    model = LanguageModel(replace(CONFIG, dim=64, num_heads=2, codebook_size=64)).eval()
    try:
        return Engine(model, max_text_tokens=MAX_TOKENS, precision=request.param)
    except DeviceError as error:
        pytest.skip(error.message)


def test_reduced_precision_is_near_the_forward_pass(reduced: Engine) -> None:
    """The tolerance that is promised: logits within 2 % of their spread, here over 30 steps."""
    model, config = reduced.model, reduced.config
    codes = torch.randint(0, 64, (1, 3, 30), generator=torch.Generator().manual_seed(1))
    inputs, _, _ = training_pair(codes, torch.tensor([30]), torch.tensor([True]), config.special)
    prompt = text(4, 1)
    with torch.no_grad():
        whole = model(inputs, prompt, TimeCondition(torch.tensor([0.0]), torch.tensor([0.6])))
        window, pooled = reduced.prepare_window([prompt, prompt])
        x = model.embed(inputs) + reduced.times(0.0, 0.6)[None, :33] + pooled[:1, None]
        x = x.repeat(2, 1, 1)
        steps = [reduced.logits(reduced.run_layers(x[:, s : s + 1], window, s)) for s in range(33)]
    found = torch.stack(steps, dim=2)[:1]
    off = (found - whole).square().mean().sqrt() / whole.std()
    assert 0 < float(off) < 0.02


def test_reduced_precision_repeats_itself_alone_and_in_a_batch(reduced: Engine) -> None:
    (alone,) = generate(reduced, [plan(7, 3, 40)])
    (again,) = generate(reduced, [plan(7, 3, 40)])
    assert torch.equal(alone, again)
    others = [plan(seed, 5 + seed, 40 if seed % 2 else 55) for seed in range(7)]
    among = generate(reduced, [*others[:3], plan(7, 3, 40), *others[3:]])
    assert torch.equal(among[3], alone)
    # Past the window, whose first steps are computed at once and in float32.
    long = [generate(reduced, [plan(1, 4, 90)])[0] for _ in range(2)]
    assert torch.equal(*long) and long[0].shape == (3, 90)
