"""Entropy coding of codes: a small causal model in integers, and a range coder.

The model says how likely each code is, given the codes before it in its own chunk. Encoder and
decoder must agree on that to the last bit, on every machine and whatever the batch, so nothing
here rounds: weights are int8, sums are exact, powers of two come from integer roots. Matrix
products run in float32, where sums of integers below 2^24 are exact in any order.

docs/formats.md describes the same computation for whoever writes another decoder.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import constriction
import numpy as np
from numpy.typing import NDArray

from soundgen.codec.config import EntropyConfig

Codes = NDArray[np.int64]
_Int32 = NDArray[np.int32]
_Float32 = NDArray[np.float32]

FILTER_BITS = MIX_BITS = 6
"""Fractional bits of the filter and of the mixing matrices."""
ACTIVATION_BITS = 5
MAX_ACTIVATION = 255
OUTPUT_BITS = 6
LOGIT_BITS = 6
"""Logits are powers of two in steps of 1 / 64."""
TOTAL_BITS = 24
"""The frequencies of all codes sum to 2^24: the precision of constriction's coders."""
_WEIGHT_BITS = 23
_WORD = 4
_NOTHING = b"\0"
"""Stands for a payload of no bytes, which a chunk cannot have."""


def power_table() -> NDArray[np.int64]:
    """Return floor(2^(23 - i / 64)) for i from 0 on, down to 1 and then one 0; exact."""
    steps = 1 << LOGIT_BITS
    table = []
    for i in range(_WEIGHT_BITS * steps + 1):
        value = 1 << (_WEIGHT_BITS * steps - i)
        for _ in range(LOGIT_BITS):  # the 64th root is the square root six times over
            value = math.isqrt(value)
        table.append(value)
    return np.array([*table, 0], dtype=np.int64)


def tensor_shapes(config: EntropyConfig) -> dict[str, tuple[tuple[int, ...], type[np.generic]]]:
    """Return name, shape and type of each tensor of a model."""
    K, V, H = config.num_codebooks, config.codebook_size, config.hidden_size
    return {
        "frame_embedding": ((K, V, H), np.int8),
        "filter": ((config.context_frames, H), np.int8),
        "code_embedding": ((K, V, H), np.int8),
        "bias": ((K, K, H), np.int16),
        "mix": ((K, H, H), np.int8),
        "mix_bias": ((K, H), np.int16),
        "output": ((K, H, V), np.int8),
        "output_bias": ((K, V), np.int16),
    }


class EntropyModel:
    """What predicts each code of a chunk from those before it.

    Args:
        config: Sizes.
        tensors: Integers, as `tensor_shapes` lists them.

    Raises:
        ValueError: A tensor is missing, foreign, or of another shape or type.
    """

    def __init__(self, config: EntropyConfig, tensors: Mapping[str, NDArray[np.generic]]) -> None:
        shapes = tensor_shapes(config)
        if tensors.keys() != shapes.keys():
            raise ValueError(f"expected tensors {sorted(shapes)}, got {sorted(tensors)}")
        for name, (shape, dtype) in shapes.items():
            if tensors[name].shape != shape or tensors[name].dtype != dtype:
                raise ValueError(f"{name}: expected {np.dtype(dtype)} {list(shape)}")
        self.config = config
        self._frame_embedding = tensors["frame_embedding"]
        self._filter = tensors["filter"].astype(np.int32)
        self._code_embedding = tensors["code_embedding"]
        self._bias = tensors["bias"].astype(np.int32)
        self._mix = tensors["mix"].astype(np.float32)
        self._mix_bias = tensors["mix_bias"].astype(np.float32)
        self._output = tensors["output"].astype(np.float32)
        self._output_bias = tensors["output_bias"].astype(np.int32)
        self._powers = power_table()

    def embed_frames(self, codes: Codes) -> _Int32:
        """Sum the embeddings of whole frames `[n_q, N]` to `[N, H]`."""
        return _sum_rows(self._frame_embedding, codes)

    def history(self, frames: _Int32) -> _Int32:
        """Filter the embedded frames before one.

        Args:
            frames: `[B, d, H]`, d at most `context_frames`, the last one first.

        Returns:
            `[B, H]`.
        """
        weighted: _Int32 = np.einsum("bdh,dh->bh", frames, self._filter[: frames.shape[1]])
        weighted >>= FILTER_BITS
        return weighted

    def frequencies(self, context: _Int32, earlier: Codes, n_q: int) -> _Float32:
        """Return how likely each next code is, less one, in units of 2^-24.

        Args:
            context: What `history` makes of the frames before, `[N, H]`.
            earlier: Codes of the same frames that are known already, `[k, N]`.
            n_q: Codebooks in use.

        Returns:
            Integers `[N, V]` that sum to 2^24 - V. With 1 more for each code, which constriction
            adds, they sum to 2^24, and every code is possible.
        """
        k = len(earlier)
        hidden = context + self._bias[n_q - 1, k] + _sum_rows(self._code_embedding, earlier)
        first = np.clip(hidden, 0, MAX_ACTIVATION).astype(np.float32)
        mixed = np.floor((first @ self._mix[k]) * np.float32(2.0**-MIX_BITS))
        second = np.clip(first + mixed + self._mix_bias[k], 0, MAX_ACTIVATION)
        shift = ACTIVATION_BITS + OUTPUT_BITS - LOGIT_BITS
        logits = (second @ self._output[k]).astype(np.int32) >> shift
        logits += self._output_bias[k]
        likeliest = logits.argmax(axis=1)
        below = logits.max(axis=1, keepdims=True) - logits
        counts = self._powers.take(below, mode="clip")  # the last one for all that follow
        free = (1 << TOTAL_BITS) - self.config.codebook_size
        counts *= (free << _WEIGHT_BITS) // counts.sum(axis=1, keepdims=True)
        counts >>= _WEIGHT_BITS
        counts[np.arange(len(counts)), likeliest] += free - counts.sum(axis=1)
        less_one: _Float32 = counts.astype(np.float32)
        return less_one


class RangeCoder:
    """Codes chunks of `n_q` codebooks with an `EntropyModel`; each chunk stands on its own.

    Args:
        model: What predicts.
        n_q: Codebooks in use.

    Raises:
        ValueError: The model has fewer codebooks.
    """

    def __init__(self, model: EntropyModel, n_q: int) -> None:
        if not 1 <= n_q <= model.config.num_codebooks:
            raise ValueError(f"n_q must be in 1..{model.config.num_codebooks}, got {n_q}")
        self._model, self._n_q = model, n_q
        # Frequencies that sum to 2^24 are taken as they are: the scale that it computes is 1.
        self._family = constriction.stream.model.Categorical(perfect=False)

    def encode(self, codes: Codes) -> bytes:
        """Code `codes` int64 `[n_q, L]`.

        Raises:
            ValueError: They are not that, or out of range.
        """
        model, size = self._model, self._model.config.codebook_size
        if codes.ndim != 2 or codes.shape[0] != self._n_q or not codes.size:
            raise ValueError(f"codes must be [{self._n_q}, L], got {list(codes.shape)}")
        if codes.min() < 0 or codes.max() >= size:
            raise ValueError(f"codes must be in 0..{size - 1}")
        num_frames = codes.shape[1]
        embedded = model.embed_frames(codes)
        depth = model.config.context_frames
        padded = np.concatenate([np.zeros((depth, embedded.shape[1]), np.int32), embedded])
        windows = np.lib.stride_tricks.sliding_window_view(padded[:-1], depth, axis=0)
        context = model.history(windows.transpose(0, 2, 1)[:, ::-1])
        tables = np.empty((num_frames, self._n_q, size), np.float32)
        for k in range(self._n_q):
            tables[:, k] = model.frequencies(context, codes[:k], self._n_q)
        encoder = constriction.stream.queue.RangeEncoder()
        symbols = np.ascontiguousarray(codes.T, dtype=np.int32).reshape(-1)
        encoder.encode(symbols, self._family, tables.reshape(-1, size))
        return _seal(encoder)

    def decode(self, payloads: Sequence[bytes], num_frames: Sequence[int]) -> list[Codes]:
        """Decode chunks side by side; what one holds does not depend on the others.

        Args:
            payloads: What `encode` made of each.
            num_frames: L of each.

        Returns:
            Codes int64 `[n_q, L]` of each.

        Raises:
            ValueError: A payload is not what `encode` makes.
        """
        # The longest first, so that those still at work are always the first ones.
        order = sorted(range(len(payloads)), key=lambda i: -num_frames[i])
        decoders = [_open(payloads[i]) for i in order]
        lengths = [num_frames[i] for i in order]
        model, depth = self._model, self._model.config.context_frames
        codes = np.zeros((self._n_q, len(order), max(lengths, default=0)), np.int64)
        past = np.zeros((len(order), depth, model.config.hidden_size), np.int32)
        for t in range(codes.shape[2]):
            num_left = sum(length > t for length in lengths)
            context = model.history(past[:num_left])
            for k in range(self._n_q):
                tables = model.frequencies(context, codes[:k, :num_left, t], self._n_q)
                for i, decoder in enumerate(decoders[:num_left]):
                    codes[k, i, t] = self._next(decoder, tables[i : i + 1])
            past[:, 1:] = past[:, :-1]
            past[:num_left, 0] = model.embed_frames(codes[:, :num_left, t])
        found = {i: codes[:, row, : lengths[row]] for row, i in enumerate(order)}
        return [np.ascontiguousarray(found[i]) for i in range(len(payloads))]

    def _next(self, decoder: constriction.stream.queue.RangeDecoder, table: _Float32) -> int:
        try:
            return int(decoder.decode(self._family, table)[0])
        except AssertionError as error:  # what constriction raises on impossible data
            raise ValueError("they cannot have come from the entropy coder") from error


def _sum_rows(embedding: NDArray[np.generic], codes: Codes) -> _Int32:
    """Sum the rows of `[K, V, H]` that `codes` `[k, N]` name, to `[N, H]`."""
    total = np.zeros((codes.shape[1], embedding.shape[2]), np.int32)
    for rows, row in zip(embedding, codes, strict=False):
        total += rows[row]
    return total


def _seal(encoder: constriction.stream.queue.RangeEncoder) -> bytes:
    """Return the fewest bytes (at least 1) that, with zeros behind, decode to what was encoded.

    constriction's own last words are made for anything to follow, and cost up to 8 bytes.
    """
    position, (lower, width) = encoder.pos()
    num_bytes = _WORD * (position + 2)
    words = encoder.get_compressed().astype(">u4").tobytes().ljust(num_bytes, b"\0")
    # Some number in [lower, lower + width) names the message; the state has its lowest 64 bits.
    inside = int.from_bytes(words, "big")
    lowest = inside - (inside - lower) % (1 << 64)
    for spare in range(2 * _WORD, 0, -1):
        unit = 1 << 8 * spare
        value = -(-lowest // unit) * unit
        if value < lowest + width:
            break
    else:
        value = lowest
    return value.to_bytes(num_bytes, "big").rstrip(b"\0") or _NOTHING


def _open(payload: bytes) -> constriction.stream.queue.RangeDecoder:
    if payload.endswith(b"\0") and payload != _NOTHING:
        raise ValueError("its last byte is zero")
    size = -(-len(payload) // _WORD) * _WORD
    words = np.frombuffer(payload.ljust(size, b"\0"), dtype=">u4").astype(np.uint32)
    return constriction.stream.queue.RangeDecoder(words)
