"""Mel distance of a codec on a manifest's split, beside Opus on the same clips.

    python benchmarks/codec_quality.py --data DATA --model soundgen-small [--split test] \
        [--opus 8,12,16] [--out quality.json]

Mean absolute difference of log-mel spectra over windows 64..2048, weighted by seconds, over clips
of one second or more. The codec's rate is the nominal one of the codes; Opus's is that of its
files, container included.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
from collections import defaultdict
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from soundgen.codec.model import Codec
from soundgen.codec.quantizer import capacity_used
from soundgen.data.manifest import Clip, read_manifest
from soundgen.evaluation.codec_metrics import mel_distance
from soundgen.pipelines.model import load_codec

SHORTEST_S = 1.0


def main() -> None:
    """Measure and print; write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="soundgen-small")
    parser.add_argument("--split", default="test")
    parser.add_argument("--opus", default="8,12,16", help="nominal kbit/s; empty: none")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    clips = [clip for clip in read_manifest(options.data) if clip.split == options.split]
    codec = load_codec(options.model).codec
    report: dict[str, object] = {"split": options.split, "threads": torch.get_num_threads()}
    report["codec"], report["by_category"] = measure_codec(codec, options.data, clips)
    rates = [int(rate) for rate in options.opus.split(",") if rate]
    if rates and shutil.which("opusenc"):
        report["opus"] = {rate: measure_opus(rate, options.data, clips) for rate in rates}
    print(json.dumps(report, indent=2))
    if options.out:
        options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def measure_codec(
    codec: Codec, root: Path, clips: list[Clip]
) -> tuple[dict[str, object], dict[str, float]]:
    """Return figures by n_q, and the mel distance with all codebooks by category."""
    rate, num_codebooks = codec.config.sample_rate, codec.config.num_codebooks
    counts = sorted({1, 2, 4, num_codebooks} & set(range(1, num_codebooks + 1)))
    totals: dict[int, float] = defaultdict(float)
    categories: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    seconds = 0.0
    all_codes = []
    for clip in clips:
        wav = read(root / clip.path)
        codes = codec.encode(wav[None, None])
        all_codes.append(codes[0])
        duration_s = len(wav) / rate
        if duration_s < SHORTEST_S:
            continue
        seconds += duration_s
        for n_q in counts:
            decoded = codec.decode(codes[:, :n_q])[0, 0, : len(wav)]
            distance = mel_distance(decoded, wav, sample_rate=rate)
            totals[n_q] += distance * duration_s
        categories[clip.category][0] += distance * duration_s
        categories[clip.category][1] += duration_s
    shares = capacity_used(torch.cat(all_codes, dim=1), codec.config.codebook_size)
    figures: dict[str, object] = {
        f"mel_distance_{n_q}": round(totals[n_q] / seconds, 4) for n_q in counts
    }
    figures |= {f"kbps_{n_q}": codec.config.bandwidth_kbps(n_q) for n_q in counts}
    figures["seconds"] = round(seconds, 1)
    figures["capacity_used"] = round(sum(shares) / len(shares), 4)
    figures["capacity_used_by_codebook"] = [round(share, 4) for share in shares]
    by_category = {
        name: round(total / duration, 3) for name, (total, duration) in sorted(categories.items())
    }
    return figures, by_category


def measure_opus(kbps: int, root: Path, clips: list[Clip]) -> dict[str, float]:
    """Return Opus's mel distance and real rate at a nominal rate."""
    total = seconds = size = 0.0
    with tempfile.TemporaryDirectory() as folder:
        source, packed, back = (Path(folder) / name for name in ("a.wav", "a.opus", "b.wav"))
        for clip in clips:
            wav = read(root / clip.path)
            duration_s = len(wav) / 16_000
            if duration_s < SHORTEST_S:
                continue
            soundfile.write(source, wav.numpy(), 16_000)
            encode = ["opusenc", "--quiet", "--bitrate", str(kbps), "--vbr", "--comp", "10"]
            subprocess.run([*encode, str(source), str(packed)], check=True)
            decode = ["opusdec", "--quiet", "--rate", "16000", str(packed), str(back)]
            subprocess.run(decode, check=True)
            decoded = read(back)[: len(wav)]
            decoded = torch.nn.functional.pad(decoded, (0, len(wav) - len(decoded)))
            total += mel_distance(decoded, wav, sample_rate=16_000) * duration_s
            size += packed.stat().st_size
            seconds += duration_s
    return {
        "mel_distance": round(total / seconds, 4),
        "kbps": round(size * 8 / seconds / 1000, 2),
    }


def read(path: Path) -> Tensor:
    """Return a mono file as float32 `[T]`."""
    samples, _ = soundfile.read(path, dtype="float32")
    return torch.from_numpy(samples)


if __name__ == "__main__":
    main()
