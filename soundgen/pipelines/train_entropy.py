"""Fit the model that entropy coding predicts codes with, for a codec that is already trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from soundgen.checkpoint import ModelFolder, open_model_folder, save_model_folder
from soundgen.codec.config import CodecConfig, EntropyConfig
from soundgen.codec.entropy import EntropyModel, RangeCoder
from soundgen.codec.entropy_net import EntropyNet
from soundgen.codec.model import Codec
from soundgen.codec.packing import write_varint
from soundgen.codec.sgc_header import default_chunk_frames
from soundgen.config import to_dict
from soundgen.data.manifest import MANIFEST_NAME, Split, read_manifest
from soundgen.data.segments import read_piece
from soundgen.pipelines.model import load_codec
from soundgen.pipelines.recipes import EntropyTrainingConfig
from soundgen.progress import Progress, SilentProgress
from soundgen.training.seeding import ENTROPY, sample_rng, seed_step

_MAX_CLIP_S = 30.0
"""Of one clip; the rest of a long recording is much the same."""


class FittedEntropy(NamedTuple):
    """An entropy model as it is saved."""

    config: EntropyConfig
    tensors: dict[str, Tensor]


class EntropySaving(NamedTuple):
    """What entropy coding saves at one `n_q`."""

    n_q: int
    num_codes: int
    packed_bytes: int
    coded_bytes: int
    """Packed chunks where those are smaller, and the numbers that say how long each one is."""

    @property
    def saving(self) -> float:
        """Share of the packed bytes that is saved."""
        return 1 - self.coded_bytes / max(1, self.packed_bytes)

    @property
    def bits_per_code(self) -> float:
        """Bits that a code takes."""
        return 8 * self.coded_bytes / max(1, self.num_codes)


def fit_entropy(
    codec: Codec,
    data: Path,
    settings: EntropyTrainingConfig,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> FittedEntropy | None:
    """Fit an entropy model on the train split of a dataset.

    Leaves torch's global random generator as it was. The same codec, data, settings and seed give
    the same integers on the same machine.

    Args:
        codec: In evaluation mode, as released.
        data: Folder with `manifest.jsonl`, mono at the codec's rate.
        settings: How long, how large.
        seed: Of the first weights and the draws.
        progress: Listens.

    Returns:
        `None` if the settings ask for none (`seconds = 0`), or there is no train clip.

    Raises:
        SoundgenError: Data cannot be used; see the message.
    """
    if not settings.seconds:
        return None
    progress = progress or SilentProgress()
    chunks = split_codes(codec, data, "train", settings.seconds, seed=seed, progress=progress)
    if not chunks:
        return None
    config = EntropyConfig(
        num_codebooks=codec.config.num_codebooks,
        codebook_size=codec.config.codebook_size,
        context_frames=settings.context_frames,
        hidden_size=settings.hidden_size,
    )
    with torch.random.fork_rng(devices=[]):
        codebooks = torch.stack(
            [codec.quantizer.codebook(k).float().cpu() for k in range(config.num_codebooks)]
        )
        tensors = _fit(config, codebooks, chunks, settings, seed, progress)
        return FittedEntropy(config, tensors)


def add_entropy(
    folder: Path,
    data: Path,
    settings: EntropyTrainingConfig,
    *,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress | None = None,
) -> ModelFolder:
    """Fit an entropy model for the codec of an existing model folder, and write it there.

    Args:
        folder: The model folder; its other parts stay as they are.
        data: Folder with `manifest.jsonl`, mono at the codec's rate.
        settings: How long, how large.
        seed: Of the first weights and the draws.
        device: Where the codec encodes: auto, cpu, cuda or mps.
        progress: Listens.

    Raises:
        SoundgenError: Model or data cannot be used; see the message.
    """
    codec = load_codec(str(folder), device=device).codec
    fitted = fit_entropy(codec, data, settings, seed=seed, progress=progress)
    opened = open_model_folder(folder)
    if fitted is None:
        return opened
    sections = {
        name: value
        for name, value in opened.config.items()
        if name not in ("format_version", "digests")
    }
    sections["entropy"] = to_dict(fitted.config)
    return save_model_folder(folder, sections, {"entropy": fitted.tensors})


def split_codes(
    codec: Codec,
    data: Path,
    split: Split,
    seconds: float,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[NDArray[np.int64]]:
    """Encode up to `seconds` of a split, clips in random order.

    Returns:
        The codes of the chunks that a file would have, int64 `[num_codebooks, l]` each.
    """
    progress = progress or SilentProgress()
    clips = read_manifest(data).select(split)
    root = data if (data / MANIFEST_NAME).is_file() else data.parent
    rate, length = codec.config.sample_rate, chunk_frames(codec.config)
    device = codec.quantizer.usage.device
    chunks: list[NDArray[np.int64]] = []
    left = seconds
    progress.start("encoding clips for the entropy model", None)
    for index in sample_rng(seed, ENTROPY).permutation(len(clips)):
        if left <= 0:
            break
        longest = max(1, int(min(left, _MAX_CLIP_S) * rate))
        samples = read_piece(root / clips[index].path, longest, sample_rate=rate)
        codes = codec.encode(torch.from_numpy(samples)[None, None].to(device))[0].cpu().numpy()
        chunks += np.split(codes, range(length, codes.shape[1], length), axis=1)
        left -= len(samples) / rate
    progress.finish()
    return chunks


def chunk_frames(config: CodecConfig) -> int:
    """Return the frames of a chunk in a `.sgc` file of this codec."""
    return default_chunk_frames(config.frame_rate, config.num_codebooks * config.bits_per_code)


def measure_savings(
    model: EntropyModel, chunks: Sequence[NDArray[np.int64]], bits_per_code: int
) -> list[EntropySaving]:
    """Code `chunks` int64 `[num_codebooks, l]` at every `n_q` and count the bytes.

    Fewer codebooks are the first rows of all: a little off what encoding with fewer would choose.
    """
    savings = []
    for n_q in range(1, model.config.num_codebooks + 1):
        coder = RangeCoder(model, n_q)
        packed = coded = num_codes = 0
        for codes in chunks:
            size = -(-n_q * codes.shape[1] * bits_per_code // 8)
            payload = min(size, len(coder.encode(codes[:n_q])))
            packed += size
            coded += payload + len(write_varint(payload))
            num_codes += n_q * codes.shape[1]
        savings.append(EntropySaving(n_q, num_codes, packed, coded))
    return savings


def _fit(
    config: EntropyConfig,
    codebooks: Tensor,
    chunks: Sequence[NDArray[np.int64]],
    settings: EntropyTrainingConfig,
    seed: int,
    progress: Progress,
) -> dict[str, Tensor]:
    seed_step(seed, ENTROPY)
    net = EntropyNet(config, codebooks)
    padded, lengths = _pad(chunks)
    _start_at_frequencies(net, padded, lengths)
    # What a code has of its own is learned from its few examples only, so it moves more slowly.
    own = [value for name, value in net.named_parameters() if name.endswith("_own")]
    shared = [value for name, value in net.named_parameters() if not name.endswith("_own")]
    optimiser = torch.optim.Adam(
        [{"params": shared, "share": 1.0}, {"params": own, "share": _OWN_SHARE}],
        lr=settings.learning_rate,
        betas=(0.9, 0.99),
    )
    progress.start("fitting the entropy model", settings.steps)
    for step in range(settings.steps):
        rng = sample_rng(seed, step)
        for group in optimiser.param_groups:
            pace = group["share"] * _pace(step / settings.steps)
            group["lr"] = settings.learning_rate * pace
        rows = torch.from_numpy(rng.integers(len(padded), size=settings.batch_size))
        # Every n_q, and half of the time all that there are, which is what most files use.
        n_q = 1 + int(rng.integers(2 * config.num_codebooks))
        n_q = min(n_q, config.num_codebooks)
        loss = _loss(net, padded[rows, :n_q], lengths[rows])
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        progress.advance()
        if step % _LOG_EVERY == 0:
            progress.metrics(step, {"bits_per_code": float(loss.detach())})
    progress.finish()
    return net.integers()


_LOG_EVERY = 20
_OWN_SHARE = 0.3


def _pace(share: float) -> float:
    """Return the factor of the learning rate: up in a twentieth of the run, down in the rest."""
    return min(1.0, 20 * share + 0.05, 0.02 + 1.3 * (1 - share))


def _pad(chunks: Sequence[NDArray[np.int64]]) -> tuple[Tensor, Tensor]:
    """Return chunks as one int64 `[N, K, L]`, zeros behind the short ones, and lengths `[N]`."""
    lengths = torch.tensor([codes.shape[1] for codes in chunks])
    padded = torch.zeros(len(chunks), chunks[0].shape[0], int(lengths.max()), dtype=torch.int64)
    for row, codes in zip(padded, chunks, strict=True):
        row[:, : codes.shape[1]] = torch.from_numpy(codes)
    return padded, lengths


@torch.no_grad()
def _start_at_frequencies(net: EntropyNet, padded: Tensor, lengths: Tensor) -> None:
    """Let the model begin where it knows how frequent each code is, and nothing else."""
    mask = torch.arange(padded.shape[2]) < lengths[:, None]
    for k in range(net.config.num_codebooks):
        counts = torch.bincount(padded[:, k][mask], minlength=net.config.codebook_size) + 1.0
        net.output_bias[k] = torch.log2(counts / counts.mean()).clamp(-8, 8)


def _loss(net: EntropyNet, codes: Tensor, lengths: Tensor) -> Tensor:
    """Return the mean bits per code of `codes` int64 `[B, n_q, L]`."""
    mask = torch.arange(codes.shape[2]) < lengths[:, None]
    total = torch.zeros(())
    for k, logits in enumerate(net(codes)):
        surprise = torch.nn.functional.cross_entropy(logits[mask] * _LN2, codes[:, k][mask])
        total = total + surprise / _LN2
    return total / codes.shape[1]


_LN2 = 0.6931471805599453
