"""Parts of the work, each by a process of its own, killed or not, come to the undivided result."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from soundgen.audio.io import probe
from soundgen.data.manifest import read_manifest
from soundgen.errors import InputError, OutputError
from soundgen.pipelines.tokenize import tokenize
from tests.conftest import RunSoundgen
from tests.fixtures_audio import make_dataset
from tests.fixtures_model import make_tiny_model

CACHE_FILES = ("cache.json", "clips.jsonl", "codes.u16", "texts.safetensors")
NUM_VARIANTS = 3


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("shards") / "tiny").path


@pytest.fixture(scope="module")
def data(model: Path) -> Path:
    return make_dataset(model.parent / "set", per_kind=3)


@pytest.fixture(scope="module")
def cache(data: Path, model: Path) -> Path:
    """The dataset's codes by one process that nothing disturbed."""
    out = data.parent / "cache"
    tokenize(data=data, cache=out, model=str(model), variants=NUM_VARIANTS)
    return out


def assert_same_cache(ours: Path, theirs: Path) -> None:
    assert sorted(p.name for p in ours.iterdir()) == sorted(p.name for p in theirs.iterdir())
    for name in CACHE_FILES:
        assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name


def tokenizing(data: Path, model: Path, cache: Path, *options: str) -> list[str]:
    words = ["dataset", "tokenize", str(data), str(cache), "--model", str(model)]
    return [*words, "--variants", str(NUM_VARIANTS), "--device", "cpu", *options]


def wanted(data: Path, model: Path, cache: Path) -> dict[str, Any]:
    """Return what `tokenizing` asks for, for the function."""
    return {"data": data, "cache": cache, "model": str(model), "variants": NUM_VARIANTS}


def killed(arguments: list[str], when: Callable[[], bool]) -> int:
    """Start the program, kill it once `when` is true; return its exit code."""
    process = subprocess.Popen(
        [sys.executable, "-m", "soundgen", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 240
    while process.poll() is None and not when() and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    return process.wait(timeout=60)


def killed_at(arguments: list[str], cache: Path, count: int) -> int:
    """Kill a `tokenize` once so many clips are done."""
    return killed(arguments, lambda: encoded(cache) >= count)


def encoded(cache: Path) -> int:
    """Return how many clips unfinished work has in its journals."""
    journals = cache.glob(".tokenize/journal-*.jsonl")
    return sum(line.endswith("}") for j in journals for line in j.read_text().splitlines())


def test_shards_of_tokenize_come_to_the_same_cache(
    soundgen: RunSoundgen, data: Path, model: Path, cache: Path, tmp_path: Path
) -> None:
    out = tmp_path / "cache"
    shards = [tokenizing(data, model, out, "--shard", f"{i}/3") for i in (1, 2, 3)]
    # The second is killed and started again, while the others are at work.
    with ThreadPoolExecutor() as pool:
        others = [pool.submit(soundgen, *shards[i]) for i in (0, 2)]
        assert killed_at(shards[1], out, 3) == -signal.SIGKILL
        results = [other.result() for other in others]
    for result in results:
        assert result.returncode == 0, result.stderr
        assert "the last shard to end puts the cache together" in result.stderr
        assert result.stdout == f"{out}\n"
    assert not (out / "cache.json").exists()
    last = soundgen(*shards[1], "--json")
    assert last.returncode == 0, last.stderr
    report = json.loads(last.stdout)
    assert report["finished"] and report["num_variants"] == NUM_VARIANTS
    assert_same_cache(out, cache)
    # A scheduler that starts a shard once more does no harm.
    options = wanted(data, model, out)
    again = tokenize(**options, shard=(1, 3))
    assert again.finished and again.hours == report["hours"]
    with pytest.raises(OutputError, match="holds a token cache already"):
        tokenize(**options)


def test_tokenize_killed_at_three_moments_comes_to_the_same_cache(
    soundgen: RunSoundgen, data: Path, model: Path, cache: Path, tmp_path: Path
) -> None:
    out = tmp_path / "cache"
    arguments = tokenizing(data, model, out)
    for count in (1, 9, 20):
        assert killed_at(arguments, out, count) == -signal.SIGKILL
        assert encoded(out) >= count
        assert not (out / "cache.json").exists()
    # A line and codes that the last kill cut short.
    with (out / ".tokenize" / "journal-all.jsonl").open("a") as stream:
        stream.write('\n{"number": 2')
    with (out / ".tokenize" / "codes-all.u16").open("ab") as stream:
        stream.write(b"\x01\x02\x03")
    done = soundgen(*arguments)
    assert done.returncode == 0, done.stderr
    assert_same_cache(out, cache)


def test_a_damaged_clip_costs_nothing_that_was_encoded_and_nothing_is_mixed(
    data: Path, model: Path, cache: Path, tmp_path: Path
) -> None:
    source, out = tmp_path / "set", tmp_path / "cache"
    shutil.copytree(data, source)
    clip = source / read_manifest(data)[5].path
    whole = clip.read_bytes()
    clip.write_bytes(whole[:200])
    options = wanted(source, model, out)
    with pytest.raises(InputError, match=clip.name):
        tokenize(**options)
    assert encoded(out) == 4  # the test split is left out
    with pytest.raises(OutputError, match="was begun with another --n-q"):
        tokenize(**options, n_q=2)
    assert encoded(out) == 4
    clip.write_bytes(whole)
    tokenize(**options)
    assert_same_cache(out, cache)


def files_below(folder: Path) -> dict[str, bytes]:
    """Return all files but the hidden ones."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.relative_to(folder).parts[0].startswith(".")
    }


def test_shards_of_synth_come_to_the_same_corpus(soundgen: RunSoundgen, tmp_path: Path) -> None:
    words = ("--hours", "0.008", "--seed", "4", "--kinds", "interface,kick,stone")
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert soundgen("dataset", "synth", whole, *words).returncode == 0
    # A shard of a shorter corpus does not count as one of the longer.
    short = ("--hours", "0.004", *words[2:])
    assert soundgen("dataset", "synth", out, *short, "--shard", "1/2").returncode == 0
    second = soundgen("dataset", "synth", out, *words, "--shard", "2/2")
    assert second.returncode == 0, second.stderr
    assert "the last shard to end writes the manifest" in second.stderr
    assert not (out / "manifest.jsonl").exists()

    first = ["dataset", "synth", str(out), *words, "--shard", "1/2"]
    there = len(list(out.rglob("*.flac")))
    assert killed(first, lambda: len(list(out.rglob("*.flac"))) > there) == -signal.SIGKILL
    last = soundgen(*first, "--json")
    assert last.returncode == 0, last.stderr
    assert json.loads(last.stdout)["finished"]
    assert files_below(out) == files_below(whole)


def test_shards_of_generate_make_the_same_sounds(
    soundgen: RunSoundgen, model: Path, tmp_path: Path
) -> None:
    table = tmp_path / "table.jsonl"
    rows: list[dict[str, Any]] = [{"prompt": f"click {number}"} for number in range(7)]
    rows[3]["seed"] = 11
    rows[5]["n"] = 2
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["generate", "--prompts", table, "-d", "0.2", "--model", model, "--threads", "1"]
    whole = soundgen(*words, "--seed", "5", "-o", "whole/")
    assert whole.returncode == 0, whole.stderr
    lines = []
    for index in (3, 1, 2):
        part = soundgen(*words, "--seed", "5", "-o", "parts/", "--json", "--shard", f"{index}/3")
        assert part.returncode == 0, part.stderr
        lines += [json.loads(line) for line in part.stdout.splitlines()]
    assert sorted((line["row"], line["variation"]) for line in lines) == sorted(
        (row, variation) for row in range(1, 8) for variation in range(1, 3 if row == 6 else 2)
    )
    found = files_below(tmp_path / "parts")
    assert len(found) == 8 and found == files_below(tmp_path / "whole")
    assert not [name for name in os.listdir(tmp_path / "parts") if name.startswith(".generate")]
    assert probe(tmp_path / "parts" / next(iter(found))).tags["software"] == "soundgen"

    again = soundgen(*words, "--seed", "5", "-o", "parts/", "--shard", "2/3")
    assert again.returncode == 0
    assert again.stderr.count("made already with these settings; skipped") == 3
    nothing = soundgen(*words, "--seed", "5", "-o", "none/", "--shard", "9/9")
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert not (tmp_path / "none").exists()
    for options, message in (
        (["--shard", "1/2"], "--shard needs --seed"),
        (["--shard", "3/2", "--seed", "1"], "1 <= i <= n"),
        (["--shard", "1-2", "--seed", "1"], "not of the form i/n"),
    ):
        refused = soundgen(*words, "-o", "parts/", *options)
        assert refused.returncode == 2
        assert message in refused.stderr
