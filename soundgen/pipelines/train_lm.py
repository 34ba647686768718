"""Train a language model on a token cache: AudioGen's recipe, resumable at any step."""

from __future__ import annotations

import copy
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from soundgen.checkpoint import resolve_model, save_model_folder
from soundgen.config import from_dict, to_dict
from soundgen.data.tokens import TokenBatch, TokenCache, TokenSampler, TokenSamplerConfig
from soundgen.errors import CheckpointError, ConfigError
from soundgen.files import folder_lock
from soundgen.lm.conditioning import TextCondition, TimeCondition, corrupt_text
from soundgen.lm.config import LMConfig
from soundgen.lm.delay import corrupt_inputs, swap_beginnings, training_pair
from soundgen.lm.losses import codebook_cross_entropy
from soundgen.lm.model import LanguageModel
from soundgen.pipelines.dry_run import try_steps
from soundgen.pipelines.recipes import LMRecipe, LMTrainingConfig, what_shapes
from soundgen.pipelines.training import (
    BestRun,
    TrainReport,
    disk_bytes,
    has_stalled,
    make_adamw,
    restore,
    run_steps,
    set_learning_rate,
)
from soundgen.progress import Progress, SilentProgress
from soundgen.training.device import computes_bfloat16, resolve_device
from soundgen.training.ema import WeightAverage
from soundgen.training.run import RunFolder
from soundgen.training.seeding import INITIAL, seed_step

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
    torch_device = resolve_device(device)
    cache = TokenCache(data)
    released = _read_codec(codec, cache.info.text_encoder["sha256"])
    _check_fit(recipe, cache, released)
    run = _new_run(recipe, torch_device, init, cache, released)
    sampler = _sampler(recipe, cache, "train", recipe.training.seed)
    if dry_run:
        return _try_steps(run, cache, sampler, out)
    with folder_lock(out):
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
    metrics, plan = try_steps(
        lambda _: _train_step(run, largest, 0.0),
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


class _ReleasedCodec(NamedTuple):
    """A codec as it was when the training began, whatever happens to its folder meanwhile."""

    path: Path
    digest: str
    config: dict[str, Any]
    training: dict[str, Any]
    parts: dict[str, dict[str, Tensor]]
    """Weights of the codec, and of the model's entropy model and matcher where it has them."""
    others: dict[str, Any]
    """The sections that go with the latter two, under their names."""


def _read_codec(codec: str, encoder_digest: str) -> _ReleasedCodec:
    folder = resolve_model(codec)
    folder.verify()
    names = [part for part in ("codec", "entropy", "matcher") if folder.has(part)]
    # A matcher belongs to a text encoder; under another one it would be refused.
    if "matcher" in names:
        if folder.section("matcher").get("text_encoder_sha256") != encoder_digest:
            names.remove("matcher")
    # Cloned: the file stays mapped otherwise, and may be replaced while we train.
    parts = {
        part: {name: value.clone() for name, value in folder.tensors(part).items()}
        for part in names
    }
    return _ReleasedCodec(
        folder.path,
        folder.codec_digest,
        folder.section("codec"),
        dict(folder.config.get("training", {})),
        parts,
        {part: folder.section(part) for part in parts if part != "codec"},
    )


def _check_fit(recipe: LMRecipe, cache: TokenCache, codec: _ReleasedCodec) -> None:
    if cache.info.codec_digest != codec.digest:
        raise CheckpointError(
            f"{cache.path}: its codes come from another codec than {codec.path}",
            hint=f"tokenize again with --model {codec.path}",
        )
    for name, ours in to_dict(recipe.text_encoder).items():
        theirs = cache.info.text_encoder[name]
        if ours != theirs:
            raise ConfigError(
                f"text_encoder.{name} is {ours}, but {cache.path} has {theirs}",
                hint=f"use --set text_encoder.{name}={theirs}",
            )
    config = recipe.lm
    for name, ours, theirs in (
        ("codebook_size", config.codebook_size, cache.info.codebook_size),
        ("frame_rate", config.frame_rate, cache.info.frame_rate),
        ("text_dim", config.text_dim, cache.info.text_encoder["dim"]),
    ):
        if ours != theirs:
            raise ConfigError(
                f"lm.{name} is {ours}, but {cache.path} has {theirs}",
                hint=f"use --set lm.{name}={theirs}",
            )
    if config.n_q > cache.info.n_q:
        raise ConfigError(f"lm.n_q is {config.n_q}, but {cache.path} has {cache.info.n_q}")
    if not cache.split("train"):
        raise CheckpointError(f"{cache.path}: holds no clip of the train split")


def _new_run(
    recipe: LMRecipe,
    device: torch.device,
    init: str | None,
    cache: TokenCache,
    codec: _ReleasedCodec,
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
        model.start_from_codebooks(_codebooks(codec, recipe.lm.n_q).to(device))
    average = WeightAverage(model, decay=recipe.training.ema_decay)
    return LMRun(
        recipe=recipe,
        device=device,
        model=model,
        optimiser=make_adamw(model, recipe.optimiser),
        average=average,
        identity={
            "recipe": json.dumps(what_shapes(recipe), sort_keys=True),
            "token cache": json.dumps(asdict(cache.info), sort_keys=True),
        },
        best=copy.deepcopy(average.shadow),
    )


def _codebooks(codec: _ReleasedCodec, n_q: int) -> Tensor:
    """Return the entries of the first codebooks, float32 `[n_q, V, D]`."""
    weights = codec.parts["codec"]
    sums = weights["quantizer.embedding_sum"][:n_q].float()
    return sums / weights["quantizer.usage"][:n_q, :, None].float().clamp(min=1e-5)


def _sampler(recipe: LMRecipe, cache: TokenCache, split: str, seed: int) -> TokenSampler:
    training = recipe.training
    config = TokenSamplerConfig(
        n_q=recipe.lm.n_q,
        batch_frames=training.batch_frames,
        max_s=training.max_s,
        duration_power=training.duration_power,
        category_power=training.category_power,
        longest_s=training.longest_s,
    )
    return TokenSampler(cache, cache.split(split), config, seed=seed)


def _loop(
    run: LMRun,
    folder: RunFolder,
    cache: TokenCache,
    codec: _ReleasedCodec,
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
        make_batch=sampler.batch,
        take_step=lambda batch, share: _train_step(run, batch, share),
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


def _train_step(run: LMRun, batch: TokenBatch, share: float) -> dict[str, float]:
    recipe = run.recipe
    seed_step(recipe.training.seed, run.step)
    run.model.train()
    set_learning_rate(
        run.optimiser, recipe.optimiser, share, run.step, halvings=run.guard.rollbacks
    )
    size = len(batch.num_frames)
    losses = _losses(
        run.model,
        batch,
        run.device,
        has_text=torch.rand(size) >= recipe.training.condition_dropout,
        has_duration=torch.rand(size) >= recipe.training.duration_dropout,
        training=recipe.training,
    )
    weights = torch.tensor(recipe.training.codebook_weights or (1.0,) * recipe.lm.n_q)
    weights = weights.to(losses.device)
    loss = (losses * weights).sum() / weights.sum()
    norm = run.descend(loss, max_grad_norm=recipe.optimiser.max_grad_norm)
    return {
        "loss": float(loss.detach()),
        **_by_codebook(losses.detach()),
        "grad_norm": norm,
        "skipped": float(run.guard.skipped),
        "learning_rate": run.optimiser.param_groups[0]["lr"],
        "items": float(size),
    }


def _losses(
    model: LanguageModel,
    batch: TokenBatch,
    device: torch.device,
    *,
    has_text: Tensor,
    has_duration: Tensor,
    training: LMTrainingConfig | None = None,
) -> Tensor:
    """Return the cross-entropy of each codebook, `[K]`; in a training step as it is trained on."""
    inputs, targets, mask = training_pair(
        batch.codes.to(device),
        batch.num_frames.to(device),
        batch.ends.to(device),
        model.config.special,
    )
    text = TextCondition(
        batch.text_states.to(device),
        batch.text_mask.to(device),
        batch.text_pooled.to(device),
        has_text.to(device),
    )
    smoothing, precision = 0.0, "float32"
    if training is not None:
        if training.swapped_beginnings:
            chosen = torch.rand(len(inputs)) < training.swapped_beginnings
            inputs, mask = swap_beginnings(inputs, mask, (chosen & has_text).to(device))
        inputs = corrupt_inputs(inputs, model.config.special, training.input_noise)
        text = corrupt_text(
            text, vector_noise=training.text_noise, token_dropout=training.token_dropout
        )
        smoothing, precision = training.label_smoothing, training.precision
    time = TimeCondition(
        batch.start_s.to(device),
        torch.where(has_duration, batch.duration_s, torch.nan).to(device),
    )
    # What is measured, unlike what is trained, is the same number on every machine.
    half = precision == "bfloat16" or (precision == "auto" and computes_bfloat16(device))
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
        logits = model(inputs, text, time)
    return codebook_cross_entropy(logits, targets, mask, label_smoothing=smoothing)


def _by_codebook(losses: Tensor) -> dict[str, float]:
    return {f"loss_{k}": float(loss) for k, loss in enumerate(losses)}


@torch.no_grad()
def _measure(run: LMRun, valid: list[TokenBatch]) -> dict[str, float]:
    """Return cross-entropies on the valid split, with the prompts and without them."""
    averaged = copy.deepcopy(run.model).eval()
    averaged.load_state_dict(run.average.shadow)
    told: list[Tensor] = []
    untold: list[Tensor] = []
    for batch in valid:
        everyone = torch.ones(len(batch.num_frames), dtype=torch.bool)
        for has_text, collected in ((everyone, told), (~everyone, untold)):
            collected.append(
                _losses(averaged, batch, run.device, has_text=has_text, has_duration=everyone)
            )
    losses = torch.stack(told).mean(dim=0)
    return {
        "loss": float(losses.mean()),
        "loss_without_prompt": float(torch.stack(untold).mean()),
        **_by_codebook(losses),
    }


def _checkpoint(
    run: LMRun,
    folder: RunFolder,
    cache: TokenCache,
    codec: _ReleasedCodec,
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
        folder.drop_checkpoints(keep)
    return measured


def _save(run: LMRun, folder: RunFolder, cache: TokenCache, codec: _ReleasedCodec) -> None:
    """Write the state to resume from, and the model folder with the best weights so far."""
    folder.save(run.state_dict())
    _save_model(run, folder.path, run.released, cache, codec)


def _save_model(
    run: LMRun,
    path: Path,
    weights: dict[str, Tensor],
    cache: TokenCache,
    codec: _ReleasedCodec,
) -> None:
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
