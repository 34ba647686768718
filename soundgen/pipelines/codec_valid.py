"""What a codec in training is measured on: some seconds of the valid split, always the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from soundgen.codec.model import Codec
from soundgen.codec.quantizer import capacity_used
from soundgen.data.manifest import Clip
from soundgen.data.segments import read_piece
from soundgen.evaluation.codec_metrics import mel_distance
from soundgen.pipelines.recipes import CodecRecipe


def load_valid(root: Path, clips: Sequence[Clip], recipe: CodecRecipe) -> list[Tensor]:
    """Load up to `valid_s` seconds of `clips`, the valid split; at most 5 s of each."""
    chosen: list[Tensor] = []
    missing = recipe.training.valid_s
    # Spread over the categories instead of the first ones of the alphabet.
    for _, index in sorted((clip.sha1_pcm16, index) for index, clip in enumerate(clips)):
        if missing <= 0:
            break
        clip = clips[index]
        samples = read_piece(
            root / clip.path,
            5 * recipe.codec.sample_rate,
            sample_rate=recipe.codec.sample_rate,
        )
        chosen.append(torch.from_numpy(samples))
        missing -= len(samples) / recipe.codec.sample_rate
    return chosen


def measure_codec(codec: Codec, valid: list[Tensor]) -> dict[str, float]:
    """Return the mel distance (all codebooks and half) and the codebook use on valid audio."""
    rate, num_codebooks = codec.config.sample_rate, codec.config.num_codebooks
    device = codec.quantizer.usage.device
    totals = {num_codebooks: 0.0, max(1, num_codebooks // 2): 0.0}
    seconds = 0.0
    all_codes = []
    for wav in valid:
        batch = wav[None, None].to(device)
        codes = codec.encode(batch)
        all_codes.append(codes[0])
        seconds += len(wav) / rate
        for n_q in totals:
            chosen = codes if n_q == num_codebooks else codec.encode(batch, n_q)
            decoded = codec.decode(chosen)[0, 0, : len(wav)]
            distance = mel_distance(decoded.cpu(), wav, sample_rate=rate)
            totals[n_q] += distance * len(wav) / rate
    measured = {f"mel_distance_{n_q}": total / seconds for n_q, total in totals.items()}
    shares = capacity_used(torch.cat(all_codes, dim=1), codec.config.codebook_size)
    measured["capacity_used"] = sum(shares) / len(shares)
    measured["capacity_used_first"] = shares[0]
    return measured
