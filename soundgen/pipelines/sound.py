"""A sound that a model made: its samples, how it was made, and what can be done with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soundgen.audio.finish import FinishedSound, FinishSettings, finish
from soundgen.audio.html import sound_html
from soundgen.audio.io import check_loop_format, pcm_subtype, write_audio
from soundgen.audio.loop import CROSSFADE_S, Seam, make_loop
from soundgen.audio.waveform import Waveform
from soundgen.errors import InputError
from soundgen.pipelines.making import making_tags


@dataclass(frozen=True)
class Sound:
    """A generated sound.

    Attributes:
        samples: float32 `[T]` in [-1, 1].
        sample_rate: Hz.
        prompt: What was asked for.
        seed: What it was drawn with.
        making: What else makes it again: settings, model, machine. Goes into its file's tags.
        seam: How its end runs into its beginning, if it is a loop.
    """

    samples: NDArray[np.float32]
    sample_rate: int
    prompt: str
    seed: int
    making: Mapping[str, Any] = field(default_factory=dict)
    seam: Seam | None = None

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate

    @property
    def waveform(self) -> Waveform:
        """Samples `[1, T]` and their rate."""
        return Waveform(self.samples[None], self.sample_rate)

    def loop(self, duration_s: float | None = None) -> Sound:
        """Return a seamless loop cut from this sound, which has to be longer than that.

        What follows its end is crossfaded over its beginning, half a second long; the place is
        chosen where both are most alike.

        Args:
            duration_s: Exact length; as long as can be if `None`.

        Raises:
            InputError: The sound is too short, or the seam would be heard: the level or the
                spectrum changes there more than anywhere else.
        """
        crossfade_s = min(CROSSFADE_S, self.duration_s / 3)
        wanted_s = self.duration_s - crossfade_s if duration_s is None else duration_s
        num_samples = max(1, round(wanted_s * self.sample_rate))
        samples, seam = make_loop(self.samples, self.sample_rate, num_samples)
        if seam.fault:
            raise InputError(f"no loop: {seam.fault}", hint="try another seed, or other words")
        making = {
            **self.making,
            "duration_s": num_samples / self.sample_rate if duration_s is None else duration_s,
            "loop": True,
            "seam": asdict(seam),
        }
        return replace(self, samples=samples, making=making, seam=seam)

    def _repr_html_(self) -> str:
        """Return a player, and a picture where matplotlib is there: what notebooks show."""
        return sound_html(
            self.waveform,
            self.prompt,
            f"seed {self.seed}, {self.duration_s:.2f} s",
            is_loop=self.seam is not None,
        )

    def save(self, path: str | Path, settings: FinishSettings | None = None) -> FinishedSound:
        """Finish the sound and write it; the suffix picks wav, flac, ogg, opus or mp3.

        Args:
            path: Where; an existing file is replaced.
            settings: Trim, rate, fades, level, channels, bit depth; only 5 ms of fade if `None`.
                A loop takes no trim and no fades, and its WAV has loop points.

        Returns:
            What was written, how loud it is, and what of the settings could not be had.

        Raises:
            SoundgenError: The format is unknown or cannot hold a loop, or the file cannot be
                written.
        """
        path, settings = Path(path), settings or FinishSettings()
        is_loop = self.seam is not None
        if is_loop:
            check_loop_format(path)
        finished = finish(self.waveform, settings, is_loop=is_loop)
        making = {
            "prompt": self.prompt,
            "seed": self.seed,
            **self.making,
            "finish": asdict(settings),
            "true_peak_dbtp": finished.true_peak_dbtp,
            "loudness_lufs": finished.loudness_lufs,
        }
        write_audio(
            path,
            finished.waveform,
            subtype=pcm_subtype(path, settings.bit_depth),
            tags=making_tags(making),
            is_loop=is_loop,
        )
        return finished
