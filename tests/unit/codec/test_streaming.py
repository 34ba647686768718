"""Live streams: pushed in any pieces, answered as early as is said, the same as the whole."""

from __future__ import annotations

import random
import re

import pytest
import torch

from soundgen.codec.model import Codec
from soundgen.codec.spectral import phase_period
from soundgen.codec.streaming import StreamDecoder, StreamEncoder, context_frames, window_frames
from soundgen.errors import ShapeError
from soundgen.pipelines.model import load_codec
from tests.conftest import REPOSITORY

HOP = 320
GOLDEN = REPOSITORY / "tests" / "golden"
NAMES = ("seanet", "spectral", "magnitude")


@pytest.fixture(params=NAMES)
def codec(request: pytest.FixtureRequest) -> Codec:
    return load_codec(str(GOLDEN / request.param)).codec


def noise(num_samples: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(num_samples, generator=torch.Generator().manual_seed(seed))


def pieces(values: torch.Tensor, most: int, seed: int) -> list[torch.Tensor]:
    """Cut along the last dimension at random, empty pieces among them."""
    rng = random.Random(seed)
    sizes = []
    while sum(sizes) < values.shape[-1]:
        sizes.append(min(rng.choice([0, 1, rng.randrange(most)]), values.shape[-1] - sum(sizes)))
    return list(values.split(sizes, dim=-1))


@pytest.mark.parametrize("num_samples", [0, 1, HOP, 25 * HOP + 7, 1_100 * HOP + 1])
def test_the_canonical_cutting_gives_what_the_whole_gives(codec: Codec, num_samples: int) -> None:
    wav = noise(num_samples)
    encoder, decoder = StreamEncoder(codec, 3), StreamDecoder(codec)
    found = [encoder.push(piece) for piece in pieces(wav, 40_000, 1)] + [encoder.flush()]
    codes = torch.cat(found, dim=1)
    assert codes.shape == (3, -(-num_samples // HOP))
    heard = [decoder.push(piece) for piece in pieces(codes, 130, 2)] + [decoder.flush()]
    if num_samples:
        whole = codec.encode(wav[None, None], 3)
        assert torch.equal(codes, whole[0])
        assert torch.equal(torch.cat(heard), codec.decode(whole)[0, 0])
    else:
        assert torch.cat(heard).shape == (0,)


@pytest.mark.parametrize("step_frames", [1, 4, 50])
def test_a_small_step_gives_the_same_but_for_rounding(codec: Codec, step_frames: int) -> None:
    wav = noise(200 * HOP)
    encoder = StreamEncoder(codec, step_frames=step_frames)
    codes = torch.cat([*map(encoder.push, wav.split(HOP)), encoder.flush()], dim=1)
    whole = codec.encode(wav[None, None])
    # Rounding may decide between two entries that are as near as each other.
    assert (codes == whole[0]).float().mean() > 0.99
    decoder = StreamDecoder(codec, step_frames=step_frames)
    sound = torch.cat([*map(decoder.push, whole[0].split(1, dim=1)), decoder.flush()])
    torch.testing.assert_close(sound, codec.decode(whole)[0, 0], rtol=0, atol=1e-4)


def test_codes_and_sound_come_when_they_are_said_to(codec: Codec) -> None:
    encoder, decoder = StreamEncoder(codec, step_frames=1), StreamDecoder(codec, step_frames=1)
    if codec.config.autoencoder == "seanet":
        expected, steps = (1, 1), 1  # frames from a frame's beginning on: its own, 20 ms
    else:
        _, right, _, decoder_right = context_frames(codec.config)
        steps = phase_period(codec.config) if codec.config.autoencoder == "spectral" else 1
        expected = (steps + right, steps + decoder_right)
    assert (encoder.step_frames, decoder.step_frames) == (steps, steps)
    assert encoder.latency_s == pytest.approx(expected[0] * 0.02)
    assert decoder.latency_s == pytest.approx(expected[1] * 0.02)
    for coder, frames, latency in (
        (encoder, noise(60 * HOP).split(HOP), expected[0]),
        (decoder, codec.encode(noise(60 * HOP)[None, None])[0].split(1, dim=1), expected[1]),
    ):
        unit = HOP if coder is decoder else 1
        known = 0
        for come, frame in enumerate(frames, start=1):
            known += coder.push(frame).shape[-1] // unit  # type: ignore[operator]
            ready = come - latency + steps
            assert known == max(0, ready // steps * steps)


def test_without_a_step_seanet_waits_five_seconds_and_the_others_a_window(codec: Codec) -> None:
    encoder = StreamEncoder(codec)
    if codec.config.autoencoder == "seanet":
        assert encoder.latency_s == pytest.approx(5.0)
    else:
        frames = window_frames(codec.config) + context_frames(codec.config)[1]
        assert encoder.latency_s == pytest.approx(frames * 0.02)


def test_streams_on_one_codec_do_not_disturb_each_other(codec: Codec) -> None:
    wavs = [noise(40 * HOP, seed) for seed in (1, 2)]
    encoders = [StreamEncoder(codec, step_frames=4) for _ in wavs]
    parts: list[list[torch.Tensor]] = [[], []]
    for blocks in zip(*(wav.split(1_000) for wav in wavs), strict=True):
        for part, encoder, block in zip(parts, encoders, blocks, strict=True):
            part.append(encoder.push(block))
    for part, encoder, wav in zip(parts, encoders, wavs, strict=True):
        part.append(encoder.flush())
        alone = StreamEncoder(codec, step_frames=4)
        expected = torch.cat([alone.push(wav), alone.flush()], dim=1)
        assert torch.equal(torch.cat(part, dim=1), expected)


@pytest.mark.parametrize("first_frame", [75, 301])
@pytest.mark.parametrize("name", ["spectral", "magnitude"])
def test_a_stream_may_begin_in_the_middle_of_another(name: str, first_frame: int) -> None:
    codec = load_codec(str(GOLDEN / name)).codec
    codes = codec.encode(noise(400 * HOP)[None, None])[0]
    whole = codec.decode(codes[None])[0, 0]
    decoder = StreamDecoder(codec, first_frame=first_frame)
    sound = torch.cat([decoder.push(codes[:, first_frame:]), decoder.flush()])
    left = context_frames(codec.config)[2] * HOP
    expected = whole[first_frame * HOP + left :]
    torch.testing.assert_close(sound[left:], expected, rtol=0, atol=1e-4)
    elsewhere = StreamDecoder(codec, first_frame=first_frame + 1)
    other = torch.cat([elsewhere.push(codes[:, first_frame:]), elsewhere.flush()])
    assert (other[left:] - expected).abs().max() > 0.01


def test_what_cannot_be_is_refused_by_name(codec: Codec) -> None:
    with pytest.raises(ShapeError, match=r"n_q must be in 1\.\.4, got 5"):
        StreamEncoder(codec, 5)
    for make in (StreamEncoder, StreamDecoder):
        with pytest.raises(ShapeError, match="step_frames must be at least 1"):
            make(codec, step_frames=0)
    with pytest.raises(ShapeError, match=r"wav must be \[t\]"):
        StreamEncoder(codec).push(torch.zeros(1, 5))
    decoder = StreamDecoder(codec)
    with pytest.raises(ShapeError, match=r"codes must be \[n_q, l\]"):
        decoder.push(torch.zeros(5, dtype=torch.int64))
    decoder.push(torch.zeros(2, 5, dtype=torch.int64))
    with pytest.raises(ShapeError, match=r"codes must be \[2, l\]"):
        decoder.push(torch.zeros(3, 5, dtype=torch.int64))
    decoder.push(torch.full((2, 5), 99, dtype=torch.int64))
    with pytest.raises(ShapeError, match=r"codes must be in 0\.\.15"):
        decoder.flush()


@pytest.mark.parametrize("name", NAMES)
def test_the_example_of_the_page_runs(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    page = (REPOSITORY / "docs" / "streaming.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert '"soundgen-small"' in code
    names: dict[str, torch.Tensor] = {}
    exec(code.replace('"soundgen-small"', repr(str(GOLDEN / name))), names)
    assert names["sound"].shape == (48_000,)
    shown = capsys.readouterr().out
    if name == "seanet":
        assert shown == "latency 0.02 s + 0.02 s\n"
