"""Atomic writes: whatever instruction Ctrl-C falls on, nothing half-made is left."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from soundgen import files
from soundgen.errors import DiskFullError, OutputError
from soundgen.files import atomic_path, check_space, write_failure

WATCHED = {files.__file__, contextlib.__file__, __file__}


def write(path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"whole")


class Interruption:
    """Raises KeyboardInterrupt at the n-th bytecode instruction of the watched files."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, frame: FrameType, event: str, _arg: Any) -> Interruption | None:
        if frame.f_code.co_filename not in WATCHED or frame.f_code.co_name == "interrupted_at":
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self


def interrupted_at(instruction: int, path: Path) -> bool:
    """Write `path`, interrupted at that instruction; return whether there was such a one."""
    before = sys.gettrace()
    sys.settrace(Interruption(instruction))
    try:
        write(path)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def test_an_interrupt_anywhere_leaves_the_file_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    whole = 0
    for instruction in range(1, 2_000):
        came = interrupted_at(instruction, path)
        found = sorted(tmp_path.iterdir())
        assert found in ([], [path]), f"instruction {instruction}"
        if found:
            assert path.read_bytes() == b"whole"
            path.unlink()
            whole += 1
        if not came:
            break
    else:
        pytest.fail("the write never ran to its end")
    assert instruction > 100
    assert 1 < whole < instruction - 20


def test_a_failed_block_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"before")

    def fail_half_way() -> None:
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_the_mode_is_what_open_would_give(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write(tmp_path / "a.wav")
        # A writer that makes a private file and renames it, as safetensors does.
        with atomic_path(tmp_path / "b.wav") as temporary:
            private = tmp_path / "private"
            private.touch(0o600)
            private.replace(temporary)
    finally:
        os.umask(before)
    for name in ("a.wav", "b.wav"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o640


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        write(tmp_path / "none" / "a.wav")


def test_too_little_room_is_said_in_megabytes(tmp_path: Path) -> None:
    check_space(tmp_path, 0)
    with pytest.raises(OutputError, match=r"needs 1,000,000,000,000 MB, and [\d,]+ MB are free"):
        check_space(tmp_path, 10**18)


def test_a_full_disk_is_recognised_in_the_words_of_any_library(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for error in (
        OSError(28, "No space left on device"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ):
        found = write_failure(path, error)
        assert isinstance(found, DiskFullError)
        assert found.message == f"{path}: cannot be written (No space left on device)"
    other = write_failure(path, RuntimeError("no.\nmore"))
    assert not isinstance(other, DiskFullError)
    assert other.message == f"{path}: cannot be written (no)"
