"""`compress -` and `decompress -` while their input is still coming."""

from __future__ import annotations

import io
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundgen.pipelines.compress import CompressedFile, compress
from soundgen.pipelines.decompress import decompress
from tests.conftest import REPOSITORY

MODEL = REPOSITORY / "tests" / "golden" / "spectral"
RATE = 16_000
# Both ways wait for a window of 10 s and what the layers look ahead.
EARLY_S, WHOLE_S = 11, 13
# Only so that a failure ends: a busy machine takes minutes to import PyTorch.
PATIENCE_S = 550


@contextmanager
def running(command: str) -> Iterator[subprocess.Popen[bytes]]:
    """`soundgen COMMAND -`, its standard streams ours."""
    with subprocess.Popen(
        [sys.executable, "-m", "soundgen", command, "-", "--model", MODEL, "-q"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_early(process: subprocess.Popen[bytes], size: int) -> bytes:
    """Read `size` bytes while standard input is open; give up where nothing comes for long."""
    assert process.stdout is not None
    data = b""
    while len(data) < size:
        ready, _, _ = select.select([process.stdout], [], [], PATIENCE_S)
        assert ready, f"{len(data)} of {size} bytes came"
        data += os.read(process.stdout.fileno(), 1 << 16)
    return data


@pytest.fixture
def wav(tmp_path: Path) -> bytes:
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "a.wav", 0.1 * rng.standard_normal(WHOLE_S * RATE), RATE)
    return (tmp_path / "a.wav").read_bytes()


@pytest.mark.parametrize("size", [0, 0xFFFF_FFFF], ids=["sox", "ffmpeg"])
def test_chunks_come_out_while_sound_goes_in(wav: bytes, size: int) -> None:
    length = size.to_bytes(4, "little")
    live = wav[:4] + length + wav[8:40] + length + wav[44:]
    early = 44 + 2 * EARLY_S * RATE
    with running("compress") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(live[:early])
        process.stdin.flush()
        # A header of 41 bytes and more, six chunks of 1.5 s: 75 frames of 4 codes of 4 bits.
        data = read_early(process, 41 + 6 * (1 + 150 + 4))
        process.stdin.write(live[early:])
        process.stdin.close()
        data += process.stdout.read()
        assert process.wait(PATIENCE_S) == 0
    whole = io.BytesIO()
    (result,) = compress(
        ["-"], model=str(MODEL), device="cpu", stdin=io.BytesIO(live), stdout=whole
    )
    assert isinstance(result, CompressedFile)
    assert result.num_samples == WHOLE_S * RATE
    assert data == whole.getvalue()


def test_sound_comes_out_while_chunks_go_in(wav: bytes, tmp_path: Path) -> None:
    packed, back = tmp_path / "a.sgc", tmp_path / "b.wav"
    list(compress([str(tmp_path / "a.wav")], model=str(MODEL), device="cpu"))
    list(decompress([str(packed)], output=str(back), model=str(MODEL), device="cpu"))
    data = packed.read_bytes()
    early = len(data) - 8 - 50  # all but a part of the last chunk and the end record
    with running("decompress") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(data[:early])
        process.stdin.flush()
        heard = read_early(process, 44 + 2 * 9 * RATE)
        process.stdin.write(data[early:])
        process.stdin.close()
        heard += process.stdout.read()
        assert process.wait(PATIENCE_S) == 0
    assert heard == back.read_bytes()
