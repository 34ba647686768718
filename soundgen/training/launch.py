"""Which of several processes this one is, as `torchrun` and its like tell it; needs no torch."""

from __future__ import annotations

import os

from soundgen.errors import UsageError


def num_processes() -> int:
    """Return how many processes train one model together; 1 without a launcher."""
    return _number("WORLD_SIZE", 1, least=1)


def process_rank() -> int:
    """Return the number of this process, from 0."""
    return _number("RANK", 0, least=0) if num_processes() > 1 else 0


def local_rank() -> int:
    """Return the number of this process on its machine, from 0: the GPU that it takes."""
    return _number("LOCAL_RANK", 0, least=0) if num_processes() > 1 else 0


def is_main() -> bool:
    """Tell whether this is the process that writes and speaks for all."""
    return process_rank() == 0


def launch_command() -> list[str]:
    """Return the words that start the program as it was started, on this machine at least."""
    count = num_processes()
    if count == 1:
        return ["soundgen"]
    here = _number("LOCAL_WORLD_SIZE", count, least=1)
    words = ["torchrun", "--nproc-per-node", str(here)]
    if here != count:
        words += ["--nnodes", str(count // here)]
    return [*words, "-m", "soundgen"]


def _number(name: str, default: int, *, least: int) -> int:
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    if not text.isdecimal() or int(text) < least:
        raise UsageError(
            f"{name}={text} in the environment: not a number from {least} on",
            hint="start several processes with: torchrun --nproc-per-node N -m soundgen train ...",
        )
    return int(text)
