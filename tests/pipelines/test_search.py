"""`search` in one process: what is heard again, what is kept, and what is only a notice."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundgen.errors import InputError, OutputError
from soundgen.pipelines.search import SearchReport, search
from soundgen.progress import SilentProgress
from tests.fixtures_audio import RATE, make_sound, make_sounds

pytestmark = pytest.mark.usefixtures("one_thread")


class Listening(SilentProgress):
    """Keeps the notices."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, message: str) -> None:
        self.notices.append(message)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    make_sounds(tmp_path / "library" / "all", num_each=2)
    return tmp_path / "library"


def find(
    text: str, library: Path, model: Path, index: Path | None, *, num_results: int = 2
) -> tuple[SearchReport, list[str]]:
    progress = Listening()
    report = search(
        text,
        library,
        num_results=num_results,
        model=str(model),
        index_path=index,
        device="cpu",
        threads=1,
        progress=progress,
    )
    return report, progress.notices


def test_only_new_and_changed_files_are_heard(
    library: Path, matcher_model: Path, tmp_path: Path
) -> None:
    index = tmp_path / "index"
    first, _ = find("the sound of a click", library, matcher_model, index)
    assert (first.num_sounds, first.num_new, first.failures) == (8, 8, [])
    assert first.results[0].score >= first.results[1].score
    assert all("click" in hit.path.name for hit in first.results)
    assert first.results[0].duration_s in (0.5, 0.6)

    again, _ = find("the sound of a click", library, matcher_model, index)
    assert (again.num_sounds, again.num_new, again.results) == (8, 0, first.results)

    click = first.results[0].path
    soundfile.write(click, make_sound("noise", 9, 1.0), RATE)
    (library / "all" / "far tone.wav").unlink()
    soundfile.write(library / "more.flac", make_sound("click", 10, 0.4), RATE)
    changed, _ = find("the sound of a click", library, matcher_model, index, num_results=99)
    assert (changed.num_sounds, changed.num_new) == (8, 2)
    assert changed.results[0].path != click
    assert len(changed.results) == 8
    assert "far tone.wav" not in [hit.path.name for hit in changed.results]


def test_a_damaged_index_is_made_again_and_another_file_is_not_touched(
    library: Path, matcher_model: Path, tmp_path: Path
) -> None:
    index = tmp_path / "index"
    first, _ = find("a tone", library, matcher_model, index)
    index.write_bytes(index.read_bytes()[:-9])
    again, notices = find("a tone", library, matcher_model, index)
    assert (again.num_new, again.results) == (8, first.results)
    assert len(notices) == 1 and "is damaged" in notices[0] and "indexing again" in notices[0]
    assert find("a tone", library, matcher_model, index)[0].num_new == 0
    precious = library / "all" / "near tone.wav"
    before = precious.read_bytes()
    with pytest.raises(OutputError, match="is not a search index"):
        find("a tone", library, matcher_model, precious)
    assert precious.read_bytes() == before


def test_a_cache_that_cannot_be_written_is_a_notice(
    library: Path, matcher_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    report, notices = find("noise", library, matcher_model, None)
    assert "noise" in report.results[0].path.name
    assert [notice.split(":")[0] for notice in notices] == ["the index is not kept"]
    with pytest.raises(OutputError, match="cannot be made"):
        find("noise", library, matcher_model, tmp_path / "file" / "index")


def test_of_a_very_long_file_the_beginning_is_heard(matcher_model: Path, tmp_path: Path) -> None:
    long = np.tile(make_sound("tone", 1, 1.0), 605)[::4]
    (tmp_path / "library").mkdir()
    soundfile.write(tmp_path / "library" / "long.wav", long, RATE // 4, subtype="PCM_U8")
    report, _ = find("a tone", tmp_path / "library", matcher_model, tmp_path / "index")
    assert report.results[0].duration_s == 600.0


def test_nothing_to_hear_is_an_input_error(matcher_model: Path, tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    with pytest.raises(InputError, match="no sounds there that can be heard"):
        find("rain", library, matcher_model, tmp_path / "index")
    soundfile.write(library / "silent.wav", np.zeros(1000), RATE)
    (library / "notes.txt").write_text("no sound")
    (library / "broken.wav").write_text("no sound either")
    with pytest.raises(InputError, match="no sounds there that can be heard") as caught:
        find("rain", library, matcher_model, tmp_path / "index")
    assert caught.value.hint.startswith(f"{library / 'broken.wav'}: not an audio file")
    assert os.path.getsize(tmp_path / "index") > 0


def test_a_broken_file_is_tried_again_and_named_once(
    library: Path, matcher_model: Path, tmp_path: Path
) -> None:
    whole = (library / "all" / "far tone.wav").read_bytes()
    mended = library / "all" / "mended.wav"
    mended.write_bytes(whole[:-100])
    report, notices = find("a tone", library, matcher_model, tmp_path / "index")
    assert len(notices) == 1 and notices[0].startswith(f"{mended}: truncated")
    assert [lost.path for lost in report.failures] == [mended]
    saved = (tmp_path / "index").stat().st_mtime_ns
    report, notices = find("a tone", library, matcher_model, tmp_path / "index")
    assert (notices, len(report.failures)) == ([], 1)
    assert (tmp_path / "index").stat().st_mtime_ns == saved
    mended.write_bytes(whole)
    report, notices = find("a tone", library, matcher_model, tmp_path / "index")
    assert (notices, report.failures, report.num_new) == ([], [], 1)
