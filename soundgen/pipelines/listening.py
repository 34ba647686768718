"""Hear sounds as `eval lm` measures them: a classifier's word, and a vector to compare them by."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import save_file

from soundgen.audio.io import read_mono
from soundgen.audio.resample import resample
from soundgen.audio.waveform import Waveform
from soundgen.data.fingerprint import SAMPLE_RATE as FINGERPRINT_RATE
from soundgen.data.fingerprint import fingerprint
from soundgen.data.manifest import Clip
from soundgen.data.near_duplicates import group_near_duplicates
from soundgen.errors import InputError
from soundgen.evaluation.classifier import SoundClassifier
from soundgen.evaluation.confusion import NOTHING
from soundgen.evaluation.sound_set import MAX_HEARD_S, HeardSound, silence_share
from soundgen.files import atomic_path
from soundgen.pipelines.model import LoadedMatcher
from soundgen.progress import Progress


@dataclass(frozen=True)
class Listener:
    """The two networks that sounds are played to.

    Attributes:
        classifier: Names a class.
        matcher: Its vectors compare sounds, and sounds with texts; without one the classifier's
            features compare sounds, and nothing compares texts.
        digest: Of the network that the vectors come from; hex.
    """

    classifier: SoundClassifier
    matcher: LoadedMatcher | None
    digest: str

    def hear(self, sound: Waveform, recording: str) -> HeardSound:
        """Measure one sound `[1, T]`; of a long one the beginning."""
        whole_s = sound.duration_s
        heard = Waveform(
            sound.samples[:, : round(MAX_HEARD_S * sound.sample_rate)], sound.sample_rate
        )
        return HeardSound(
            duration_s=whole_s,
            silence_share=silence_share(heard.samples[0], heard.sample_rate),
            heard=self.name(heard),
            embedding=self.embed(heard),
            recording=recording,
        )

    def name(self, sound: Waveform) -> str:
        """Return the class heard in a sound `[1, T]`, or `NOTHING` in a silent one."""
        config = self.classifier.config
        try:
            shares = self.classifier.probabilities(resample(sound, config.sample_rate).samples[0])
        except InputError:
            return NOTHING
        return config.classes[int(shares.argmax())]

    def embed(self, sound: Waveform) -> NDArray[np.float32]:
        """Return the vector `[D]` of a sound `[1, T]`, of length 1; zeros for a silent one."""
        try:
            if self.matcher is None:
                samples = resample(sound, self.classifier.config.sample_rate).samples[0]
                return self.classifier.embedding(samples)
            network = self.matcher.matcher
            vector = network.embed_stream([resample(sound, network.config.sample_rate).samples[0]])
        except InputError:
            return np.zeros(self.dim, np.float32)
        embedding: NDArray[np.float32] = vector.numpy()
        return embedding

    @property
    def dim(self) -> int:
        """Width D of the vectors."""
        if self.matcher is None:
            return 2 * self.classifier.config.channels[-1]
        return self.matcher.matcher.config.dim


class HeardClips(NamedTuple):
    """The clips that a model was trained on, heard in pieces.

    Attributes:
        embeddings: One vector a piece, float32 `[N, D]`.
        clips: Which clip each piece is of, int64 `[N]`.
        recordings: A number for the recording of each clip, int64 `[num_clips]`: equal where the
            manifest says so, and where two clips are near-duplicates.
    """

    embeddings: NDArray[np.float32]
    clips: NDArray[np.int64]
    recordings: NDArray[np.int64]


def hear_training_clips(
    listener: Listener,
    root: Path,
    clips: Sequence[Clip],
    *,
    dataset: str,
    cache: Path,
    progress: Progress,
) -> HeardClips:
    """Hear training clips whole, or read what was heard earlier.

    Args:
        listener: Whose vectors are wanted.
        root: Folder that the clips' paths are relative to.
        clips: All of the split.
        dataset: SHA-256 of the manifest.
        cache: File to keep the result in; another listener's or dataset's is replaced.
        progress: Listens.

    Raises:
        InputError: A clip is missing or damaged.
        OutputError: `cache` cannot be written.
    """
    key = json.dumps({"listener": listener.digest, "dataset": dataset})
    known = _read_cache(cache, key)
    if known is not None:
        return known
    embeddings: list[NDArray[np.float32]] = []
    owners, prints = [], []
    progress.start("hearing the training clips", len(clips))
    for number, clip in enumerate(clips):
        sound = read_mono(root / clip.path, FINGERPRINT_RATE)[0]
        prints.append(fingerprint(sound.samples[0]))
        for piece in pieces(sound):
            embeddings.append(listener.embed(piece))
            owners.append(number)
        progress.advance()
    progress.finish()
    heard = HeardClips(
        np.stack(embeddings),
        np.array(owners, np.int64),
        join_recordings([clip.recording for clip in clips], group_near_duplicates(prints)),
    )
    with atomic_path(cache) as temporary:
        save_file(heard._asdict(), temporary, metadata={"key": key})
    return heard


def pieces(sound: Waveform) -> list[Waveform]:
    """Cut a sound `[1, T]` into pieces of at most `MAX_HEARD_S`, all of one length."""
    length = sound.samples.shape[1]
    count = max(1, -(-length // round(MAX_HEARD_S * sound.sample_rate)))
    bounds = [length * number // count for number in range(count + 1)]
    return [
        Waveform(sound.samples[:, start:stop], sound.sample_rate)
        for start, stop in pairwise(bounds)
    ]


def join_recordings(names: Sequence[str], groups: Sequence[int]) -> NDArray[np.int64]:
    """Number recordings so that clips of one name, and clips of one group, share a number.

    Args:
        names: The recording of each clip.
        groups: For each clip the first clip of its near-duplicates.
    """
    # The same recording may have been collected from two places under two names.
    parents = list(range(len(names)))

    def find(clip: int) -> int:
        while parents[clip] != clip:
            clip = parents[clip]
        return clip

    first: dict[str, int] = {}
    for clip, (name, group) in enumerate(zip(names, groups, strict=True)):
        for other in (first.setdefault(name, clip), group):
            low, high = sorted((find(clip), find(other)))
            parents[high] = low
    return np.array([find(clip) for clip in range(len(names))], np.int64)


def _read_cache(path: Path, key: str) -> HeardClips | None:
    if not path.is_file():
        return None
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            if (file.metadata() or {}).get("key") != key:
                return None
            return HeardClips(*(file.get_tensor(name) for name in HeardClips._fields))
    except (OSError, safetensors.SafetensorError):
        return None  # damaged: it can be made again
