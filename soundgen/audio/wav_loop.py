"""Loop points in WAV files: the `smpl` chunk, which samplers and game engines read.

libsndfile can write it, but `soundfile` does not hand that through. The layout is that of
Microsoft's Multimedia Data Standards Update (1994): nine numbers, then six for each loop.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

_MIDDLE_C = 60  # the key at which a sampler plays it as it is
_FORWARD, _FOREVER = 0, 0


def append_loop_points(path: Path, sample_rate: int, num_samples: int) -> None:
    """Mark a whole WAV file as a loop that is played on and on.

    Args:
        path: A finished file with a RIFF header.
        sample_rate: Hz.
        num_samples: In each channel. The last one is part of the loop.
    """
    sample_period_ns = round(1e9 / sample_rate)
    head = struct.pack("<9I", 0, 0, sample_period_ns, _MIDDLE_C, 0, 0, 0, 1, 0)
    loop = struct.pack("<6I", 0, _FORWARD, 0, num_samples - 1, 0, _FOREVER)
    with path.open("r+b") as stream:
        end = stream.seek(0, os.SEEK_END)
        stream.write(b"\0" * (end % 2))  # chunks begin at even places
        stream.write(b"smpl" + struct.pack("<I", len(head) + len(loop)) + head + loop)
        size = stream.tell()
        stream.seek(4)
        stream.write(struct.pack("<I", size - 8))
