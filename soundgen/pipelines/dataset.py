"""What a dataset holds, whether its files are whole, and who made them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from soundgen.audio.io import read_audio
from soundgen.audio.resample import to_mono
from soundgen.data.manifest import SPLITS, Clip, Manifest, pcm16_digest, read_manifest
from soundgen.errors import InputError
from soundgen.pipelines.pool import default_jobs, run_jobs
from soundgen.progress import Progress, SilentProgress

UNKNOWN = "unknown"
# Manifests round durations to a tenth of a millisecond.
_DURATION_TOLERANCE_S = 1e-3
_QUANTILES = {"min": 0.0, "p10": 0.1, "median": 0.5, "p90": 0.9, "max": 1.0}
# Reading a clip takes a millisecond or two, a process a second to start.
_CLIPS_WORTH_A_PROCESS = 500


@dataclass(frozen=True, kw_only=True)
class Share:
    """Part of a dataset: its clips, their hours and recordings."""

    clips: int
    hours: float
    recordings: int


@dataclass(frozen=True, kw_only=True)
class DatasetStats:
    """What a dataset holds.

    Attributes:
        data: The dataset.
        total: All of it.
        splits: Split -> share.
        categories: Category -> share, the largest first.
        licenses: Licence -> share, the largest first.
        duration_s: "min", "p10", "median", "p90", "max" -> s.
        num_captions: Captions of all clips.
        num_authors: Different authors, not counting unknown ones.
    """

    data: Path
    total: Share
    splits: dict[str, Share]
    categories: dict[str, Share]
    licenses: dict[str, Share]
    duration_s: dict[str, float]
    num_captions: int
    num_authors: int


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is wrong with a clip."""

    path: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class VerifyReport:
    """Whether a dataset is whole: `problems` is empty if so."""

    data: Path
    num_clips: int
    hours: float
    problems: tuple[Problem, ...]


@dataclass(frozen=True, kw_only=True)
class Credit:
    """Whose clips a dataset holds, by licence, source and author ("unknown" where not given)."""

    license: str
    source: str
    author: str
    clips: int
    hours: float


@dataclass(frozen=True, kw_only=True)
class LicenseReport:
    """Who made a dataset: the credits, most clips first within a licence."""

    data: Path
    licenses: dict[str, Share]
    credits: tuple[Credit, ...]


def dataset_stats(data: Path) -> DatasetStats:
    """Count a dataset by its manifest; a manifest that cannot be read is an `InputError`."""
    clips = read_manifest(data)
    total = _Tally()
    splits, categories, licenses = _Tallies(), _Tallies(), _Tallies()
    num_captions, authors = 0, set()
    for clip in clips:  # once: of a million, each reading takes a while
        total.add(clip)
        splits[clip.split].add(clip)
        categories[clip.category].add(clip)
        licenses[clip.license or UNKNOWN].add(clip)
        num_captions += len(clip.captions)
        authors.add(clip.author)
    durations = clips.columns.durations
    shares = splits.shares()
    return DatasetStats(
        data=data,
        total=total.share(),
        splits={split: shares[split] for split in SPLITS if split in shares},
        categories=categories.shares(),
        licenses=licenses.shares(),
        duration_s={
            name: round(float(np.quantile(durations, q)), 4) for name, q in _QUANTILES.items()
        },
        num_captions=num_captions,
        num_authors=len(authors - {None, ""}),
    )


def verify_dataset(
    data: Path, *, jobs: int | None = None, progress: Progress = SilentProgress()
) -> VerifyReport:
    """Read every file of a dataset and compare it with the manifest.

    A file must exist, decode to its end, and have the length and the samples that the manifest
    says; a recording must lie in one split. A manifest that cannot be read is an `InputError`.

    Args:
        data: The dataset, or its manifest.
        jobs: Processes to use; all processors if `None`.
        progress: Who listens.
    """
    clips = read_manifest(data)
    folder = data if data.is_dir() else data.parent
    tasks = [(folder, clip) for clip in clips]
    num_processes = min(jobs or default_jobs(), 1 + len(clips) // _CLIPS_WORTH_A_PROCESS)
    problems = _split_problems(clips)
    progress.start("verifying", len(clips))
    with closing(run_jobs(verify_clip, tasks, num_processes)) as results:
        for (_, clip), reason in results:
            if reason != "":
                problems.append(Problem(path=clip.path, reason=reason or "crashes its decoder"))
            progress.advance()
    progress.finish()
    return VerifyReport(
        data=data,
        num_clips=len(clips),
        hours=_hours(clips),
        problems=tuple(sorted(problems, key=lambda problem: (problem.path, problem.reason))),
    )


def verify_clip(task: tuple[Path, Clip]) -> str:
    """Return what is wrong with a clip of the dataset in a folder; nothing if it is whole."""
    folder, clip = task
    path = folder / clip.path
    try:
        waveform = to_mono(read_audio(path))
    except InputError as error:
        return error.message.removeprefix(f"{path}: ")
    if abs(waveform.duration_s - clip.duration) > _DURATION_TOLERANCE_S:
        return f"lasts {waveform.duration_s:.4f} s, the manifest says {clip.duration:.4f} s"
    if pcm16_digest(waveform.samples[0]) != clip.sha1_pcm16:
        return "its samples are not those that the manifest was written for"
    return ""


def dataset_licenses(data: Path) -> LicenseReport:
    """Say who made a dataset; a manifest that cannot be read is an `InputError`."""
    groups: dict[tuple[str, str, str], _Tally] = defaultdict(_Tally)
    licenses = _Tallies()
    for clip in read_manifest(data):
        name = clip.license or UNKNOWN
        licenses[name].add(clip)
        groups[name, clip.source or UNKNOWN, clip.author or UNKNOWN].add(clip)
    order = sorted(groups.items(), key=lambda item: (item[0][0], -item[1].clips, item[0]))
    return LicenseReport(
        data=data,
        licenses=licenses.shares(),
        credits=tuple(
            Credit(
                license=key[0],
                source=key[1],
                author=key[2],
                clips=tally.clips,
                hours=tally.share().hours,
            )
            for key, tally in order
        ),
    )


def _split_problems(clips: Iterable[Clip]) -> list[Problem]:
    splits: dict[str, Counter[str]] = defaultdict(Counter)
    for clip in clips:
        splits[clip.recording][clip.split] += 1
    return [
        Problem(path="", reason=f"recording {name!r} lies in {' and '.join(sorted(found))}")
        for name, found in splits.items()
        if len(found) > 1
    ]


@dataclass
class _Tally:
    """Counts clips."""

    clips: int = 0
    seconds: float = 0.0
    recordings: set[str] = field(default_factory=set)

    def add(self, clip: Clip) -> None:
        self.clips += 1
        self.seconds += clip.duration
        self.recordings.add(clip.recording)

    def share(self) -> Share:
        return Share(
            clips=self.clips, hours=round(self.seconds / 3600, 4), recordings=len(self.recordings)
        )


class _Tallies(defaultdict[str, _Tally]):
    """Counts clips by name."""

    def __init__(self) -> None:
        super().__init__(_Tally)

    def shares(self) -> dict[str, Share]:
        order = sorted(self.items(), key=lambda item: (-item[1].clips, item[0]))
        return {name: tally.share() for name, tally in order}


def _hours(clips: Manifest) -> float:
    return round(float(clips.columns.durations.sum()) / 3600, 4)
