"""Schedules, averages, seeds, run folders and interrupts."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from torch import nn

from soundgen.errors import CheckpointError, OutputError, Terminated
from soundgen.training.device import resolve_device
from soundgen.training.ema import WeightAverage
from soundgen.training.interrupt import deferred_interrupts
from soundgen.training.run import RunFolder
from soundgen.training.schedule import learning_rate_factor, run_share
from soundgen.training.seeding import sample_rng, seed_step


def factor(share: float, step: int = 10_000) -> float:
    return learning_rate_factor(share, step, warmup_steps=100, decay_start=0.5, final=0.1)


def test_learning_rate_warms_up_stays_and_falls() -> None:
    assert factor(0.0, 0) == pytest.approx(0.01)
    assert factor(0.2) == factor(0.5) == 1.0
    assert factor(0.75) == pytest.approx(0.55)
    assert factor(1.0) == pytest.approx(0.1)


def test_the_run_ends_by_steps_or_by_time() -> None:
    assert run_share(50, 100, 1e9, None) == 0.5
    assert run_share(50, 100, 30.0, 40.0) == 0.75
    assert run_share(50, 100, 99.0, 40.0) == 1.0


def test_the_average_follows_and_comes_back_from_its_state() -> None:
    model = nn.Linear(2, 2)
    average = WeightAverage(model, decay=0.9)
    with torch.no_grad():
        model.weight.fill_(1.0)
    for _ in range(200):
        average.update(model)
    torch.testing.assert_close(average.shadow["weight"], torch.ones(2, 2))
    restored = WeightAverage(nn.Linear(2, 2), decay=0.9)
    restored.load_state_dict(average.state_dict())
    assert restored.num_updates == 200
    assert torch.equal(restored.shadow["weight"], average.shadow["weight"])


def test_draws_depend_on_seed_and_number_alone() -> None:
    assert sample_rng(1, 5).random() == sample_rng(1, 5).random()
    assert sample_rng(1, 5).random() != sample_rng(1, 6).random()
    assert sample_rng(1, 5).random() != sample_rng(2, 5).random()
    seed_step(0, 7)
    first = torch.rand(3)
    seed_step(0, 7)
    assert torch.equal(torch.rand(3), first)
    seed_step(0, 8)
    assert not torch.equal(torch.rand(3), first)


def test_a_run_folder_refuses_what_would_destroy_work(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no run to resume"):
        RunFolder(tmp_path, resume=True)
    RunFolder(tmp_path, resume=False).save({"step": 1})
    with pytest.raises(OutputError, match="holds a training run already"):
        RunFolder(tmp_path, resume=False)


def test_resuming_cuts_the_log_back_to_the_state(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, resume=False)
    for step in (10, 20, 30):
        run.log(step, {"loss": float("nan") if step == 10 else 1.0})
        if step == 20:
            run.save({"step": step})
    with run.metrics_path.open("a") as stream:
        stream.write('{"step": 40, "lo')
    run.close()
    again = RunFolder(tmp_path, resume=True)
    assert again.load()["step"] == 20
    rows = [json.loads(line) for line in again.metrics_path.read_text().splitlines()]
    assert [row["step"] for row in rows] == [10, 20]
    assert rows[0]["loss"] is None
    assert list((tmp_path / "tensorboard").iterdir())


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\x80\x04N."])
def test_a_damaged_state_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"state\.pt: not a training state"):
        RunFolder(tmp_path, resume=True).load()


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]
)
def test_a_signal_waits_for_the_loop(number: int, error: type[BaseException]) -> None:
    before = signal.getsignal(number)
    with deferred_interrupts() as interrupt:
        os.kill(os.getpid(), number)
        assert interrupt.signal_number == number
        with pytest.raises(error):
            interrupt.raise_pending()
    assert signal.getsignal(number) == before


def test_a_second_signal_does_not_wait() -> None:
    with deferred_interrupts():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_devices() -> None:
    assert resolve_device("cpu").type == "cpu"
    assert resolve_device("auto").type in ("cpu", "cuda")
