"""Prompts files in their three forms, and what is wrong with others."""

from __future__ import annotations

from pathlib import Path

import pytest

from soundgen.data.prompt_list import JudgedPrompt, read_prompts
from soundgen.errors import InputError

WANTED = [JudgedPrompt("rain falling", "rain"), JudgedPrompt("a door")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.txt", "rain  falling\train\n\na door\n"),
        ("p.jsonl", '{"prompt": "rain falling", "category": "rain"}\n"a door"\n'),
        ("p.json", '[{"prompt": "rain falling", "category": "rain"}, {"prompt": " a door"}]'),
    ],
)
def test_three_forms(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_prompts(tmp_path / name) == WANTED


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.csv", "rain", r"p\.csv: prompts are read from \.jsonl"),
        ("p.txt", "\n", r"p\.txt: holds no prompts"),
        ("p.txt", "rain\n\nrain\twind\n", r"line 3: 'rain' stands there already"),
        ("p.txt", "\train\n", "line 1: the prompt is empty"),
        ("p.json", '{"a": 1}', "expected a list of prompts, got dict"),
        ("p.json", '["rain", 3]', "item 2: expected a prompt"),
        ("p.json", "[", r"p\.json: not valid JSON"),
        ("p.jsonl", '"rain"\n{"prompt": "a", "class": "b"}', "line 2: unknown key 'class'"),
        ("p.jsonl", '{"prompt": "a", "category": 1}', "line 1: category must be a string"),
    ],
)
def test_others_are_refused_by_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_prompts(tmp_path / name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.txt: cannot be read"):
        read_prompts(tmp_path / "none.txt")
