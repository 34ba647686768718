"""A terminal of a given size for programs under test, and what stands on its screen."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

# What Rich draws with: text, line ends, and control sequences.
_TOKEN = re.compile(r"\x1b\[(\??[\d;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")


class Shown(NamedTuple):
    """What a program wrote to its terminal, how it ended, and what it leaves to see."""

    written: str
    returncode: int
    screen: list[str]
    """Lines as a person copies them: those that the terminal itself broke are one again."""
    cursor_hidden: bool


def run_on_terminal(
    command: Sequence[str | Path], *, columns: int, cwd: Path, **environment: str
) -> Shown:
    """Run a program with all three streams on a terminal `columns` wide."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    dropped = ("COLUMNS", "LINES", "NO_COLOR")
    inherited = {name: value for name, value in os.environ.items() if name not in dropped}
    with subprocess.Popen(
        list(map(str, command)),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=cwd,
        env={**inherited, "TERM": "xterm", **environment},
    ) as process:
        os.close(theirs)
        written = read_terminal(ours)
    hidden = written.rfind("\x1b[?25l") > written.rfind("\x1b[?25h")
    return Shown(written, process.returncode, screen_of(written, columns), hidden)


def read_terminal(ours: int) -> str:
    """Return all that is written to a terminal until its last writer is gone; close our side."""
    data = b""
    while True:
        try:
            block = os.read(ours, 65_536)
        except OSError:  # the last writer is gone
            break
        if not block:
            break
        data += block
    os.close(ours)
    return data.decode()


def screen_of(written: str, columns: int) -> list[str]:
    """Return the lines that a terminal shows after all of `written`, without empty ones."""
    rows: list[list[str]] = [[]]
    broken: set[int] = set()
    row = column = 0
    for match in _TOKEN.finditer(written):
        argument, command, end, text = match.groups()
        if end == "\n":
            row += 1
        elif end == "\r":
            column = 0
        elif command == "A":
            row = max(0, row - int(argument or 1))
        elif command == "K":
            rows[row] = [] if argument == "2" else rows[row][:column]
            broken.discard(row + 1)
        elif command not in (None, "m", "h", "l"):
            raise ValueError(f"a sequence that this terminal does not know: {match[0]!r}")
        for char in text or "":
            if column == columns:
                row, column = row + 1, 0
                broken.add(row)
            rows += [[] for _ in range(row + 1 - len(rows))]
            rows[row] += [" "] * (column + 1 - len(rows[row]))
            rows[row][column] = char
            column += 1
        rows += [[] for _ in range(row + 1 - len(rows))]
    lines: list[str] = []
    for index, cells in enumerate(rows):
        if index in broken and lines:
            lines[-1] += "".join(cells)
        else:
            lines.append("".join(cells))
    return [line.rstrip() for line in lines if line.strip()]
