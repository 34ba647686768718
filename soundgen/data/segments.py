"""Training audio for the codec: seconds cut from clips, each a function of its global number."""

from __future__ import annotations

import io
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor

from soundgen.audio.tar_member import read_member
from soundgen.data.manifest import Clip, columns_of
from soundgen.data.segments_config import SegmentConfig
from soundgen.data.synthetic import synthetic_audio
from soundgen.errors import InputError
from soundgen.training.seeding import sample_rng

_SHORTEST_PIECE_S = 0.25
T = TypeVar("T")


def clip_weights(
    clips: Sequence[Clip], *, duration_power: float, category_power: float, longest_s: float
) -> NDArray[np.float64]:
    """Return the probability of each clip to be drawn, `[num_clips]`.

    Args:
        clips: At least one.
        duration_power: Exponent of a clip's seconds.
        category_power: Exponent of one over its category's number of clips.
        longest_s: Seconds beyond this count no more.
    """
    durations, categories = columns_of(clips)
    of_category = np.bincount(categories).astype(np.float64).clip(min=1) ** -category_power
    weights = np.minimum(durations, longest_s) ** duration_power * of_category[categories]
    normalised: NDArray[np.float64] = weights / weights.sum()
    return normalised


class SegmentSampler:
    """Draws segments; number i is the same whatever was drawn before and on however many devices.

    Short clips follow one another until the segment is full, so that little of it is silence.

    Args:
        root: Folder that the clips' paths are relative to.
        clips: To draw from; mono at `sample_rate`.
        config: How to draw.
        sample_rate: Hz.
        hop_length: A segment is cut down to a multiple of this.
        seed: Of the whole run.

    Raises:
        InputError: There is nothing to draw from.
    """

    def __init__(
        self,
        root: Path,
        clips: Sequence[Clip],
        config: SegmentConfig,
        *,
        sample_rate: int,
        hop_length: int,
        seed: int,
    ) -> None:
        if not clips:
            raise InputError(f"{root}: no training clips there", hint="see: soundgen dataset stats")
        self.root, self.clips, self.config = root, clips, config
        self.sample_rate, self.seed = sample_rate, seed
        frames = max(1, round(config.segment_s * sample_rate / hop_length))
        self.num_samples = frames * hop_length
        self._cumulative = np.cumsum(
            clip_weights(
                clips,
                duration_power=config.duration_power,
                category_power=config.category_power,
                longest_s=60.0,
            )
        )

    def batch(self, step: int, batch_size: int) -> Tensor:
        """Return segments `step * batch_size` and following, float32 `[B, 1, T]`."""
        rows = [self.segment(step * batch_size + i) for i in range(batch_size)]
        return torch.from_numpy(np.stack(rows)).unsqueeze(1)

    def segment(self, index: int) -> NDArray[np.float32]:
        """Return segment number `index`, float32 `[T]`."""
        rng = sample_rng(self.seed, index)
        if rng.random() < self.config.synthetic_probability:
            return synthetic_audio(rng, self.num_samples, self.sample_rate)
        audio = self._filled(rng)
        if rng.random() < self.config.mix_probability:
            other = self._filled(rng)
            ratio_db = rng.uniform(-5, 5) + 20 * np.log10(
                (_rms(audio) + 1e-5) / (_rms(other) + 1e-5)
            )
            audio = audio + other * 10 ** (min(ratio_db, 20) / 20)
        low_db, high_db = self.config.gain_db
        gain = 10 ** (rng.uniform(low_db, high_db) / 20) * rng.choice([-1.0, 1.0])
        peak = float(np.abs(audio).max()) * abs(gain)
        scaled: NDArray[np.float32] = (audio * (gain / max(1.0, peak))).astype(np.float32)
        return scaled

    def _filled(self, rng: np.random.Generator) -> NDArray[np.float32]:
        pieces: list[NDArray[np.float32]] = []
        missing = self.num_samples
        while missing > _SHORTEST_PIECE_S * self.sample_rate or not pieces:
            piece = self._piece(rng, missing)
            pieces.append(piece)
            missing -= len(piece)
        pieces.append(np.zeros(missing, np.float32))
        return np.concatenate(pieces)

    def _piece(self, rng: np.random.Generator, longest: int) -> NDArray[np.float32]:
        chosen = int(np.searchsorted(self._cumulative, rng.random() * self._cumulative[-1]))
        path = self.root / self.clips[min(chosen, len(self.clips) - 1)].path
        return read_piece(path, longest, sample_rate=self.sample_rate, rng=rng)


def read_piece(
    path: Path, longest: int, *, sample_rate: int, rng: np.random.Generator | None = None
) -> NDArray[np.float32]:
    """Read at most `longest` samples of a prepared clip, float32 `[T]`, T at least 1.

    Args:
        path: The file.
        longest: In samples.
        sample_rate: Hz that it must have.
        rng: Draws where to begin; at the clip's beginning if `None`.

    Raises:
        InputError: It is missing, damaged, empty, not finite, or not mono at `sample_rate`.
    """
    member = read_member(path)
    try:
        with soundfile.SoundFile(path if member is None else io.BytesIO(member)) as file:
            if file.samplerate != sample_rate or file.channels != 1:
                raise InputError(
                    f"{path}: {file.samplerate} Hz, {file.channels} channels; expected "
                    f"{sample_rate} Hz mono",
                    hint="convert the dataset with: soundgen dataset prepare",
                )
            if rng is not None:
                file.seek(int(rng.integers(max(0, file.frames - longest) + 1)))
            audio: NDArray[np.float32] = file.read(longest, dtype="float32")
    except (OSError, soundfile.LibsndfileError) as error:
        # libsndfile says "System error" of a file that is not there, and its name once more.
        is_there = member is not None or path.exists()
        reason = str(getattr(error, "error_string", error)) if is_there else "no such file"
        raise InputError(
            f"{path}: cannot be read ({reason.rstrip('.')})",
            hint="check with: soundgen dataset verify",
        ) from error
    if not len(audio) or not np.isfinite(audio).all():
        what = "holds NaN or infinite samples" if len(audio) else "is empty"
        raise InputError(f"{path}: {what}", hint="check with: soundgen dataset verify")
    return audio


def prefetch(make: Callable[[int], T], first: int, *, ahead: int = 2) -> Generator[T]:
    """Yield `make(first)`, `make(first + 1)`, ... without end, made in a thread ahead of use."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch") as pool:
        waiting = [pool.submit(make, first + i) for i in range(ahead)]
        number = first + ahead
        try:
            while True:
                result = waiting.pop(0).result()
                waiting.append(pool.submit(make, number))
                number += 1
                yield result
        finally:
            for future in waiting:
                future.cancel()


def _rms(audio: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(audio))))
