"""TensorBoard's event file, written as it comes: scalars and audio, where the package is there.

TensorBoard's own writer does so in a thread, which on a full disk prints a traceback and goes on
without a word to whoever logs; here a failure is raised where it happens.
"""

from __future__ import annotations

import io
import os
import socket
import time
import wave
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from soundgen.files import write_failure

if TYPE_CHECKING:
    from torch import Tensor


class EventLog:
    """One event file in a folder, of which TensorBoard shows all together.

    Without the package `tensorboard` nothing is written.

    Args:
        folder: Made when the first event comes.
        first_step: Events of this step and later ones, of a run that was killed, are not shown.
    """

    def __init__(self, folder: Path, *, first_step: int | None = None) -> None:
        self._folder, self._first_step = folder, first_step
        self._records: Any = None
        self._stream: io.BufferedWriter | None = None
        self._is_there = True

    def scalar(self, step: int, tag: str, value: float) -> None:
        """Add a number.

        Raises:
            OutputError: The file cannot be written.
        """
        if self._open():
            from tensorboard.compat.proto.summary_pb2 import Summary

            self._add(step, Summary.Value(tag=tag, simple_value=value))

    def audio(self, step: int, tag: str, wav: Tensor, sample_rate: int) -> None:
        """Add a sound, float32 `[T]`, as 16-bit WAV.

        Raises:
            OutputError: The file cannot be written.
        """
        if self._open():
            from tensorboard.compat.proto.summary_pb2 import Summary

            pcm = (wav.detach().cpu().clamp(-1, 1).numpy() * 32767).astype("<i2")
            sound = Summary.Audio(
                sample_rate=sample_rate,
                num_channels=1,
                length_frames=len(pcm),
                encoded_audio_string=_wav_bytes(pcm, sample_rate),
                content_type="audio/wav",
            )
            self._add(step, Summary.Value(tag=tag, audio=sound))

    def flush(self) -> None:
        """Let readers see what was added; a disk that is full has been told of by then."""
        try:
            if self._stream is not None:
                self._stream.flush()
        except OSError as error:
            raise write_failure(self._folder, error) from error

    def close(self) -> None:
        """Close the file; what does not fit any more is lost."""
        stream, self._stream, self._is_there = self._stream, None, False
        try:
            if stream is not None:
                stream.close()
        except OSError:
            pass  # not worth hiding what ends the run

    def _open(self) -> bool:
        if self._stream is not None or not self._is_there:
            return self._is_there
        try:
            from tensorboard.compat.proto.event_pb2 import Event, SessionLog
            from tensorboard.summary.writer.record_writer import RecordWriter
        except ImportError:
            self._is_there = False
            return False
        # The form of name that TensorBoard looks for; two of one second differ by the process.
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._stream = (self._folder / name).open("ab")
        except OSError as error:
            raise write_failure(self._folder, error) from error
        self._records = RecordWriter(self._stream)
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        if self._first_step is not None:
            start = SessionLog(status=SessionLog.START)
            self._write(Event(wall_time=time.time(), step=self._first_step, session_log=start))
        return True

    def _add(self, step: int, value: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._write(Event(wall_time=time.time(), step=step, summary=Summary(value=[value])))

    def _write(self, event: Any) -> None:
        try:
            self._records.write(event.SerializeToString())
        except OSError as error:
            raise write_failure(self._folder, error) from error


def _wav_bytes(pcm: np.ndarray[Any, np.dtype[np.int16]], sample_rate: int) -> bytes:
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(pcm.tobytes())
    return stream.getvalue()
