"""The index of `search`: what it keeps, and that whatever is wrong with one, it is made again."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from soundgen.errors import OutputError
from soundgen.pipelines.search_index import (
    IndexEntry,
    SearchIndex,
    default_index_path,
    read_index,
    save_index,
)


@pytest.fixture
def index() -> SearchIndex:
    index = SearchIndex("digest")
    odd = os.fsdecode(b"odd\xff [b]\n.wav")
    for row, name in enumerate(("a.wav", odd, "ü/c.flac")):
        entry = IndexEntry(size=row, mtime_ns=10**18 + row, duration_s=0.5)
        index.add(name, entry, np.full(4, row, np.float32))
    broken = IndexEntry(size=9, mtime_ns=1, problem="damaged", kind="broken")
    index.add("broken.wav", broken, None)
    return index


def test_comes_back_as_it_was(index: SearchIndex, tmp_path: Path) -> None:
    path = tmp_path / "new" / "index"
    save_index(index, path)
    back, problem = read_index(path, "digest")
    assert problem == ""
    assert back.entries == index.entries
    assert back.vectors.keys() == index.vectors.keys()
    for name, vector in index.vectors.items():
        np.testing.assert_array_equal(back.vectors[name], vector)
    assert back.keep({"a.wav"}) and list(back.entries) == list(back.vectors) == ["a.wav"]
    assert not back.keep({"a.wav"})


def test_an_empty_one_and_none_at_all(tmp_path: Path) -> None:
    save_index(SearchIndex("digest"), tmp_path / "index")
    assert read_index(tmp_path / "index", "digest") == (SearchIndex("digest"), "")
    assert read_index(tmp_path / "none", "digest") == (SearchIndex("digest"), "")


def test_of_another_model_it_is_not_used(index: SearchIndex, tmp_path: Path) -> None:
    save_index(index, tmp_path / "index")
    empty, problem = read_index(tmp_path / "index", "other")
    assert (empty, problem) == (SearchIndex("other"), "was made with another model")


def test_cut_off_or_changed_anywhere_it_is_no_bug(index: SearchIndex, tmp_path: Path) -> None:
    path = tmp_path / "index"
    save_index(index, path)
    whole = path.read_bytes()
    body = whole.index(b"}}") + 2
    for length in range(body - 10, len(whole), 7):
        path.write_bytes(whole[:length])
        empty, problem = read_index(path, "digest")
        assert (empty, problem.split(" (")[0]) == (SearchIndex("digest"), "is damaged")
    for at in range(body, len(whole), 5):
        path.write_bytes(whole[:at] + b"\xff" + whole[at + 1 :])
        read_index(path, "digest")


@pytest.mark.parametrize("content", [b"", b"precious", b"RIFF" + bytes(100)])
def test_another_file_is_never_taken_for_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mine").write_bytes(content)
    with pytest.raises(OutputError, match="is not a search index"):
        read_index(tmp_path / "mine", "digest")
    with pytest.raises(OutputError, match="is not a search index"):
        read_index(tmp_path, "digest")
    _, problem = read_index(tmp_path / "mine", "digest", replaceable=True)
    assert problem.startswith("is damaged")


def test_the_cache_follows_xdg_and_tells_folders_and_models_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    paths = {
        default_index_path(Path(folder), digest)
        for folder in ("a", "b", "./a")
        for digest in ("1" * 64, "2" * 64)
    }
    assert len(paths) == 4
    assert all(path.parent == tmp_path / "soundgen" / "search" for path in paths)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert default_index_path(Path("a"), "1" * 64).is_relative_to("/home/me/.cache/soundgen")
