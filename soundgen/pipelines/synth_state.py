"""What `synth` has made so far, so that it goes on where it stopped however it ended."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from soundgen.data.manifest import MANIFEST_NAME
from soundgen.errors import OutputError
from soundgen.files import read_json, write_json
from soundgen.pipelines.prepare_state import AUDIO_FOLDER, REPORT_NAME, append_entry
from soundgen.pipelines.shards import Shard

STATE_FOLDER = ".synth"
_SETTINGS_NAME = "settings.json"
_FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class SynthSettings:
    """What shapes a corpus; `hours` only says how far it goes, the clips before stay the same."""

    seed: int
    kinds: tuple[str, ...]
    synth_version: int
    hours: float


@dataclass(frozen=True, kw_only=True)
class MadeClip:
    """A clip that was written; `path` is relative to the dataset."""

    path: str
    num_samples: int
    sha1_pcm16: str
    fingerprint: str


def check_corpus(folder: Path, settings: SynthSettings, *, force: bool) -> None:
    """Check that `folder` is empty, or a corpus that these settings may go on with.

    Args:
        folder: The dataset; it need not exist.
        settings: What is asked for.
        force: Whether a corpus made with other settings is welcome, to be made anew.

    Raises:
        OutputError: It holds something else, a corpus of other settings, or a longer one.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file", hint="name a new or empty folder")
    found = read_json(folder / STATE_FOLDER / _SETTINGS_NAME)
    if found is None:
        others = [p.name for p in folder.iterdir()] if folder.is_dir() else []
        others = [name for name in others if name not in (STATE_FOLDER, ".lock")]
        if others:
            raise OutputError(
                f"{folder}: is not empty and was not made by dataset synth "
                f"(it holds {min(others)})",
                hint="name a new or empty folder",
            )
        return
    if force:
        return
    stamp = _stamp(settings)
    names = [name for name in stamp if name != "hours" and found.get(name) != stamp[name]]
    hint = "use -f to make it anew, or name another folder"
    if names:
        raise OutputError(f"{folder}: was made with other {' and other '.join(names)}", hint=hint)
    if found.get("hours", 0) > settings.hours:
        raise OutputError(f"{folder}: was made with more hours: {found['hours']:g}", hint=hint)


def begin_corpus(folder: Path, settings: SynthSettings, *, force: bool) -> None:
    """Mark a folder that was checked and locked as ours; throw away what it held if `force`.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        if force:
            for name in (MANIFEST_NAME, REPORT_NAME):
                (folder / name).unlink(missing_ok=True)
            for name in (AUDIO_FOLDER, STATE_FOLDER):
                if (folder / name).is_dir():
                    shutil.rmtree(folder / name)
        (folder / STATE_FOLDER).mkdir(parents=True, exist_ok=True)
        write_json(folder / STATE_FOLDER / _SETTINGS_NAME, _stamp(settings))
        for kind in settings.kinds:
            (folder / AUDIO_FOLDER / kind).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror})") from error


class SynthJournal:
    """The clips that were written, one JSON line each, appended as they are done.

    A line that a kill cut short is skipped: its clip is made again.
    """

    def __init__(self, folder: Path, shard: Shard | None = None) -> None:
        self._folder = folder
        self._state = folder / STATE_FOLDER
        self._file = self._state / (f"journal-{shard.name}.jsonl" if shard else "journal.jsonl")

    def load(self) -> dict[str, MadeClip]:
        """Return the clips by path, of all shards, without those whose file has gone."""
        done: dict[str, MadeClip] = {}
        for file in sorted(self._state.glob("journal*.jsonl")):
            for line in file.read_text(encoding="utf-8", errors="replace").split("\n"):
                try:
                    made = MadeClip(**json.loads(line))
                except (ValueError, TypeError):
                    continue
                if (self._folder / made.path).is_file():
                    done[made.path] = made
        return done

    def append(self, made: MadeClip) -> None:
        """Write down that a clip is there; on return it survives a kill of this process.

        Raises:
            OutputError: The line cannot be written.
        """
        append_entry(self._file, asdict(made))


def _stamp(settings: SynthSettings) -> dict[str, Any]:
    return {
        "format_version": _FORMAT_VERSION,
        **asdict(settings),
        "kinds": list(settings.kinds),
    }
