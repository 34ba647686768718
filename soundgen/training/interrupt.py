"""Ctrl-C and SIGTERM during training: finish the step, so that what is saved is a whole one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from soundgen.errors import Terminated


class Interrupt:
    """Remembers the signal that asked a training loop to stop."""

    def __init__(self) -> None:
        self.signal_number: int | None = None

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Note the signal; a second one stops at once, unsaved."""
        if self.signal_number is not None:
            self.raise_pending()
        self.signal_number = number

    def raise_pending(self) -> None:
        """Raise what the signal stands for, if there was one.

        Raises:
            KeyboardInterrupt: Ctrl-C.
            Terminated: SIGTERM.
        """
        if self.signal_number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal_number is not None:
            raise Terminated


@contextmanager
def deferred_interrupts() -> Iterator[Interrupt]:
    """Collect SIGINT and SIGTERM while the block runs; the loop asks for them between steps.

    Outside the main thread Python delivers no signals, so there the block just runs.
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    before = {n: signal.signal(n, interrupt.handle) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
