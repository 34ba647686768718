"""How long a run of `generate` will take and what memory, said once its first steps are timed."""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Sequence
from itertools import groupby

import torch

from soundgen.audio.splice import MAX_LAG_S
from soundgen.pipelines.model import MAX_AUTO_S, Model
from soundgen.pipelines.pieces import NUM_DRAWS, in_pieces, piece_stops
from soundgen.pipelines.sound_request import BATCH_SIZE, GenerateSettings, SoundRequest
from soundgen.pipelines.sound_source import source_duration_s
from soundgen.progress import Progress

LONG_WORK_S = 60.0
"""Of sound, all requests together; less is not announced."""
# The first steps are slower: memory is touched for the first time, kernels are chosen.
_WARM_UP_STEPS, _TIMED_STEPS = 5, 20
_FLOAT_BYTES = 4
# Copies of a sound's samples that decoding and finish hold at a time.
_SAMPLE_COPIES = 6


class WorkEstimate:
    """Counts steps; after the first ones of long work it says what all of it will take.

    Args:
        model: Does the work.
        requests: All of it.
        progress: Hears the estimate.
    """

    def __init__(self, model: Model, requests: Sequence[SoundRequest], progress: Progress) -> None:
        self._model, self._progress = model, progress
        self._sound_s = sum(self._length_s(one.settings) * one.best_of for one in requests)
        self._is_open = any(is_open(request.settings) for request in requests)
        self._total = sum(
            self.num_steps(settings) * math.ceil(count / BATCH_SIZE)
            for settings, count in _runs(requests)
        )
        self._memory_bytes = 0.0
        if self._sound_s >= LONG_WORK_S:
            self._memory_bytes = _resident_bytes(model.device) + max(
                self._batch_bytes(settings, min(count, BATCH_SIZE))
                for settings, count in _runs(requests)
            )
        self._steps = 0
        self._began = 0.0

    def num_steps(self, settings: GenerateSettings) -> int:
        """Return the steps of a batch, the most there can be where the model ends a sound."""
        config = self._model.language_model.config
        length_s = self._length_s(settings)
        if settings.source is not None and settings.source.use == "continue":
            length_s += MAX_LAG_S
        frames = math.ceil(round(length_s * config.frame_rate, 6))
        pieces = 1
        if settings.source is None and in_pieces(settings.told_s):
            pieces = len(piece_stops(frames, config.frame_rate))
        return frames + pieces * (config.n_q - 1)  # the delay pattern

    def step(self) -> None:
        """Count a step; say the estimate when enough are timed."""
        if self._sound_s < LONG_WORK_S or self._steps >= _WARM_UP_STEPS + _TIMED_STEPS:
            return
        self._steps += 1
        if self._steps == _WARM_UP_STEPS:
            self._began = time.monotonic()
        elif self._steps == _WARM_UP_STEPS + _TIMED_STEPS:
            pace_s = (time.monotonic() - self._began) / _TIMED_STEPS
            self._progress.notice(
                estimate_line(
                    self._sound_s, self._total * pace_s, self._memory_bytes, is_open=self._is_open
                )
            )

    def _length_s(self, settings: GenerateSettings) -> float:
        if settings.source is not None and settings.source.use == "vary":
            return source_duration_s(settings.source)
        return MAX_AUTO_S if settings.told_s is None else settings.told_s

    def _batch_bytes(self, settings: GenerateSettings, num_sounds: int) -> float:
        """Return what a batch adds to the model: caches, and samples on their way."""
        engine, config = self._model.engine, self._model.language_model.config
        rows = num_sounds * (1 if settings.cfg_scale == 1 else 2)
        if settings.source is None and in_pieces(settings.told_s):
            rows *= NUM_DRAWS
        rows += -rows % engine.row_tile
        steps = engine.window_steps + engine.max_text_tokens
        caches = 2 * config.num_layers * rows * steps * config.dim
        times = 2 * num_sounds * engine.window_steps * config.dim
        samples = self._length_s(settings) * self._model.sample_rate * num_sounds
        return float(_FLOAT_BYTES * (caches + times + _SAMPLE_COPIES * samples))


def estimate_line(
    sound_s: float, time_s: float, memory_bytes: float, *, is_open: bool = False
) -> str:
    """Return the line that announces long work.

    Args:
        sound_s: Length of all sounds.
        time_s: How long they take.
        memory_bytes: What they take at a time.
        is_open: The model may end some sooner.
    """
    most = "up to " if is_open else ""
    about = "at most" if is_open else "about"
    return (
        f"{most}{sound_s:.0f} s of sound will take {about} {_spoken(time_s)} here, and about "
        f"{memory_bytes / 1e9:.1f} GB of memory"
    )


def _spoken(seconds: float) -> str:
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def is_open(settings: GenerateSettings) -> bool:
    """Tell whether the model decides where a sound ends."""
    varied = settings.source is not None and settings.source.use == "vary"
    return settings.duration_s is None and not varied


def _runs(requests: Sequence[SoundRequest]) -> list[tuple[GenerateSettings, int]]:
    """Return settings in their order, with how many sounds of each follow one another."""
    found = []
    for settings, group in groupby(requests, key=lambda request: request.settings):
        found.append((settings, sum(request.best_of for request in group)))
    return found


def _resident_bytes(device: torch.device) -> float:
    """Return what the loaded model takes."""
    if device.type == "cuda":
        return float(torch.cuda.memory_allocated(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else peak * 1024)
