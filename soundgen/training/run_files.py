"""The files of a run folder, and which folder a run may use: said before torch is imported."""

from __future__ import annotations

from pathlib import Path

from soundgen.errors import OutputError

STATE_FILE = "state.pt"
METRICS_FILE = "metrics.jsonl"
CHECKPOINTS_FOLDER = "checkpoints"


def check_run_folder(path: Path, *, resume: bool) -> None:
    """Refuse a folder that a new run would write over, or that has no run to go on with.

    Args:
        path: The folder, which need not exist.
        resume: Whether to go on with the run that is there.

    Raises:
        OutputError: A run is there and `resume` is off, or nothing is there and it is on.
    """
    if (path / STATE_FILE).exists() and not resume:
        raise OutputError(
            f"{path}: holds a training run already", hint="go on with --resume, or name another"
        )
    if resume and not (path / STATE_FILE).exists():
        raise OutputError(f"{path}: no run to resume there", hint="leave out --resume")
    if not resume and (path / "config.json").exists():
        raise OutputError(f"{path}: holds a model already", hint="name another folder")
