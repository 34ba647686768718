"""A small classifier of sounds, trained on real clips: an ear that measures generated ones.

It serves measurements only; no model that ships is trained against it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from soundgen.config import from_dict, to_dict
from soundgen.errors import CheckpointError, InputError
from soundgen.evaluation.hearing import (
    Ear,
    cut_segments,
    segment_levels_db,
    worth_hearing,
)
from soundgen.files import atomic_path

CLASSES = (
    "rain",
    "thunder",
    "wind",
    "water",
    "fire",
    "birds",
    "footsteps",
    "explosion",
    "gunshot",
    "laser",
    "door",
    "engine",
    "bell",
    "drum",
)
"""The categories that generated sounds are judged by; chance is 1 / 14."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassifierConfig:
    """The classifier's features and size.

    Attributes:
        classes: Names of the outputs.
        sample_rate: Hz.
        window: STFT window, samples.
        hop_length: Samples from one STFT frame to the next.
        num_mels: Mel bands M.
        segment_frames: STFT frames L that it hears at once (120 are 3 s).
        range_db: Depth below the loudest point of a segment that it can hear.
        channels: Width of the four convolution blocks.
        dropout: Before the output layer.
    """

    classes: tuple[str, ...] = CLASSES
    sample_rate: int = 16000
    window: int = 1024
    hop_length: int = 400
    num_mels: int = 64
    segment_frames: int = 120
    range_db: float = 70.0
    channels: tuple[int, ...] = (24, 48, 96, 128)
    dropout: float = 0.2


class SoundClassifier(Ear):
    """Log-mel spectrum -> four strided convolution blocks -> mean and maximum over time -> class.

    Args:
        config: Features and size.
    """

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__(config)
        self.config = config
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(2 * self.width, len(config.classes))

    def magnitudes(self, wav: Tensor) -> Tensor:
        """Return the mel magnitudes of whole clips.

        Args:
            wav: float32 `[B, T]` at `config.sample_rate`.

        Returns:
            float32 `[B, M, T // hop_length + 1]`, linear, at least 0.
        """
        return self.log_mel.magnitudes(wav)

    def hearing(self, magnitudes: Tensor) -> Tensor:
        """Return segments `[B, M, L]` of magnitudes as the network hears them, see `LogMel`."""
        heard: Tensor = self.log_mel(magnitudes)
        return heard

    def forward(self, spectrum: Tensor) -> Tensor:
        """Return class scores.

        Args:
            spectrum: `[B, M, L]` from `hearing`.

        Returns:
            Logits `[B, len(classes)]`.
        """
        logits: Tensor = self.output(self.dropout(self.features(spectrum)))
        return logits

    def features(self, spectrum: Tensor) -> Tensor:
        """Return what the output layer sees of segments `[B, M, L]`: `[B, 2 * D]`, at least 0."""
        return self.pooled(spectrum)

    @torch.no_grad()
    def probabilities(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Classify a clip of any length: the mean over its segments that are not near silence.

        Args:
            samples: float32 `[T]` at `config.sample_rate`.

        Returns:
            float32 `[len(classes)]`, summing to 1.

        Raises:
            InputError: The clip is empty, silent or holds values that are not finite.
        """
        mean: NDArray[np.float32] = self.clip_probabilities(self._whole(samples)).numpy()
        return mean

    @torch.no_grad()
    def embedding(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the mean of `features` over the segments of a clip, of length 1.

        Args:
            samples: float32 `[T]` at `config.sample_rate`.

        Returns:
            float32 `[2 * D]`.

        Raises:
            InputError: The clip is empty, silent or holds values that are not finite.
        """
        self.eval()
        loud = self._worth_hearing(self._whole(samples))
        mean: NDArray[np.float32] = F.normalize(self.features(loud).mean(dim=0), dim=0).numpy()
        return mean

    @torch.no_grad()
    def clip_probabilities(self, magnitudes: Tensor) -> Tensor:
        """Classify a clip by its spectrum.

        Args:
            magnitudes: float32 `[M, L]` of the whole clip, not silent.

        Returns:
            float32 `[len(classes)]`, summing to 1.
        """
        self.eval()
        mean: Tensor = self(self._worth_hearing(magnitudes)).softmax(dim=1).mean(dim=0)
        return mean

    def _whole(self, samples: NDArray[np.float32]) -> Tensor:
        """Return the magnitudes `[M, L]` of a clip `[T]`."""
        if not samples.size or not np.isfinite(samples).all() or not np.any(samples):
            raise InputError("a clip that is empty, silent or not finite has no class")
        return self.magnitudes(torch.from_numpy(samples)[None])[0]

    def _worth_hearing(self, magnitudes: Tensor) -> Tensor:
        """Return the segments of a clip `[M, L]` that are not near silence, as `hearing` does."""
        segments = cut_segments(magnitudes, self.config.segment_frames)
        return self.hearing(segments[worth_hearing(segment_levels_db(segments))])


def save_classifier(classifier: SoundClassifier, path: Path) -> None:
    """Write weights and config to one safetensors file, whole or not at all."""
    with atomic_path(path) as temporary:
        save_file(
            {name: tensor.contiguous() for name, tensor in classifier.state_dict().items()},
            temporary,
            metadata={"config": json.dumps(to_dict(classifier.config))},
        )


def load_classifier(path: Path) -> SoundClassifier:
    """Read what `save_classifier` wrote.

    Raises:
        CheckpointError: The file is missing, damaged or not a classifier's.
    """
    try:
        with safe_open(path, framework="pt") as file:
            config = (file.metadata() or {})["config"]
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        classifier = SoundClassifier(from_dict(ClassifierConfig, json.loads(config), str(path)))
        classifier.load_state_dict(tensors)
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{path}: is not a classifier ({type(error).__name__})",
            hint="python benchmarks/class_accuracy.py train --data DATA --out FILE",
        ) from error
    return classifier.eval()
