"""The sounds that `eval lm` compares: the model's own, and those of five baselines, all heard."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from soundgen.audio.io import read_mono
from soundgen.audio.waveform import Waveform
from soundgen.codec.model import Codec
from soundgen.data.manifest import Clip
from soundgen.data.prompt_list import JudgedPrompt
from soundgen.evaluation.contact_sheet import SheetRow, draw_sheet
from soundgen.evaluation.lm_report import (
    GENERATED,
    OTHERS,
    REAL,
    RETRIEVED,
    ROUND_TRIP,
    UNPROMPTED,
)
from soundgen.evaluation.sound_set import MAX_HEARD_S, HeardSound, SoundSet
from soundgen.pipelines.listening import Listener
from soundgen.pipelines.model import MIN_AUTO_S
from soundgen.pipelines.train_matcher import embed_texts
from soundgen.progress import Progress
from soundgen.text.encoder import TextEncoder

_MAX_OTHERS = 64
_MAX_SHEET_SEEDS = 8


@dataclass(frozen=True)
class SoundSources:
    """Plays every source to the listener.

    Attributes:
        listener: Hears.
        codec: What real clips are sent through.
        n_q: With so many codebooks.
        text_encoder: Finds the nearest captions.
        root: Folder that the clips' paths are relative to.
        train: Clips that the model was trained on.
        real: Held-out clips of the prompts' categories.
        prompts: What was asked for.
        progress: Listens.
    """

    listener: Listener
    codec: Codec
    n_q: int
    text_encoder: TextEncoder
    root: Path
    train: Sequence[Clip]
    real: Sequence[Clip]
    prompts: Sequence[JudgedPrompt]
    progress: Progress

    def generated(self, outputs: Sequence[Sequence[Path]], failed: Collection[Path]) -> SoundSet:
        """Hear the model's sounds.

        Args:
            outputs: Files of each prompt.
            failed: Those that came out silent; what stands there is no answer.
        """
        files = [path for row in outputs for path in row]
        bounds = np.cumsum([0, *(len(row) for row in outputs)]).tolist()
        rows = [tuple(range(start, stop)) for start, stop in pairwise(bounds)]
        return SoundSet(GENERATED, self._hear_files(files, failed), tuple(rows))

    def unprompted(self, outputs: Sequence[Path], failed: Collection[Path]) -> SoundSet:
        """Hear what the model makes without a prompt: an answer to any of them, if to one."""
        return self._answers_to_all(UNPROMPTED, self._hear_files(outputs, failed))

    def others(self) -> SoundSet:
        """Hear training clips of categories that no prompt names, from all over the manifest."""
        named = {prompt.category for prompt in self.prompts}
        clips = [clip for clip in self.train if clip.category not in named]
        count = min(_MAX_OTHERS, len(clips))
        chosen = [clips[number * len(clips) // count] for number in range(count)]
        return self._answers_to_all(OTHERS, self._hear_clips(chosen))

    def retrieved(self, num_each: int) -> SoundSet:
        """Hear, for each prompt, the training clips whose captions are nearest to it."""
        similarity = self._caption_similarity()
        # Stable, so that clips with one caption keep the manifest's order.
        ranked = np.argsort(-similarity, axis=1, kind="stable")[:, :num_each]
        chosen = sorted(set(ranked.ravel().tolist()))
        places = {clip: place for place, clip in enumerate(chosen)}
        sounds = self._hear_clips([self.train[clip] for clip in chosen])
        rows = tuple(tuple(places[clip] for clip in row) for row in ranked.tolist())
        return SoundSet(RETRIEVED, sounds, rows)

    def real_and_round_trips(self) -> tuple[SoundSet, SoundSet]:
        """Hear held-out clips, and what the codec makes of them."""
        rows = tuple(
            tuple(
                number
                for number, clip in enumerate(self.real)
                if prompt.category is not None and clip.category == prompt.category
            )
            for prompt in self.prompts
        )
        real, trips = [], []
        self.progress.start("hearing real clips and round trips", len(self.real))
        for clip in self.real:
            sound = self.read(self.root / clip.path)
            real.append(self.listener.hear(sound, clip.recording))
            trips.append(self.listener.hear(self._round_trip(sound), clip.recording))
            self.progress.advance()
        self.progress.finish()
        return SoundSet(REAL, tuple(real), rows), SoundSet(ROUND_TRIP, tuple(trips), rows)

    def draw(self, outputs: Sequence[Sequence[Path]], path: Path) -> None:
        """Draw each prompt's first sounds, and a real clip of its category in the last column.

        Args:
            outputs: Files of each prompt; as many for each.
            path: The contact sheet; an existing one is replaced.
        """
        rows = []
        for prompt, files in zip(self.prompts, outputs, strict=True):
            shown = [
                self.read(file) if file.is_file() else None for file in files[:_MAX_SHEET_SEEDS]
            ]
            same = [clip for clip in self.real if clip.category == prompt.category]
            shown.append(self.read(self.root / same[0].path) if same else None)
            rows.append(SheetRow(prompt.prompt, tuple(shown)))
        heads = [f"seed {file.stem}" for file in outputs[0][:_MAX_SHEET_SEEDS]]
        lengths = [sound.duration_s for row in rows for sound in row.sounds if sound is not None]
        longest = max([MIN_AUTO_S, *lengths])
        draw_sheet(rows, [*heads, "real"], path, span_s=min(longest, MAX_HEARD_S))

    def read(self, path: Path) -> Waveform:
        """Return a sound `[1, T]` at the codec's rate."""
        return read_mono(path, self.codec.config.sample_rate)[0]

    def _caption_similarity(self) -> NDArray[np.float32]:
        """Return the cosine of each prompt with each training clip's nearest caption, `[P, N]`."""
        texts = embed_texts(self.text_encoder, self.train, self.progress)
        prompts = self.text_encoder.encode([prompt.prompt for prompt in self.prompts]).pooled
        similar = (prompts.cpu() @ texts.vectors.T).numpy()
        rows = [[texts.rows[caption] for caption in clip.captions] for clip in self.train]
        return np.stack([similar[:, row].max(axis=1) for row in rows], axis=1)

    def _round_trip(self, sound: Waveform) -> Waveform:
        """Return the first seconds of a sound, encoded and decoded, and its tail as it was.

        Only the beginning is listened to; the rest keeps the length.
        """
        most = round(MAX_HEARD_S * sound.sample_rate)
        head = np.ascontiguousarray(sound.samples[:, :most])
        with torch.no_grad():
            codes = self.codec.encode(torch.from_numpy(head)[None], self.n_q)
            decoded = self.codec.decode(codes)[0, :, : head.shape[1]].cpu().numpy()
        samples = np.concatenate([decoded, sound.samples[:, most:]], axis=1)
        return Waveform(samples, sound.sample_rate)

    def _hear_files(
        self, paths: Sequence[Path], failed: Collection[Path]
    ) -> tuple[HeardSound, ...]:
        self.progress.start("hearing the model's sounds", len(paths))
        heard = []
        for path in paths:
            rate = self.codec.config.sample_rate
            silence = Waveform(np.zeros((1, 0), np.float32), rate)
            sound = silence if path in failed else self.read(path)
            heard.append(self.listener.hear(sound, str(path)))
            self.progress.advance()
        self.progress.finish()
        return tuple(heard)

    def _hear_clips(self, clips: Iterable[Clip]) -> tuple[HeardSound, ...]:
        return tuple(
            self.listener.hear(self.read(self.root / clip.path), clip.recording) for clip in clips
        )

    def _answers_to_all(self, name: str, sounds: tuple[HeardSound, ...]) -> SoundSet:
        return SoundSet(name, sounds, (tuple(range(len(sounds))),) * len(self.prompts))
