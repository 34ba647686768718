"""Sounds that the tests make themselves: a folder of files, or a prepared dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from soundgen.data.manifest import Clip, Split, pcm16_digest, write_manifest

RATE = 16_000
KINDS = ("tone", "noise", "click", "sweep")


def make_sound(kind: str, seed: int, duration_s: float) -> NDArray[np.float32]:
    """Return float32 `[T]` of one of `KINDS`, different for each seed."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(duration_s * RATE)) / RATE
    pitch = rng.uniform(200, 1200)
    if kind == "tone":
        sound = 0.4 * np.sin(2 * np.pi * pitch * time)
    elif kind == "noise":
        sound = 0.2 * rng.standard_normal(len(time))
    elif kind == "click":
        sound = 0.8 * rng.standard_normal(len(time)) * np.exp(-time * 40)
    else:
        sound = 0.4 * np.sin(2 * np.pi * (pitch + 400 * time) * time)
    return sound.astype(np.float32)


def make_sounds(folder: Path, *, num_each: int = 4) -> list[Path]:
    """Write up to six sounds of each kind as a person's folder has them, all different."""
    # Names without numbers: "tone 1" and "tone 2" would pass for pieces of one recording.
    names = ("near", "far", "old", "new", "red", "blue")[:num_each]
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, kind in enumerate(KINDS):
        for index, name in enumerate(names):
            path = folder / f"{name} {kind}.wav"
            sound = make_sound(kind, 100 * number + index, 0.5 + 0.1 * index)
            # A recording's noise floor: digital silence is no sound to train on.
            floor = make_sound("noise", 1000 + 100 * number + index, 0.5 + 0.1 * index)
            soundfile.write(path, sound + 0.02 * floor, RATE)
            paths.append(path)
    return paths


def make_dataset(folder: Path, *, per_kind: int = 5) -> Path:
    """Write a prepared dataset: `per_kind` train clips of each kind, and one valid and test."""
    (folder / "audio").mkdir(parents=True)
    clips = []
    for number, kind in enumerate(KINDS):
        splits: list[Split] = ["train"] * per_kind + ["valid", "test"]
        for index, split in enumerate(splits):
            seed = 100 * number + index
            sound = make_sound(kind, seed, 0.2 if kind == "click" else 0.6 + 0.2 * (index % 3))
            name = f"audio/{kind}-{index}.flac"
            soundfile.write(folder / name, sound, RATE, subtype="PCM_16")
            decoded, _ = soundfile.read(folder / name, dtype="float32")
            clips.append(
                Clip(
                    path=name,
                    captions=(f"a {kind}", f"the sound of a {kind}"),
                    tags=(kind,),
                    category=kind,
                    duration=len(sound) / RATE,
                    split=split,
                    license="CC0-1.0",
                    recording=f"{kind}-{index}",
                    sha1_pcm16=pcm16_digest(decoded),
                )
            )
    write_manifest(folder / "manifest.jsonl", clips)
    return folder


def loop_points(path: Path) -> list[tuple[int, int]]:
    """Return the forward loops of a WAV, first sample and first one behind, as libsndfile sees.

    It reads the `smpl` chunk for samplers; `soundfile` has no call of its own for it.
    """
    from soundfile import _ffi, _snd

    get_instrument, forward = 0x10D0, 801
    # SF_INSTRUMENT of sndfile.h: gain, six bytes, the number of loops, then 16 loops of four.
    memory = _ffi.new("int[68]")
    with soundfile.SoundFile(path) as file:
        if not _snd.sf_command(file._file, get_instrument, memory, 4 * 68):
            return []
    loops = [tuple(memory[place : place + 4]) for place in range(4, 4 + 4 * memory[3], 4)]
    assert all(mode == forward for mode, *_ in loops)
    return [(start, end) for _, start, end, _ in loops]
