"""A small folder of sounds that a test can train on: hiss, beeps, clicks and sweeps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

SAMPLE_RATE = 16_000
KINDS = ("hiss", "beep", "clicks", "sweep")
# Names without numbers: "beep 1" and "beep 2" would pass for pieces of one recording.
NAMES = ("near", "far", "old", "new", "red", "blue")


def make_sounds(folder: Path, *, num_each: int = 4, seed: int = 0) -> list[Path]:
    """Write up to six sounds of each kind, half a second to one second long, all different."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for kind in KINDS:
        for name in NAMES[:num_each]:
            time = np.arange(int(random.uniform(0.5, 1.0) * SAMPLE_RATE)) / SAMPLE_RATE
            wave = _wave(kind, time, random)
            path = folder / f"{name} {kind}.wav"
            soundfile.write(path, 0.4 * wave / np.abs(wave).max(), SAMPLE_RATE)
            paths.append(path)
    return paths


def _wave(
    kind: str, time: np.ndarray[tuple[int], np.dtype[np.float64]], random: np.random.Generator
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    pitch_hz = random.uniform(200, 2000)
    noise = random.standard_normal(len(time))
    match kind:
        case "beep":
            return np.sin(2 * np.pi * pitch_hz * time) * np.exp(-2 * time)
        case "clicks":
            return noise * (np.sin(2 * np.pi * random.uniform(3, 9) * time) > 0.95)
        case "sweep":
            return np.sin(2 * np.pi * (pitch_hz + 500 * time) * time)
        case _:
            return noise * (1 + 0.5 * np.sin(2 * np.pi * random.uniform(1, 4) * time))
