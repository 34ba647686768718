"""Entropy coding: exact there and back, whatever the batch, the threads or the bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache

import constriction
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from soundgen.codec.config import EntropyConfig
from soundgen.codec.entropy import EntropyModel, RangeCoder, power_table, tensor_shapes
from soundgen.codec.entropy_net import EntropyNet

Codes = NDArray[np.int64]
SMALL = EntropyConfig(num_codebooks=3, codebook_size=20, context_frames=4, hidden_size=8)


def make_tensors(
    config: EntropyConfig, seed: int = 0, most: int = 40
) -> dict[str, NDArray[np.generic]]:
    rng = np.random.default_rng(seed)
    return {
        name: rng.integers(-most, most + 1, shape).astype(dtype)
        for name, (shape, dtype) in tensor_shapes(config).items()
    }


@cache
def make_model(most: int = 40, config: EntropyConfig = SMALL) -> EntropyModel:
    return EntropyModel(config, make_tensors(config, most=most))


def make_codes(n_q: int, num_frames: int, seed: int, size: int = 20, *, skewed: bool) -> Codes:
    rng = np.random.default_rng(seed)
    if not skewed:
        return rng.integers(0, size, (n_q, num_frames))
    codes = rng.geometric(0.6, (n_q, num_frames)) - 1
    return np.asarray(codes.clip(max=size - 1), dtype=np.int64)


# The probabilities


def test_powers_are_the_floors_of_the_true_powers() -> None:
    table = power_table()
    assert (table[0], table[64], table[-2], table[-1]) == (1 << 23, 1 << 22, 1, 0)
    for i in range(0, len(table) - 1, 7):
        exponent = 23 * 64 - i  # floor(2^(exponent / 64)) in integers
        assert int(table[i]) ** 64 <= 1 << exponent < (int(table[i]) + 1) ** 64


@pytest.mark.parametrize("most", [1, 40, 127])
def test_frequencies_are_integers_that_leave_every_code_possible(most: int) -> None:
    model = make_model(most)
    frames = np.random.default_rng(1).integers(-381, 382, (9, 4, 8)).astype(np.int32)
    for n_q in (1, 2, 3):
        for k in range(n_q):
            earlier = make_codes(k, 9, 2, skewed=False)
            table = model.frequencies(model.history(frames), earlier, n_q)
            assert table.dtype == np.float32
            np.testing.assert_array_equal(table, np.floor(table))
            assert table.min() >= 0
            assert (table.astype(np.int64).sum(axis=1) == (1 << 24) - 20).all()


def test_constriction_takes_the_frequencies_as_they_are() -> None:
    """The coder's state after one code is what integers say it must be."""
    family = constriction.stream.model.Categorical(perfect=False)
    model = make_model(40)
    frames = np.random.default_rng(3).integers(-100, 100, (60, 4, 8)).astype(np.int32)
    table = model.frequencies(model.history(frames), np.zeros((0, 60), np.int64), 1)
    counts = table.astype(np.int64) + 1
    for row in range(60):
        code = row % 20
        encoder = constriction.stream.queue.RangeEncoder()
        encoder.encode(np.array([code], np.int32), family, table[row : row + 1])
        _, (lower, width) = encoder.pos()
        unit = (2**64 - 1) >> 24
        expected = int(counts[row, :code].sum()) * unit, int(counts[row, code]) * unit
        while expected[1] < 1 << 32:
            expected = expected[0] << 32, expected[1] << 32
        assert (lower, width) == (expected[0] % 2**64, expected[1])


@pytest.mark.parametrize("n_q", [1, 2, 3])
def test_the_trained_twin_computes_the_same_integers(n_q: int) -> None:
    torch.manual_seed(0)
    net = EntropyNet(SMALL, torch.randn(3, 20, 6))
    with torch.no_grad():
        net.mix.normal_(0, 0.5)
        net.frame_own.normal_(0, 0.5)
        net.output_own.normal_(0, 0.5)
        net.bias.normal_()
        net.mix_bias.normal_()
    model = EntropyModel(SMALL, {name: value.numpy() for name, value in net.integers().items()})
    codes = make_codes(n_q, 11, 4, skewed=False)
    logits = net(torch.from_numpy(codes)[None])
    embedded = model.embed_frames(codes)
    for t in range(11):
        frames = embedded[max(0, t - 4) : t][::-1][None]
        for k in range(n_q):
            table = model.frequencies(model.history(frames), codes[:k, t : t + 1], n_q)[0]
            p = torch.softmax(logits[k][0, t] * np.log(2), 0).detach().numpy()
            np.testing.assert_allclose(table / 2**24, p, rtol=2e-3, atol=2e-5)


# There and back


@settings(deadline=None, max_examples=60)
@given(
    n_q=st.integers(1, 3),
    num_frames=st.integers(1, 30),
    seed=st.integers(0, 1000),
    skewed=st.booleans(),
    most=st.sampled_from([1, 40, 127]),
)
def test_decoding_undoes_encoding(
    n_q: int, num_frames: int, seed: int, skewed: bool, most: int
) -> None:
    coder = RangeCoder(make_model(most), n_q)
    codes = make_codes(n_q, num_frames, seed, skewed=skewed)
    payload = coder.encode(codes)
    assert payload == b"\0" or not payload.endswith(b"\0")
    (decoded,) = coder.decode([payload], [num_frames])
    assert decoded.dtype == np.int64
    np.testing.assert_array_equal(decoded, codes)


def test_a_payload_is_never_empty() -> None:
    tensors = {name: np.zeros_like(value) for name, value in make_tensors(SMALL).items()}
    tensors["output_bias"][:, 0] = 32_000
    coder = RangeCoder(EntropyModel(SMALL, tensors), 3)
    codes = np.zeros((3, 25), np.int64)
    assert coder.encode(codes) == b"\0"
    np.testing.assert_array_equal(coder.decode([b"\0"], [25])[0], codes)
    with pytest.raises(ValueError, match="last byte is zero"):
        coder.decode([b"\0\0"], [25])


def test_a_large_model_stays_exact() -> None:
    """The largest sums that a configuration allows."""
    config = EntropyConfig(num_codebooks=2, codebook_size=300, context_frames=64, hidden_size=512)
    tensors = {
        name: np.full(shape, 127, dtype) for name, (shape, dtype) in tensor_shapes(config).items()
    }
    tensors["output"][:, :, 1::2] = -127
    coder = RangeCoder(EntropyModel(config, tensors), 2)
    codes = make_codes(2, 70, 0, 300, skewed=False)
    np.testing.assert_array_equal(coder.decode([coder.encode(codes)], [70])[0], codes)


def test_the_last_bytes_are_few() -> None:
    """A payload is at most two bytes above what its probabilities ask for."""
    model = make_model(40)
    coder = RangeCoder(model, 1)
    for seed in range(40):
        codes = make_codes(1, 5, seed, skewed=False)
        embedded = model.embed_frames(codes)
        bits = 0.0
        for t in range(5):
            context = model.history(embedded[max(0, t - 4) : t][::-1][None])
            table = model.frequencies(context, codes[:0, :1], 1)[0]
            bits -= float(np.log2((table[codes[0, t]] + 1) / 2**24))
        assert len(coder.encode(codes)) <= bits / 8 + 2


def test_a_chunk_does_not_depend_on_its_neighbours() -> None:
    coder = RangeCoder(make_model(), 3)
    lengths = [7, 1, 30, 30, 12]
    chunks = [make_codes(3, length, i, skewed=i % 2 == 0) for i, length in enumerate(lengths)]
    payloads = [coder.encode(codes) for codes in chunks]
    together = coder.decode(payloads, lengths)
    for codes, payload, length, decoded in zip(chunks, payloads, lengths, together, strict=True):
        np.testing.assert_array_equal(decoded, codes)
        np.testing.assert_array_equal(coder.decode([payload], [length])[0], codes)
    assert coder.decode([], []) == []


PROGRAM = """
import hashlib, sys
import numpy as np, torch
from tests.unit.codec.test_entropy import make_codes, make_model
from soundgen.codec.config import EntropyConfig
from soundgen.codec.entropy import RangeCoder
torch.set_num_threads(int(sys.argv[1]))
config = EntropyConfig(num_codebooks=4, codebook_size=256, context_frames=8, hidden_size=128)
with torch.backends.mkldnn.flags(enabled=sys.argv[2] == "on"):
    coder = RangeCoder(make_model(40, config), 4)
    chunks = [make_codes(4, 40, seed, 256, skewed=seed > 0) for seed in range(3)]
    payloads = [coder.encode(codes) for codes in chunks]
    decoded = coder.decode(payloads, [40] * 3)
assert all((a == b).all() for a, b in zip(chunks, decoded))
print(hashlib.sha256(b"".join(payloads)).hexdigest())
"""


def test_threads_and_onednn_change_no_byte() -> None:
    shown = set()
    for threads, mkldnn in (("1", "on"), ("2", "off")):
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        env = os.environ | {"PYTHONPATH": os.getcwd()} | dict.fromkeys(names, threads)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, threads, mkldnn],
            env=env,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        shown.add(done.stdout)
    assert len(shown) == 1


# Bytes that nobody encoded


@settings(deadline=None, max_examples=80)
@given(
    payload=st.binary(max_size=40),
    num_frames=st.integers(1, 25),
    n_q=st.integers(1, 3),
    most=st.sampled_from([1, 127]),
)
def test_any_bytes_decode_to_possible_codes_or_are_refused(
    payload: bytes, num_frames: int, n_q: int, most: int
) -> None:
    coder = RangeCoder(make_model(most), n_q)
    try:
        (codes,) = coder.decode([payload], [num_frames])
    except ValueError:
        return
    assert codes.shape == (n_q, num_frames)
    assert 0 <= codes.min() <= codes.max() < 20


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 500), flips=st.lists(st.integers(0, 10_000), min_size=1, max_size=4))
def test_damage_is_refused_or_decodes_to_possible_codes(seed: int, flips: list[int]) -> None:
    coder = RangeCoder(make_model(), 2)
    payload = bytearray(coder.encode(make_codes(2, 20, seed, skewed=False)))
    for flip in flips:
        payload[flip // 8 % len(payload)] ^= 1 << flip % 8
    try:
        (codes,) = coder.decode([bytes(payload)], [20])
    except ValueError:
        return
    assert 0 <= codes.min() <= codes.max() < 20


# Mistakes


def test_tensors_that_do_not_fit_are_refused() -> None:
    tensors = make_tensors(SMALL)
    with pytest.raises(ValueError, match="expected tensors"):
        EntropyModel(SMALL, {**tensors, "extra": tensors["mix"]})
    with pytest.raises(ValueError, match=r"mix: expected int8 \[3, 8, 8\]"):
        EntropyModel(SMALL, {**tensors, "mix": tensors["mix"][:, :, :4]})
    with pytest.raises(ValueError, match="filter: expected int8"):
        EntropyModel(SMALL, {**tensors, "filter": tensors["filter"].astype(np.int16)})


@pytest.mark.parametrize(
    ("name", "value"),
    [("num_codebooks", 0), ("codebook_size", 1), ("context_frames", 65), ("hidden_size", 513)],
)
def test_sizes_whose_sums_would_not_be_exact_are_refused(name: str, value: int) -> None:
    fields = {"num_codebooks": 3, "codebook_size": 20, "context_frames": 4, "hidden_size": 8}
    with pytest.raises(ValueError, match=f"{name} must be in"):
        EntropyConfig(**fields | {name: value})


def test_codes_that_do_not_fit_are_refused() -> None:
    coder = RangeCoder(make_model(), 2)
    for codes in (np.zeros((3, 4)), np.zeros((2, 0)), np.zeros(4), np.full((2, 4), 20)):
        with pytest.raises(ValueError, match="codes must be"):
            coder.encode(codes.astype(np.int64))
    with pytest.raises(ValueError, match=r"n_q must be in 1\.\.3, got 4"):
        RangeCoder(make_model(), 4)
