"""Rows of tables in CSV and JSON Lines, each with the line that messages name."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from soundgen.errors import InputError

DELIMITERS = ",;\t"


def read_text(path: Path) -> str:
    """Return the text of a file, without a byte order mark.

    Raises:
        InputError: It cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file in UTF-8") from error


def json_lines(name: str, text: str) -> Iterator[tuple[str, Any]]:
    """Yield what stands on each line that is not empty, and where: `line 3`.

    Args:
        name: The file, for messages.
        text: What it holds.

    Raises:
        InputError: A line is not JSON.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{name}: line {number}: not valid JSON ({error.msg})") from error
        except (ValueError, RecursionError) as error:  # a number of 5,000 digits, 1,000 brackets
            raise InputError(f"{name}: line {number}: not valid JSON for us ({error})") from error
        yield f"line {number}", value


def csv_delimiter(text: str) -> str:
    """Return what separates the columns of a table: comma, semicolon or tab."""
    header = text.split("\n", 1)[0]
    return max(DELIMITERS, key=header.count)


def csv_header(text: str) -> list[str]:
    """Return the column names of a table, in lower case."""
    first = csv.reader([text.split("\n", 1)[0]], delimiter=csv_delimiter(text))
    return [name.strip().lower() for row in first for name in row]


def csv_rows(name: str, text: str) -> Iterator[tuple[str, dict[str, str | None]]]:
    """Yield the rows of a table and where each ends; a row shorter than the header gives `None`.

    Args:
        name: The file, for messages.
        text: What it holds.

    Raises:
        InputError: A row is longer than the header, or its quotes do not close.
    """
    reader = csv.DictReader(
        io.StringIO(text, newline=""), delimiter=csv_delimiter(text), strict=True
    )
    try:
        for row in reader:
            if None in row:
                raise InputError(f"{name}: line {reader.line_num}: more fields than columns")
            yield f"line {reader.line_num}", row
    except csv.Error as error:
        # The inner reader has counted the line that it failed at.
        raise InputError(f"{name}: line {reader.reader.line_num}: {error}") from error
