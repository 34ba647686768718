"""What a batch of sounds has drawn and done, so that the same command goes on where it stopped.

The journal is a hidden file beside the sounds, `.generate-` and a hash of all that was asked for.
It holds JSON Lines: the seed that was drawn, the processes that were at work, and each sound that
was finished. It goes when the whole batch is done, or when nothing came of it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

from soundgen.errors import OutputError
from soundgen.files import remove_temporary_files, write_failure

_FORMAT_VERSION = 1
_DIGEST_LETTERS = 12


class SoundJournal:
    """The journal of one batch; reading it changes nothing.

    Args:
        folder: Where the batch's files go; it need not exist yet.
        asked: All that is asked for, as plain containers: what tells this batch from others.

    Raises:
        OutputError: There is one that cannot be read.
    """

    def __init__(self, folder: Path, asked: Mapping[str, Any]) -> None:
        self._folder = folder
        text = json.dumps(asked, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LETTERS]
        self.path = folder / f".generate-{digest}.jsonl"
        self.seed: int | None = None
        """What an earlier run drew; `None` where there was none."""
        self.finished: set[Path] = set()
        """Files that an earlier run finished, and those of this one."""
        self._pids: set[int] = set()
        self._stream: TextIO | None = None
        for entry in self._entries():
            self._read(entry)

    @contextmanager
    def held(self, seed: int, outputs: Collection[Path]) -> Iterator[None]:
        """Write the batch down and keep others from making it too, while the block runs.

        Args:
            seed: Of the batch.
            outputs: All its files.

        Raises:
            OutputError: Another process is making it, or the journal cannot be written.
        """
        with ExitStack() as stack:
            try:
                self._stream = stack.enter_context(self.path.open("a", encoding="utf-8"))
                self._lock(self._stream)
                for folder in {output.parent for output in outputs}:
                    for pid in self._pids:  # dead, or it would have the lock
                        remove_temporary_files(folder, pid)
            except OSError as error:
                raise OutputError(f"{self.path}: cannot be written ({error.strerror})") from error
            self._write({"format_version": _FORMAT_VERSION, "seed": seed, "pid": os.getpid()})
            try:
                yield
            finally:
                if len(self.finished) in (0, len(outputs)):
                    self.path.unlink(missing_ok=True)

    def add(self, output: Path) -> None:
        """Write down that a file is finished; on return it survives a kill of this process.

        Raises:
            OutputError: It cannot be written.
        """
        if output not in self.finished:
            self.finished.add(output)
            self._write({"finished": str(output.relative_to(self._folder))})

    def _lock(self, stream: TextIO) -> None:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(
                f"{self._folder}: another soundgen process is making these very sounds there",
                hint="wait for it",
            ) from error

    def _write(self, entry: dict[str, Any]) -> None:
        if self._stream is None:
            raise ValueError("the journal is not held")
        try:
            # A line that a kill cut short must not swallow this one.
            self._stream.write("\n" + json.dumps(entry) + "\n")
            self._stream.flush()
        except OSError as error:
            raise write_failure(self.path, error) from error

    def _entries(self) -> Iterator[dict[str, Any]]:
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be read ({error.strerror})") from error
        for line in text.split("\n"):
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                yield entry

    def _read(self, entry: dict[str, Any]) -> None:
        if isinstance(entry.get("seed"), int) and isinstance(entry.get("pid"), int):
            if entry.get("format_version") != _FORMAT_VERSION:
                raise OutputError(
                    f"{self.path}: written by another version of soundgen",
                    hint="remove it to draw new seeds, or update soundgen",
                )
            self.seed = entry["seed"]
            self._pids.add(entry["pid"])
        finished = entry.get("finished")
        if isinstance(finished, str) and (self._folder / finished).is_file():
            self.finished.add(self._folder / finished)
