"""A folder of audio files to a dataset: mono 16 kHz clips with captions, licences and splits."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from soundgen.data.assemble import Assembly, Candidate, assemble
from soundgen.data.caption_table import read_caption_table
from soundgen.data.fingerprint import Fingerprint
from soundgen.data.manifest import MANIFEST_NAME, SPLITS, write_manifest
from soundgen.data.names import clip_stem, text_name
from soundgen.data.walk import Rejected, Source, walk
from soundgen.errors import InputError, UsageError
from soundgen.files import atomic_path, write_json
from soundgen.pipelines.convert import MIN_CLIP_S, Converted, ConvertJob, convert_file
from soundgen.pipelines.pool import default_jobs, run_jobs
from soundgen.pipelines.prepare_facts import Knowledge, tell_some
from soundgen.pipelines.prepare_state import (
    AUDIO_FOLDER,
    REJECTED_NAME,
    REPORT_NAME,
    STATE_FOLDER,
    Journal,
    Settings,
    begin_dataset,
    check_dataset,
    remove_strays,
)
from soundgen.pipelines.shards import Shard, check_shard, lock_merge, lock_work, mark_shard_done
from soundgen.pipelines.unpack import UNPACKED_FOLDER, remove_unpacked, unpack_shards
from soundgen.progress import Progress, SilentProgress

# Starting a process takes as long as converting about this much.
_BYTES_WORTH_A_PROCESS = 4_000_000
_DIED = "the process that decoded it died (a crash of the decoder, or too little memory)"


@dataclass(frozen=True, kw_only=True)
class PrepareReport:
    """What became of a folder.

    Attributes:
        data: The dataset.
        finished: False if other shards have work to do before there is a manifest.
        num_files: Files that were looked at as sounds.
        num_clips: Clips in the manifest.
        hours: Their length together.
        num_recordings: Different recordings among them.
        splits: Split -> number of clips.
        num_rejected: How many files and parts of files were left out.
        rejected: Each of them with its reason, sorted by path; also in `rejected.jsonl`.
        reasons: Reason, without its particulars -> how often.
        num_resampled: Files that were downmixed or resampled.
        num_attenuated: Files that were turned down since they exceeded full scale.
        num_moved: Clips that went into another split than asked, for their recording's sake.
    """

    data: Path
    finished: bool
    num_files: int
    num_clips: int = 0
    hours: float = 0.0
    num_recordings: int = 0
    splits: dict[str, int]
    num_rejected: int = 0
    rejected: tuple[Rejected, ...] = ()
    reasons: dict[str, int]
    num_resampled: int = 0
    num_attenuated: int = 0
    num_moved: int = 0


def prepare(
    *,
    source: Path,
    data: Path,
    captions: Path | None = None,
    allowed_licenses: Sequence[str] = (),
    trim: bool = True,
    split_s: float | None = None,
    shard: tuple[int, int] | None = None,
    jobs: int | None = None,
    force: bool = False,
    progress: Progress = SilentProgress(),
) -> PrepareReport:
    """Make a dataset of the sounds in a folder, or go on with one that was interrupted.

    Writes `manifest.jsonl`, `rejected.jsonl` (path and reason of all that was left out),
    `report.json` and the clips below `audio/`. The same source gives the same manifest, byte by
    byte, whatever `jobs` is and however often the work was interrupted.

    Args:
        source: The folder; where it holds a manifest of ours, its captions, splits, licences and
            so on are taken over. Tar files in it, as WebDataset has them, count as folders.
        data: The dataset, outside `source`: a new or empty folder, or one to go on with.
        captions: Table of captions, see `soundgen.data.caption_table`.
        allowed_licenses: The only licences to accept; all, and unknown ones, if empty.
        trim: Whether to cut silence at both ends.
        split_s: Longest clip, s; longer files are cut into equal parts. `None`: never cut.
        shard: (i, n): do only the i-th of n parts of the work, i from 1. The parts may run on
            several machines that share `data`; the last to end writes the manifest.
        jobs: Processes to use; all processors if `None`.
        force: Make a dataset that exists already anew.
        progress: Who listens.

    Raises:
        InputError: `source` or `captions` cannot be read, or no file could be converted.
    """
    part = _check_options(source, data, split_s=split_s, shard=shard, jobs=jobs, force=force)
    table = read_caption_table(captions) if captions else None
    found = walk(source)
    tell_some(found.notices, progress)
    settings = Settings(source=text_name(source.resolve()), trim=trim, split_s=split_s)
    check_dataset(data, settings, force=force)
    unpack_shards(found, data / UNPACKED_FOLDER, progress)
    known = Knowledge(source, found, table, progress)
    work = _Work(data, settings, jobs or default_jobs(), progress)
    with lock_work(data, data / STATE_FOLDER, part):
        begin_dataset(data, settings, force=force)
        journal = Journal(data, part)
        done = journal.load({item.name: item for item in found.sources})
        mine = [item for item in found.sources if part is None or _in_shard(item.name, part)]
        work.convert([item for item in mine if item.name not in done], journal, done)
        if part is None:
            return _finish(work, journal, done, known, allowed_licenses)
        if not mark_shard_done(data / STATE_FOLDER, part):
            return PrepareReport(
                data=data, finished=False, num_files=len(mine), splits={}, reasons={}
            )
    with lock_merge(data):  # the other shards' work, with whatever is new since
        done = journal.load({item.name: item for item in found.sources})
        work.convert([item for item in found.sources if item.name not in done], journal, done)
        return _finish(work, journal, done, known, allowed_licenses)


@dataclass(frozen=True)
class _Work:
    """Where clips go and how they are made."""

    data: Path
    settings: Settings
    num_processes: int
    progress: Progress

    def convert(
        self, sources: Sequence[Source], journal: Journal, done: dict[str, Converted]
    ) -> None:
        """Convert `sources` and add the results to `done`; good ones are journalled.

        What failed is tried again by the next run: a program may have been installed meanwhile, or
        a disk come back.
        """
        if not sources:
            return
        by_name = {source.name: source for source in sources}
        jobs = [
            ConvertJob(
                source=source.path,
                name=source.name,
                folder=self.data,
                stem=f"{AUDIO_FOLDER}/{clip_stem(source.name)}",
                trim=self.settings.trim,
                split_s=self.settings.split_s,
            )
            for source in sources
        ]
        enough = 1 + sum(source.size for source in sources) // _BYTES_WORTH_A_PROCESS
        self.progress.start("converting", len(jobs))
        with closing(run_jobs(convert_file, jobs, min(self.num_processes, enough))) as results:
            for job, result in results:
                converted = result or Converted(name=job.name, failure=_DIED)
                done[job.name] = converted
                if converted.clips:
                    journal.append(by_name[job.name], converted)
                self.progress.advance()
        self.progress.finish()


def _finish(
    work: _Work,
    journal: Journal,
    done: dict[str, Converted],
    known: Knowledge,
    allowed_licenses: Sequence[str],
) -> PrepareReport:
    """Write the manifest and all that goes with it from what has been converted."""
    assembly = _assemble(done, known, allowed_licenses, work.progress)
    # Clips that an earlier run threw away, since a licence was refused or another file was there.
    lost = {clip.path for clip in assembly.clips if not (work.data / clip.path).exists()}
    names = {name for name, item in done.items() if lost & {clip.path for clip in item.clips}}
    if names:
        work.convert([item for item in known.found.sources if item.name in names], journal, done)
        assembly = _assemble(done, known, allowed_licenses, work.progress)
    known.tell_faults(work.progress)
    rejected = [*known.rejected, *assembly.rejected]
    for name, item in done.items():
        reasons = [item.failure] if item.failure else item.rejected
        rejected += [Rejected(name, reason) for reason in reasons]
    rejected.sort(key=lambda item: (item.path, item.reason))
    report = _report(work.data, done, known, assembly, rejected)
    _write(report, assembly)
    _tell_summary(report, work.progress)
    if not report.num_clips:
        first = f"; {rejected[0].path}: {rejected[0].reason}" if rejected else ": no sounds in it"
        raise InputError(
            f"{known.root}: nothing could be converted{first}",
            hint=f"{work.data / REJECTED_NAME} has all reasons" if len(rejected) > 1 else "",
        )
    return report


def _assemble(
    done: Mapping[str, Converted],
    known: Knowledge,
    allowed_licenses: Sequence[str],
    progress: Progress,
) -> Assembly:
    candidates = []
    progress.start("grouping recordings", None)
    for name, converted in done.items():
        if not converted.clips:
            continue
        facts = known.facts(name, converted.tags)
        for clip in converted.clips:
            candidates.append(
                Candidate(
                    source_name=name,
                    path=clip.path,
                    part=clip.part,
                    num_samples=clip.num_samples,
                    sha1_pcm16=clip.sha1_pcm16,
                    fingerprint=Fingerprint.from_text(clip.fingerprint),
                    facts=facts,
                )
            )
    assembly = assemble(candidates, allowed_licenses=allowed_licenses)
    progress.finish()
    return assembly


def _report(
    data: Path,
    done: Mapping[str, Converted],
    known: Knowledge,
    assembly: Assembly,
    rejected: Sequence[Rejected],
) -> PrepareReport:
    clips = assembly.clips
    reasons = Counter(_kind_of(item.reason) for item in rejected)
    return PrepareReport(
        data=data,
        finished=True,
        num_files=len(known.found.sources) + len(known.rejected),
        num_clips=len(clips),
        hours=round(sum(clip.duration for clip in clips) / 3600, 4),
        num_recordings=len({clip.recording for clip in clips}),
        splits={split: sum(clip.split == split for clip in clips) for split in SPLITS},
        num_rejected=len(rejected),
        rejected=tuple(rejected),
        reasons=dict(sorted(reasons.items())),
        num_resampled=sum(item.was_changed for item in done.values()),
        num_attenuated=sum(item.was_attenuated for item in done.values()),
        num_moved=assembly.num_moved,
    )


def _write(report: PrepareReport, assembly: Assembly) -> None:
    with atomic_path(report.data / REJECTED_NAME) as temporary:
        lines = [json.dumps(asdict(item), ensure_ascii=False) + "\n" for item in report.rejected]
        temporary.write_text("".join(lines), encoding="utf-8")
    if assembly.clips:
        write_manifest(report.data / MANIFEST_NAME, assembly.clips)
    else:
        (report.data / MANIFEST_NAME).unlink(missing_ok=True)
    values = {
        key: value for key, value in asdict(report).items() if key not in ("data", "rejected")
    }
    write_json(report.data / REPORT_NAME, values)
    remove_strays(report.data, {clip.path for clip in assembly.clips})
    remove_unpacked(report.data / UNPACKED_FOLDER)


def _kind_of(reason: str) -> str:
    """Return a reason without its particulars, to count by."""
    bare = re.sub(r"^part \d+[^:]*: ", "", reason)
    return re.split(r":| \(| of ", bare, maxsplit=1)[0].strip()


def _check_options(
    source: Path,
    data: Path,
    *,
    split_s: float | None,
    shard: tuple[int, int] | None,
    jobs: int | None,
    force: bool,
) -> Shard | None:
    inner, outer = data.resolve(), source.resolve()
    if inner == outer or inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise UsageError(
            f"{data}: the dataset and the source {source} lie inside one another",
            hint="name a folder beside the source",
        )
    if split_s is not None and not split_s >= 2 * MIN_CLIP_S:
        raise UsageError(f"--split-s must be at least {2 * MIN_CLIP_S} s, got {split_s}")
    if jobs is not None and jobs < 1:
        raise UsageError(f"--jobs must be at least 1, got {jobs}")
    return check_shard(shard, force=force)


def _in_shard(name: str, shard: Shard) -> bool:
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:8]) % shard.count == shard.index - 1


def _tell_summary(report: PrepareReport, progress: Progress) -> None:
    for count, what in (
        (report.num_resampled, "downmixed or resampled to 16000 Hz mono"),
        (report.num_attenuated, "turned down to fit, being beyond full scale"),
    ):
        if count:
            progress.notice(f"{count} {'files were' if count > 1 else 'file was'} {what}")
    if report.num_moved:
        progress.notice(
            f"clips moved to the split of others of their recording: {report.num_moved}"
        )
