"""`prepare` on folders as they come: nasty files, kills, captions, licences, splits, shards."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from soundgen.audio.io import read_audio, write_audio
from soundgen.audio.waveform import Waveform
from soundgen.data.manifest import Clip, pcm16_digest, read_manifest, write_manifest
from soundgen.errors import InputError, OutputError, UsageError
from soundgen.pipelines.prepare import PrepareReport, prepare

RATE = 16000


def sound(seed: int, sample_rate: int = RATE, duration_s: float = 0.6) -> NDArray[np.float64]:
    """Return `[T]`: a struck bar with some noise, another one for each seed."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(duration_s * sample_rate)) / sample_rate
    tone = sum(np.exp(-4 * t) * np.sin(2 * np.pi * f * t) for f in rng.uniform(200, 3500, 4))
    noise = np.interp(t * RATE, np.arange(2 * RATE), rng.standard_normal(2 * RATE))
    return 0.1 * tone + 0.02 * noise


def put(path: Path, seed: int, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound(seed), RATE, **options)
    return path


def run(source: Path, data: Path, **options: Any) -> PrepareReport:
    return prepare(source=source, data=data, **{"jobs": 2, **options})


def by_source(data: Path) -> dict[str, Clip]:
    return {clip.source_path or "": clip for clip in read_manifest(data)}


def reasons(data: Path) -> dict[str, str]:
    lines = (data / "rejected.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["path"]: row["reason"] for row in map(json.loads, lines)}


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".prepare" not in path.parts
    }


def check_clips(data: Path) -> None:
    """Every clip is what the manifest says, and nothing else lies among them."""
    clips = read_manifest(data)
    for clip in clips:
        path = data / clip.path
        info = soundfile.info(path)
        assert (info.format, info.subtype, info.samplerate, info.channels) == (
            "FLAC", "PCM_16", RATE, 1,
        )  # fmt: skip
        samples = read_audio(path).samples[0]
        assert clip.duration == round(len(samples) / RATE, 4)
        assert clip.sha1_pcm16 == pcm16_digest(samples)
    on_disk = {path.relative_to(data).as_posix() for path in (data / "audio").rglob("*.*")}
    assert on_disk == {clip.path for clip in clips}


GOOD = ("stereo.wav", "eight.wav", "deep.wav", "lossy.mp3", "Füße & Regen/schwerer Regen.wav",
        "x.wav/inside.wav", "雨 の 音.flac", "no suffix")  # fmt: skip
BAD = {
    "empty.wav": "an empty file",
    "truncated.wav": "truncated",
    "photo.wav": "a JPEG image",
    "nan.wav": "NaN or infinite",
    "silence.wav": "silent",
    "zz copy.wav": "duplicate of stereo.wav",
    "dangling.wav": "a dangling link",
    "pipe.wav": "a named pipe",
    "x.wav": "a folder, not a file",
    "click.wav": "too short",
    "words.wav": "not an audio file",
}


@pytest.fixture
def nasty(tmp_path: Path) -> Path:
    """A folder with everything in it that has ever gone wrong."""
    root = tmp_path / "nasty"
    root.mkdir()
    left = sound(1, 48000)
    soundfile.write(root / "stereo.wav", np.stack([left, 0.5 * left], axis=1), 48000)
    put(root / "eight.wav", 2, subtype="PCM_U8")
    soundfile.write(root / "deep.wav", sound(3, 44100), 44100, subtype="PCM_24")
    put(root / "lossy.mp3", 4)
    put(root / "Füße & Regen" / "schwerer Regen.wav", 5)
    put(root / "雨 の 音.flac", 6)
    put(root / "no suffix.wav", 7).rename(root / "no suffix")
    (root / "empty.wav").touch()
    put(root / "truncated.wav", 8)
    whole = (root / "truncated.wav").read_bytes()
    (root / "truncated.wav").write_bytes(whole[: len(whole) // 2])
    (root / "photo.wav").write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + os.urandom(5000))
    (root / "words.wav").write_text("This is no sound.\n" * 100)
    broken = sound(9)
    broken[100] = np.nan
    soundfile.write(root / "nan.wav", broken, RATE, subtype="FLOAT")
    soundfile.write(root / "silence.wav", np.zeros(RATE), RATE)
    soundfile.write(root / "click.wav", sound(10)[:100], RATE)
    shutil.copy(root / "stereo.wav", root / "zz copy.wav")
    (root / "dangling.wav").symlink_to("nowhere.wav")
    os.mkfifo(root / "pipe.wav")
    (root / "x.wav").mkdir()
    put(root / "x.wav" / "inside.wav", 11)
    (root / "x.wav" / "loop").symlink_to("..")
    (root / "notes.txt").write_text("no sound, and no reject either")
    return root


def test_a_nasty_folder(nasty: Path, tmp_path: Path) -> None:
    report = run(nasty, tmp_path / "data")
    assert set(by_source(tmp_path / "data")) == set(GOOD)
    found = reasons(tmp_path / "data")
    assert set(found) == set(BAD)
    for name, words in BAD.items():
        assert words in found[name], name
    assert (report.num_clips, report.num_rejected) == (len(GOOD), len(BAD))
    assert {item.path: item.reason for item in report.rejected} == found
    assert report.num_resampled == 3  # stereo.wav, its copy, deep.wav
    check_clips(tmp_path / "data")
    told = json.loads((tmp_path / "data" / "report.json").read_text())
    assert told["num_clips"] == len(GOOD)
    assert told["reasons"]["truncated"] == 1


@pytest.mark.needs_ffmpeg
def test_m4a_in_a_nasty_folder(nasty: Path, tmp_path: Path) -> None:
    put(tmp_path / "a.wav", 20)
    command = ["ffmpeg", "-v", "error", "-i", tmp_path / "a.wav", "-metadata", "title=a gong"]
    subprocess.run([*command, nasty / "gong.m4a"], check=True)
    run(nasty, tmp_path / "data")
    assert set(by_source(tmp_path / "data")) == {*GOOD, "gong.m4a"}
    assert by_source(tmp_path / "data")["gong.m4a"].captions == ("a gong",)


def test_m4a_without_ffmpeg_is_listed_and_done_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "src" / "a.wav", 1)
    (tmp_path / "src" / "b.m4a").write_bytes(b"\x00\x00\x00\x1cftypM4A " + bytes(200))
    monkeypatch.setenv("PATH", str(tmp_path))
    run(tmp_path / "src", tmp_path / "data")
    assert "needs ffmpeg" in reasons(tmp_path / "data")["b.m4a"]
    # As if ffmpeg had been installed: what failed is looked at again.
    put(tmp_path / "c.wav", 2).replace(tmp_path / "src" / "b.m4a")
    assert run(tmp_path / "src", tmp_path / "data").num_clips == 2


def many(root: Path, count: int = 40) -> Path:
    for index in range(count):
        put(root / f"kind {index % 7}" / f"sound {chr(97 + index % 26)}{index:03d}.wav", index)
    (root / "broken.wav").write_bytes(b"RIFF")
    shutil.copy(root / "kind 0" / "sound a000.wav", root / "z.wav")
    return root


def test_killed_half_way_it_goes_on_to_the_same_manifest(tmp_path: Path) -> None:
    source = many(tmp_path / "src")
    run(source, tmp_path / "once", jobs=1)
    expected = files_below(tmp_path / "once")
    data = tmp_path / "killed"
    command = [sys.executable, "-m", "soundgen", "dataset", "prepare", source, data, "--jobs", "2"]
    clips_before = 0
    for _ in range(2):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _wait_for_clips(process, data, clips_before + 8)
        process.send_signal(signal.SIGKILL)
        process.wait()
        clips_before = len(list(data.rglob("*.flac")))
        assert 8 <= clips_before < 41
        assert not (data / "manifest.jsonl").exists()
    # A line of the journal cut short, and a half-written clip, as a power cut leaves them.
    with next((data / ".prepare").glob("journal-*")).open("a") as journal:
        journal.write('{"size": 1')
    (data / "audio" / ".soundgen-half.flac").write_bytes(b"fLaC")
    done = {path: path.stat().st_mtime_ns for path in data.rglob("*.flac")}
    report = run(source, data)
    assert report.num_clips == 40
    assert files_below(data) == expected
    kept = [path for path, mtime in done.items() if path.exists() and
            path.stat().st_mtime_ns == mtime]  # fmt: skip
    assert len(kept) >= 14  # what was done was not done again
    check_clips(data)


def _wait_for_clips(process: subprocess.Popen[bytes], data: Path, count: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        journals = list((data / ".prepare").glob("journal-*"))
        lines = sum(path.read_bytes().count(b'"size"') for path in journals)
        if lines >= count:
            return
        time.sleep(0.005)
    pytest.fail(f"ended with {process.poll()} before {count} clips were there")


def test_no_process_outlives_a_kill(tmp_path: Path) -> None:
    source = many(tmp_path / "src")
    data = tmp_path / "data"
    command = [sys.executable, "-m", "soundgen", "dataset", "prepare", source, data]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    _wait_for_clips(process, data, 3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("workers are still there")


def test_the_number_of_processes_does_not_matter(tmp_path: Path) -> None:
    source = many(tmp_path / "src", 12)
    for jobs in (1, 3):
        run(source, tmp_path / f"data{jobs}", jobs=jobs)
    assert files_below(tmp_path / "data1") == files_below(tmp_path / "data3")


def test_again_does_nothing_and_new_files_are_added(tmp_path: Path) -> None:
    source, data = many(tmp_path / "src", 6), tmp_path / "data"
    run(source, data)
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*.flac")}
    manifest = (data / "manifest.jsonl").read_bytes()
    run(source, data)
    assert (data / "manifest.jsonl").read_bytes() == manifest
    put(source / "kind 0" / "new.wav", 99)
    assert run(source, data).num_clips == 7
    assert {path: path.stat().st_mtime_ns for path in before} == before
    old = [
        line for line in (data / "manifest.jsonl").read_bytes().splitlines() if b"new" not in line
    ]
    assert old == manifest.splitlines()
    # A changed file is converted again, a removed one goes with its clip.
    put(source / "kind 0" / "new.wav", 98)
    (source / "kind 1" / "sound b001.wav").unlink()
    assert run(source, data).num_clips == 6
    check_clips(data)


def test_shards_make_the_same_dataset(tmp_path: Path) -> None:
    source = many(tmp_path / "src", 20)
    run(source, tmp_path / "whole")
    data = tmp_path / "data"
    counts = []
    for index in (2, 3, 1):
        report = run(source, data, shard=(index, 3))
        counts.append(report.num_files)
        assert report.finished == (index == 1)
        assert (data / "manifest.jsonl").exists() == (index == 1)
    assert files_below(data) == files_below(tmp_path / "whole")
    with pytest.raises(UsageError, match="i/n"):
        run(source, data, shard=(4, 3))
    with pytest.raises(UsageError, match="other shards"):
        run(source, data, shard=(1, 3), force=True)


def test_trim_and_split(tmp_path: Path) -> None:
    source = tmp_path / "src"
    quiet = np.zeros(RATE)
    put(source / "a.wav", 1)
    long = np.concatenate([quiet, *(sound(seed, duration_s=1.0) for seed in range(5)), quiet])
    soundfile.write(source / "long.wav", long, RATE)
    holes = np.concatenate([sound(7, duration_s=1.0), quiet, quiet, sound(8, duration_s=1.0)])
    soundfile.write(source / "holes.wav", holes, RATE)
    run(source, tmp_path / "whole", trim=False)
    clips = by_source(tmp_path / "whole")
    assert (clips["long.wav"].duration, clips["holes.wav"].duration) == (7.0, 4.0)
    run(source, tmp_path / "trimmed")
    assert 5.0 <= by_source(tmp_path / "trimmed")["long.wav"].duration < 5.1
    report = run(source, tmp_path / "split", split_s=1.0, trim=False)
    parts = [clip for clip in read_manifest(tmp_path / "split") if clip.source_path == "long.wav"]
    assert [clip.duration for clip in parts] == [1.0] * 5
    assert [clip.path[-11:] for clip in parts] == [f"-p{n:04d}.flac" for n in range(2, 7)]
    assert len({clip.recording for clip in parts}) == len({clip.split for clip in parts}) == 1
    assert reasons(tmp_path / "split")["holes.wav"].startswith("part ")
    assert report.reasons == {"silent": 4}
    check_clips(tmp_path / "split")


def test_float_files_beyond_full_scale_are_turned_down(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    samples = 32768 * sound(1)  # 16-bit numbers saved as floats, a common slip
    soundfile.write(tmp_path / "src" / "a.wav", samples, RATE, subtype="FLOAT")
    report = run(tmp_path / "src", tmp_path / "data", trim=False)
    assert report.num_attenuated == 1
    got = read_audio(tmp_path / "data" / read_manifest(tmp_path / "data")[0].path).samples[0]
    assert np.abs(got - samples / np.abs(samples).max()).max() < 1e-4


def test_captions_come_from_the_first_that_knows(tmp_path: Path) -> None:
    source = tmp_path / "src"
    tags = {"title": "from the tags", "artist": "Zoë", "license": "CC BY 4.0"}
    for seed, name in enumerate(("table", "sidecar", "json", "tagged", "Named After_its-File03")):
        path = source / "Some Folder" / f"{name}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_audio(path, Waveform(sound(seed)[None].astype(np.float32), RATE),
                    tags={} if name.startswith("Named") else tags)  # fmt: skip
    folder = source / "Some Folder"
    (folder / "table.txt").write_text("not this")
    (folder / "sidecar.txt").write_text("from the sidecar\nand a second line\n")
    (folder / "json.json").write_text(
        json.dumps({"caption": "from the json", "category": "things", "author": "J"})
    )
    (folder / "tagged.json").write_text("{broken")
    table = tmp_path / "captions.csv"
    table.write_text(
        "file,caption,category,tags,source,origin\n"
        'table,"from, the table",rain,"wet, loud",site,set\n'
        "nobody,x,,,,\n"
    )
    told: list[str] = []
    run(source, tmp_path / "data", captions=table, progress=Listener(told.append))
    clips = {Path(name).stem: clip for name, clip in by_source(tmp_path / "data").items()}
    assert clips["table"].captions == ("from, the table",)
    assert clips["table"].tags == ("wet", "loud")
    assert (clips["table"].category, clips["table"].author) == ("rain", "Zoë")
    assert (clips["table"].source, clips["table"].origin) == ("site", "set")
    assert clips["sidecar"].captions == ("from the sidecar", "and a second line")
    assert clips["sidecar"].category == "some folder"
    assert clips["json"].captions == ("from the json",)
    assert (clips["json"].category, clips["json"].author) == ("things", "J")
    assert clips["tagged"].captions == ("from the tags",)
    assert clips["tagged"].license == "CC-BY-4.0"
    named = clips["Named After_its-File03"]
    assert named.captions == ("some folder named after its",)
    assert named.author is None
    assert any("nobody" in line for line in told)
    assert any("tagged.json" in line for line in told)


class Listener:
    """Hears the notices."""

    def __init__(self, hear: Callable[[str], None]) -> None:
        self.notice = hear

    def start(self, what: str, total: int | None) -> None: ...
    def advance(self, n: int = 1) -> None: ...
    def finish(self) -> None: ...
    def metrics(self, step: int, values: Any) -> None: ...


def test_new_captions_need_no_new_conversion(tmp_path: Path) -> None:
    source, data = many(tmp_path / "src", 4), tmp_path / "data"
    run(source, data)
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*.flac")}
    (source / "kind 0" / "sound a000.txt").write_text("a new caption")
    run(source, data)
    assert by_source(data)["kind 0/sound a000.wav"].captions == ("a new caption",)
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*.flac")} == before


def test_licences(tmp_path: Path) -> None:
    source, data = tmp_path / "src", tmp_path / "data"
    for seed, name in enumerate(("free", "by", "nc", "unknown")):
        put(source / f"{name}.wav", seed)
    table = tmp_path / "t.csv"
    table.write_text(
        "file,license,author\nfree.wav,Creative Commons 0,A\nby.wav,cc by 3.0,B\n"
        "nc.wav,https://creativecommons.org/licenses/by-nc/4.0/,C\n"
    )
    run(source, data, captions=table, allowed_licenses=["CC0-1.0"])
    assert set(by_source(data)) == {"free.wav"}
    assert reasons(data) == {
        "by.wav": "licence CC-BY-3.0 is not allowed",
        "nc.wav": "licence CC-BY-NC-4.0 is not allowed",
        "unknown.wav": "licence unknown",
    }
    check_clips(data)
    # Allowed after all: the clip that was thrown away is made again.
    run(source, data, captions=table, allowed_licenses=["cc0", "CC-BY"])
    assert {name: clip.license for name, clip in by_source(data).items()} == {
        "free.wav": "CC0-1.0", "by.wav": "CC-BY-3.0",
    }  # fmt: skip
    check_clips(data)
    run(source, data, captions=table)
    assert len(by_source(data)) == 4


def test_near_duplicates_do_not_straddle(tmp_path: Path) -> None:
    source = tmp_path / "src"
    for seed in range(12):
        samples = sound(seed, duration_s=1.5)
        for name, version in (("a", samples), ("q", 0.3 * samples), ("z", samples[500:])):
            path = source / f"{name}{seed:03d}" / f"{name}.{'mp3' if name == 'q' else 'wav'}"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, version, RATE)
    report = run(source, tmp_path / "data")
    assert (report.num_clips, report.num_recordings) == (36, 12)
    clips = by_source(tmp_path / "data")
    for seed in range(12):
        family = [clip for name, clip in clips.items() if name[1:4] == f"{seed:03d}"]
        assert len(family) == 3
        assert len({(clip.recording, clip.split) for clip in family}) == 1


def test_cuts_of_one_recording_stay_together(tmp_path: Path) -> None:
    for index in range(9):
        put(tmp_path / "src" / f"roof-{index}.wav", index)
        put(tmp_path / "src" / f"other {chr(97 + index)}{index}00.wav", 20 + index)
    run(tmp_path / "src", tmp_path / "data")
    clips = read_manifest(tmp_path / "data")
    roofs = [clip for clip in clips if "roof" in clip.recording]
    assert len(roofs) == 9
    assert len({clip.split for clip in roofs}) == 1


def test_a_manifest_of_ours_in_the_source_is_taken_over(tmp_path: Path) -> None:
    source, data = tmp_path / "src", tmp_path / "data"
    listed = []
    for seed, split in enumerate(("train", "valid", "test")):
        put(source / "audio" / f"{split}.wav", seed)
        listed.append(
            Clip(
                path=f"audio/{split}.wav", captions=(f"a {split} sound", "another"), tags=("t",),
                category="things", duration=0.6, split=split, license="CC0-1.0",  # type: ignore[arg-type]
                source="somewhere", source_path=f"there/{split}", origin="pack", author="Zoë",
                recording=f"rec-{split}", sha1_pcm16="0" * 40,
            )
        )  # fmt: skip
    write_manifest(source, [*listed, *[_renamed(listed[0], "audio/gone.wav")]])
    put(source / "audio" / "unlisted.wav", 9)
    report = run(source, data, trim=False)
    assert reasons(data) == {
        "audio/gone.wav": "listed in manifest.jsonl, but there is no such file"
    }
    assert report.num_moved == 0
    clips = by_source(data)
    for clip in listed:
        got = clips[clip.source_path or ""]
        for name in ("captions", "tags", "category", "split", "license", "source", "origin",
                     "author", "recording", "duration"):  # fmt: skip
            assert getattr(got, name) == getattr(clip, name)
    assert clips["audio/unlisted.wav"].captions == ("unlisted",)
    # And what prepare writes can be prepared again.
    run(data, tmp_path / "again", trim=False)
    first = {clip.recording: clip.captions for clip in read_manifest(data)}
    assert {clip.recording: clip.captions for clip in read_manifest(tmp_path / "again")} == first


def _renamed(clip: Clip, path: str) -> Clip:
    from dataclasses import replace

    return replace(clip, path=path)


def test_a_manifest_of_others_in_the_source_is_left_alone(tmp_path: Path) -> None:
    put(tmp_path / "src" / "a.wav", 1)
    (tmp_path / "src" / "manifest.jsonl").write_text(
        '{"audio_filepath": "a.wav", "text": "rain"}\n'
    )
    told: list[str] = []
    run(tmp_path / "src", tmp_path / "data", progress=Listener(told.append))
    assert any("manifest.jsonl" in line and "not used" in line for line in told)
    table = tmp_path / "src" / "manifest.jsonl"
    run(tmp_path / "src", tmp_path / "data", captions=table)
    assert read_manifest(tmp_path / "data")[0].captions == ("rain",)


def test_folders_that_cannot_be(tmp_path: Path) -> None:
    source = many(tmp_path / "src", 2)
    for data in (source, source / "data", tmp_path):
        with pytest.raises(UsageError, match="lie inside one another"):
            run(source, data)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("mine")
    for force in (False, True):
        with pytest.raises(OutputError, match=r"not made by dataset prepare .*thesis.txt"):
            run(source, tmp_path / "taken", force=force)
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["thesis.txt"]
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="is a file"):
        run(source, tmp_path / "file")
    with pytest.raises(InputError, match="no such folder"):
        run(tmp_path / "gone", tmp_path / "data")
    with pytest.raises(InputError, match=r"captions.csv: cannot be read"):
        run(source, tmp_path / "data", captions=tmp_path / "captions.csv")
    for options in ({"split_s": 0.01}, {"split_s": float("nan")}, {"jobs": 0}):
        with pytest.raises(UsageError, match="must be at least"):
            run(source, tmp_path / "data", **options)
    assert not (tmp_path / "data").exists()


def test_other_settings_need_force(tmp_path: Path) -> None:
    source, data = many(tmp_path / "src", 3), tmp_path / "data"
    run(source, data)
    with pytest.raises(OutputError, match="was made with another split_s") as caught:
        run(source, data, split_s=0.2)
    assert "-f" in caught.value.hint
    (data / "own notes.txt").write_text("kept")
    assert run(source, data, split_s=0.2, force=True).num_clips > 3
    assert (data / "own notes.txt").read_text() == "kept"
    check_clips(data)


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    from soundgen.files import folder_lock

    source, data = many(tmp_path / "src", 2), tmp_path / "data"
    run(source, data)
    with folder_lock(data), pytest.raises(OutputError, match="another soundgen process"):
        run(source, data)
    with folder_lock(data), pytest.raises(OutputError, match="another soundgen process"):
        run(source, data, shard=(1, 2))


def test_nothing_to_convert(tmp_path: Path) -> None:
    source = tmp_path / "src"
    source.mkdir()
    with pytest.raises(InputError, match="nothing could be converted"):
        run(source, tmp_path / "data")
    (source / "a.wav").write_bytes(b"")
    (source / "b.wav").write_bytes(b"x")
    with pytest.raises(InputError, match=r"nothing could be converted; a.wav: an empty file"):
        run(source, tmp_path / "data")
    assert set(reasons(tmp_path / "data")) == {"a.wav", "b.wav"}
    assert not (tmp_path / "data" / "manifest.jsonl").exists()
    put(source / "c.wav", 1)
    assert run(source, tmp_path / "data").num_clips == 1
