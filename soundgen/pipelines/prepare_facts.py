"""What is known of the files of a folder besides their samples, gathered from all places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from soundgen.data.caption_table import CaptionTable
from soundgen.data.captions import (
    MAX_CAPTION_CHARACTERS,
    Facts,
    cut_captions,
    facts_of_clip,
    facts_of_name,
    facts_of_sidecar,
    facts_of_tags,
    merge,
)
from soundgen.data.manifest import MANIFEST_NAME, read_manifest
from soundgen.data.walk import Rejected, Walk, sidecars_of
from soundgen.errors import InputError
from soundgen.progress import Progress

_MAX_NOTICES = 10


class Knowledge:
    """All that is known of the source files besides their samples."""

    def __init__(
        self, root: Path, found: Walk, table: CaptionTable | None, progress: Progress
    ) -> None:
        self.root = root
        self._root_name = root.resolve().name
        self.found = found
        names = [item.name for item in found.sources]
        self.rejected = list(found.rejected)
        self._manifest = self._read_source_manifest(set(names), progress)
        self._rows: dict[str, Facts] = {}
        if table is not None:
            self._rows, unmatched = table.match(root, names)
            tell_some(
                [
                    f"{table.path}: {name}: no such sound in {root}, or several"
                    for name in unmatched
                ],
                progress,
            )
        self._sidecar_faults: dict[str, str] = {}
        self._cut_captions: dict[str, str] = {}

    def facts(self, name: str, tags: Mapping[str, str]) -> Facts:
        """Return what is known of a file, given the tags inside it."""
        whole = merge(
            self._rows.get(name, Facts()),
            self._manifest.get(name, Facts()),
            self._sidecar(name),
            facts_of_tags(tags),
            facts_of_name(name, self._root_name),
        )
        cut = cut_captions(whole)
        if cut is not whole:
            longest = max(map(len, whole.captions))
            self._cut_captions[name] = (
                f"warning: {name}: a caption of {longest:,} characters was cut to "
                f"{MAX_CAPTION_CHARACTERS}"
            )
        return cut

    def tell_faults(self, progress: Progress) -> None:
        """Name the sidecars that could not be used, and the captions that were cut."""
        tell_some(sorted(self._sidecar_faults.values()), progress)
        tell_some(sorted(self._cut_captions.values()), progress)

    def _sidecar(self, name: str) -> Facts:
        for sidecar in sidecars_of(name):
            path = self.found.companions.get(sidecar)
            if path is not None:
                try:
                    return facts_of_sidecar(path)
                except InputError as error:
                    self._sidecar_faults[sidecar] = f"{error.message}; not used"
        return Facts()

    def _read_source_manifest(self, names: set[str], progress: Progress) -> dict[str, Facts]:
        path = self.root / MANIFEST_NAME
        if not path.is_file():
            return {}
        try:
            clips = read_manifest(path)
        except InputError as error:
            # Other programs call their lists so, too.
            progress.notice(f"{error.message}; not used (--captions reads other tables)")
            return {}
        listed = {clip.path: facts_of_clip(clip) for clip in clips}
        seen = names | {item.path for item in self.rejected}
        self.rejected += [
            Rejected(name, f"listed in {MANIFEST_NAME}, but there is no such file")
            for name in sorted(set(listed) - seen)
        ]
        return listed


def tell_some(lines: Sequence[str], progress: Progress) -> None:
    """Tell the first few of many like lines, and how many more there are."""
    for line in lines[:_MAX_NOTICES]:
        progress.notice(line)
    if len(lines) > _MAX_NOTICES:
        progress.notice(f"... and {len(lines) - _MAX_NOTICES} more like it")
