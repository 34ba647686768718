"""Encoding and decoding piece by piece in bounded memory: the codec's one canonical path.

Floating-point sums depend on the shapes they are taken over, so "the same codes whatever the
chunk length" needs one fixed cutting, at batch 1. That cutting is here, and every other way to
encode goes through it:

- `spectral` has a bounded receptive field: windows of `window_frames` are computed with enough
  frames of context on both sides that their inside equals the whole file's.
- `seanet` is causal: pieces of `PIECE_FRAMES` follow one another, each layer's past carried.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from soundgen.codec.config import CodecConfig
from soundgen.codec.quantizer import ResidualVectorQuantizer
from soundgen.codec.seanet import SeanetDecoder, SeanetEncoder, SeanetState
from soundgen.codec.spectral import SpectralDecoder, SpectralEncoder, context_frames, phase_period
from soundgen.errors import ShapeError

WINDOW_FRAMES = 500
PIECE_FRAMES = 50


class CodecParts(Protocol):
    """What of a `Codec` streaming needs."""

    config: CodecConfig
    encoder: SeanetEncoder | SpectralEncoder
    decoder: SeanetDecoder | SpectralDecoder
    quantizer: ResidualVectorQuantizer


def window_frames(config: CodecConfig) -> int:
    """Return the frames of a `spectral` window: `WINDOW_FRAMES` or a little more.

    Windows begin where the phase reference comes round, so they are whole periods long.
    """
    period = phase_period(config)
    return -(-WINDOW_FRAMES // period) * period


@torch.no_grad()
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
    if n_q is not None and not 1 <= n_q <= codec.config.num_codebooks:
        raise ShapeError(f"n_q must be in 1..{codec.config.num_codebooks}, got {n_q}")
    device = codec.quantizer.usage.device
    hop = codec.config.hop_length
    if isinstance(codec.encoder, SeanetEncoder):
        state: SeanetState = {}
        for piece in _pieces(chunks, PIECE_FRAMES * hop):
            wav = pad_to_multiple(piece.to(device), hop)[None, None]
            yield codec.quantizer.encode(codec.encoder(wav, state), n_q)[0].cpu()
        return
    left, right, _, _ = context_frames(codec.config)
    length = window_frames(codec.config)
    for window, skip, keep in _windows(chunks, hop, length=length, left=left, right=right):
        wav = pad_to_multiple(window.to(device), hop)[None, None]
        latents = codec.encoder(wav)[:, :, skip : skip + keep]
        yield codec.quantizer.encode(latents, n_q)[0].cpu()


@torch.no_grad()
def decode_chunks(codec: CodecParts, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
    """Decode a stream of codes.

    Args:
        codec: In evaluation mode.
        chunks: int64 `[n_q, l]` each, of any lengths.

    Yields:
        float32 `[t]`; together `[L * hop_length]`.

    Raises:
        ShapeError: A chunk is not `[n_q, l]`, or a code is out of range.
    """
    device = codec.quantizer.usage.device
    hop = codec.config.hop_length
    if isinstance(codec.decoder, SeanetDecoder):
        state: SeanetState = {}
        for piece in _pieces(chunks, PIECE_FRAMES):
            latents = codec.quantizer.decode(piece[None].to(device))
            yield codec.decoder(latents, state)[0, 0].cpu()
        return
    _, _, left, right = context_frames(codec.config)
    length = window_frames(codec.config)
    for window, skip, keep in _windows(chunks, 1, length=length, left=left, right=right):
        latents = codec.quantizer.decode(window[None].to(device))
        wav = codec.decoder(latents)[0, 0, skip * hop : (skip + keep) * hop]
        yield wav.cpu()


def pad_to_multiple(wav: Tensor, hop_length: int) -> Tensor:
    """Pad `wav` `[..., T]` on the right with zeros to a whole number of frames."""
    return F.pad(wav, (0, -wav.shape[-1] % hop_length))


def _pieces(chunks: Iterable[Tensor], length: int) -> Iterator[Tensor]:
    """Cut a stream along its last dimension into pieces of `length`, the last one shorter."""
    held: list[Tensor] = []
    num_held = 0
    for chunk in chunks:
        held.append(chunk)
        num_held += chunk.shape[-1]
        if num_held < length:
            continue
        joined = torch.cat(held, dim=-1)
        whole = num_held - num_held % length
        yield from joined[..., :whole].split(length, dim=-1)
        held, num_held = [joined[..., whole:]], num_held - whole
    if num_held:
        yield torch.cat(held, dim=-1)


def _windows(
    chunks: Iterable[Tensor], unit: int, *, length: int, left: int, right: int
) -> Iterator[tuple[Tensor, int, int]]:
    """Cut a stream into windows of `length` frames with context.

    Args:
        chunks: Tensors cut along their last dimension.
        unit: Elements per frame there.
        length: Frames of a window without its context.
        left: Frames of context before a window, where the stream has them.
        right: Frames of context after it.

    Yields:
        The window with its context, how many frames of context precede it, and how many frames
        are its own.
    """
    buffer: Tensor | None = None
    start = 0  # of the window, in frames from the start of the buffer
    # Pieces shorter than a window, so that a live stream waits for one window and no more.
    for piece in _pieces(chunks, PIECE_FRAMES * unit):
        buffer = piece if buffer is None else torch.cat([buffer, piece], dim=-1)
        while buffer.shape[-1] >= (start + length + right) * unit:
            yield buffer[..., : (start + length + right) * unit], start, length
            drop = max(0, start + length - left)
            buffer = buffer[..., drop * unit :]
            start += length - drop
    if buffer is None:
        return
    num_frames = -(-buffer.shape[-1] // unit)
    while start < num_frames:
        end = min(start + length, num_frames)
        yield buffer[..., : (end + right) * unit], start, end - start
        drop = max(0, end - left)
        buffer = buffer[..., drop * unit :]
        num_frames -= drop
        start = end - drop
