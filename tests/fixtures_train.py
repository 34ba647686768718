"""Short trainings of the shipped tiny recipes, as commands, and what they come to."""

from __future__ import annotations

import sys
from pathlib import Path

import safetensors.torch
import torch

SHORT = ("training.steps=24", "training.checkpoint_every=6", "training.log_every=3")
# The discriminator joins at step 10, so that a resumed run has to restore it; dropout draws.
OPTIONS = {
    "codec": (*SHORT, "discriminator.start=0.4"),
    "lm": (
        *SHORT,
        *("lm.dropout=0.1", "training.text_noise=0.5", "training.token_dropout=0.2"),
        "training.swapped_beginnings=0.3",
        *("training.precision=bfloat16", "training.codebook_start=true"),
    ),
}


def command(kind: str, out: Path, *options: str | Path) -> list[str]:
    """Return the command of a short training."""
    sets = [word for item in OPTIONS[kind] for word in ("--set", item)]
    base = [sys.executable, "-m", "soundgen", "train", kind, "--recipe", "tiny"]
    return [*base, "--out", str(out), *map(str, options), *sets, "--device", "cpu"]


def weights(run: Path, part: str) -> dict[str, torch.Tensor]:
    """Return the released weights of a part."""
    return safetensors.torch.load_file(run / f"{part}.safetensors")


def assert_same_weights(first: Path, second: Path, part: str) -> None:
    """Compare the released weights of two runs, bit for bit."""
    ours, theirs = weights(first, part), weights(second, part)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name
