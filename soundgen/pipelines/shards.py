"""Work cut into parts for several processes or machines: whose it is, who holds it, who ends last.

The parts share a folder. Each does its own share of the work and writes down what is done; the
last to end puts everything together.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soundgen.errors import OutputError, UsageError
from soundgen.files import folder_lock, read_json, write_json

_DONE_LOCK = "done.lock"


@dataclass(frozen=True)
class Shard:
    """Part `index` (from 1) of `count` of the work."""

    index: int
    count: int

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"{self.index}-of-{self.count}"

    def takes(self, number: int) -> bool:
        """Tell whether piece `number` of the work, from 0, belongs to this part."""
        return number % self.count == self.index - 1


def check_shard(shard: tuple[int, int] | None, *, force: bool = False) -> Shard | None:
    """Return the part (i, n) of the work; `None` for the whole.

    Raises:
        UsageError: There is no such part, or `force` is on too.
    """
    if shard is None:
        return None
    if force:
        raise UsageError(
            "-f with --shard would throw away what the other shards did",
            hint="remove the folder by hand, then start all shards",
        )
    index, count = shard
    if not 1 <= index <= count:
        raise UsageError(f"--shard must be i/n with 1 <= i <= n, got {index}/{count}")
    return Shard(index, count)


def lock_work(folder: Path, state: Path, shard: Shard | None) -> ExitStack:
    """Hold the whole of a folder, or one shard of it; other shards may then be at work.

    A folder or shard that another process holds is an `OutputError`.

    Args:
        folder: What is made.
        state: Where the shards keep their notes, below `folder`.
        shard: The part; the whole if `None`.
    """
    with ExitStack() as stack:
        if shard is None:
            stack.enter_context(folder_lock(folder))
            for other in sorted(state.glob("shard-*")):
                if other.is_dir():
                    stack.enter_context(folder_lock(other))
        else:
            # Shared: a hundred shards may start at the same moment.
            with folder_lock(folder, shared=True):
                pass  # nobody makes the whole of it
            stack.enter_context(folder_lock(state / f"shard-{shard.name}"))
        return stack.pop_all()


def lock_merge(folder: Path) -> AbstractContextManager[None]:
    """Hold a folder whose shards are all done, to put their work together."""
    # Another shard may just be looking whether somebody does.
    return folder_lock(folder, wait_s=10.0)


def mark_shard_done(state: Path, shard: Shard, stamp: Mapping[str, Any] | None = None) -> bool:
    """Note that a shard is complete; return whether all of them are.

    Of shards that end at the same moment only one is told so: the last.

    Args:
        state: Where the notes are.
        shard: The part.
        stamp: What it was asked for; parts that were asked for something else do not count.
    """
    wanted = dict(stamp or {})
    try:
        handle = os.open(state / _DONE_LOCK, os.O_CREAT | os.O_RDWR, 0o644)
    except OSError as error:
        raise OutputError(f"{state}: cannot be written ({error.strerror})") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        write_json(_note(state, shard), wanted)
        everyone = (Shard(index, shard.count) for index in range(1, shard.count + 1))
        return all(read_json(_note(state, one)) == wanted for one in everyone)
    finally:
        os.close(handle)


def _note(state: Path, shard: Shard) -> Path:
    return state / f"done-{shard.name}.json"
