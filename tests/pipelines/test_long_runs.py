"""What keeps a training of days alive: roll-back, early stopping, checkpoints that stay, room."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from soundgen.checkpoint import open_model_folder
from soundgen.errors import ExitCode, InputError
from soundgen.pipelines.optimisers import make_adamw, set_learning_rate
from soundgen.pipelines.recipes import LMTrainingConfig, OptimiserConfig, load_recipe
from soundgen.pipelines.train_codec import train_codec
from soundgen.pipelines.train_lm import train_lm
from soundgen.pipelines.training import (
    BestRun,
    NotFiniteError,
    disk_bytes,
    has_stalled,
    run_steps,
)
from soundgen.progress import SilentProgress
from soundgen.training.ema import WeightAverage
from soundgen.training.run import RunFolder
from tests.fixtures_train import OPTIONS, weights

OPTIMISER = OptimiserConfig(learning_rate=0.1, warmup_steps=1, decay_start=1.0)


class Notices(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def notice(self, message: str) -> None:
        self.lines.append(message)


def new_run() -> BestRun:
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    average = WeightAverage(model, decay=0.5)
    return BestRun(
        device=torch.device("cpu"),
        model=model,
        optimiser=make_adamw(model, OPTIMISER),
        average=average,
        identity={},
        best=dict(average.shadow),
    )


def steps(
    run: BestRun,
    folder: RunFolder,
    config: LMTrainingConfig,
    *,
    before: Callable[[], None] = lambda: None,
    make_batch: Callable[[int], Tensor] | None = None,
    measure: Callable[[], float] = lambda: 0.0,
) -> list[str]:
    """Fit a line by the loop that all trainings use; return what the user is told."""

    def take_step(batch: Tensor, share: float) -> dict[str, float]:
        before()
        set_learning_rate(run.optimiser, OPTIMISER, share, run.step, halvings=run.guard.rollbacks)
        loss = (run.model(batch) - batch.sum(dim=1, keepdim=True)).square().mean()
        return run.descend([loss], max_grad_norm=1.0)

    def checkpoint() -> dict[str, float]:
        measured = measure()
        run.keep_if_best(measured)
        folder.save(run.state_dict())
        return {"loss": measured}

    def batch(step: int) -> Tensor:
        return torch.randn(8, 4, generator=torch.Generator().manual_seed(step))

    notices = Notices()
    run_steps(
        run,
        folder,
        config,
        what="fitting",
        make_batch=make_batch or batch,
        take_step=take_step,
        checkpoint=checkpoint,
        save=lambda: folder.save(run.state_dict()),
        max_time_s=None,
        progress=notices,
    )
    return notices.lines


def test_a_run_that_is_no_longer_finite_goes_back_and_on(tmp_path: Path) -> None:
    run, folder = new_run(), RunFolder(tmp_path, resume=False)
    config = LMTrainingConfig(steps=100, checkpoint_every=10, log_every=1)
    poison = [13]

    def before() -> None:
        if run.step in poison:
            poison.clear()
            run.model.weight.data.fill_(float("nan"))

    (notice,) = steps(run, folder, config, before=before)
    assert notice == (
        "warning: step 62: 50 steps in a row were not finite; back to step 10, with half the "
        "learning rate"
    )
    assert run.step == 100 and run.guard.rollbacks == 1
    assert torch.isfinite(run.model.weight).all()
    assert run.optimiser.param_groups[0]["lr"] == pytest.approx(0.05)
    # A run that is resumed knows of it.
    again = new_run()
    again.load_state_dict(folder.load())
    assert again.guard.rollbacks == 1


def test_a_run_that_is_never_finite_ends_with_a_reason(tmp_path: Path) -> None:
    run, folder = new_run(), RunFolder(tmp_path, resume=False)
    config = LMTrainingConfig(steps=100, checkpoint_every=10)

    def before() -> None:
        if run.step >= 13:
            run.model.weight.data.fill_(float("nan"))

    with pytest.raises(NotFiniteError, match="50 steps in a row") as caught:
        steps(run, folder, config, before=before)
    assert caught.value.exit_code == ExitCode.MODEL and "learning_rate" in caught.value.hint
    assert folder.load()["step"] == 10


def test_it_ends_when_it_has_long_measured_no_better(tmp_path: Path) -> None:
    run, folder = new_run(), RunFolder(tmp_path, resume=False)
    config = LMTrainingConfig(steps=1000, checkpoint_every=5, patience=3)
    steps(run, folder, config, measure=lambda: abs(run.step - 20.0))
    assert (run.best_step, run.step) == (20, 35)
    assert has_stalled(run, config)


def test_a_clip_that_has_gone_ends_the_run_and_loses_nothing(tmp_path: Path) -> None:
    run, folder = new_run(), RunFolder(tmp_path, resume=False)

    def make_batch(step: int) -> Tensor:
        if step == 7:
            raise InputError("a.flac: cannot be read (no such file)")
        return torch.ones(8, 4)

    with pytest.raises(InputError, match=r"a\.flac"):
        steps(run, folder, LMTrainingConfig(steps=100), make_batch=make_batch)
    assert folder.load()["step"] == 7


def test_the_room_that_is_asked_for_is_what_the_states_take(tmp_path: Path) -> None:
    run, folder = new_run(), RunFolder(tmp_path, resume=False)
    asked = disk_bytes(run)
    steps(run, folder, LMTrainingConfig(steps=3))
    assert disk_bytes(run) == pytest.approx(asked, abs=64)  # counters of steps


def test_checkpoints_stay_as_models(
    dataset: Path, tiny_codec: Path, token_cache: Path, tmp_path: Path
) -> None:
    keep = "training.keep_checkpoints=2"
    recipe = load_recipe("codec", "tiny", [*OPTIONS["codec"], keep, "entropy.seconds=0"])
    train_codec(recipe, data=dataset, out=tmp_path / "codec", device="cpu")
    lm = load_recipe("lm", "tiny", [*OPTIONS["lm"], keep])
    train_lm(lm, data=token_cache, codec=str(tiny_codec), out=tmp_path / "lm", device="cpu")
    for kind, names in (
        ("codec", ["best", "step-000000018", "step-000000024"]),
        ("lm", ["step-000000018", "step-000000024"]),
    ):
        kept = tmp_path / kind / "checkpoints"
        assert sorted(path.name for path in kept.iterdir()) == names
        for path in kept.iterdir():
            open_model_folder(path).verify()
    last, run = tmp_path / "codec/checkpoints/step-000000024", tmp_path / "codec"
    assert all(torch.equal(value, weights(run, "codec")[name])
               for name, value in weights(last, "codec").items())  # fmt: skip
    # How many stay may change when a run is resumed.
    other = load_recipe("codec", "tiny", [*OPTIONS["codec"], "entropy.seconds=0"])
    train_codec(other, data=dataset, out=run, resume=True, device="cpu")


def test_a_dry_run_says_what_a_run_takes(
    dataset: Path, tiny_codec: Path, token_cache: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    codec = train_codec(load_recipe("codec", "tiny"), data=dataset, out=out, dry_run=True).plan
    assert codec is not None
    assert codec.data == {"train": "20 clips, 0.00 h", "valid": "4 clips, 0.00 h"}
    assert list(codec.parameters) == ["codec", "discriminator"]
    assert codec.total_s == codec.step_s * 120 and codec.memory_bytes > codec.disk_bytes > 0
    assert codec.lines()[0] == "train: 20 clips, 0.00 h"
    recipe = load_recipe("lm", "tiny")
    report = train_lm(recipe, data=token_cache, codec=str(tiny_codec), out=out, dry_run=True)
    assert report.plan is not None and report.plan.batch[1] == 2
    assert not out.exists()
