"""What `eval codec` reports: rates and distances over all clips, tonal ones, and each category."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

TONAL = ("piano", "bell", "pluck", "jingle", "notification", "beep", "alarm", "bass")
"""Categories whose sounds are partials more than noise: what low-rate codecs smear first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipMeasure:
    """One clip through one codec at one rate."""

    category: str
    duration_s: float
    size_bytes: int
    mel_distance: float
    log_spectral_distance_db: float
    si_sdr_db: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Measures:
    """Means over clips, each weighted by its seconds.

    Attributes:
        num_clips: How many.
        seconds: Of sound in all.
        kbps: All bytes of all files over all seconds, kbit/s.
        mel_distance: Multi-scale log-mel distance.
        log_spectral_distance_db: Window 2048.
        si_sdr_db: Of the waveform; below 0 where a codec keeps the spectrum and not the phase.
    """

    num_clips: int
    seconds: float
    kbps: float
    mel_distance: float
    log_spectral_distance_db: float
    si_sdr_db: float


@dataclass(frozen=True, kw_only=True, slots=True)
class RatePoint:
    """A codec at one rate.

    Attributes:
        codec: "soundgen" or "opus".
        n_q: Codebooks in use; `None` for Opus.
        nominal_kbps: Of soundgen the rate of its codes, of Opus what it was asked for; kbit/s.
        overall: All clips.
        tonal: Those of `TONAL`; `None` if there are none.
        categories: Category -> its clips.
    """

    codec: str
    n_q: int | None
    nominal_kbps: float
    overall: Measures
    tonal: Measures | None
    categories: dict[str, Measures]

    @property
    def label(self) -> str:
        """Its name in tables."""
        return f"opus {self.nominal_kbps:g}" if self.n_q is None else f"n_q {self.n_q}"


@dataclass(frozen=True, kw_only=True, slots=True)
class CodecReport:
    """A codec over a split of a dataset, beside Opus on the same clips.

    Attributes:
        model: Name of the model.
        codec_digest: SHA-256 of its codec.
        data: The dataset.
        split: Which of its splits.
        shortest_s: Clips shorter than this were left out.
        num_clips: Clips measured.
        seconds: Of sound in all.
        num_eligible: Clips that are long enough, measured or not.
        capacity_used: Entropy of each codebook's codes as a share of its bits.
        opus: Version of the encoder; `None` if Opus was not measured.
        points: By codec and rate.
    """

    model: str
    codec_digest: str
    data: str
    split: str
    shortest_s: float
    num_clips: int
    seconds: float
    num_eligible: int
    capacity_used: tuple[float, ...]
    opus: str | None
    points: tuple[RatePoint, ...]


@dataclass(kw_only=True)
class RateTally:
    """The clips of one rate, as they are measured."""

    codec: str
    n_q: int | None
    nominal_kbps: float
    clips: list[ClipMeasure] = field(default_factory=list)

    def point(self) -> RatePoint:
        """Return the means of what was counted; at least one clip."""
        by_category: dict[str, list[ClipMeasure]] = defaultdict(list)
        for clip in self.clips:
            by_category[clip.category].append(clip)
        tonal = [clip for clip in self.clips if clip.category in TONAL]
        return RatePoint(
            codec=self.codec,
            n_q=self.n_q,
            nominal_kbps=self.nominal_kbps,
            overall=mean_of(self.clips),
            tonal=mean_of(tonal) if tonal else None,
            categories={name: mean_of(by_category[name]) for name in sorted(by_category)},
        )


def mean_of(clips: Iterable[ClipMeasure]) -> Measures:
    """Return the means over `clips`, weighted by seconds; at least one clip."""
    clips = list(clips)
    seconds = sum(clip.duration_s for clip in clips)

    def mean(name: str) -> float:
        total: float = sum(getattr(clip, name) * clip.duration_s for clip in clips)
        return total / seconds

    return Measures(
        num_clips=len(clips),
        seconds=seconds,
        kbps=sum(clip.size_bytes for clip in clips) * 8 / 1000 / seconds,
        mel_distance=mean("mel_distance"),
        log_spectral_distance_db=mean("log_spectral_distance_db"),
        si_sdr_db=mean("si_sdr_db"),
    )
