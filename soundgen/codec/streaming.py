"""Encoding and decoding piece by piece in bounded memory: the codec's one canonical path.

Floating-point sums depend on the shapes they are taken over, so "the same codes whatever the
chunk length" needs one fixed cutting, at batch 1. That cutting is here, and every other way to
encode goes through it:

- `spectral` and `magnitude` have a bounded receptive field: windows of `window_frames` are computed
  with enough frames of context on both sides that their inside equals the whole file's.
- `seanet` is causal: pieces of `PIECE_FRAMES` follow one another, each layer's past carried. Pieces
  of a second would take 1.4 times as long to encode: the search and the narrow end of SEANet need
  many frames at a time. One that was imported and looks ahead takes a sound as a whole.

A live stream can be cut finer, for an earlier answer (docs/streaming.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from soundgen.codec import magnitude, spectral
from soundgen.codec.config import CodecConfig
from soundgen.codec.magnitude import MagnitudeDecoder, MagnitudeEncoder
from soundgen.codec.quantizer import ResidualVectorQuantizer
from soundgen.codec.seanet import SeanetDecoder, SeanetEncoder, SeanetState
from soundgen.codec.spectral import SpectralDecoder, SpectralEncoder
from soundgen.errors import ShapeError

WINDOW_FRAMES = 500
PIECE_FRAMES = 250
_PUSHED_FRAMES = 50
WHOLE_FRAMES = 1 << 40
"""Of a piece where there is only one: a SEANet that looks ahead."""


class CodecParts(Protocol):
    """What of a `Codec` streaming needs."""

    config: CodecConfig
    encoder: SeanetEncoder | SpectralEncoder | MagnitudeEncoder
    decoder: SeanetDecoder | SpectralDecoder | MagnitudeDecoder
    quantizer: ResidualVectorQuantizer


def window_frames(config: CodecConfig) -> int:
    """Return the frames of a window: `WINDOW_FRAMES`, for `spectral` or a little more.

    Its windows begin where the phase reference comes round, so they are whole periods long.
    """
    return _whole_steps(config, WINDOW_FRAMES)


def context_frames(config: CodecConfig) -> tuple[int, int, int, int]:
    """Return how many frames beside a frame can change it.

    Returns:
        Left and right context of the encoder, then of the decoder. The sum of the two right
        contexts is the algorithmic look-ahead of the codec, in frames.
    """
    if config.autoencoder == "magnitude":
        return magnitude.context_frames(config)
    return spectral.context_frames(config)


def _whole_steps(config: CodecConfig, num_frames: int) -> int:
    if config.autoencoder == "spectral":
        return spectral.whole_periods(config, num_frames)
    return num_frames


class StreamEncoder:
    """Encodes a live stream: push audio as it comes, take codes as they are known.

    All state of the stream is in this object; the codec itself is not changed and serves any
    number of streams.

    Args:
        codec: In evaluation mode.
        n_q: Codebooks to use; all if `None`.
        step_frames: Frames that are encoded at a time. `None` is the canonical cutting, whose
            codes are those of `Codec.encode`, bit for bit. Fewer answer sooner; their codes are
            the same but where two entries are as near as each other within rounding. `spectral`
            takes whole phase periods, so it rounds up.

    Raises:
        ShapeError: `n_q` is not in 1..num_codebooks, or `step_frames` is below 1.
    """

    def __init__(
        self, codec: CodecParts, n_q: int | None = None, *, step_frames: int | None = None
    ) -> None:
        if n_q is not None and not 1 <= n_q <= codec.config.num_codebooks:
            raise ShapeError(f"n_q must be in 1..{codec.config.num_codebooks}, got {n_q}")
        self._codec, self._hop = codec, codec.config.hop_length
        self._n_q = codec.config.num_codebooks if n_q is None else n_q
        self._state: SeanetState | None = None
        left = right = 0
        if isinstance(codec.encoder, SeanetEncoder):
            self._state = {}
        else:
            left, right, _, _ = context_frames(codec.config)
        self.step_frames = _step(codec, step_frames)
        self._cutter = _Cutter(self._hop, length=self.step_frames, left=left, right=right)
        self.latency_s = (self.step_frames + right) * self._hop / codec.config.sample_rate
        """Audio that must have come from a frame's beginning on before its codes are known, s."""

    @torch.no_grad()
    def push(self, wav: Tensor) -> Tensor:
        """Take float32 `[t]`, any length; return the codes int64 `[n_q, l]` now known.

        Raises:
            ShapeError: `wav` is not `[t]`.
        """
        if wav.ndim != 1:
            raise ShapeError(f"wav must be [t], got {list(wav.shape)}")
        return self._encode(self._cutter.push(wav))

    @torch.no_grad()
    def flush(self) -> Tensor:
        """End the stream; return its last codes int64 `[n_q, l]`, zeros filling the last frame."""
        return self._encode(self._cutter.flush())

    def _encode(self, windows: Iterable[_Window]) -> Tensor:
        device = self._codec.quantizer.usage.device
        found = [torch.zeros(self._n_q, 0, dtype=torch.int64)]
        for window in windows:
            wav = window.values.to(device)[None, None]
            if self._codec.config.pads_waveform:
                wav = pad_to_multiple(wav, self._hop)
            if isinstance(self._codec.encoder, SeanetEncoder):
                latents = self._codec.encoder(wav, self._state)
            else:
                latents = self._codec.encoder(wav)[:, :, window.skip : window.skip + window.keep]
            found.append(self._codec.quantizer.encode(latents, self._n_q)[0].cpu())
        return torch.cat(found, dim=1)


class StreamDecoder:
    """Decodes a live stream: push codes as they come, take audio as it is known.

    Args:
        codec: In evaluation mode.
        step_frames: As of `StreamEncoder`; `None` gives the audio of `Codec.decode`, bit for bit.
        first_frame: Number of the first frame in the stream that it was cut from. What `spectral`
            codes mean depends on it.

    Raises:
        ShapeError: `step_frames` is below 1.
    """

    def __init__(
        self, codec: CodecParts, *, step_frames: int | None = None, first_frame: int = 0
    ) -> None:
        self._codec, self._hop = codec, codec.config.hop_length
        self._first_frame = first_frame
        self._n_q: int | None = None
        self._state: SeanetState | None = None
        left = right = 0
        if isinstance(codec.decoder, SeanetDecoder):
            self._state = {}
        else:
            _, _, left, right = context_frames(codec.config)
        self.step_frames = _step(codec, step_frames)
        self._cutter = _Cutter(1, length=self.step_frames, left=left, right=right)
        self.latency_s = (self.step_frames + right) * self._hop / codec.config.sample_rate
        """Sound that must have come from a frame's beginning on before its audio is known, s."""

    @torch.no_grad()
    def push(self, codes: Tensor) -> Tensor:
        """Take codes int64 `[n_q, l]`, any length; return the audio float32 `[t]` now known.

        Raises:
            ShapeError: They are not `[n_q, l]`, n_q changes, or a code is out of range.
        """
        if codes.ndim != 2 or self._n_q not in (None, codes.shape[0]):
            raise ShapeError(f"codes must be [{self._n_q or 'n_q'}, l], got {list(codes.shape)}")
        self._n_q = codes.shape[0]
        return self._decode(self._cutter.push(codes))

    @torch.no_grad()
    def flush(self) -> Tensor:
        """End the stream; return the rest of its audio, float32 `[t]`."""
        return self._decode(self._cutter.flush())

    def _decode(self, windows: Iterable[_Window]) -> Tensor:
        device = self._codec.quantizer.usage.device
        found = [torch.zeros(0)]
        for window in windows:
            latents = self._codec.quantizer.decode(window.values[None].to(device))
            if isinstance(self._codec.decoder, SeanetDecoder):
                wav = self._codec.decoder(latents, self._state)[0, 0]
            else:
                wav = self._codec.decoder(latents, self._first_frame + window.first)[0, 0]
                wav = wav[window.skip * self._hop : (window.skip + window.keep) * self._hop]
            found.append(wav.cpu())
        return torch.cat(found)


def encode_chunks(
    codec: CodecParts, chunks: Iterable[Tensor], n_q: int | None = None
) -> Iterator[Tensor]:
    """Encode a stream of audio.

    Args:
        codec: In evaluation mode.
        chunks: float32 `[t]` each, of any lengths, at the codec's sample rate.
        n_q: Codebooks to use; all if `None`.

    Yields:
        Codes int64 `[n_q, l]`; together `[n_q, ceil(T / hop_length)]`.

    Raises:
        ShapeError: `n_q` is not in 1..num_codebooks.
    """
    encoder = StreamEncoder(codec, n_q)
    yield from (codes for codes in map(encoder.push, chunks) if codes.numel())
    rest = encoder.flush()
    if rest.numel():
        yield rest


def decode_chunks(
    codec: CodecParts, chunks: Iterable[Tensor], *, first_frame: int = 0
) -> Iterator[Tensor]:
    """Decode a stream of codes.

    Args:
        codec: In evaluation mode.
        chunks: int64 `[n_q, l]` each, of any lengths.
        first_frame: Number of the first frame in the stream that it was cut from.

    Yields:
        float32 `[t]`; together `[L * hop_length]`.

    Raises:
        ShapeError: A chunk is not `[n_q, l]`, or a code is out of range.
    """
    decoder = StreamDecoder(codec, first_frame=first_frame)
    yield from (wav for wav in map(decoder.push, chunks) if wav.numel())
    rest = decoder.flush()
    if rest.numel():
        yield rest


def pad_to_multiple(wav: Tensor, hop_length: int) -> Tensor:
    """Pad `wav` `[..., T]` on the right with zeros to a whole number of frames."""
    return F.pad(wav, (0, -wav.shape[-1] % hop_length))


def _step(codec: CodecParts, step_frames: int | None) -> int:
    if step_frames is not None and step_frames < 1:
        raise ShapeError(f"step_frames must be at least 1, got {step_frames}")
    if isinstance(codec.encoder, SeanetEncoder):
        if not codec.config.seanet.streams:
            return WHOLE_FRAMES
        return max(step_frames or PIECE_FRAMES, codec.config.first_piece_frames)
    if step_frames is None:
        return window_frames(codec.config)
    return _whole_steps(codec.config, step_frames)


class _Window(NamedTuple):
    values: Tensor
    """Of the window and its context, cut along the last dimension."""
    skip: int
    """Frames of context before the window's own."""
    keep: int
    """Frames of its own."""
    first: int
    """Number of its first one, context included, in the stream."""


class _Cutter:
    """Cuts a stream into windows with context, as soon as each is whole.

    Args:
        unit: Elements per frame along the last dimension.
        length: Frames of a window without its context.
        left: Frames of context before a window, where the stream has them.
        right: Frames of context after it.
    """

    def __init__(self, unit: int, *, length: int, left: int, right: int) -> None:
        self._unit, self._length, self._left, self._right = unit, length, left, right
        self._held: list[Tensor] = []
        self._num_held = 0
        self._start = 0  # of the next window, in frames from the start of what is held
        self._dropped = 0  # frames of the stream before what is held

    def push(self, chunk: Tensor) -> Iterator[_Window]:
        """Yield the windows that `chunk` completes."""
        # In pieces: what is left over is copied for each window.
        for piece in chunk.split(_PUSHED_FRAMES * self._unit, dim=-1):
            self._held.append(piece)
            self._num_held += piece.shape[-1]
            while self._num_held >= (self._start + self._length + self._right) * self._unit:
                yield self._take(self._length)

    def flush(self) -> Iterator[_Window]:
        """Yield what is left, the last window shorter and with less context after it."""
        while self._num_held > self._start * self._unit:
            left = -(-self._num_held // self._unit) - self._start
            yield self._take(min(self._length, left))

    def _take(self, keep: int) -> _Window:
        joined = torch.cat(self._held, dim=-1)
        end = self._start + keep
        values = joined[..., : (end + self._right) * self._unit]
        window = _Window(values, self._start, keep, self._dropped)
        drop = max(0, end - self._left)
        self._dropped += drop
        # A copy: a view would keep all that came before alive.
        self._held = [joined[..., drop * self._unit :].clone()]
        self._num_held = self._held[0].shape[-1]
        self._start = end - drop
        return window
