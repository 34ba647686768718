"""Two processes train as one does with twice the batch. `torchrun`, gloo, the real command line."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from soundgen.data.manifest import read_manifest, write_manifest
from soundgen.pipelines.tokenize import tokenize
from tests.fixtures_audio import make_dataset
from tests.fixtures_codec import make_tiny_codec

LAUNCHER = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
# The quantizer starts at step 2 and the discriminator at 4.
CODEC = (
    "training.steps=8",
    "training.log_every=1",
    "training.checkpoint_every=100",
    "training.valid_s=2",
    "training.kmeans_batches=1",
    "discriminator.start=0.5",
    "segments.segment_s=0.25",
    "entropy.seconds=0",
)
# Clips have 30, 40 or 50 frames, which divide a batch of 600: twice the frames, twice the items.
LM = (
    "training.steps=6",
    "training.log_every=1",
    "training.checkpoint_every=3",
    "training.precision=float32",
    "training.codebook_start=true",
    "lm.dropout=0",
    "lm.n_q=4",
)
# What is measured in float32 on the sum of a few thousand terms, after some steps.
ROUNDING = 1e-4


def words(kind: str, out: Path, *arguments: str | Path, sets: tuple[str, ...]) -> list[str]:
    base = ["-m", "soundgen", "train", kind, "--recipe", "tiny", "--device", "cpu", "-q"]
    options = [word for item in sets for word in ("--set", item)]
    return [*base, "--out", str(out), *map(str, arguments), *options]


def rows(run: Path, *kinds: str) -> list[dict[str, Any]]:
    """Return what a run has logged, times left out."""
    found = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [
        {key: value for key, value in row.items() if key not in ("elapsed_s", "kind")}
        for row in found
        if row["kind"] in (kinds or ("train", "valid"))
    ]


def run_all(*commands: list[str]) -> list[subprocess.CompletedProcess[str]]:
    """Run commands side by side: they mostly wait for the imports."""

    def run(command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, capture_output=True, text=True, timeout=300)

    with ThreadPoolExecutor() as pool:
        return list(pool.map(run, commands))


def assert_same_run(ours: Path, theirs: Path, *kinds: str) -> None:
    assert len(rows(ours, *kinds)) == len(rows(theirs, *kinds)) > 5
    for mine, other in zip(rows(ours, *kinds), rows(theirs, *kinds), strict=True):
        assert mine == pytest.approx(other, rel=ROUNDING, abs=1e-5)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset without the shortest kind of clip."""
    folder = make_dataset(tmp_path_factory.mktemp("distributed") / "set", per_kind=4)
    write_manifest(folder, [clip for clip in read_manifest(folder) if clip.category != "click"])
    return folder


@pytest.fixture(scope="module")
def codec(data: Path) -> Path:
    return make_tiny_codec(data.parent / "codec").path


@pytest.fixture(scope="module")
def cache(data: Path, codec: Path) -> Path:
    tokenize(data=data, cache=data.parent / "cache", model=str(codec))
    return data.parent / "cache"


def test_a_codec_trains_on_two_processes_as_on_one_with_twice_the_batch(
    data: Path, tmp_path: Path
) -> None:
    whole = (*CODEC, "training.batch_size=8", "discriminator.batch_size=8")
    half = (*CODEC, "training.batch_size=4", "discriminator.batch_size=4")
    results = run_all(
        [sys.executable, *words("codec", tmp_path / "one", "--data", data, sets=whole)],
        LAUNCHER + words("codec", tmp_path / "two", "--data", data, sets=half),
        [
            sys.executable,
            *words(
                "codec",
                tmp_path / "twice",
                "--data",
                data,
                sets=(*half, "training.accumulate=2"),
            ),
        ],
    )
    assert [result.returncode for result in results] == [0, 0, 0], results[1].stderr
    found = rows(tmp_path / "one")
    assert {"l_g", "l_feat", "l_d", "l_w", "perplexity"} <= set().union(*found)
    assert_same_run(tmp_path / "one", tmp_path / "two")
    assert_same_run(tmp_path / "one", tmp_path / "twice")
    # One of the two processes speaks for both.
    assert results[1].stdout.splitlines() == [str(tmp_path / "two")]


# Each process moves the codebooks by its half of the vectors, and one alone by all of them; a
# quarter of the codes is dead. In passes of a quarter each, as with training.accumulate=2.
QUANTIZER = """
import sys, torch
from soundgen.codec.quantizer import ResidualVectorQuantizer
from soundgen.training.distributed import batch_parts, join_processes

join_processes(torch.device("cpu"))
torch.manual_seed(0)
quantizer = ResidualVectorQuantizer(3, 32, 8).train()
quantizer.usage[:, ::4] = 1e-3
parts = torch.randn(4, 5, 8, 20)
n_q = torch.tensor([3, 1, 2, 3, 3]).repeat(4, 1)
for _ in range(3):
    cut = batch_parts(4 // int(sys.argv[2]))
    for part in cut.mine:
        quantizer(parts[part], n_q[part])
    torch.manual_seed(1)
    quantizer.update_codebooks()
    assert quantizer.num_restarted >= 0
    parts = parts + 0.5
torch.save(quantizer.state_dict(), sys.argv[1] + sys.argv[2])
"""


def test_codebooks_move_and_restart_alike_however_a_batch_is_cut(tmp_path: Path) -> None:
    script = tmp_path / "quantizer.py"
    script.write_text(QUANTIZER)
    results = run_all(
        [sys.executable, str(script), str(tmp_path / "of"), "1"],
        [*LAUNCHER, str(script), str(tmp_path / "of"), "2"],
    )
    assert [result.returncode for result in results] == [0, 0], results[1].stderr
    one, two = (torch.load(tmp_path / f"of{n}", weights_only=True) for n in (1, 2))
    assert (one["usage"] > 0.1).all()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-5, atol=1e-6)


def test_a_language_model_trains_on_two_processes_as_on_one_with_twice_the_batch(
    codec: Path, cache: Path, tmp_path: Path
) -> None:
    options = ("--data", cache, "--codec", codec)
    whole, half = (*LM, "training.batch_frames=1200"), (*LM, "training.batch_frames=600")
    results = run_all(
        [sys.executable, *words("lm", tmp_path / "one", *options, sets=whole)],
        LAUNCHER + words("lm", tmp_path / "two", *options, sets=half),
        [
            sys.executable,
            *words("lm", tmp_path / "twice", *options, sets=(*half, "training.accumulate=2")),
        ],
        LAUNCHER + words("lm", tmp_path / "split", *options, sets=(*half, "training.sharded=true")),
    )
    assert [result.returncode for result in results] == [0] * 4, results[1].stderr
    # What is measured on comes in batches of that many frames too.
    assert_same_run(tmp_path / "one", tmp_path / "two", "train")
    for name in ("twice", "split"):
        assert_same_run(tmp_path / "two", tmp_path / name)
