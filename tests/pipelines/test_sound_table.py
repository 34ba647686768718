"""Tables of sounds in their three forms, and what is wrong with others, by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from soundgen.errors import InputError
from soundgen.pipelines.sound_request import MAX_SEED
from soundgen.pipelines.sound_table import SoundRow, parse_sound_table, read_sound_table

JSONL = """\
{"prompt": "rain  on tin", "output": "a/rain.flac", "duration": 2.5, "seed": 7, "n": 3}

{"prompt": "hum", "negative_prompt": "birds", "duration": "auto", "top_k": 5, "seed": null}
"door, slam"
{"prompt": "bell", "variation_of": "b.wav", "strength": 1, "best_of": 4, \
"temperature": 0.5, "top_p": 1, "cfg_scale": 2, "duration": 3}
"""
CSV = """\
Prompt;output;duration;seed;n;negative_prompt;top_k;best_of;temperature;top_p;cfg_scale;variation_of;strength
rain  on tin;a/rain.flac;2.5;7;3;;;;;;;;

hum;;auto;;;birds;5;;;;;;
"door, slam"
bell;;3;;;;;4;0.5;1;2;b.wav;1
"""
WANTED = [
    SoundRow(
        prompt="rain on tin",
        where="1",
        output="a/rain.flac",
        seed=7,
        variations=3,
        settings={"duration_s": 2.5},
    ),
    SoundRow(
        prompt="hum",
        where="3",
        settings={"negative_prompt": "birds", "duration_s": None, "top_k": 5},
    ),
    SoundRow(prompt="door, slam", where="4"),
    SoundRow(
        prompt="bell",
        where="5",
        best_of=4,
        settings={"temperature": 0.5, "top_p": 1.0, "cfg_scale": 2.0, "duration_s": 3.0},
        source={"vary": "b.wav", "strength": 1.0},
    ),
]


def told(rows: list[SoundRow]) -> list[tuple[object, ...]]:
    return [
        (row.prompt, row.output, row.seed, row.variations, row.best_of, row.settings, row.source)
        for row in rows
    ]


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        ("t.jsonl", JSONL, (1, 3, 4, 5)),
        ("t.csv", CSV, (2, 4, 5, 6)),
        ("t.CSV", "\ufeff" + CSV.replace(";", "\t").replace("\n", "\r\n"), (2, 4, 5, 6)),
    ],
)
def test_forms_that_say_the_same(
    tmp_path: Path, name: str, text: str, lines: tuple[int, ...]
) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode())
    rows = read_sound_table(path)
    assert told(rows) == told(WANTED)
    assert [row.where for row in rows] == [f"{path}: line {line}" for line in lines]
    # Standard input has no suffix; the first line tells.
    assert told(parse_sound_table(text.lstrip("\ufeff"), "<stdin>")) == told(WANTED)


def test_a_prompt_a_line() -> None:
    for suffix in (".txt", None):
        rows = parse_sound_table("rain, soft\n\n door  slam \r\n#1\n", "t.txt", suffix)
        assert [row.prompt for row in rows] == ["rain, soft", "door slam", "#1"]
        assert [row.where for row in rows] == [f"t.txt: line {n}" for n in (1, 3, 4)]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.md", "rain", "t.md: sounds are read from .txt, .csv, .jsonl files"),
        ("t.txt", " \n", "t.txt: holds no prompts"),
        ("t.csv", "prompt,sed\nrain,1\n", "t.csv: line 1: unknown column 'sed'"),
        ("t.csv", "prompt,n,N\nrain,1,1\n", "t.csv: line 1: two columns 'n'"),
        ("t.csv", "prompt,n\nrain,1,2\n", "t.csv: line 2: more fields than columns"),
        ("t.csv", 'prompt,n\n"rain,1\n', "t.csv: line 2: unexpected end of data"),
        ("t.csv", "prompt,n\nrain,\n,3\n", "t.csv: line 3: has no prompt"),
        ("t.csv", "prompt,n\nrain,two\n", "t.csv: line 2: n: expected a whole number, got 'two'"),
        ("t.csv", "prompt,n\nrain,0\n", "t.csv: line 2: n: must be 1 or more, got 0"),
        ("t.csv", "prompt,seed\nrain,1.0\n", "seed: expected a whole number, got '1.0'"),
        ("t.csv", f"prompt,seed\nrain,{2**63}\n", f"seed: must be 0 to {MAX_SEED}, got {2**63}"),
        ("t.csv", "prompt,duration\nx,301\n", "duration: expected auto, or 0.1 to 300 seconds"),
        ("t.csv", "prompt,top_p\nx,1.5\n", "line 2: top_p: must be 0 to 1, got 1.5"),
        ("t.csv", "prompt,temperature\nx,nan\n", "temperature: must be 0 or more, got nan"),
        ("t.csv", "prompt,strength\nx,2\n", "line 2: strength: must be 0 to 1, got 2"),
        ("t.csv", "prompt,loop\nx,on\n", "line 2: loop: expected true or false, got 'on'"),
        ("t.jsonl", '{"prompt": "x", "loop": 1}', "loop: expected true or false, got 1"),
        ("t.jsonl", '{"prompt": "x"\n', "t.jsonl: line 1: not valid JSON"),
        ("t.jsonl", '{"prompt": "x", "seed": ' + "9" * 5000 + "}", "not valid JSON"),
        ("t.jsonl", "[1]", "t.jsonl: line 1: expected a prompt or an object, got [1]"),
        ("t.jsonl", '{"prompt": 3}', "line 1: prompt: expected text, got 3"),
        ("t.jsonl", '{"prompt": " "}', "line 1: prompt: the prompt is empty"),
        ("t.jsonl", '{"prompts": "x"}', "line 1: unknown field 'prompts'"),
        ("t.jsonl", '{"prompt": "x", "seed": "1"}', "seed: expected a whole number, got '1'"),
        ("t.jsonl", '{"prompt": "x", "seed": true}', "seed: expected a whole number, got True"),
        ("t.jsonl", '{"prompt": "x", "cfg_scale": "3"}', "cfg_scale: expected a number, got '3'"),
        ("t.jsonl", '{"prompt": "x", "duration": "3"}', "duration: expected a number or auto"),
        ("t.jsonl", '{"prompt": "x", "duration": [3]}', "duration: expected seconds or auto"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as caught:
        read_sound_table(tmp_path / name)
    assert message in caught.value.message
    assert caught.value.message.startswith(f"{tmp_path / name}: ")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"t\.csv: cannot be read"):
        read_sound_table(tmp_path / "t.csv")
    (tmp_path / "t.txt").write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"t\.txt: not a text file in UTF-8"):
        read_sound_table(tmp_path / "t.txt")


def test_loops() -> None:
    cells = ["yes", "No", "TRUE", "false", "1", "0", ""]
    rows = parse_sound_table("prompt,loop\n" + "".join(f"x,{cell}\n" for cell in cells), "t.csv")
    assert [row.settings.get("loop") for row in rows] == [
        True, False, True, False, True, False, None
    ]  # fmt: skip
    (row,) = parse_sound_table('{"prompt": "x", "loop": false}', "t.jsonl")
    assert row.settings == {"loop": False}
