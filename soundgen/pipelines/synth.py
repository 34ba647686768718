"""A corpus from nothing: synthetic sounds in the same form as `prepare` gives recorded ones."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path

from soundgen.audio.io import write_audio
from soundgen.audio.waveform import Waveform
from soundgen.data.assemble import Assembly, Candidate, assemble
from soundgen.data.captions import Facts
from soundgen.data.fingerprint import SAMPLE_RATE, Fingerprint, fingerprint
from soundgen.data.manifest import SPLITS, pcm16_digest, write_manifest
from soundgen.data.synth.catalogue import KINDS, choose_kinds
from soundgen.data.synth.kind import Kind
from soundgen.data.synth.render import SYNTH_VERSION, plan, render
from soundgen.errors import OutputError, UsageError
from soundgen.files import check_space, write_json
from soundgen.pipelines.pool import default_jobs, run_jobs
from soundgen.pipelines.prepare_state import AUDIO_FOLDER, REPORT_NAME, remove_strays
from soundgen.pipelines.shards import check_shard, lock_merge, lock_work, mark_shard_done
from soundgen.pipelines.synth_state import (
    STATE_FOLDER,
    MadeClip,
    SynthJournal,
    SynthSettings,
    begin_corpus,
    check_corpus,
)
from soundgen.progress import Progress, SilentProgress

MAX_HOURS = 10_000.0
MAX_SEED = 2**63 - 1
LICENSE = "CC0-1.0"
# Starting a process takes as long as making about this much.
_SECONDS_WORTH_A_PROCESS = 120
# 16 bits a sample, which FLAC never exceeds by much, and what a file takes besides.
_BYTES_A_SECOND = 2 * SAMPLE_RATE
_BYTES_A_CLIP = 8192


@dataclass(frozen=True, kw_only=True)
class SynthReport:
    """What was made.

    Attributes:
        data: The dataset.
        finished: False if other shards have work to do before there is a manifest.
        seed: What it was drawn from.
        num_clips: Clips in the manifest.
        num_made: Clips that this run made; the others were there.
        hours: Length of all clips together.
        num_recordings: Different recordings: clips that sound alike count as one.
        splits: Split -> number of clips.
        kinds: Kind -> number of clips.
    """

    data: Path
    finished: bool = True
    seed: int
    num_clips: int = 0
    num_made: int
    hours: float = 0.0
    num_recordings: int = 0
    splits: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ClipJob:
    """A clip to make: number `number`, from 0, of `kind` in the corpus `seed`."""

    folder: Path
    seed: int
    kind: str
    number: int
    num_samples: int

    @property
    def path(self) -> str:
        """The file, relative to the dataset."""
        return f"{AUDIO_FOLDER}/{self.kind}/{self.kind}-{self.number:06d}.flac"


def synth(
    *,
    data: Path,
    hours: float,
    seed: int = 0,
    kinds: Sequence[str] = (),
    shard: tuple[int, int] | None = None,
    jobs: int | None = None,
    force: bool = False,
    progress: Progress = SilentProgress(),
) -> SynthReport:
    """Make a corpus of synthetic sounds, or go on with one that was interrupted.

    Each clip is a function of (seed, kind, number): the files are the same, byte by byte, whatever
    `jobs` is and however often the work was interrupted, and a longer corpus begins with the
    shorter one of its seed. Another processor or another numpy may round differently.

    Args:
        data: The dataset: a new or empty folder, or one to go on with.
        hours: Length of all clips together, at least; the last clip may exceed it.
        seed: What all is drawn from, from 0.
        kinds: Names of kinds or of families; all kinds if empty.
        shard: (i, n): make only the i-th of n parts of the clips, i from 1. The parts may run on
            several machines that share `data`; the last to end writes the manifest.
        jobs: Processes to use; all processors if `None`.
        force: Make a corpus that exists already anew.
        progress: Who listens.

    Raises:
        UsageError: A value is out of range, or there is no such kind.
        OutputError: `data` holds something else, or cannot hold this much.
    """
    _check_options(hours, seed, jobs)
    part = check_shard(shard, force=force)
    chosen = choose_kinds(kinds)
    names = tuple(kind.name for kind in chosen)
    settings = SynthSettings(seed=seed, kinds=names, synth_version=SYNTH_VERSION, hours=hours)
    check_corpus(data, settings, force=force)
    wanted = list(_jobs(data, seed, chosen, hours))
    mine = [job for number, job in enumerate(wanted) if part is None or part.takes(number)]
    with lock_work(data, data / STATE_FOLDER, part):
        begin_corpus(data, settings, force=force)
        journal = SynthJournal(data, part)
        done, num_made = _make_missing(data, mine, journal, jobs, progress)
        if part is None:
            return _finish(data, seed, wanted, done, num_made)
        if not mark_shard_done(data / STATE_FOLDER, part, {"hours": hours}):
            return SynthReport(data=data, finished=False, seed=seed, num_made=num_made)
    with lock_merge(data):
        # What the other shards made; also what has been removed since.
        done, more = _make_missing(data, wanted, journal, jobs, progress)
        return _finish(data, seed, wanted, done, num_made + more)


def _make_missing(
    data: Path,
    wanted: Sequence[ClipJob],
    journal: SynthJournal,
    jobs: int | None,
    progress: Progress,
) -> tuple[dict[str, MadeClip], int]:
    """Make the clips that are not there; return all that are, by path, and how many were made."""
    done = journal.load()
    missing = [job for job in wanted if job.path not in done]
    seconds = sum(job.num_samples for job in missing) / SAMPLE_RATE
    check_space(data, round(seconds * _BYTES_A_SECOND) + len(missing) * _BYTES_A_CLIP)
    enough = 1 + int(seconds / _SECONDS_WORTH_A_PROCESS)
    progress.start("making sounds", len(missing))
    with closing(_made(missing, min(jobs or default_jobs(), enough))) as results:
        for job, made in results:
            if made is None:
                raise OutputError(
                    f"{data / job.path}: the process that made it died",
                    hint="perhaps there is too little memory: use fewer --jobs",
                )
            done[job.path] = made
            journal.append(made)
            progress.advance()
    progress.finish()
    return done, len(missing)


def _made(
    jobs: Sequence[ClipJob], num_processes: int
) -> Generator[tuple[ClipJob, MadeClip | None]]:
    """Yield each clip as it is written; a single process is this one."""
    if num_processes > 1:
        yield from run_jobs(make_clip, jobs, num_processes)
    else:
        for job in jobs:
            yield job, make_clip(job)


def make_clip(job: ClipJob) -> MadeClip:
    """Make one clip and write it.

    Raises:
        OutputError: It cannot be written.
    """
    kind = KINDS[job.kind]
    samples = render(kind, job.seed, job.number, plan(kind, job.seed, job.number))
    write_audio(job.folder / job.path, Waveform(samples[None], SAMPLE_RATE))
    return MadeClip(
        path=job.path,
        num_samples=len(samples),
        sha1_pcm16=pcm16_digest(samples),
        fingerprint=fingerprint(samples).to_text(),
    )


def _jobs(data: Path, seed: int, kinds: Sequence[Kind], hours: float) -> Iterator[ClipJob]:
    """Yield one clip of each kind in turn, until they are as long as was asked for."""
    left = hours * 3600 * SAMPLE_RATE
    index = 0
    while left > 0:
        kind, number = kinds[index % len(kinds)], index // len(kinds)
        num_samples = plan(kind, seed, number).num_samples
        yield ClipJob(data, seed, kind.name, number, num_samples)
        left -= num_samples
        index += 1


def _finish(
    data: Path,
    seed: int,
    wanted: Sequence[ClipJob],
    done: dict[str, MadeClip],
    num_made: int,
) -> SynthReport:
    """Write the manifest and all that goes with it."""
    assembly = _assemble(seed, wanted, done)
    clips = assembly.clips
    by_path = {job.path: job.kind for job in wanted}
    counts = Counter(by_path[clip.path] for clip in clips)
    report = SynthReport(
        data=data,
        seed=seed,
        num_clips=len(clips),
        num_made=num_made,
        hours=round(sum(clip.duration for clip in clips) / 3600, 4),
        num_recordings=len({clip.recording for clip in clips}),
        splits={split: sum(clip.split == split for clip in clips) for split in SPLITS},
        kinds=dict(sorted(counts.items())),
    )
    write_manifest(data, clips)
    # What this run did is news, no property of the corpus: the same corpus has the same files.
    news = ("data", "finished", "num_made")
    kept = {key: value for key, value in asdict(report).items() if key not in news}
    write_json(data / REPORT_NAME, kept)
    remove_strays(data, {clip.path for clip in clips})
    return report


def _assemble(seed: int, wanted: Sequence[ClipJob], done: dict[str, MadeClip]) -> Assembly:
    """Name, caption and split the clips as `prepare` does: what sounds alike shares a split."""
    candidates = []
    for job in wanted:
        kind, made = KINDS[job.kind], done[job.path]
        score = plan(kind, seed, job.number)
        candidates.append(
            Candidate(
                source_name=job.path,
                path=job.path,
                part=0,
                num_samples=made.num_samples,
                sha1_pcm16=made.sha1_pcm16,
                fingerprint=Fingerprint.from_text(made.fingerprint),
                facts=Facts(
                    captions=score.captions,
                    tags=score.tags,
                    category=kind.category,
                    license=LICENSE,
                    source=f"soundgen dataset synth --seed {seed}",
                    source_path=f"{job.kind}/{job.number}",
                    origin=f"soundgen synth {SYNTH_VERSION}",
                    author="soundgen",
                    recording=f"synth-{seed}/{job.kind}/{job.number}",
                ),
            )
        )
    return assemble(candidates, allowed_licenses=[])


def _check_options(hours: float, seed: int, jobs: int | None) -> None:
    if not (math.isfinite(hours) and 0 < hours <= MAX_HOURS):
        raise UsageError(f"--hours must be above 0 and at most {MAX_HOURS:g}, got {hours:g}")
    if not 0 <= seed <= MAX_SEED:
        raise UsageError(f"--seed must be between 0 and {MAX_SEED}, got {seed}")
    if jobs is not None and jobs < 1:
        raise UsageError(f"--jobs must be at least 1, got {jobs}")
