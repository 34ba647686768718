"""The table given with `generate --prompts`: a sound a row, refused by line before work starts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from soundgen.data.rows import DELIMITERS, csv_header, csv_rows, json_lines, read_text
from soundgen.errors import InputError
from soundgen.pipelines.sound_request import MAX_SEED, clean_prompt, duration_of
from soundgen.pipelines.sound_source import MAX_CONTEXT_S, MIN_CONTEXT_S

SUFFIXES = (".txt", ".csv", ".jsonl")


@dataclass(frozen=True, kw_only=True, slots=True)
class SoundRow:
    """One row: a prompt, and what it says otherwise than the command line; `None` is not said."""

    prompt: str
    where: str = ""
    """File and line, for messages; empty for a prompt of the command line."""
    output: str | None = None
    """A name template, below the output folder."""
    seed: int | None = None
    variations: int | None = None
    best_of: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `GenerateSettings`."""
    source: Mapping[str, Any] = field(default_factory=dict)
    """`continue` or `vary` with a path, and fields of `SoundSource`."""


def read_sound_table(path: Path) -> list[SoundRow]:
    """Read a table of sounds; its suffix says which form it has.

    `.txt`: a prompt a line. `.csv`: a header, then a row a sound; an empty cell says nothing.
    `.jsonl`: an object a line, or a prompt in quotes. The fields are those of `TABLE_FIELDS`.

    Raises:
        InputError: It cannot be read, has another suffix or no prompts, or a row has an unknown
            field or a value that cannot be; the message names the line.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: sounds are read from {', '.join(SUFFIXES)} files")
    return parse_sound_table(read_text(path), str(path), path.suffix.lower())


def parse_sound_table(text: str, name: str, suffix: str | None = None) -> list[SoundRow]:
    """Read a table of sounds from text.

    Args:
        text: The table.
        name: Of the file, for messages.
        suffix: Which form it has; `None` leaves it to the first line: `{` begins JSON Lines, a
            header with the column `prompt` a CSV.

    Raises:
        InputError: As `read_sound_table`.
    """
    suffix = suffix or _form_of(text)
    rows = [_sound_row(row, f"{name}: {place}") for place, row in _rows(text, name, suffix)]
    if not rows:
        raise InputError(f"{name}: holds no prompts")
    return rows


def _form_of(text: str) -> str:
    if text.lstrip().startswith("{"):
        return ".jsonl"
    header = text.split("\n", 1)[0]
    has_columns = any(delimiter in header for delimiter in DELIMITERS)
    return ".csv" if has_columns and "prompt" in csv_header(text) else ".txt"


def _rows(text: str, name: str, suffix: str) -> Iterator[tuple[str, Any]]:
    if suffix == ".jsonl":
        yield from json_lines(name, text)
    elif suffix == ".csv":
        names = csv_header(text)
        for column in names:
            if column not in TABLE_FIELDS:
                raise InputError(f"{name}: line 1: unknown column '{column}'", hint=_KNOWN)
            if names.count(column) > 1:
                raise InputError(f"{name}: line 1: two columns '{column}'")
        for place, cells in csv_rows(name, text):
            read = {str(key).strip().lower(): value or "" for key, value in cells.items()}
            yield place, {key: _Cell(value.strip()) for key, value in read.items() if value.strip()}
    else:
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                yield f"line {number}", line


def _sound_row(row: Any, where: str) -> SoundRow:
    values = {"prompt": row} if isinstance(row, str) else row
    if not isinstance(values, dict):
        raise InputError(f"{where}: expected a prompt or an object, got {row!r:.50}")
    for key in values:
        if key not in TABLE_FIELDS:
            raise InputError(f"{where}: unknown field '{key}'", hint=_KNOWN)
    said: dict[str, dict[str, Any]] = {"row": {}, "settings": {}, "source": {}}
    for key, value in values.items():
        if value is None:
            continue
        target = TABLE_FIELDS[key]
        try:
            converted = target.convert(value)
        except ValueError as error:
            raise InputError(f"{where}: {key}: {error}") from error
        said[target.part][target.name] = converted
    if "prompt" not in said["row"]:
        raise InputError(f"{where}: has no prompt")
    return SoundRow(**said["row"], settings=said["settings"], source=said["source"], where=where)


class _Cell(str):
    """A value of a CSV, whose type is not known: numbers and truths come as text there."""

    __slots__ = ()


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected text, got {value!r:.50}")
    return str(value)


def _whole(least: int, most: int | None = None) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        found: Any = value
        if isinstance(value, _Cell) and value.isascii() and value.isdecimal():
            found = int(value)
        if not isinstance(found, int) or isinstance(found, bool):
            raise ValueError(f"expected a whole number, got {value!r:.50}")
        if found < least or (most is not None and found > most):
            span = f"{least} or more" if most is None else f"{least} to {most}"
            raise ValueError(f"must be {span}, got {found}")
        return found

    return convert


def _number(least: float, most: float = math.inf) -> Callable[[Any], float]:
    def convert(value: Any) -> float:
        found: Any = value
        if isinstance(value, _Cell):
            try:
                found = float(value)
            except ValueError:
                found = value
        if not isinstance(found, (int, float)) or isinstance(found, bool):
            raise ValueError(f"expected a number, got {value!r:.50}")
        if not math.isfinite(found) or not least <= found <= most:
            span = f"{least:g} or more" if most == math.inf else f"{least:g} to {most:g}"
            raise ValueError(f"must be {span}, got {found}")
        return float(found)

    return convert


def _duration(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"expected seconds or auto, got {value!r:.50}")
    if isinstance(value, str) and not isinstance(value, _Cell) and value != "auto":
        raise ValueError(f"expected a number or auto, got {value!r:.50}")
    return duration_of(str(value))


def _truth(value: Any) -> bool:
    found: Any = _TRUTHS.get(value.lower()) if isinstance(value, _Cell) else value
    if not isinstance(found, bool):
        raise ValueError(f"expected true or false, got {value!r:.50}")
    return found


_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class _Field(NamedTuple):
    name: str
    convert: Callable[[Any], Any]
    part: Literal["row", "settings", "source"] = "row"
    """Of a `SoundRow`: a field of its own, or one of its two mappings."""


TABLE_FIELDS = {
    "prompt": _Field("prompt", lambda value: clean_prompt(_text(value))),
    "output": _Field("output", _text),
    "duration": _Field("duration_s", _duration, "settings"),
    "seed": _Field("seed", _whole(0, MAX_SEED)),
    "n": _Field("variations", _whole(1)),
    "best_of": _Field("best_of", _whole(1)),
    "negative_prompt": _Field("negative_prompt", _text, "settings"),
    "loop": _Field("loop", _truth, "settings"),
    "temperature": _Field("temperature", _number(0), "settings"),
    "top_k": _Field("top_k", _whole(0), "settings"),
    "top_p": _Field("top_p", _number(0, 1), "settings"),
    "cfg_scale": _Field("cfg_scale", _number(0), "settings"),
    "continue": _Field("continue", _text, "source"),
    "seconds_of_context": _Field("context_s", _number(MIN_CONTEXT_S, MAX_CONTEXT_S), "source"),
    "variation_of": _Field("vary", _text, "source"),
    "strength": _Field("strength", _number(0, 1), "source"),
}
_KNOWN = f"known: {', '.join(TABLE_FIELDS)}"
