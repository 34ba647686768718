"""What the commands of `soundgen dataset` say when they are done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from soundgen.commands._terminal import note, print_line

if TYPE_CHECKING:
    from soundgen.pipelines.dataset import Share
    from soundgen.pipelines.prepare import PrepareReport
    from soundgen.pipelines.synth import SynthReport

# Rejected files named on stderr; the rest are in the list that is written.
_SHOWN_REJECTS = 20


def show_prepared(report: PrepareReport, shard: str | None, *, quiet: bool) -> None:
    """Say what `prepare` came to."""
    if not report.finished:
        note(
            f"shard {shard} of {report.num_files} files is done; the last shard to end writes the "
            "manifest",
            quiet=quiet,
        )
        print_line(str(report.data))
        return
    for item in report.rejected[:_SHOWN_REJECTS]:
        note(f"rejected {item.path}: {item.reason}", quiet=quiet)
    left = report.num_rejected - _SHOWN_REJECTS
    if left > 0:
        note(f"... and {left} more, see {report.data / 'rejected.jsonl'}", quiet=quiet)
    splits = ", ".join(f"{name} {count}" for name, count in report.splits.items())
    note(
        f"{report.num_clips} clips ({splits}), {report.hours:.2f} h, {report.num_recordings} "
        f"recordings; {report.num_rejected} rejected",
        quiet=quiet,
    )
    print_line(str(report.data))


def show_made(report: SynthReport, shard: str | None, *, quiet: bool) -> None:
    """Say what `synth` came to."""
    if not report.finished:
        note(
            f"shard {shard} is done, {report.num_made} made now; the last shard to end writes the "
            "manifest",
            quiet=quiet,
        )
        print_line(str(report.data))
        return
    splits = ", ".join(f"{name} {count}" for name, count in report.splits.items())
    note(
        f"{report.num_clips} clips ({splits}), {report.hours:.2f} h, {len(report.kinds)} kinds; "
        f"{report.num_made} made now",
        quiet=quiet,
    )
    print_line(str(report.data))


def print_shares(title: str, shares: Mapping[str, Share]) -> None:
    """Print a table of what a dataset has of each kind."""
    width = max([len(title), *map(len, shares)])
    print_line(f"{title:<{width}}  {'clips':>7}  {'hours':>8}  {'recordings':>10}")
    for name, share in shares.items():
        print_line(
            f"{name:<{width}}  {share.clips:>7}  {share.hours:>8.3f}  {share.recordings:>10}"
        )
