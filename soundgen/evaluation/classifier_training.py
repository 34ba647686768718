"""Training of the classifier: few clips, hence many distortions that leave the class alone.

Their strengths were chosen on valid clips: about twice as strong, the valid loss ended at 1.30
instead of 1.24.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from soundgen.errors import InputError
from soundgen.evaluation.classifier import ClassifierConfig, SoundClassifier
from soundgen.progress import Progress
from soundgen.training.ema import WeightAverage
from soundgen.training.seeding import sample_rng, seed_step

_DISTORTIONS = 1 << 40
"""Draws for distortions are numbered from here, draws of clips from 0."""


@dataclass(frozen=True, slots=True)
class LabelledClip:
    """A clip in memory, as its spectrum: no step has to compute one.

    Attributes:
        magnitudes: `SoundClassifier.magnitudes` of the whole clip, float32 `[M, L]`.
        label: Index into the config's classes.
        recording: What it was cut from.
    """

    magnitudes: NDArray[np.float32]
    label: int
    recording: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingSettings:
    """How the classifier is trained.

    Attributes:
        num_epochs: At most; an epoch is `epoch_clips` draws.
        epoch_clips: Draws, as many from each class.
        batch_clips: Clips a step.
        learning_rate: Peak of AdamW's, reached after a tenth of the steps, then a cosine to 0.
        weight_decay: AdamW's.
        patience: Epochs without a better valid loss before training stops.
        mixup: Share of draws that are two clips of two classes with both labels.
        label_smoothing: Share of each label that is spread over all classes.
        average_decay: Of the moving average of weights, which is what is kept.
        seed: Draws and initial weights.
    """

    num_epochs: int = 30
    epoch_clips: int = 1120
    batch_clips: int = 16
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.05
    patience: int = 8
    mixup: float = 0.15
    label_smoothing: float = 0.05
    average_decay: float = 0.985
    seed: int = 0


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What training ended with.

    Attributes:
        epochs: Run.
        best_epoch: Whose weights were kept, counted from 1.
        valid_loss: Cross-entropy on the valid clips, a class weighing by the root of its size.
        valid_accuracy: Share of valid clips heard right.
    """

    epochs: int
    best_epoch: int
    valid_loss: float
    valid_accuracy: float


def train_classifier(
    train: Sequence[LabelledClip],
    valid: Sequence[LabelledClip],
    *,
    config: ClassifierConfig,
    settings: TrainingSettings,
    progress: Progress,
) -> tuple[SoundClassifier, TrainingReport]:
    """Train from scratch, keep the weights of the epoch with the lowest valid loss.

    Raises:
        InputError: A class has no train clip, or there are no valid clips.
    """
    missing = sorted(set(range(len(config.classes))) - {clip.label for clip in train})
    if missing or not valid:
        names = ", ".join(config.classes[label] for label in missing) or "all classes (valid)"
        raise InputError(f"no clips to learn from: {names}")
    seed_step(settings.seed, 0)
    model = SoundClassifier(config)
    # On CPU, convolutions of channels-last tensors take a quarter less time.
    for parameter in model.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    epoch_steps = settings.epoch_clips // settings.batch_clips
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        settings.learning_rate,
        total_steps=settings.num_epochs * epoch_steps,
        pct_start=0.1,
    )
    average = WeightAverage(model, decay=settings.average_decay)
    kept = SoundClassifier(config)
    report = TrainingReport(0, 0, float("inf"), 0.0)
    best: dict[str, Tensor] = {}
    draws = _Draws(train, config, settings)
    progress.start("training the classifier", settings.num_epochs * epoch_steps)
    for epoch in range(1, settings.num_epochs + 1):
        model.train()
        for step in range((epoch - 1) * epoch_steps, epoch * epoch_steps):
            magnitudes, target = draws.batch(step)
            scores = model(distort(model.hearing(magnitudes), draws.rng(step)))
            loss = F.cross_entropy(scores, target, label_smoothing=settings.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            average.update(model)
            progress.advance()
        kept.load_state_dict(average.shadow)
        valid_loss, accuracy = valid_scores(kept, valid)
        progress.metrics(epoch, {"valid_loss": valid_loss, "valid_accuracy": accuracy})
        if valid_loss < report.valid_loss:
            best = {name: value.clone() for name, value in average.shadow.items()}
            report = TrainingReport(epoch, epoch, valid_loss, accuracy)
        elif epoch - report.best_epoch >= settings.patience:
            break
    progress.finish()
    kept.load_state_dict(best)
    return kept.eval(), TrainingReport(
        epoch, report.best_epoch, report.valid_loss, report.valid_accuracy
    )


def valid_scores(classifier: SoundClassifier, clips: Sequence[LabelledClip]) -> tuple[float, float]:
    """Return cross-entropy, a class weighing by the root of its size, and the share heard right."""
    sizes = Counter(clip.label for clip in clips)
    total = sum(size**0.5 for size in sizes.values())
    loss, right = 0.0, 0
    for clip in clips:
        probabilities = classifier.clip_probabilities(torch.from_numpy(clip.magnitudes)).numpy()
        loss -= float(np.log(probabilities[clip.label] + 1e-9)) * sizes[clip.label] ** -0.5 / total
        right += int(probabilities.argmax()) == clip.label
    return loss, right / len(clips)


class _Draws:
    """Batches as functions of the step: the same number of clips from each class."""

    def __init__(
        self, clips: Sequence[LabelledClip], config: ClassifierConfig, settings: TrainingSettings
    ) -> None:
        self._config = config
        self._settings = settings
        self._by_class: list[list[LabelledClip]] = [[] for _ in config.classes]
        for clip in clips:
            self._by_class[clip.label].append(clip)
        # Recordings that were cut into many clips count by the root of their number.
        sizes = Counter((clip.label, clip.recording) for clip in clips)
        self._weights = []
        for members in self._by_class:
            weights = np.array([sizes[clip.label, clip.recording] ** -0.5 for clip in members])
            self._weights.append(weights / weights.sum())

    def rng(self, step: int) -> np.random.Generator:
        """Return the randomness of one step's distortions."""
        return sample_rng(self._settings.seed, _DISTORTIONS + step)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Return magnitudes float32 `[B, M, L]` and label shares float32 `[B, classes]`."""
        size, num_classes = self._settings.batch_clips, len(self._config.classes)
        shape = (size, self._config.num_mels, self._config.segment_frames)
        magnitudes = np.zeros(shape, np.float32)
        targets = np.zeros((size, num_classes), np.float32)
        for row in range(size):
            index = step * size + row
            rng = sample_rng(self._settings.seed, index)
            label = index % num_classes
            magnitudes[row] = self._draw(label, rng)
            targets[row, label] = 1.0
            if rng.random() < self._settings.mixup:
                other = int(rng.integers(num_classes))
                gain = 10 ** (rng.uniform(-15, 0) / 20)  # the first class stays the louder one
                magnitudes[row] += self._draw(other, rng) * np.float32(gain)
                targets[row] /= 1 + gain
                targets[row, other] += gain / (1 + gain)
        return torch.from_numpy(magnitudes), torch.from_numpy(targets)

    def _draw(self, label: int, rng: np.random.Generator) -> NDArray[np.float32]:
        members = self._by_class[label]
        clip = members[int(rng.choice(len(members), p=self._weights[label]))]
        return draw_segment(clip.magnitudes, self._config.segment_frames, rng)


def draw_segment(
    magnitudes: NDArray[np.float32], length: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return one segment of a clip, varied: speed, pitch, place, repetition, noise.

    Args:
        magnitudes: float32 `[M, L]`, linear.
        length: Frames of the segment.
        rng: All randomness comes from here.

    Returns:
        float32 `[M, length]`, loudest point 1 before noise.
    """
    M, L = magnitudes.shape
    speed = 2 ** rng.uniform(-0.3, 0.3) if rng.random() < 0.5 else 1.0
    wanted = max(1, min(int(length * speed), L))
    start = int(rng.integers(L - wanted + 1))
    frames = start + np.arange(max(1, min(length, round(wanted / speed)))) * speed
    segment = magnitudes[:, np.minimum(frames.astype(int), L - 1)]
    if rng.random() < 0.5:  # a band of 64 is about two semitones
        segment = np.roll(segment, int(rng.integers(-1, 2)), axis=0)
    segment = segment / (segment.max() + np.float32(1e-9))
    # A short sound may come again, as steps and shots do; most stand alone somewhere.
    if segment.shape[1] < length // 2 and rng.random() < 0.15:
        gap = np.zeros((M, int(rng.integers(length // 5 + 1))), np.float32)
        unit = np.concatenate([segment, gap], axis=1)
        segment = np.tile(unit, (1, int(rng.integers(2, 6))))[:, :length]
    # Generated sounds begin at once, so most draws do.
    start = int(rng.integers(length - segment.shape[1] + 1)) if rng.random() < 0.4 else 0
    result = np.zeros((M, length), np.float32)
    result[:, start : start + segment.shape[1]] = segment
    if rng.random() < 0.3:  # a noise floor, rising with the width of the bands
        level = 10 ** (-rng.uniform(20, 60) / 20) * np.linspace(0.3, 1.0, M)[:, None]
        result += (rng.rayleigh(0.8, result.shape) * level).astype(np.float32)
    return result


def distort(spectrum: Tensor, rng: np.random.Generator) -> Tensor:
    """Vary spectra as codecs, microphones and rooms do.

    Args:
        spectrum: `[B, M, L]` in [-1, 0], see `SoundClassifier.hearing`.
        rng: All randomness comes from here.

    Returns:
        The same shape and range: coloured, low-passed, smeared in time, roughened, masked.
    """
    spectrum = spectrum.clone()
    B, M, L = spectrum.shape
    bands = np.linspace(0, 1, M)
    for row in range(B):
        if rng.random() < 0.5:  # colour: a smooth curve of some 3 dB
            curve = np.interp(bands, np.linspace(0, 1, 5), rng.normal(0, 0.04, 5))
            spectrum[row] += torch.from_numpy(curve.astype(np.float32))[:, None]
        if rng.random() < 0.15:  # low-pass from 2 kHz (band 0.55 of 1) up
            slope = np.minimum(0, (rng.uniform(0.55, 1.0) - bands) * rng.uniform(2, 8))
            spectrum[row] += torch.from_numpy(slope.astype(np.float32))[:, None]
        if rng.random() < 0.25:  # smear: three frames' mean, as a decoder's window does
            padded = F.pad(spectrum[row][None], (1, 1), mode="replicate")
            spectrum[row] = F.avg_pool1d(padded, 3, 1)[0]
        if rng.random() < 0.4:  # roughness of a quantizer: up to 4 dB a point
            noise = rng.standard_normal((M, L), dtype=np.float32) * np.float32(rng.uniform(0, 0.06))
            spectrum[row] += torch.from_numpy(noise)
        if rng.random() < 0.5:
            width = int(rng.integers(1, M // 6))
            low = int(rng.integers(M - width))
            spectrum[row, low : low + width] = -1.0
    top = spectrum.amax(dim=(1, 2), keepdim=True)
    return (spectrum - top).clamp(-1.0, 0.0)
