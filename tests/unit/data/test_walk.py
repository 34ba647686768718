"""Which files of a folder are sounds, which cannot be, and which are company."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from soundgen.data.walk import sidecars_of, walk
from soundgen.errors import InputError

FLAC = b"fLaC" + bytes(100)


def names(root: Path) -> list[str]:
    return [source.name for source in walk(root).sources]


def test_order_and_names(tmp_path: Path) -> None:
    for name in ("b.wav", "a/z.wav", "a.wav", "Ä.wav", "a/b/c.mp3", "no suffix"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(FLAC)
    assert names(tmp_path) == ["a.wav", "a/b/c.mp3", "a/z.wav", "b.wav", "no suffix", "Ä.wav"]


def test_company_is_left_alone_unless_it_is_audio(tmp_path: Path) -> None:
    for name in ("a.txt", "README", "LICENSE", "cover.jpg", "t.csv", "GGG.md"):
        (tmp_path / name).write_bytes(b"G" * 400)
    (tmp_path / ".DS_Store").write_bytes(b"x")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.wav").write_bytes(FLAC)
    (tmp_path / "sound.txt").write_bytes(FLAC)
    found = walk(tmp_path)
    assert [source.name for source in found.sources] == ["sound.txt"]
    assert sorted(found.companions) == ["GGG.md", "LICENSE", "README", "a.txt", "cover.jpg",
                                        "t.csv"]  # fmt: skip
    assert found.rejected == []


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "x.wav").mkdir()
    (tmp_path / "x.wav" / "in.wav").write_bytes(FLAC)
    (tmp_path / "gone.wav").symlink_to("nowhere")
    (tmp_path / "self.wav").symlink_to("self.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    found = walk(tmp_path)
    assert [source.name for source in found.sources] == ["x.wav/in.wav"]
    reasons = {item.path: item.reason for item in found.rejected}
    assert reasons["x.wav"] == "a folder, not a file"
    assert reasons["gone.wav"].startswith("a dangling link")
    assert "link" in reasons["self.wav"]
    assert reasons["pipe.wav"] == "not a regular file (a named pipe)"


def test_links(tmp_path: Path) -> None:
    root, other = tmp_path / "root", tmp_path / "other"
    (root / "a").mkdir(parents=True)
    other.mkdir()
    (root / "a" / "x.wav").write_bytes(FLAC)
    (other / "y.wav").write_bytes(FLAC)
    (other / "back").symlink_to(root)
    (root / "a" / "up").symlink_to("..")
    (root / "b").symlink_to("a")
    (root / "top").symlink_to(tmp_path)
    (root / "other").symlink_to(other)
    (root / "other again").symlink_to(other)
    (root / "file.wav").symlink_to(other / "y.wav")
    found = walk(root)
    assert [source.name for source in found.sources] == [
        "a/x.wav", "file.wav", "other/y.wav",
    ]  # fmt: skip
    assert len(found.notices) == 5


def test_a_folder_that_is_not_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(InputError, match="no such folder"):
        walk(tmp_path / "gone")
    with pytest.raises(InputError, match="not a folder"):
        walk(tmp_path / "file")


def test_sidecars() -> None:
    assert list(sidecars_of("a.b/x.wav")) == [
        "a.b/x.json", "a.b/x.txt", "a.b/x.wav.json", "a.b/x.wav.txt",
    ]  # fmt: skip
