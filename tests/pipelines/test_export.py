"""Tar shards: out and in again, nothing is lost; others read them, and ours reads others'."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundgen.data.manifest import Clip, read_manifest, write_manifest
from soundgen.data.segments import SegmentSampler, read_piece
from soundgen.data.segments_config import SegmentConfig
from soundgen.data.walk import walk
from soundgen.errors import InputError, OutputError
from soundgen.pipelines.dataset import dataset_licenses, verify_dataset
from soundgen.pipelines.export import export_webdataset
from soundgen.pipelines.prepare import prepare
from soundgen.pipelines.recipes import load_recipe
from soundgen.pipelines.tokenize import tokenize
from soundgen.pipelines.train_codec import train_codec
from soundgen.pipelines.unpack import unpack_shards
from soundgen.progress import SilentProgress
from tests.fixtures_audio import RATE, make_sound


@pytest.fixture(scope="module")
def shards(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset in four shards."""
    out = tmp_path_factory.mktemp("export") / "shards"
    report = export_webdataset(data=dataset, out=out, shard_mb=0.1)
    assert report.num_clips == 28 and report.num_shards == len(list(out.glob("*.tar"))) > 2
    return out


def without_path(clip: Clip) -> Clip:
    return replace(clip, path="-")


def sampler(root: Path) -> SegmentSampler:
    clips = read_manifest(root).select("train")
    return SegmentSampler(root, clips, SegmentConfig(), sample_rate=RATE, hop_length=320, seed=1)


def test_shards_are_a_dataset_with_the_same_clips(dataset: Path, shards: Path) -> None:
    ours, theirs = read_manifest(dataset), read_manifest(shards)
    assert list(map(without_path, theirs)) == list(map(without_path, ours))
    assert not verify_dataset(shards, jobs=1).problems
    assert dataset_licenses(shards).licenses == dataset_licenses(dataset).licenses


def test_trainings_and_tokenize_read_the_same_from_them(
    dataset: Path, shards: Path, tiny_codec: Path, token_cache: Path, tmp_path: Path
) -> None:
    for index in range(8):
        assert np.array_equal(sampler(shards).segment(index), sampler(dataset).segment(index))
    tiny = load_recipe("codec", "tiny")
    report = train_codec(tiny, data=shards, out=tmp_path / "run", dry_run=True)
    assert report.metrics == train_codec(tiny, data=dataset, out=tmp_path, dry_run=True).metrics
    tokenize(data=shards, cache=tmp_path / "cache", model=str(tiny_codec), variants=2)
    for name in ("codes.u16", "clips.jsonl", "texts.safetensors"):
        assert (tmp_path / "cache" / name).read_bytes() == (token_cache / name).read_bytes()


def test_prepare_makes_the_dataset_of_them_again(
    dataset: Path, shards: Path, tmp_path: Path
) -> None:
    report = prepare(source=shards, data=tmp_path / "data", trim=False, jobs=1)
    assert not report.rejected
    # But for what depends on how alike the clips sound to one another: recordings, hence splits.
    again = {clip.sha1_pcm16: clip for clip in read_manifest(tmp_path / "data")}
    for clip in read_manifest(dataset):
        found = again.pop(clip.sha1_pcm16)
        for name in ("captions", "tags", "category", "license", "duration"):
            assert getattr(found, name) == getattr(clip, name), name
    assert not again
    assert not (tmp_path / "data/.shards").exists()


def test_the_same_dataset_gives_the_same_bytes(dataset: Path, shards: Path, tmp_path: Path) -> None:
    export_webdataset(data=dataset, out=tmp_path / "again", shard_mb=0.1)
    for shard in sorted(shards.glob("*.tar")):
        assert (tmp_path / "again" / shard.name).read_bytes() == shard.read_bytes()
    # Shards of shards hold the same files.
    export_webdataset(data=shards, out=tmp_path / "one")
    (whole,) = (tmp_path / "one").glob("*.tar")
    with tarfile.open(whole) as archive:
        names = archive.getnames()
    assert len(names) == 56 and names[:2] == ["audio/tone-0.flac", "audio/tone-0.json"]


def test_the_webdataset_library_reads_them(dataset: Path, shards: Path) -> None:
    webdataset = pytest.importorskip("webdataset", reason="needs webdataset")
    urls = [str(path) for path in sorted(shards.glob("*.tar"))]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False))
    clips = list(read_manifest(dataset))
    assert len(samples) == len(clips)
    for sample, clip in zip(samples, clips, strict=True):
        facts = json.loads(sample["json"])
        assert (facts["captions"], facts["license"]) == (list(clip.captions), clip.license)
        assert sample["flac"] == (dataset / clip.path).read_bytes()


def test_prepare_reads_shards_of_others(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for shard in range(2):
        with tarfile.open(source / f"part-{shard}.tar", "w") as archive:
            for number, word in enumerate(("bell", "wind")):
                wav = io.BytesIO()
                sound = make_sound(("tone", "noise")[number], shard, 0.6)
                soundfile.write(wav, sound, RATE, format="WAV")
                add(archive, f"{shard}{number}.wav", wav.getvalue())
                add(archive, f"{shard}{number}.txt", f"a {word}, take {shard}".encode())
                facts = {"caption": f"a {word}", "license": "CC-BY-4.0", "split": "test"}
                if number:
                    add(archive, f"{shard}{number}.json", json.dumps(facts).encode())
            add(archive, "../outside.wav", b"RIFF")
    (source / "torn.tar").write_bytes((source / "part-0.tar").read_bytes()[:30_000])
    report = prepare(source=source, data=tmp_path / "data", jobs=1)
    assert report.num_clips == 4
    reasons = {item.path: item.reason for item in report.rejected}
    assert reasons["torn.tar"].startswith("not a whole tar file")
    assert reasons["part-1.tar/../outside.wav"] == "a name that leads out of the shard"
    clips = {clip.source_path: clip for clip in read_manifest(tmp_path / "data")}
    assert clips["part-0.tar/00.wav"].captions == ("a bell, take 0",)
    assert clips["part-1.tar/11.wav"].license == "CC-BY-4.0"
    assert clips["part-1.tar/11.wav"].split == "test"
    assert not (tmp_path / "outside.wav").exists()


def test_what_is_no_shard_is_said_and_the_rest_is_made(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    with tarfile.open(source / "part-0.tar.gz", "w:gz") as archive:
        wav = io.BytesIO()
        soundfile.write(wav, make_sound("noise", 1, 0.6), RATE, format="WAV")
        add(archive, "a.wav", wav.getvalue())
    packed = bytearray((source / "part-0.tar.gz").read_bytes())
    packed[packed.index(0, 10) + 1] = 0xFF  # behind its name: a kind of block that there is not
    (source / "damaged.tar.gz").write_bytes(packed)
    (source / "none.tgz").write_bytes(b"not packed at all")
    with tarfile.open(source / "both.tar", "w") as archive:
        add(archive, "a", b"a file")
        add(archive, "a/b.wav", b"and a folder")
    report = prepare(source=source, data=tmp_path / "data", jobs=1)
    assert report.num_clips == 1
    assert sorted(item.path for item in report.rejected) == [
        "both.tar", "damaged.tar.gz", "none.tgz"
    ]  # fmt: skip


def test_a_shard_with_a_refused_name_is_unpacked_once(tmp_path: Path) -> None:
    source, folder = tmp_path / "source", tmp_path / "unpacked"
    source.mkdir()
    with tarfile.open(source / "part.tar", "w") as archive:
        add(archive, "a.wav", b"RIFF")
        add(archive, "../outside.wav", b"RIFF")
    places = []
    for _ in range(2):  # the second may be another process, while the first reads what is there
        found = walk(source)
        unpack_shards(found, folder, SilentProgress())
        (one,) = found.sources
        places.append((one.path.stat().st_ino, one.path.stat().st_ctime_ns))
        assert [item.path for item in found.rejected] == ["part.tar/../outside.wav"]
    assert places[0] == places[1]


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def test_names_with_dots_stay_apart(dataset: Path, tmp_path: Path) -> None:
    clip = next(iter(read_manifest(dataset)))
    data = tmp_path / "data"
    (data / "audio").mkdir(parents=True)
    for name in ("a.1.flac", "a.2.flac", "a-1.flac"):
        (data / "audio" / name).write_bytes((dataset / clip.path).read_bytes())
    write_manifest(data, [replace(clip, path=f"audio/{name}") for name in
                          ("a.1.flac", "a.2.flac", "a-1.flac")])  # fmt: skip
    export_webdataset(data=data, out=tmp_path / "out")
    assert [clip.path for clip in read_manifest(tmp_path / "out")] == [
        "clips-000000.tar/audio/a-1.flac",
        "clips-000000.tar/audio/a-2.flac",
        "clips-000000.tar/audio/a-1-2.flac",
    ]


def test_what_is_in_the_way_or_damaged_is_named(
    dataset: Path, shards: Path, tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match="holds a dataset already"):
        export_webdataset(data=dataset, out=shards)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/novel.txt").write_text("It was a dark night")
    with pytest.raises(OutputError, match=r"is not empty \(it holds novel\.txt\)"):
        export_webdataset(data=dataset, out=tmp_path / "out", force=True)
    torn = tmp_path / "torn"
    torn.mkdir()
    for path in shards.iterdir():
        (torn / path.name).write_bytes(path.read_bytes())
    last = sorted(torn.glob("*.tar"))[-1]
    last.write_bytes(last.read_bytes()[:2000])
    problems = verify_dataset(torn, jobs=1).problems
    assert problems and all("clips-" in problem.path for problem in problems)
    clip = read_manifest(torn)[-1]
    with pytest.raises(InputError):
        read_piece(torn / clip.path, 10, sample_rate=RATE)
