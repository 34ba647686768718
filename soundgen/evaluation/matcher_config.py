"""What fixes a matcher: its features and sizes. No torch here."""

from __future__ import annotations

from dataclasses import dataclass

SILENT = "is silent"
"""What the matcher says of a sound that it can read and has nothing to say about."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MatcherConfig:
    """The network that puts sounds and texts into one space."""

    sample_rate: int = 16_000
    """Hz."""
    window: int = 1024
    """STFT window, samples."""
    hop_length: int = 400
    """Samples from one STFT frame to the next: 40 frames a second."""
    num_mels: int = 64
    """Mel bands M."""
    segment_frames: int = 96
    """STFT frames L that it hears at once (2.4 s); longer sounds are several segments."""
    range_db: float = 70.0
    """Depth below the loudest point of a segment that it can hear."""
    channels: tuple[int, ...] = (24, 48, 96, 192)
    """Width of the convolution blocks; each halves bands and frames."""
    text_dim: int = 384
    """Width of the text encoder's pooled vector."""
    dim: int = 256
    """Width D of the space that both are put into."""
    dropout: float = 0.2
    """In the layers behind the pooling."""

    def __post_init__(self) -> None:
        """Refuse sizes that cannot work."""
        for name in ("sample_rate", "window", "hop_length", "num_mels", "text_dim", "dim"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.hop_length > self.window:
            raise ValueError(
                f"hop_length ({self.hop_length}) must be at most window ({self.window})"
            )
        if not self.channels or min(self.channels) < 1:
            raise ValueError(f"channels must be counts of 1 or more, got {self.channels}")
        if self.segment_frames < 2 ** len(self.channels):
            raise ValueError(
                f"segment_frames must be at least {2 ** len(self.channels)} "
                f"(2 ^ number of channels), got {self.segment_frames}"
            )
        if not 0 < self.range_db < float("inf"):
            raise ValueError(f"range_db must be above 0, got {self.range_db}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")
