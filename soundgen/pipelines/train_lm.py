"""Train a language model on a token cache: AudioGen's recipe, resumable at any step."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from soundgen.checkpoint import resolve_model, save_model_folder
from soundgen.config import from_dict, to_dict
from soundgen.data.tokens import TokenBatch, TokenCache, TokenSampler, TokenSamplerConfig
from soundgen.errors import CheckpointError
from soundgen.lm.config import LMConfig
from soundgen.lm.model import LanguageModel
from soundgen.pipelines.dry_run import try_steps
from soundgen.pipelines.lm_codec import ReleasedCodec, check_fit, first_codebooks, read_codec
from soundgen.pipelines.lm_examples import augmented, example_losses, make_example
from soundgen.pipelines.optimisers import make_adamw, set_learning_rate
from soundgen.pipelines.recipes import LMRecipe
from soundgen.pipelines.training import (
    BestRun,
    TrainReport,
    disk_bytes,
    has_stalled,
    recipe_identity,
    restore,
    run_steps,
)
from soundgen.progress import Progress, SilentProgress
from soundgen.training.device import resolve_device
from soundgen.training.distributed import (
    batch_parts,
    join_processes,
    mean_over_processes,
    share_weights,
    sum_over_processes,
)
from soundgen.training.ema import WeightAverage, averaged
from soundgen.training.launch import is_main, num_processes, process_rank
from soundgen.training.run import RunFolder, run_lock
from soundgen.training.seeding import INITIAL, seed_step
from soundgen.training.sharding import gathered, shard_model

_VALID_SEED = 20_261
_TRIED_BATCHES = 20
"""Of which a dry run takes the largest one."""


@dataclass(kw_only=True)
class LMRun(BestRun):
    """All that moves while a language model trains."""

    recipe: LMRecipe
    model: LanguageModel


def train_lm(
    recipe: LMRecipe,
    *,
    data: Path,
    codec: str,
    out: Path,
    init: str | None = None,
    resume: bool = False,
    max_time_s: float | None = None,
    device: str = "auto",
    dry_run: bool = False,
    progress: Progress | None = None,
) -> TrainReport:
    """Train a language model on the train split of a token cache.

    The released weights are the averaged ones of the checkpoint that measured best on the valid
    split (early stopping in effect, without ending the run).

    Args:
        recipe: What to train and how.
        data: Token cache, as `dataset tokenize` writes it.
        codec: The model whose codec made it; all its other parts that still fit go into `out`, so
            that `out` is whole.
        out: Run folder; becomes a model folder at the first checkpoint.
        init: A model whose language model to start from.
        resume: Go on with the run in `out`.
        max_time_s: End the run, schedule included, after this many seconds of training.
        device: auto, cpu, cuda or mps.
        dry_run: Build everything, take one step, write nothing.
        progress: Listens.

    Raises:
        CheckpointError: Cache, codec and recipe do not belong together.
        SoundgenError: Output or device cannot be used; see the message.
    """
    progress = progress or SilentProgress()
    torch_device = join_processes(resolve_device(device))
    cache = TokenCache(data)
    released = read_codec(codec, cache.info.text_encoder["sha256"])
    check_fit(recipe, cache, released)
    if init is not None and "lm" in (licenses := resolve_model(init).licenses):
        released.others["licenses"]["lm"] = licenses["lm"]
    run = _new_run(recipe, torch_device, init, cache, released)
    sampler = _sampler(recipe, cache, "train", recipe.training.seed)
    if dry_run:
        return _try_steps(run, cache, sampler, out)
    with run_lock(out):
        folder = RunFolder(out, resume=resume)
        if resume:
            restore(run, folder)
        try:
            metrics = _loop(run, folder, cache, released, sampler, max_time_s, progress)
        finally:
            folder.close()
    finished = run.step >= recipe.training.steps or has_stalled(run, recipe.training)
    return TrainReport(out, run.step, finished, metrics)


def _try_steps(run: LMRun, cache: TokenCache, sampler: TokenSampler, out: Path) -> TrainReport:
    """Take a step of the longest windows that there are, and write nothing."""
    batches = [sampler.batch(index) for index in range(_TRIED_BATCHES)]
    largest = max(batches, key=lambda batch: batch.codes.numel())
    parts = batch_parts(run.recipe.training.accumulate)
    metrics, plan = try_steps(
        lambda _: _train_step(run, [largest] * len(parts.mine), 0.0),
        data={name: _described(cache, name) for name in ("train", "valid")},
        networks={"language model": run.model},
        batch=tuple(largest.codes.shape),
        steps=run.recipe.training.steps,
        disk_bytes=lambda: disk_bytes(run),
        device=run.device,
    )
    return TrainReport(out, 0, False, metrics, plan)


def _described(cache: TokenCache, split: str) -> str:
    clips = cache.split(split)
    return f"{len(clips):,} clips, {clips.durations_s.sum() / 3600:.2f} h"


def _new_run(
    recipe: LMRecipe,
    device: torch.device,
    init: str | None,
    cache: TokenCache,
    codec: ReleasedCodec,
) -> LMRun:
    seed_step(recipe.training.seed, INITIAL)
    model = LanguageModel(recipe.lm).to(device)
    if init is not None:
        folder = resolve_model(init)
        folder.verify()
        section = dict(folder.section("lm"))
        section.pop("codec_digest", None)
        if from_dict(LMConfig, section, f"{folder.path}: lm") != recipe.lm:
            raise CheckpointError(
                f"{folder.path}: its language model has another architecture than the recipe",
                hint="compare: soundgen models info, soundgen recipes show",
            )
        model.load_state_dict(folder.tensors("lm"))
    elif recipe.training.codebook_start:
        model.start_from_codebooks(first_codebooks(codec, recipe.lm.n_q).to(device))
    share_weights(model)
    sharded = recipe.training.sharded and num_processes() > 1
    if sharded:
        shard_model(model, model.layers)
    average = WeightAverage(model, decay=recipe.training.ema_decay)
    return LMRun(
        recipe=recipe,
        device=device,
        model=model,
        optimiser=make_adamw(model, recipe.optimiser),
        average=average,
        identity={
            **recipe_identity(recipe),
            "token cache": json.dumps(asdict(cache.info), sort_keys=True),
        },
        best={name: value.clone() for name, value in average.shadow.items()},
        sharded=sharded,
    )


def _batches(run: LMRun, sampler: TokenSampler, step: int) -> list[TokenBatch]:
    """Return this process's parts of a step's batch."""
    parts = batch_parts(run.recipe.training.accumulate)
    return [sampler.batch(step, part, parts.total) for part in parts.mine]


def _sampler(recipe: LMRecipe, cache: TokenCache, split: str, seed: int) -> TokenSampler:
    training = recipe.training
    config = TokenSamplerConfig(
        n_q=recipe.lm.n_q,
        batch_frames=training.batch_frames,
        max_s=training.max_s,
        duration_power=training.duration_power,
        category_power=training.category_power,
        longest_s=training.longest_s,
        anchored_windows=training.anchored_windows if split == "train" else 0.0,
    )
    return TokenSampler(cache, cache.split(split), config, seed=seed)


def _loop(
    run: LMRun,
    folder: RunFolder,
    cache: TokenCache,
    codec: ReleasedCodec,
    sampler: TokenSampler,
    max_time_s: float | None,
    progress: Progress,
) -> dict[str, float]:
    valid = list(_valid_batches(run.recipe, cache))
    return run_steps(
        run,
        folder,
        run.recipe.training,
        what="training the language model",
        make_batch=lambda step: _batches(run, sampler, step),
        take_step=lambda batches, share: _train_step(run, batches, share),
        checkpoint=lambda: _checkpoint(run, folder, cache, codec, valid, progress),
        save=lambda: _save(run, folder, cache, codec),
        max_time_s=max_time_s,
        progress=progress,
    )


def _valid_batches(recipe: LMRecipe, cache: TokenCache) -> list[TokenBatch]:
    if not cache.split("valid"):
        return []
    sampler = _sampler(recipe, cache, "valid", _VALID_SEED)
    return list(sampler.sweep(recipe.training.valid_batches))


def _train_step(run: LMRun, batches: Sequence[TokenBatch], share: float) -> dict[str, float]:
    """Take one step; its batch is cut into parts, of which `batches` are this process's."""
    recipe, training = run.recipe, run.recipe.training
    seed_step(training.seed, run.step)
    run.model.train()
    set_learning_rate(
        run.optimiser, recipe.optimiser, share, run.step, halvings=run.guard.rollbacks
    )
    parts, size = batch_parts(training.accumulate), len(batches[0].num_frames)
    has_text = torch.rand(parts.total * size) >= training.condition_dropout
    has_duration = torch.rand(parts.total * size) >= training.duration_dropout
    examples = []
    for part, batch in zip(parts.mine, batches, strict=True):
        rows = parts.rows(part, size)
        _seed_part(run, part, 0)
        example = make_example(
            run.model.config,
            batch,
            run.device,
            has_text=has_text[rows],
            has_duration=has_duration[rows],
        )
        examples.append(augmented(example, run.model.config, training))
    counts = torch.stack([example.mask.sum(dim=(0, 2)) for example in examples]).float()
    num_targets = mean_over_processes(counts.mean(dim=0)).clamp(min=1 / parts.total)
    weights = torch.tensor(training.codebook_weights or (1.0,) * recipe.lm.n_q)
    weights = (weights / weights.sum()).to(run.device)
    by_codebook = torch.zeros(recipe.lm.n_q, device=run.device)

    def losses() -> Iterator[Tensor]:
        for part, example in zip(parts.mine, examples, strict=True):
            _seed_part(run, part, 1)
            found = example_losses(run.model, example, training=training, num_targets=num_targets)
            by_codebook.add_(found.detach() / len(examples))
            yield (found * weights).sum()

    metrics = run.descend(
        losses(), num_parts=len(examples), max_grad_norm=recipe.optimiser.max_grad_norm
    )
    return {
        "loss": metrics["loss"],
        **_by_codebook(mean_over_processes(by_codebook)),
        "grad_norm": metrics["grad_norm"],
        "skipped": float(run.guard.skipped),
        "learning_rate": run.optimiser.param_groups[0]["lr"],
        "items": float(parts.total * size),
    }


def _seed_part(run: LMRun, part: int, stream: int) -> None:
    """Let each part draw its own noise and dropout; a batch that is one part goes on drawing."""
    training = run.recipe.training
    if batch_parts(training.accumulate).total > 1:
        seed_step(training.seed, run.step, part, stream)


def _by_codebook(losses: Tensor) -> dict[str, float]:
    return {f"loss_{k}": float(loss) for k, loss in enumerate(losses)}


@torch.no_grad()
def _measure(run: LMRun, valid: list[TokenBatch]) -> dict[str, float]:
    """Return cross-entropies on the valid split, with the prompts and without them.

    Each process measures every W-th batch, all of them as often: a model that is split needs all.
    """
    count, rank = num_processes(), process_rank()
    losses = torch.zeros(2, len(valid), run.recipe.lm.n_q, device=run.device)
    with averaged(run.model, run.average):
        for turn in range(rank, -(-len(valid) // count) * count, count):
            batch = valid[turn % len(valid)]
            everyone = torch.ones(len(batch.num_frames), dtype=torch.bool)
            for row, has_text in enumerate((everyone, ~everyone)):
                example = make_example(
                    run.model.config, batch, run.device, has_text=has_text, has_duration=everyone
                )
                found = example_losses(run.model, example)
                if turn < len(valid):
                    losses[row, turn] = found
    told, untold = sum_over_processes(losses)
    return {
        "loss": float(told.mean(dim=0).mean()),
        "loss_without_prompt": float(untold.mean()),
        **_by_codebook(told.mean(dim=0)),
    }


def _checkpoint(
    run: LMRun,
    folder: RunFolder,
    cache: TokenCache,
    codec: ReleasedCodec,
    valid: list[TokenBatch],
    progress: Progress,
) -> dict[str, float]:
    measured: dict[str, float] = {}
    if valid:
        measured = _measure(run, valid)
        folder.log(run.step, measured, prefix="valid")
        progress.metrics(run.step, measured)
    run.keep_if_best(measured.get("loss"))
    _save(run, folder, cache, codec)
    keep = run.recipe.training.keep_checkpoints
    if keep:
        path = folder.checkpoint_path(f"step-{run.step:09d}")
        _save_model(run, path, run.average.shadow, cache, codec)
        if is_main():
            folder.drop_checkpoints(keep)
    return measured


def _save(run: LMRun, folder: RunFolder, cache: TokenCache, codec: ReleasedCodec) -> None:
    """Write the state to resume from, and the model folder with the best weights so far."""
    folder.save(run.state_dict())
    _save_model(run, folder.path, run.released, cache, codec)


def _save_model(
    run: LMRun,
    path: Path,
    weights: dict[str, Tensor],
    cache: TokenCache,
    codec: ReleasedCodec,
) -> None:
    weights = gathered(weights)
    if not is_main():
        return
    dtype = getattr(torch, run.recipe.training.weights_dtype)
    made_by = dict(codec.training)
    made_by["lm"] = {
        "step": run.step,
        "best_step": run.best_step,
        "num_variants": cache.info.num_variants,
        "dataset": cache.info.dataset,
        "recipe": to_dict(run.recipe),
    }
    save_model_folder(
        path,
        {
            "codec": codec.config,
            **codec.others,
            "lm": {**to_dict(run.recipe.lm), "codec_digest": codec.digest},
            "text_encoder": cache.info.text_encoder,
            "training": made_by,
        },
        {
            **codec.parts,
            "lm": {name: value.to(dtype) for name, value in weights.items()},
        },
    )
