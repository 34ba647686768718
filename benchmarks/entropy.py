"""What entropy coding saves at each n_q (`codec_speed.py` says how fast it is).

    python benchmarks/entropy.py --model MODEL --data DATA [--split test] [--seconds 600]
    python benchmarks/entropy.py --model FOLDER --data DATA --fit small

`--fit RECIPE` first fits an entropy model as the recipe's section [entropy] says and writes it
into the model folder, whose other parts stay as they are. The saving is that of the chunks'
payloads, with the bytes that say how long each is.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from soundgen.data.manifest import Split
from soundgen.pipelines.model import LoadedCodec, load_codec, use_threads
from soundgen.pipelines.recipes import load_recipe
from soundgen.pipelines.train_entropy import (
    add_entropy,
    measure_savings,
    split_codes,
)
from soundgen.progress import SilentProgress


class Printed(SilentProgress):
    """Prints a line now and then."""

    def metrics(self, step: int, values: dict[str, float]) -> None:
        """Print what a step measured."""
        print(
            f"step {step}", *(f"{name} {value:.3f}" for name, value in values.items()), flush=True
        )


def main() -> None:
    """Fit if asked to, and print the table."""
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


if __name__ == "__main__":
    main()
