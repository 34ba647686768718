"""A stream as a pipe gives it."""

from __future__ import annotations

import io


class Pipe(io.RawIOBase):
    """Gives few bytes at a time, cannot seek, and counts what was taken."""

    def __init__(self, data: bytes, step: int = 1_000) -> None:
        self._stream, self._step, self.taken = io.BytesIO(data), step, 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(min(size, self._step) if size >= 0 else self._step)
        self.taken += len(data)
        return data

    @property
    def rest(self) -> bytes:
        """What was not taken."""
        return self._stream.read()
