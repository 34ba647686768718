"""What a dataset holds, whether its files are whole, and who made them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from soundgen.audio.io import read_audio
from soundgen.audio.resample import to_mono
from soundgen.data.manifest import SPLITS, Clip, pcm16_digest, read_manifest
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
    durations = [clip.duration for clip in clips]
    splits = _shares(clips, lambda clip: clip.split)
    return DatasetStats(
        data=data,
        total=_share(clips),
        splits={split: splits[split] for split in SPLITS if split in splits},
        categories=_shares(clips, lambda clip: clip.category),
        licenses=_shares(clips, lambda clip: clip.license or UNKNOWN),
        duration_s={
            name: round(float(np.quantile(durations, q)), 4) for name, q in _QUANTILES.items()
        },
        num_captions=sum(len(clip.captions) for clip in clips),
        num_authors=len({clip.author for clip in clips if clip.author}),
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
    clips = read_manifest(data)
    groups: dict[tuple[str, str, str], list[Clip]] = defaultdict(list)
    for clip in clips:
        key = (clip.license or UNKNOWN, clip.source or UNKNOWN, clip.author or UNKNOWN)
        groups[key].append(clip)
    order = sorted(groups.items(), key=lambda item: (item[0][0], -len(item[1]), item[0]))
    return LicenseReport(
        data=data,
        licenses=_shares(clips, lambda clip: clip.license or UNKNOWN),
        credits=tuple(
            Credit(
                license=key[0], source=key[1], author=key[2], clips=len(group), hours=_hours(group)
            )
            for key, group in order
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


def _shares(clips: Iterable[Clip], key: Callable[[Clip], str]) -> dict[str, Share]:
    groups: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        groups[key(clip)].append(clip)
    order = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    return {name: _share(group) for name, group in order}


def _share(clips: Sequence[Clip]) -> Share:
    return Share(
        clips=len(clips), hours=_hours(clips), recordings=len({clip.recording for clip in clips})
    )


def _hours(clips: Iterable[Clip]) -> float:
    return round(sum(clip.duration for clip in clips) / 3600, 4)
