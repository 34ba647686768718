"""How pipelines speak while they work, so that a terminal, a log or a web page can listen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Progress(Protocol):
    """What a pipeline reports; implementations decide what to show."""

    def start(self, what: str, total: int | None) -> None:
        """Begin a stage of `total` units of work (`None`: not known)."""

    def advance(self, n: int = 1) -> None:
        """Report `n` more units as done."""

    def finish(self) -> None:
        """End the current stage."""

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Report measurements of a training step."""

    def notice(self, message: str) -> None:
        """Tell the user one line that is not an error."""


class SilentProgress:
    """Listens to nothing; the default of every pipeline."""

    def start(self, what: str, total: int | None) -> None:
        """Ignore the stage."""

    def advance(self, n: int = 1) -> None:
        """Ignore the work done."""

    def finish(self) -> None:
        """Ignore the end of the stage."""

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Ignore the measurements."""

    def notice(self, message: str) -> None:
        """Ignore the notice."""
