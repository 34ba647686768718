"""What `prepare` has done so far, so that it goes on where it stopped however it ended."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from soundgen.data.manifest import MANIFEST_NAME
from soundgen.data.walk import Source
from soundgen.errors import OutputError
from soundgen.files import read_json, write_failure, write_json
from soundgen.pipelines.convert import Converted, ConvertedClip
from soundgen.pipelines.shards import Shard
from soundgen.pipelines.unpack import UNPACKED_FOLDER

STATE_FOLDER = ".prepare"
AUDIO_FOLDER = "audio"
REJECTED_NAME = "rejected.jsonl"
REPORT_NAME = "report.json"
_SETTINGS_NAME = "settings.json"
_FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What shapes the clips; a dataset is made with one set of them."""

    source: str
    trim: bool
    split_s: float | None


def check_dataset(folder: Path, settings: Settings, *, force: bool) -> None:
    """Check that `folder` is empty, or a dataset that these settings may go on with.

    Args:
        folder: The dataset; it need not exist.
        settings: What shapes the clips.
        force: Whether a dataset made with other settings is welcome, to be made anew.

    Raises:
        OutputError: It holds something else, or clips made with other settings.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file", hint="name a new or empty folder")
    found = read_json(folder / STATE_FOLDER / _SETTINGS_NAME)
    if found is None and folder.is_dir():
        ours = (STATE_FOLDER, UNPACKED_FOLDER, ".lock")
        strangers = [p.name for p in folder.iterdir() if p.name not in ours]
        if strangers:
            raise OutputError(
                f"{folder}: is not empty and was not made by dataset prepare "
                f"(it holds {min(strangers)})",
                hint="name a new or empty folder",
            )
    stamp = _stamp(settings)
    if found is not None and found != stamp and not force:
        names = [name for name in stamp if found.get(name) != stamp[name]]
        raise OutputError(
            f"{folder}: was made with another {' and another '.join(names)}",
            hint="use -f to make it anew, or name another folder",
        )


def begin_dataset(folder: Path, settings: Settings, *, force: bool) -> None:
    """Mark a folder that was checked and locked as ours, thrown away what it held if `force`.

    Raises:
        OutputError: It cannot be written.
    """
    if force:
        _remove_dataset(folder)
    file = folder / STATE_FOLDER / _SETTINGS_NAME
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, _stamp(settings))
        (folder / AUDIO_FOLDER).mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror})") from error


class Journal:
    """The converted files, one JSON line each, appended as they are done.

    A line that a kill cut short is skipped: its file is converted again.
    """

    def __init__(self, folder: Path, shard: Shard | None) -> None:
        self._state = folder / STATE_FOLDER
        self._file = self._state / f"journal-{shard.name if shard else 'all'}.jsonl"

    def load(self, sources: Mapping[str, Source]) -> dict[str, Converted]:
        """Return what was done, by any shard, for those of `sources` that have not changed."""
        done: dict[str, Converted] = {}
        for file in sorted(self._state.glob("journal-*.jsonl")):
            with file.open(encoding="utf-8", errors="replace") as stream:
                for line in stream:
                    entry = _parse_entry(line)
                    if entry is None:
                        continue
                    size, mtime_ns, converted = entry
                    source = sources.get(converted.name)
                    if source and (source.size, source.mtime_ns) == (size, mtime_ns):
                        done[converted.name] = converted
        return done

    def append(self, source: Source, converted: Converted) -> None:
        """Write down that a file is done; on return it survives a kill of this process.

        Raises:
            OutputError: The line cannot be written.
        """
        append_entry(
            self._file, {"size": source.size, "mtime_ns": source.mtime_ns, **asdict(converted)}
        )


def append_entry(journal: Path, entry: Mapping[str, Any]) -> None:
    """Append a JSON line to a journal; on return it survives a kill of this process.

    Raises:
        OutputError: The line cannot be written.
    """
    try:
        with journal.open("a", encoding="utf-8") as stream:
            # A line that was cut short must not swallow this one.
            stream.write("\n" + json.dumps(entry) + "\n")
    except OSError as error:
        raise write_failure(journal, error) from error


def remove_strays(folder: Path, kept: set[str]) -> None:
    """Delete what lies among the clips and is none: duplicates, refused clips, halves of a kill.

    Args:
        folder: The dataset.
        kept: Paths of its clips, relative to it.
    """
    for path in (folder / AUDIO_FOLDER).rglob("*"):
        if not path.is_dir() and path.relative_to(folder).as_posix() not in kept:
            path.unlink(missing_ok=True)
    for path in (*folder.glob(".soundgen-*"), *folder.glob("*/.soundgen-*")):
        path.unlink(missing_ok=True)
    folders = [path for path in (folder / AUDIO_FOLDER).rglob("*") if path.is_dir()]
    for path in sorted(folders, reverse=True):
        if not any(path.iterdir()):
            path.rmdir()


def _remove_dataset(folder: Path) -> None:
    """Delete what prepare made, and nothing else that may lie there."""
    try:
        for name in (MANIFEST_NAME, REJECTED_NAME, REPORT_NAME):
            (folder / name).unlink(missing_ok=True)
        for name in (AUDIO_FOLDER, STATE_FOLDER):
            if (folder / name).is_dir():
                shutil.rmtree(folder / name)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be removed ({error.strerror})") from error


def _stamp(settings: Settings) -> dict[str, Any]:
    return {"format_version": _FORMAT_VERSION, **asdict(settings)}


def _parse_entry(line: str) -> tuple[int, int, Converted] | None:
    if not line.strip():
        return None
    try:
        entry = json.loads(line)
        size, mtime_ns = entry.pop("size"), entry.pop("mtime_ns")
        clips = tuple(ConvertedClip(**clip) for clip in entry.pop("clips"))
        rejected = tuple(entry.pop("rejected"))
        return size, mtime_ns, Converted(clips=clips, rejected=rejected, **entry)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
