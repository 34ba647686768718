"""The table given with `--captions`: CSV or JSON Lines, a row or several for each sound file."""

from __future__ import annotations

import json
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from soundgen.data.captions import MAX_CAPTIONS, Facts, facts_of_row, merge
from soundgen.data.rows import csv_header, csv_rows, json_lines, read_text
from soundgen.errors import InputError

_FILE_COLUMNS = ("audio", "path", "file", "filename", "file_name", "audio_path", "audio_filepath",
                 "filepath")  # fmt: skip


@dataclass(frozen=True)
class CaptionTable:
    """What a table says.

    Attributes:
        path: The table, for messages.
        rows: Name of a file as the table spells it -> facts of all its rows.
    """

    path: Path
    rows: dict[str, Facts]

    def match(self, root: Path, names: Sequence[str]) -> tuple[dict[str, Facts], list[str]]:
        """Find the file that each row speaks of.

        A row may name a file by its path, with or without suffix, or by its bare name where only
        one file bears it.

        Args:
            root: The folder that `names` are relative to.
            names: Relative paths of the files there are.

        Returns:
            Facts by relative path, and the table's names that fit no file or several.
        """
        indexes: list[dict[str, list[str]]] = [defaultdict(list) for _ in range(4)]
        for name in names:
            path = PurePosixPath(_normal(name))
            keys = (str(path), str(path.with_suffix("")), path.name, path.stem)
            for index, key in zip(indexes, keys, strict=True):
                index[key].append(name)
        found: dict[str, Facts] = {}
        unmatched: list[str] = []
        for spelled, facts in self.rows.items():
            key = _normal(_relative(spelled, root))
            hits = next((index[key] for index in indexes if index.get(key)), [])
            if len(hits) != 1:
                unmatched.append(spelled)
            elif hits[0] in found:
                found[hits[0]] = _join(found[hits[0]], facts)
            else:
                found[hits[0]] = facts
        return found, unmatched


def read_caption_table(path: Path) -> CaptionTable:
    """Read a CSV (comma, semicolon or tab), JSON Lines or JSON table; the content decides which.

    Columns: `audio`, `path` or `file`; `caption` or `captions` (several separated by `|`) or
    `caption_1`, `caption_2` ...; and, where known, author, license, source, tags, category, split,
    recording, origin. Several rows for one file add up their captions.

    Raises:
        InputError: It cannot be read, a column is missing, or a row is not right; names the line.
    """
    text = read_text(path)
    rows: dict[str, Facts] = {}
    for where, row in _rows(path, text):
        spelled = next(
            (str(row[key]).strip() for key in row if str(key).strip().lower() in _FILE_COLUMNS
             and row[key] not in (None, "")), "",
        )  # fmt: skip
        if not spelled:
            raise InputError(
                f"{path}: {where}: names no sound file",
                hint=f"give it a column {', '.join(_FILE_COLUMNS[:3])}",
            )
        file_keys = [key for key in row if str(key).strip().lower() in _FILE_COLUMNS]
        try:
            facts = facts_of_row({key: row[key] for key in row if key not in file_keys})
        except ValueError as error:
            raise InputError(f"{path}: {where}: {error}") from error
        rows[spelled] = _join(rows[spelled], facts) if spelled in rows else facts
    if not rows:
        raise InputError(f"{path}: holds no captions")
    return CaptionTable(path, rows)


def _join(first: Facts, second: Facts) -> Facts:
    captions = tuple(dict.fromkeys(first.captions + second.captions))[:MAX_CAPTIONS]
    return replace(merge(first, second), captions=captions)


def _rows(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    start = text.lstrip()[:1]
    if start == "[":
        yield from _json_rows(path, text)
    elif start == "{":
        yield from _jsonl_rows(path, text)
    else:
        yield from _csv_rows(path, text)


def _json_rows(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not valid JSON: {error}") from error
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise InputError(f"{path}: row {number}: expected an object, got {row!r:.50}")
        yield f"row {number}", row


def _jsonl_rows(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for where, row in json_lines(str(path), text):
        if not isinstance(row, dict):
            raise InputError(f"{path}: {where}: expected an object, got {row!r:.50}")
        yield where, row


def _csv_rows(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    names = csv_header(text)
    if not set(names) & set(_FILE_COLUMNS):
        raise InputError(
            f"{path}: line 1: no column {', '.join(_FILE_COLUMNS[:3])}; "
            f"found: {', '.join(names)[:200] or 'nothing'}"
        )
    yield from csv_rows(str(path), text)


def _relative(spelled: str, root: Path) -> str:
    if spelled.startswith("/"):
        try:
            return str(PurePosixPath(spelled).relative_to(PurePosixPath(root.absolute())))
        except ValueError:
            return PurePosixPath(spelled).name
    return spelled


def _normal(name: str) -> str:
    # macOS stores file names decomposed; tables made elsewhere hold them composed.
    text = unicodedata.normalize("NFC", name).replace("\\", "/")
    return str(PurePosixPath(text))
