"""A run folder: what an interrupted training needs to go on, and its logs."""

from __future__ import annotations

import json
import math
import pickle
import shutil
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from soundgen.errors import CheckpointError
from soundgen.files import atomic_path, folder_lock, write_failure
from soundgen.training.event_log import EventLog
from soundgen.training.launch import is_main
from soundgen.training.run_files import (
    CHECKPOINTS_FOLDER,
    METRICS_FILE,
    STATE_FILE,
    check_run_folder,
)


class RunFolder:
    """State and logs of one training run, written by the main one of its processes.

    Args:
        path: The folder.
        resume: Go on with the run that is there; otherwise one that is there is refused.

    Raises:
        OutputError: A run is there and `resume` is off, or nothing is there and it is on.
    """

    def __init__(self, path: Path, *, resume: bool) -> None:
        if is_main():
            check_run_folder(path, resume=resume)
        self.path = path
        self.state_path = path / STATE_FILE
        self.metrics_path = path / METRICS_FILE
        if not resume and is_main():
            # Lines of a run that was killed before its first checkpoint.
            self.metrics_path.unlink(missing_ok=True)
        self._events = EventLog(path / "tensorboard")
        self._started = time.monotonic()
        self._elapsed_before_s = 0.0

    @property
    def elapsed_s(self) -> float:
        """Seconds of training, over all the times this run was started."""
        return self._elapsed_before_s + time.monotonic() - self._started

    def restart_clock(self) -> None:
        """Let the time since the folder was opened count for nothing: it was preparation."""
        self._started = time.monotonic()

    def load(self, *, keep_clock: bool = False) -> dict[str, Any]:
        """Return the saved state and cut the logs back to its step.

        Args:
            keep_clock: Let the time that was spent since the state was saved count.

        Raises:
            CheckpointError: The state cannot be read.
        """
        try:
            state: dict[str, Any] = torch.load(
                self.state_path, map_location="cpu", weights_only=True
            )
            if not keep_clock:
                self._elapsed_before_s = float(state["elapsed_s"])
            step = int(state["step"])
        except (
            OSError, RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError
        ) as error:  # fmt: skip
            raise CheckpointError(f"{self.state_path}: not a training state of soundgen") from error
        self._events.close()
        self._events = EventLog(self.path / "tensorboard", first_step=step + 1)
        if is_main() and self.metrics_path.exists():
            lines = [
                line
                for line in self.metrics_path.read_text(encoding="utf-8").splitlines()
                if _step_of(line) <= step
            ]
            with atomic_path(self.metrics_path) as temporary:
                temporary.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        return state

    def save(self, state: Mapping[str, Any]) -> None:
        """Write the state; a crash at any moment leaves the old one or the new one."""
        if not is_main():
            return
        with atomic_path(self.state_path) as temporary:
            try:
                torch.save({**state, "elapsed_s": self.elapsed_s}, temporary)
            except RuntimeError as error:
                # What a full disk comes as, from the C++ writer.
                raise write_failure(self.state_path, error, temporary) from error

    def log(self, step: int, values: Mapping[str, float], *, prefix: str = "train") -> None:
        """Append measurements to `metrics.jsonl` and TensorBoard."""
        if not is_main():
            return
        # JSON has no NaN; a value that is not finite is written as null.
        plain = {k: round(v, 6) if math.isfinite(v) else None for k, v in values.items()}
        row = {"step": step, "elapsed_s": round(self.elapsed_s, 1), "kind": prefix, **plain}
        try:
            with self.metrics_path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(row) + "\n")
        except OSError as error:
            raise write_failure(self.metrics_path, error) from error
        for name, value in values.items():
            self._events.scalar(step, f"{prefix}/{name}", value)
        self._events.flush()

    def log_audio(self, step: int, name: str, wav: torch.Tensor, sample_rate: int) -> None:
        """Add an audio example `[T]` to TensorBoard."""
        if is_main():
            self._events.audio(step, name, wav, sample_rate)

    def checkpoint_path(self, name: str) -> Path:
        """Return where a model folder beside the run's own lies, such as `step-000250`."""
        return self.path / CHECKPOINTS_FOLDER / name

    def drop_checkpoints(self, keep: int) -> None:
        """Delete all but the last `keep` of the numbered model folders."""
        folders = sorted((self.path / CHECKPOINTS_FOLDER).glob("step-*"))
        for old in folders[: max(0, len(folders) - keep)]:
            shutil.rmtree(old, ignore_errors=True)

    def close(self) -> None:
        """Flush the logs."""
        self._events.close()


def run_lock(path: Path) -> AbstractContextManager[None]:
    """Hold a run folder for this run; the main process does so for all of its processes.

    Another run's process there is an `OutputError`.
    """
    return folder_lock(path) if is_main() else nullcontext()


def _step_of(line: str) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        # A line that a crash cut short belongs to no step.
        return 2**62
