"""What entropy coding saves at each n_q, and how fast it is.

    python benchmarks/entropy.py --model MODEL --data DATA [--split test] [--seconds 600]
    python benchmarks/entropy.py --model FOLDER --data DATA --fit small

`--fit RECIPE` first fits an entropy model as the recipe's section [entropy] says and writes it
into the model folder, whose other parts stay as they are. The saving is that of the chunks'
payloads, with the bytes that say how long each is. The speed is that of a 60 s file, model loaded:
entropy coding alone, and with the codec, in multiples of real time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from soundgen.codec.entropy import RangeCoder
from soundgen.data.manifest import Split, read_manifest
from soundgen.data.segments import read_piece
from soundgen.pipelines.model import LoadedCodec, load_codec, use_threads
from soundgen.pipelines.recipes import load_recipe
from soundgen.pipelines.train_entropy import (
    add_entropy,
    chunk_frames,
    measure_savings,
    split_codes,
)
from soundgen.progress import SilentProgress

SPEED_S = 60
NUM_TIMES = 3
T = TypeVar("T")


class Printed(SilentProgress):
    """Prints a line now and then."""

    def metrics(self, step: int, values: dict[str, float]) -> None:
        """Print what a step measured."""
        print(
            f"step {step}", *(f"{name} {value:.3f}" for name, value in values.items()), flush=True
        )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", choices=get_args(Split), default="test")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--fit", metavar="RECIPE")
    parser.add_argument("--set", nargs="*", default=[], help="keys of the recipe, as for train")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    use_threads(options.threads)
    if options.fit:
        settings = load_recipe("codec", options.fit, options.set).entropy
        add_entropy(Path(options.model), options.data, settings, progress=Printed())
    loaded = load_codec(options.model)
    if loaded.entropy is None:
        raise SystemExit(f"{options.model}: has no entropy model; --fit RECIPE makes one")
    print_savings(loaded, split_codes(loaded.codec, options.data, options.split, options.seconds))
    print_speed(loaded, sixty_seconds(loaded, options.data, options.split))


def print_savings(loaded: LoadedCodec, chunks: list[NDArray[np.int64]]) -> None:
    """Print the saving on `chunks` int64 `[num_codebooks, l]` at every n_q."""
    assert loaded.entropy is not None
    print(f"{len(chunks)} chunks, {sum(codes.shape[1] for codes in chunks)} frames")
    print("n_q  packed bytes  coded bytes  saving  bits a code")
    for saving in measure_savings(loaded.entropy, chunks, loaded.codec.config.bits_per_code):
        print(
            f"{saving.n_q:3}  {saving.packed_bytes:12}  {saving.coded_bytes:11}  "
            f"{saving.saving:6.1%}  {saving.bits_per_code:11.2f}"
        )


def sixty_seconds(loaded: LoadedCodec, data: Path, split: Split) -> NDArray[np.float32]:
    """Join clips of the split, over again if need be, to float32 `[T]` of 60 s."""
    rate = loaded.codec.config.sample_rate
    root = data if data.is_dir() else data.parent
    parts: list[NDArray[np.float32]] = []
    clips = [clip for clip in read_manifest(data) if clip.split == split]
    while sum(map(len, parts)) < SPEED_S * rate:
        clip = clips[len(parts) % len(clips)]
        parts.append(read_piece(root / clip.path, SPEED_S * rate, sample_rate=rate))
    return np.concatenate(parts)[: SPEED_S * rate]


def print_speed(loaded: LoadedCodec, samples: NDArray[np.float32]) -> None:
    """Print how many times faster than real time `samples` go there and back."""
    assert loaded.entropy is not None
    codec, length = loaded.codec, chunk_frames(loaded.codec.config)
    wav = torch.from_numpy(samples)[None, None]
    print(f"\n{SPEED_S} s, {torch.get_num_threads()} threads, best of {NUM_TIMES}, x real time")
    print("n_q  encode: entropy  with codec  decode: entropy  with codec")
    for n_q in sorted({1, codec.config.num_codebooks // 2, codec.config.num_codebooks} - {0}):
        coder = RangeCoder(loaded.entropy, n_q)
        encode_s, codes = best_time(lambda n_q=n_q: codec.encode(wav, n_q)[0].numpy())  # type: ignore[misc]
        chunks = np.split(codes, range(length, codes.shape[1], length), axis=1)
        lengths = [chunk.shape[1] for chunk in chunks]
        coded_s, payloads = best_time(lambda: [coder.encode(chunk) for chunk in chunks])  # noqa: B023
        decoded_s, decoded = best_time(lambda: coder.decode(payloads, lengths))  # noqa: B023
        assert all(map(np.array_equal, chunks, decoded))
        decode_s, _ = best_time(lambda: codec.decode(torch.from_numpy(codes)[None]))  # noqa: B023
        print(
            f"{n_q:3}  {SPEED_S / coded_s:15.0f}  {SPEED_S / (coded_s + encode_s):10.0f}  "
            f"{SPEED_S / decoded_s:15.0f}  {SPEED_S / (decoded_s + decode_s):10.0f}",
            flush=True,
        )


def best_time(work: Callable[[], T]) -> tuple[float, T]:
    """Return the seconds of the fastest of some runs, and what it returned."""
    best, result = float("inf"), work()
    for _ in range(NUM_TIMES):
        start = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - start)
    return best, result


if __name__ == "__main__":
    main()
