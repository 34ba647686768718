"""Train the classifier that measures generated sounds, on the real clips of a dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from soundgen.audio.io import read_mono
from soundgen.data.manifest import Clip, Split, read_manifest
from soundgen.evaluation.classifier import CLASSES, ClassifierConfig, SoundClassifier
from soundgen.evaluation.classifier_training import (
    LabelledClip,
    TrainingReport,
    TrainingSettings,
    train_classifier,
)
from soundgen.progress import Progress


def train_on_dataset(
    data: Path,
    settings: TrainingSettings,
    *,
    classes: Sequence[str] = CLASSES,
    segment_frames: int | None = None,
    progress: Progress,
) -> tuple[SoundClassifier, TrainingReport]:
    """Train on the train split, and keep what did best on the valid one.

    Args:
        data: Folder with `manifest.jsonl`, or the file.
        settings: How to train.
        classes: The categories to tell apart.
        segment_frames: What it is to hear at once, where that is not the config's default: at most
            as long as the sounds it will judge, which it would hear as ended too early otherwise.
        progress: Listens.

    Raises:
        InputError: A class has no train clips, there are no valid ones, or a clip is damaged.
    """
    config = ClassifierConfig(classes=tuple(classes))
    if segment_frames is not None:
        config = replace(config, segment_frames=segment_frames)
    hearing = SoundClassifier(config)
    clips, root = read_manifest(data), data if data.is_dir() else data.parent
    train, valid = (list(_labelled(hearing, clips, root, split)) for split in ("train", "valid"))
    return train_classifier(train, valid, config=config, settings=settings, progress=progress)


@torch.no_grad()
def _labelled(
    hearing: SoundClassifier, clips: Sequence[Clip], root: Path, split: Split
) -> Iterator[LabelledClip]:
    config = hearing.config
    for clip in clips:
        if clip.split == split and clip.category in config.classes:
            samples = read_mono(root / clip.path, config.sample_rate)[0].samples
            magnitudes = hearing.magnitudes(torch.from_numpy(samples))[0].numpy()
            yield LabelledClip(magnitudes, config.classes.index(clip.category), clip.recording)


def classes_to_tell_apart(train: Sequence[Clip], named: Sequence[str | None]) -> tuple[str, ...]:
    """Return the standard classes, or of a dataset that lacks one the categories that are named.

    Args:
        train: Clips to learn from.
        named: Categories that sounds will be judged by.
    """
    known = {clip.category for clip in train}
    if known.issuperset(CLASSES):
        return CLASSES
    return tuple(sorted(name for name in set(named) if name in known))
