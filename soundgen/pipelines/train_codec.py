"""Train a codec: EnCodec's recipe, resumable at any step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from soundgen.checkpoint import resolve_model, save_model_folder
from soundgen.codec.balancer import Balancer
from soundgen.codec.discriminator import MultiScaleSTFTDiscriminator
from soundgen.codec.magnitude import MagnitudeDecoder, MagnitudeEncoder, principal_components
from soundgen.codec.model import Codec
from soundgen.config import to_dict
from soundgen.data.manifest import MANIFEST_NAME, Manifest, read_manifest
from soundgen.data.segments import SegmentSampler
from soundgen.errors import ConfigError
from soundgen.files import sha256_of
from soundgen.pipelines.codec_losses import loss_metrics
from soundgen.pipelines.codec_run import CodecRun
from soundgen.pipelines.codec_step import (
    descend_balanced,
    descend_discriminator,
    descend_magnitudes,
    make_parts,
)
from soundgen.pipelines.codec_valid import load_valid, measure_codec
from soundgen.pipelines.codec_weights import load_folded, released_codec
from soundgen.pipelines.dry_run import try_steps
from soundgen.pipelines.optimisers import make_adamw, set_learning_rate
from soundgen.pipelines.recipes import CodecRecipe
from soundgen.pipelines.train_entropy import add_entropy
from soundgen.pipelines.training import (
    TrainReport,
    disk_bytes,
    recipe_identity,
    restore,
    run_steps,
)
from soundgen.progress import Progress, SilentProgress
from soundgen.training.device import resolve_device
from soundgen.training.distributed import (
    average_gradients,
    batch_parts,
    gather_rows,
    join_processes,
    share_weights,
    sum_over_processes,
)
from soundgen.training.ema import WeightAverage
from soundgen.training.launch import is_main
from soundgen.training.run import RunFolder, run_lock
from soundgen.training.seeding import INITIAL, KMEANS, seed_step

_COLLAPSED_SHARE = 0.05
_MAX_COLLAPSED_STEPS = 1000
_HITS_DECAY = 0.99


def train_codec(
    recipe: CodecRecipe,
    *,
    data: Path,
    out: Path,
    init: str | None = None,
    resume: bool = False,
    max_time_s: float | None = None,
    device: str = "auto",
    dry_run: bool = False,
    progress: Progress | None = None,
) -> TrainReport:
    """Train a codec on the train split of a dataset.

    Args:
        recipe: What to train and how.
        data: Folder with `manifest.jsonl`, mono at the codec's rate.
        out: Run folder; becomes a model folder at the first checkpoint.
        init: A model whose codec to start from.
        resume: Go on with the run in `out`.
        max_time_s: End the run, schedule included, after this many seconds of training; fitting
            the entropy model comes on top.
        device: auto, cpu, cuda or mps.
        dry_run: Build everything, take one step, write nothing.
        progress: Listens.

    Raises:
        SoundgenError: Data, model, output or device cannot be used; see the message.
    """
    progress = progress or SilentProgress()
    torch_device = join_processes(resolve_device(device))
    manifest = data / MANIFEST_NAME if data.is_dir() else data
    clips = read_manifest(data)
    root = manifest.parent
    train = clips.select("train")
    sampler = SegmentSampler(
        root,
        train,
        recipe.segments,
        sample_rate=recipe.codec.sample_rate,
        hop_length=recipe.codec.hop_length,
        seed=recipe.training.seed,
    )
    valid = load_valid(root, clips.select("valid"), recipe)
    run = _new_run(recipe, torch_device, init, sha256_of(manifest))
    if init is not None:
        run.licenses = resolve_model(init).licenses
    if init is None and not resume:
        _start_components(run, sampler)
    if dry_run:
        return _try_steps(run, sampler, out, {"train": train, "valid": clips.select("valid")})
    with run_lock(out):
        folder = RunFolder(out, resume=resume)
        if resume:
            restore(run, folder)
        try:
            metrics = _loop(run, folder, sampler, valid, max_time_s, progress)
            # Beyond `max_time_s`, and done again by a run that is killed in it.
            if is_main():
                add_entropy(
                    out,
                    data,
                    recipe.entropy,
                    seed=recipe.training.seed,
                    device=device,
                    progress=progress,
                )
        finally:
            folder.close()
    return TrainReport(out, run.step, run.step >= recipe.training.steps, metrics)


def _try_steps(
    run: CodecRun, sampler: SegmentSampler, out: Path, splits: dict[str, Manifest]
) -> TrainReport:
    """Take the most demanding kind of step, with quantizer and discriminator, and write nothing."""
    run.quantizing = True
    size = run.recipe.training.batch_size
    networks: dict[str, nn.Module] = {"codec": run.codec}
    if run.recipe.discriminator.start < 1:
        networks["discriminator"] = run.discriminator
    metrics, plan = try_steps(
        lambda step: _train_step(run, _wavs(run, sampler, step), 1.0),
        data={
            name: f"{len(clips):,} clips, {clips.columns.durations.sum() / 3600:.2f} h"
            for name, clips in splits.items()
        },
        networks=networks,
        batch=(size, 1, sampler.num_samples),
        steps=run.recipe.training.steps,
        disk_bytes=lambda: disk_bytes(run),
        device=run.device,
    )
    return TrainReport(out, 0, False, metrics, plan)


def _wavs(run: CodecRun, sampler: SegmentSampler, step: int) -> list[Tensor]:
    """Return this process's parts of a step's batch, float32 `[B, 1, T]`."""
    training = run.recipe.training
    parts = batch_parts(training.accumulate)
    return [sampler.batch(step * parts.total + part, training.batch_size) for part in parts.mine]


def _new_run(recipe: CodecRecipe, device: torch.device, init: str | None, dataset: str) -> CodecRun:
    seed_step(recipe.training.seed, INITIAL)
    codec = Codec(recipe.codec, training_form=True).to(device)
    if init is not None:
        load_folded(codec, init)
    disc = recipe.discriminator
    discriminator = MultiScaleSTFTDiscriminator(disc.windows, disc.num_filters).to(device)
    share_weights(codec, discriminator)
    optim = recipe.optimiser
    return CodecRun(
        recipe=recipe,
        device=device,
        codec=codec,
        discriminator=discriminator,
        optimiser=make_adamw(codec, optim),
        discriminator_optimiser=torch.optim.AdamW(
            discriminator.parameters(),
            lr=disc.learning_rate,
            betas=(disc.betas[0], disc.betas[1]),
        ),
        balancer=Balancer(
            {
                "time": recipe.losses.time,
                "mel": recipe.losses.mel,
                "magnitude": recipe.losses.magnitude,
                "adversarial": recipe.losses.adversarial,
                "feature": recipe.losses.feature,
            }
        ),
        average=WeightAverage(codec, decay=recipe.training.ema_decay),
        identity={**recipe_identity(recipe), "dataset": dataset},
        hits=torch.zeros(recipe.codec.num_codebooks, recipe.codec.codebook_size, device=device),
        quantizing=init is not None,
    )


def _loop(
    run: CodecRun,
    folder: RunFolder,
    sampler: SegmentSampler,
    valid: list[Tensor],
    max_time_s: float | None,
    progress: Progress,
) -> dict[str, float]:
    training = run.recipe.training

    def take_step(wavs: list[Tensor], share: float) -> dict[str, float]:
        if not run.quantizing and share >= training.quantizer_start:
            _start_quantizer(run, sampler)
        return _train_step(run, wavs, share)

    return run_steps(
        run,
        folder,
        training,
        what="training the codec",
        make_batch=lambda step: _wavs(run, sampler, step),
        take_step=take_step,
        checkpoint=lambda: _checkpoint(run, folder, valid, progress),
        save=lambda: _save(run, folder),
        max_time_s=max_time_s,
        progress=progress,
    )


@torch.no_grad()
def _start_components(run: CodecRun, sampler: SegmentSampler) -> None:
    """Give a `magnitude` codec the best linear code of the data to start from."""
    encoder, decoder = run.codec.encoder, run.codec.decoder
    if not isinstance(encoder, MagnitudeEncoder) or not isinstance(decoder, MagnitudeDecoder):
        return
    pool = [
        gather_rows(encoder.spectra(wav[:, 0].to(run.device)).flatten(0, 1))
        for i in range(run.recipe.training.component_batches)
        for wav in _wavs(run, sampler, i)
    ]
    codec = run.recipe.codec
    weights = encoder.spectra.weights(codec.sample_rate).to(run.device)
    found = principal_components(torch.cat(pool), weights, codec.latent_dim)
    encoder.set_components(found)
    decoder.set_components(found)
    run.average.reset(run.codec)


@torch.no_grad()
def _start_quantizer(run: CodecRun, sampler: SegmentSampler) -> None:
    """Place the codebooks by k-means on what the autoencoder has learned to say."""
    seed_step(run.recipe.training.seed, KMEANS)
    pool = [
        gather_rows(run.codec.encoder(wav.to(run.device)).transpose(1, 2).flatten(0, 1))
        for i in range(run.recipe.training.kmeans_batches)
        for wav in _wavs(run, sampler, run.step + 1 + i)
    ]
    run.codec.quantizer.initialise(torch.cat(pool))
    share_weights(run.codec.quantizer)
    run.average.reset(run.codec)
    run.quantizing = True


def _train_step(run: CodecRun, wavs: list[Tensor], share: float) -> dict[str, float]:
    """Take one step of the generator and, in its turn, of the discriminator."""
    recipe = run.recipe
    seed_step(recipe.training.seed, run.step)
    run.codec.train()
    set_learning_rate(
        run.optimiser, recipe.optimiser, share, run.step, halvings=run.guard.rollbacks
    )
    parts = make_parts(wavs, recipe, run.device)
    start = recipe.discriminator.start
    # At 1 it is left out, also of the last step and of a dry run.
    adversarial = start < 1 and share >= start and run.quantizing
    run.optimiser.zero_grad()
    if isinstance(run.codec.decoder, MagnitudeDecoder):
        results = descend_magnitudes(run.codec, parts, recipe, quantize=run.quantizing)
    else:
        judge = run.discriminator if adversarial else None
        results = descend_balanced(
            run.codec, run.balancer, parts, recipe, judge, quantize=run.quantizing
        )
    run.codec.quantizer.update_codebooks()
    average_gradients(run.codec.parameters())
    metrics = loss_metrics([result.losses for result in results])
    norm = float(
        torch.nn.utils.clip_grad_norm_(run.codec.parameters(), recipe.optimiser.max_grad_norm)
    )
    if run.guard.accepts(run.step, [norm, *metrics.values()]):
        run.optimiser.step()
        run.average.update(run.codec)
    metrics |= {"grad_norm": norm, "learning_rate": run.optimiser.param_groups[0]["lr"]}
    metrics["skipped"] = float(run.guard.skipped)
    if adversarial and float(torch.rand(())) < recipe.discriminator.update_probability:
        metrics["l_d"] = descend_discriminator(
            run.discriminator,
            run.discriminator_optimiser,
            parts,
            results,
            batch_size=recipe.discriminator.batch_size,
        )
    if run.quantizing:
        metrics |= _watch_codebooks(run, torch.cat([result.codes for result in results]))
    return metrics


def _watch_codebooks(run: CodecRun, codes: Tensor) -> dict[str, float]:
    """Measure how evenly the codebooks are used, and stop a run whose codebooks collapsed."""
    size = run.codec.quantizer.codebook_size
    for k in range(run.codec.quantizer.num_codebooks):
        counts = torch.bincount(codes[:, k].flatten(), minlength=size)
        run.hits[k].lerp_(sum_over_processes(counts).to(run.hits.dtype), 1 - _HITS_DECAY)
    share = run.hits / run.hits.sum(dim=1, keepdim=True)
    perplexity = torch.special.entr(share).sum(dim=1).exp()
    collapsed = float(perplexity.min()) < _COLLAPSED_SHARE * size
    run.num_collapsed = run.num_collapsed + 1 if collapsed else 0
    if run.num_collapsed >= _MAX_COLLAPSED_STEPS:
        raise ConfigError(
            f"step {run.step}: codebook {int(perplexity.argmin())} has used fewer than "
            f"{_COLLAPSED_SHARE:.0%} of its codes for {_MAX_COLLAPSED_STEPS} steps",
            hint="start a new run with a lower optimiser.learning_rate, or a later "
            "training.quantizer_start",
        )
    return {
        "perplexity": float(perplexity.mean()),
        "perplexity_min": float(perplexity.min()),
        "restarted": float(run.codec.quantizer.num_restarted),
    }


def _checkpoint(
    run: CodecRun, folder: RunFolder, valid: list[Tensor], progress: Progress
) -> dict[str, float]:
    released = _released(run)
    _save(run, folder, released)
    if not is_main():
        return {}
    measured: dict[str, float] = {}
    if valid and run.quantizing:
        measured = measure_codec(released, valid)
        folder.log(run.step, measured, prefix="valid")
        for i, wav in enumerate(valid[:3]):
            decoded = released.decode(released.encode(wav[None, None]))[0, 0, : len(wav)]
            folder.log_audio(run.step, f"valid/{i}", decoded, run.recipe.codec.sample_rate)
        progress.metrics(run.step, measured)
    _keep(run, folder, released, measured)
    return measured


def _keep(run: CodecRun, folder: RunFolder, released: Codec, measured: Mapping[str, float]) -> None:
    """Keep the last checkpoints and the best one as model folders of their own, if asked to."""
    keep = run.recipe.training.keep_checkpoints
    if not keep:
        return
    _save_model(run, folder.checkpoint_path(f"step-{run.step:09d}"), released)
    folder.drop_checkpoints(keep)
    distance = measured.get(f"mel_distance_{run.recipe.codec.num_codebooks}", math.inf)
    if distance < run.best_distance:
        run.best_distance = distance
        _save_model(run, folder.checkpoint_path("best"), released)


def _save(run: CodecRun, folder: RunFolder, released: Codec | None = None) -> None:
    """Write the state to resume from, and the model folder as of now."""
    folder.save(run.state_dict())
    if is_main():
        _save_model(run, folder.path, released or _released(run))


def _save_model(run: CodecRun, path: Path, released: Codec) -> None:
    dtype = getattr(torch, run.recipe.training.weights_dtype)
    save_model_folder(
        path,
        {
            "codec": to_dict(run.recipe.codec),
            "training": {"codec": {"step": run.step, "recipe": to_dict(run.recipe)}},
            "licenses": run.licenses,
        },
        {"codec": {name: value.to(dtype) for name, value in released.state_dict().items()}},
    )


def _released(run: CodecRun) -> Codec:
    """Return the codec as whoever loads the model folder gets it, rounding included."""
    released = released_codec(run.codec, run.average)
    return released.to(getattr(torch, run.recipe.training.weights_dtype)).float()
