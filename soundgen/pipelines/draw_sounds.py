"""The model at work for `generate`: sounds drawn, drawn again where they cannot be used, chosen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from soundgen.audio.silence import SILENT_PEAK
from soundgen.errors import DeviceError, InputError, SoundgenError, is_out_of_memory
from soundgen.lm.sampling import SamplingSettings
from soundgen.pipelines.model import Model
from soundgen.pipelines.origin import Continuation, Variation
from soundgen.pipelines.sound import Sound
from soundgen.pipelines.sound_request import BATCH_SIZE, GenerateSettings, SoundRequest
from soundgen.pipelines.sound_source import ReadSource, SoundSource, read_source
from soundgen.pipelines.work_estimate import WorkEstimate, is_open
from soundgen.progress import Progress

_REDRAW_OFFSET = 0x9E37_79B9


@dataclass(frozen=True, kw_only=True, slots=True)
class ChosenSound:
    """A sound that is good enough to write."""

    sound: Sound
    seed: int
    drawn_with: int
    """Another one, derived from `seed`, if that gave silence."""
    match: float | None = None
    fault: str = ""
    """What was wrong with the one of `seed`, if it was drawn again."""
    source: ReadSource | None = None
    """What it goes on from, if anything."""


class SoundDrawer:
    """Draws the sounds of one run, in batches as large as memory allows.

    Args:
        model: Makes them.
        requests: All that will be asked for; long work is announced with an estimate.
        progress: Listens.
    """

    def __init__(self, model: Model, requests: Sequence[SoundRequest], progress: Progress) -> None:
        self._model, self._progress = model, progress
        self._batch_size = BATCH_SIZE
        self._estimate = WorkEstimate(model, requests, progress)
        self._what = ""
        self._source: tuple[SoundSource, ReadSource] | None = None

    def draw(self, batch: Sequence[SoundRequest]) -> list[ChosenSound | SoundgenError]:
        """Make the sound of each request, all of the same settings, or say why there is none."""
        first = batch[0]
        try:
            self._read(first.settings.source)
        except InputError as error:  # it was there when the run began
            return [error] * len(batch)
        with self._stage(first, len(batch)):
            if first.best_of > 1:
                return [self._best(first)]
            return self._each(batch)

    @contextmanager
    def _stage(self, first: SoundRequest, num_sounds: int) -> Iterator[None]:
        what = first.prompt if num_sounds == 1 else f"{num_sounds} sounds"
        self._what = f"generate {what}"
        self._start(first.settings, max(first.best_of, num_sounds))
        try:
            yield
        finally:
            self._progress.finish()

    def _start(self, settings: GenerateSettings, num_sounds: int) -> None:
        steps = self._estimate.num_steps(settings)
        batches = math.ceil(num_sounds / self._batch_size)
        self._progress.start(self._what, None if is_open(settings) else steps * batches)

    def _each(self, batch: Sequence[SoundRequest]) -> list[ChosenSound | SoundgenError]:
        """Make the one sound of each request; one that cannot be used is drawn once more."""
        chosen: list[ChosenSound | SoundgenError] = []
        source = self._read(batch[0].settings.source)
        drawn = self._draw(batch, [request.seed for request in batch])
        for request, first in zip(batch, drawn, strict=True):
            sound, drawn_with, fault = first, request.seed, ""
            if isinstance(first, InputError):
                drawn_with, fault = request.seed ^ _REDRAW_OFFSET, first.message
                (sound,) = self._draw([request], [drawn_with])
            if isinstance(sound, InputError):
                chosen.append(
                    InputError(
                        f"'{request.prompt}', seed {request.seed}, and again with {drawn_with}: "
                        f"{sound.message}",
                        hint="try another --seed, or other words",
                    )
                )
            elif isinstance(sound, SoundgenError):
                chosen.append(sound)
            else:
                chosen.append(
                    ChosenSound(
                        sound=sound, seed=request.seed, drawn_with=drawn_with, fault=fault,
                        source=source,
                    )
                )  # fmt: skip
        return chosen

    def _best(self, request: SoundRequest) -> ChosenSound | SoundgenError:
        """Make all candidates of a request; keep the one nearest its prompt to the matcher."""
        best: ChosenSound | None = None
        faults: list[SoundgenError] = []
        source = self._read(request.settings.source)
        for start in range(0, request.best_of, BATCH_SIZE):
            seeds = request.candidates[start : start + BATCH_SIZE]
            made = self._draw([request] * len(seeds), seeds)
            sounds = [sound for sound in made if not isinstance(sound, SoundgenError)]
            faults += [sound for sound in made if isinstance(sound, SoundgenError)]
            matches = self._model.match(request.prompt, sounds)
            for sound, match in zip(sounds, matches, strict=True):
                # Of equals the first, so that the choice does not depend on the batches.
                if best is None or best.match is None or match > best.match:
                    best = ChosenSound(sound=sound, seed=sound.seed, drawn_with=sound.seed,
                                       match=match, source=source)  # fmt: skip
        if best is None:
            if isinstance(faults[-1], DeviceError):
                return faults[-1]
            return InputError(
                f"'{request.prompt}', each of {request.best_of} seeds from {request.seed} on: "
                f"{faults[-1].message}",
                hint="try another --seed, or other words",
            )
        return best

    def _draw(
        self, batch: Sequence[SoundRequest], seeds: Sequence[int]
    ) -> list[Sound | SoundgenError]:
        """Make sounds, or say of each why it cannot be used.

        Where memory does not suffice, this and all later batches are smaller; a sound is the same
        in any batch.
        """
        made: list[Sound | SoundgenError] = []
        while len(made) < len(batch):
            part = slice(len(made), len(made) + self._batch_size)
            sounds = self._attempt(batch[part], seeds[part])
            if sounds is not None:
                made += sounds
                continue
            size = len(batch[part])
            if size == 1:
                made.append(
                    DeviceError(
                        f"'{batch[part][0].prompt}': not enough memory for this sound alone",
                        hint="ask for a shorter one, or free some memory",
                    )
                )
            else:
                self._batch_size = size // 2
                self._progress.notice(
                    f"not enough memory for {size} sounds at once; going on with {self._batch_size}"
                )
                self._progress.finish()
                self._start(batch[0].settings, len(batch) - len(made))
        return made

    def _attempt(
        self, batch: Sequence[SoundRequest], seeds: Sequence[int]
    ) -> list[Sound | SoundgenError] | None:
        """Make sounds in one batch; `None` where memory does not suffice."""
        settings = batch[0].settings
        origin = _origin(settings.source, self._read(settings.source))
        try:
            sounds = self._model.generate(
                [request.prompt for request in batch],
                duration_s=settings.told_s,
                seed=seeds,
                negative_prompt=settings.negative_prompt,
                settings=SamplingSettings(
                    temperature=settings.temperature,
                    top_k=settings.top_k,
                    top_p=settings.top_p,
                    cfg_scale=settings.cfg_scale,
                ),
                origin=origin,
                on_step=self._on_step,
            )
            return [_usable(sound, settings, origin) for sound in sounds]
        except (RuntimeError, MemoryError) as error:
            # Its traceback holds what was allocated: the next attempt must come after this block.
            if not is_out_of_memory(error):
                raise
        return None

    def _on_step(self) -> None:
        self._progress.advance()
        self._estimate.step()

    def _read(self, source: SoundSource | None) -> ReadSource | None:
        """Read a source; the last one is kept, since variations of one file come together."""
        if source is None:
            return None
        if self._source is None or self._source[0] != source:
            self._source = source, read_source(source, self._model.sample_rate)
        return self._source[1]


def _origin(source: SoundSource | None, read: ReadSource | None) -> Continuation | Variation | None:
    if source is None or read is None:
        return None
    if source.use == "continue":
        return Continuation(waveform=read.waveform, context_s=source.context_s)
    return Variation(waveform=read.waveform, strength=source.strength)


def _usable(
    sound: Sound, settings: GenerateSettings, origin: Continuation | Variation | None
) -> Sound | InputError:
    """Return the sound as asked for, or what is wrong: it is silent, or makes no loop."""
    new = sound.samples
    if isinstance(origin, Continuation):
        new = new[origin.waveform.num_samples :]
    # NaN compares as not above anything, so it counts as silent too.
    if not float(abs(new).max(initial=0.0)) > SILENT_PEAK:
        return InputError("came out silent")
    try:
        return sound.loop(settings.duration_s) if settings.loop else sound
    except InputError as error:
        return error
