"""What is known of a file: each place that says something, and which of them wins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from soundgen.data.caption_table import read_caption_table
from soundgen.data.captions import (
    Facts,
    facts_of_name,
    facts_of_row,
    facts_of_sidecar,
    facts_of_tags,
    merge,
)
from soundgen.errors import InputError


def test_the_first_that_knows_a_field_decides_it() -> None:
    merged = merge(
        Facts(captions=("one",)),
        Facts(captions=("two",), author="A", split="test"),
        Facts(author="B", license="CC0-1.0"),
    )
    assert merged == Facts(captions=("one",), author="A", split="test", license="CC0-1.0")


def test_names() -> None:
    facts = facts_of_name("Thunder Storms/distant_rumble-02.wav", "src")
    assert facts.captions == ("thunder storms distant rumble",)
    assert facts.category == "thunder storms"
    assert facts_of_name("rain/heavy rain.wav", "src").captions == ("heavy rain",)
    assert facts_of_name("0001.wav", "city_sounds").captions == ("city",)
    assert facts_of_name("0001.wav", "01").captions == ("sound effect",)
    assert facts_of_name("0001.wav", "01").category == "other"


def test_tags() -> None:
    facts = facts_of_tags(
        {"title": "Rain on Roof", "comment": "a storm passes", "artist": "Zoë", "license": "cc0"}
    )
    assert facts.captions == ("Rain on Roof", "a storm passes")
    assert (facts.author, facts.license) == ("Zoë", "CC0-1.0")


def test_tags_that_programs_write_are_no_captions() -> None:
    for junk in ("Lavf58.76.100", "https://example.org/x", "Processed by SoX", "Track 1", "---",
                 "Made with Audacity", '{"not": "ours"}'):  # fmt: skip
        assert facts_of_tags({"comment": junk}) == Facts()
    assert facts_of_tags({"title": "Rain_on_Roof-03"}).captions == ("rain on roof",)


def test_a_sound_of_ours_tells_its_prompt() -> None:
    made = json.dumps({"prompt": "a dog barks", "seed": 1})
    assert facts_of_tags({"comment": made}).captions == ("a dog barks",)


def test_a_copyright_counts_only_if_it_names_a_licence() -> None:
    assert facts_of_tags({"copyright": "CC BY 4.0"}).license == "CC-BY-4.0"
    assert facts_of_tags({"copyright": "2024 Somebody"}).license is None


def test_sidecars(tmp_path: Path) -> None:
    text, data = tmp_path / "a.txt", tmp_path / "a.json"
    text.write_text("\ufeffrain on a roof\n\n  water   drips \n", encoding="utf-8")
    assert facts_of_sidecar(text).captions == ("rain on a roof", "water drips")
    for content, captions in (
        ('"rain"', ("rain",)),
        ('["rain", "drips"]', ("rain", "drips")),
        ('{"title": "Rain"}', ("Rain",)),
        ('{"title": "x", "description": "rain"}', ("rain",)),
        ('{"captions": ["rain", "rain", ""]}', ("rain",)),
    ):
        data.write_text(content)
        assert facts_of_sidecar(data).captions == captions
    data.write_text('{"caption": "x", "licence": "cc0", "creator": "Z", "tags": ["a", "b"]}')
    assert facts_of_sidecar(data) == Facts(
        captions=("x",), license="CC0-1.0", author="Z", tags=("a", "b")
    )


@pytest.mark.parametrize("content", [b"{", b"7", b'{"caption": 7}', b"\xff\xfe", b"[[]]"])
def test_sidecars_that_cannot_be_used(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.json"):
        facts_of_sidecar(tmp_path / "a.json")


def test_rows() -> None:
    facts = facts_of_row(
        {"Caption": "rain ", "caption_2": "drips", "Tags": "a, b", "Split": "validation",
         "Licence": "cc0", "unknown column": "x", "author": None}
    )  # fmt: skip
    assert facts == Facts(
        captions=("rain", "drips"), tags=("a", "b"), split="valid", license="CC0-1.0"
    )
    with pytest.raises(ValueError, match="split must be one of"):
        facts_of_row({"split": "holdout"})


NAMES = ["rain/roof.wav", "rain/street.flac", "dogs/bark.wav", "cats/bark.wav", "Tür.wav"]


def test_csv_tables(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    for text in (
        'file,caption,author\nrain/roof.wav,"rain, on a roof",Zoë\nroof,drips,\n',
        "file;caption;author\nrain/roof.wav;rain, on a roof;Zoë\n./rain/roof.wav;drips;\n",
        "path\tcaptions\tauthor\nrain\\roof.wav\train, on a roof|drips\tZoë\n",
    ):
        table.write_text(text, encoding="utf-8")
        found, unmatched = read_caption_table(table).match(tmp_path, NAMES)
        facts = Facts(captions=("rain, on a roof", "drips"), author="Zoë")
        assert found == {"rain/roof.wav": facts}
        assert unmatched == []


def test_json_tables(tmp_path: Path) -> None:
    table = tmp_path / "t.json"
    rows = [
        {"audio": f"{tmp_path}/rain/roof.wav", "captions": ["rain", "drips"], "recording": "r1"},
        {"audio": "Tu\u0308r.wav", "caption": "door"},  # decomposed, as macOS stores names
    ]
    expected = {
        "rain/roof.wav": Facts(captions=("rain", "drips"), recording="r1"),
        "Tür.wav": Facts(captions=("door",)),
    }
    for text in (json.dumps(rows), "\n".join(map(json.dumps, rows)) + "\n"):
        table.write_text(text)
        assert read_caption_table(table).match(tmp_path, NAMES) == (expected, [])


def test_rows_that_fit_no_file_or_several(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("file,caption\nbark.wav,x\ngone.wav,y\nstreet.flac,z\n")
    found, unmatched = read_caption_table(table).match(tmp_path, NAMES)
    assert list(found) == ["rain/street.flac"]
    assert unmatched == ["bark.wav", "gone.wav"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no column audio, path, file"),
        ("name,caption\na.wav,x\n", "no column audio, path, file; found: name, caption"),
        ("file,caption\n", "holds no captions"),
        ("file,caption\n,x\n", "line 2: names no sound file"),
        ("file,caption\na.wav,x,y\n", "line 2: more fields than columns"),
        ('file,caption\na.wav,"x\n', "unexpected end of data"),
        ("file,split\na.wav,holdout\n", "line 2: split must be one of"),
        ('{"file": "a.wav", "caption": 7}\n', "line 1: caption must be a string"),
        ('{"file": "a.wav"}\n{"file"\n', "line 2: not valid JSON"),
        ('["a"]', "row 1: expected an object"),
        ("[", "not valid JSON"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError) as caught:
        read_caption_table(tmp_path / "t.csv")
    assert words in caught.value.message
    assert "t.csv" in caught.value.message


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"t.csv: cannot be read \(No such file"):
        read_caption_table(tmp_path / "t.csv")
