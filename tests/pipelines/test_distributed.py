"""Two processes train as one does with twice the batch. `torchrun`, gloo, the real command line."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from soundgen.data.manifest import read_manifest, write_manifest
from soundgen.errors import CheckpointError
from soundgen.pipelines.recipes import load_recipe
from soundgen.pipelines.tokenize import tokenize
from soundgen.pipelines.train_codec import train_codec
from soundgen.pipelines.train_lm import train_lm
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


def launched(kind: str, out: Path, *arguments: str | Path, sets: tuple[str, ...]) -> list[str]:
    """Return the command that trains on two processes."""
    base = ["-m", "soundgen", "train", kind, "--recipe", "tiny", "--device", "cpu", "-q"]
    options = [word for item in sets for word in ("--set", item)]
    return [*LAUNCHER, *base, "--out", str(out), *map(str, arguments), *options]


def launch(command: list[str]) -> str:
    """Run it and return what it says on stdout."""
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return result.stdout


def rows(run: Path, *kinds: str) -> list[dict[str, Any]]:
    """Return what a run has logged, times left out."""
    found = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [
        {key: value for key, value in row.items() if key not in ("elapsed_s", "kind")}
        for row in found
        if row["kind"] in (kinds or ("train", "valid"))
    ]


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
    one, two, twice = tmp_path / "one", tmp_path / "two", tmp_path / "twice"
    half = (*CODEC, "training.batch_size=4", "discriminator.batch_size=4")
    shown = launch(launched("codec", two, "--data", data, sets=half))
    for out, sets in (
        (one, (*CODEC, "training.batch_size=8", "discriminator.batch_size=8")),
        (twice, (*half, "training.accumulate=2")),
    ):
        train_codec(load_recipe("codec", "tiny", sets), data=data, out=out, device="cpu")
    assert {"l_g", "l_feat", "l_d", "l_w", "perplexity"} <= set().union(*rows(one))
    assert_same_run(one, two)
    assert_same_run(one, twice)
    # One of the two processes speaks for both.
    assert shown == f"{two}\n"


# Each process moves the codebooks by its half of the vectors, and one alone by all of them; a
# quarter of the codes is dead. In passes of a quarter each, as with training.accumulate=2.
QUANTIZER = """
import sys, torch
from soundgen.codec.quantizer import ResidualVectorQuantizer
from soundgen.training.distributed import batch_parts, join_processes
from soundgen.training.launch import num_processes

join_processes(torch.device("cpu"))
torch.manual_seed(0)
quantizer = ResidualVectorQuantizer(3, 32, 8).train()
quantizer.usage[:, ::4] = 1e-3
parts = torch.randn(4, 5, 8, 20)
n_q = torch.tensor([3, 1, 2, 3, 3])
for step in range(3):
    for part in batch_parts(4 // num_processes()).mine:
        quantizer(parts[part] + step / 2, n_q)
    torch.manual_seed(step)
    quantizer.update_codebooks()
    assert step or quantizer.num_restarted == 24
torch.save(quantizer.state_dict(), globals().get("argv", sys.argv)[1])
"""


def test_codebooks_move_and_restart_alike_however_a_batch_is_cut(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        place = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(free.getsockname()[1])}
    # No launcher: its environment is all that counts.
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", QUANTIZER, str(tmp_path / f"{rank}.pt")],
            env={**os.environ, **place, "WORLD_SIZE": "2", "RANK": str(rank)},
        )
        for rank in (0, 1)
    ]
    exec(QUANTIZER, {"argv": ["", str(tmp_path / "alone.pt")]})
    assert [process.wait(timeout=240) for process in processes] == [0, 0]
    alone, first, second = (
        torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("alone", 0, 1)
    )
    assert (alone["usage"] > 0.1).all()
    for name, value in alone.items():
        torch.testing.assert_close(first[name], value, rtol=1e-5, atol=1e-6)
        assert torch.equal(first[name], second[name])


def test_a_language_model_trains_on_two_processes_as_on_one_with_twice_the_batch(
    codec: Path, cache: Path, tmp_path: Path
) -> None:
    one, two, twice = tmp_path / "one", tmp_path / "two", tmp_path / "twice"
    half = (*LM, "training.batch_frames=600")
    launch(launched("lm", two, "--data", cache, "--codec", codec, sets=half))
    for out, sets in (
        (one, (*LM, "training.batch_frames=1200")),
        (twice, (*half, "training.accumulate=2")),
    ):
        recipe = load_recipe("lm", "tiny", sets)
        train_lm(recipe, data=cache, codec=str(codec), out=out, device="cpu")
    # What is measured on comes in batches of that many frames too.
    assert_same_run(one, two, "train")
    assert_same_run(twice, two)


@pytest.mark.slow
def test_a_model_that_is_split_trains_and_goes_on_as_a_whole_one(
    codec: Path, cache: Path, tmp_path: Path
) -> None:
    whole, split = tmp_path / "whole", tmp_path / "split"
    sets = (*LM, "training.batch_frames=600")
    recipe = load_recipe("lm", "tiny", (*sets, "training.accumulate=2"))
    train_lm(recipe, data=cache, codec=str(codec), out=whole, device="cpu")
    command = launched(
        "lm", split, "--data", cache, "--codec", codec, sets=(*sets, "training.sharded=true")
    )
    assert interrupted(command, split, lines=2) != 0
    state = torch.load(split / "state.pt", weights_only=True)
    assert 0 < state["step"] < recipe.training.steps
    launch([*command, "--resume"])
    assert_same_run(whole, split)


@pytest.mark.slow
def test_a_stopped_run_saves_and_goes_on_with_as_large_a_batch(
    codec: Path, cache: Path, tmp_path: Path
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    sets = (*LM, "training.batch_frames=600")
    recipe = load_recipe("lm", "tiny", (*sets, "training.accumulate=2"))
    options: dict[str, Any] = {"data": cache, "codec": str(codec), "device": "cpu"}
    train_lm(recipe, out=whole, **options)
    command = launched("lm", broken, "--data", cache, "--codec", codec, sets=sets)
    assert interrupted(command, broken, lines=2) != 0
    assert (broken / "state.pt").exists()
    with pytest.raises(CheckpointError, match=r"training\.accumulate was 2 and is now 1"):
        train_lm(load_recipe("lm", "tiny", sets), out=broken, resume=True, **options)
    train_lm(recipe, out=broken, resume=True, **options)
    assert_same_run(whole, broken)


def interrupted(command: list[str], run: Path, *, lines: int) -> int:
    """Send Ctrl-C to the launcher once the run has logged so much; return its exit code."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    metrics = run / "metrics.jsonl"
    while time.monotonic() < deadline and process.poll() is None:
        if metrics.exists() and len(metrics.read_text().splitlines()) >= lines:
            process.send_signal(signal.SIGINT)
            break
        time.sleep(0.01)
    return process.wait(timeout=240)
