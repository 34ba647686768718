"""Prompts to measure a model with, each perhaps with the category it should be heard as."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soundgen.data.rows import json_lines, read_text
from soundgen.errors import InputError

SUFFIXES = (".jsonl", ".json", ".txt")


@dataclass(frozen=True, slots=True)
class JudgedPrompt:
    """A prompt and what it is judged by.

    Attributes:
        prompt: What to hear, spaces made single.
        category: The manifest's category that its sounds belong to; `None` if none is named.
    """

    prompt: str
    category: str | None = None


def read_prompts(path: Path) -> list[JudgedPrompt]:
    """Read a prompts file; the suffix says which form it has.

    `.jsonl`: a line a prompt, either a string or an object with `prompt` and perhaps `category`.
    `.json`: a list of those. `.txt`: a line a prompt; behind a tab stands its category, if any.
    Empty lines count for nothing.

    Raises:
        InputError: It is missing, of no such form, empty, or holds a prompt twice.
    """
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: prompts are read from {', '.join(SUFFIXES)} files")
    text = read_text(path)
    prompts: list[JudgedPrompt] = []
    for place, row in _rows(path, text):
        where = f"{path}: {place}"
        judged = _judged(row, where)
        if any(judged.prompt == earlier.prompt for earlier in prompts):
            raise InputError(f"{where}: '{judged.prompt}' stands there already")
        prompts.append(judged)
    if not prompts:
        raise InputError(f"{path}: holds no prompts")
    return prompts


def _rows(path: Path, text: str) -> list[tuple[str, Any]]:
    """Return what stands for each prompt, and where: its line or item."""
    if path.suffix == ".json":
        try:
            items = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}: not valid JSON ({error.msg})") from error
        if not isinstance(items, list):
            raise InputError(f"{path}: expected a list of prompts, got {type(items).__name__}")
        return [(f"item {number}", item) for number, item in enumerate(items, start=1)]
    if path.suffix == ".jsonl":
        return list(json_lines(str(path), text))
    rows: list[tuple[str, Any]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        prompt, _, category = line.partition("\t")
        if line.strip():
            row = {"prompt": prompt, "category": category.strip() or None}
            rows.append((f"line {number}", row))
    return rows


def _judged(row: Any, where: str) -> JudgedPrompt:
    values = {"prompt": row} if isinstance(row, str) else row
    if not isinstance(values, dict) or not isinstance(values.get("prompt"), str):
        raise InputError(
            f"{where}: expected a prompt, or an object with 'prompt'",
            hint='for example {"prompt": "rain falling", "category": "rain"}',
        )
    unknown = sorted(set(values) - {"prompt", "category"})
    if unknown:
        raise InputError(f"{where}: unknown key '{unknown[0]}'; known: prompt, category")
    prompt, category = " ".join(values["prompt"].split()), values.get("category")
    if not prompt:
        raise InputError(f"{where}: the prompt is empty")
    if category is not None and not isinstance(category, str):
        raise InputError(f"{where}: category must be a string, got {category!r}")
    return JudgedPrompt(prompt, category)
