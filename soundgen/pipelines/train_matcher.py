"""Train a matcher on captioned clips: a contrastive run, resumable at any step."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from soundgen.checkpoint import ModelFolder, resolve_model, save_model_folder
from soundgen.config import to_dict
from soundgen.data.manifest import MANIFEST_NAME, Clip, Split, read_manifest
from soundgen.data.segments import read_piece
from soundgen.errors import ConfigError
from soundgen.evaluation.matcher import Matcher
from soundgen.evaluation.matcher_training import (
    CaptionedClip,
    PairBatch,
    PairSampler,
    contrastive_loss,
    near_equals,
)
from soundgen.evaluation.retrieval import MatchScores, score_matches
from soundgen.files import folder_lock, sha256_of
from soundgen.nn.int8 import pack_int8
from soundgen.pipelines.model_parts import build_text_encoder
from soundgen.pipelines.optimisers import make_adamw, set_learning_rate
from soundgen.pipelines.recipes import MatcherRecipe, what_shapes
from soundgen.pipelines.training import (
    BestRun,
    TrainReport,
    has_stalled,
    restore,
    run_steps,
)
from soundgen.progress import Progress, SilentProgress
from soundgen.text.encoder import TextEncoder, load_text_encoder
from soundgen.training.device import resolve_device
from soundgen.training.ema import WeightAverage
from soundgen.training.run import RunFolder
from soundgen.training.seeding import INITIAL, seed_step

_TEXTS_AT_A_TIME = 64


@dataclass(kw_only=True)
class MatcherRun(BestRun):
    """All that moves while a matcher trains."""

    recipe: MatcherRecipe
    model: Matcher


class Texts(NamedTuple):
    """Every text of a dataset once: captions and names of categories.

    Attributes:
        rows: A text to its row.
        vectors: The text encoder's pooled vectors, float32 `[num_texts, text_dim]`.
    """

    rows: dict[str, int]
    vectors: Tensor


def train_matcher(
    recipe: MatcherRecipe,
    *,
    data: Path,
    out: Path,
    model: str | None = None,
    resume: bool = False,
    max_time_s: float | None = None,
    device: str = "auto",
    dry_run: bool = False,
    progress: Progress | None = None,
) -> TrainReport:
    """Train a matcher on the train split of a dataset; what is released did best on the valid one.

    Args:
        recipe: What to train and how.
        data: Folder with `manifest.jsonl`, or the file; mono at the matcher's rate.
        out: Run folder; becomes a model folder at the first checkpoint.
        model: A model whose text encoder the matcher belongs to; all of its parts go into `out`,
            so that `out` generates, and searches too. Without it `out` holds the matcher alone.
        resume: Go on with the run in `out`.
        max_time_s: End the run, schedule included, after this many seconds of training; reading
            the clips comes before.
        device: auto, cpu, cuda or mps.
        dry_run: Read the manifest, build everything, write nothing.
        progress: Listens.

    Raises:
        SoundgenError: Data, model, output or device cannot be used; see the message.
    """
    progress = progress or SilentProgress()
    torch_device = resolve_device(device)
    manifest = data / MANIFEST_NAME if data.is_dir() else data
    clips = read_manifest(manifest)
    beside = _read_model(model)
    encoder = beside.encoder or load_text_encoder(recipe.text_encoder)
    if encoder.config.dim != recipe.matcher.text_dim:
        raise ConfigError(
            f"matcher.text_dim is {recipe.matcher.text_dim}, but the text encoder "
            f"{encoder.config.name} has {encoder.config.dim}",
            hint=f"use --set matcher.text_dim={encoder.config.dim}",
        )
    run = _new_run(recipe, torch_device, encoder, sha256_of(manifest))
    if dry_run:
        return TrainReport(out, 0, False, {})
    with folder_lock(out):
        folder = RunFolder(out, resume=resume)
        if resume:
            restore(run, folder)
        try:
            metrics = _loop(
                run,
                folder,
                manifest.parent,
                clips,
                encoder,
                beside,
                max_time_s=max_time_s,
                progress=progress,
            )
        finally:
            folder.close()
    finished = run.step >= recipe.training.steps or has_stalled(run, recipe.training)
    return TrainReport(out, run.step, finished, metrics)


class _Beside(NamedTuple):
    """What the matcher's model folder holds besides it."""

    encoder: TextEncoder | None
    sections: dict[str, Any]
    parts: dict[str, dict[str, Tensor]]


def _read_model(model: str | None) -> _Beside:
    if model is None:
        return _Beside(None, {}, {})
    folder: ModelFolder = resolve_model(model)
    folder.verify()
    parts = [part for part in ("codec", "entropy", "lm") if folder.has(part)]
    names = [*parts, "text_encoder", "training", "licenses"]
    return _Beside(
        build_text_encoder(folder),
        {name: folder.config[name] for name in names if name in folder.config},
        # Cloned: the files stay mapped otherwise, and may be replaced while we train.
        {
            part: {name: value.clone() for name, value in folder.tensors(part).items()}
            for part in parts
        },
    )


def _new_run(
    recipe: MatcherRecipe, device: torch.device, encoder: TextEncoder, manifest_digest: str
) -> MatcherRun:
    seed_step(recipe.training.seed, INITIAL)
    matcher = Matcher(recipe.matcher).to(device)
    # On a CPU, convolutions of channels-last tensors take a quarter less time.
    for parameter in matcher.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    average = WeightAverage(matcher, decay=recipe.training.ema_decay)
    return MatcherRun(
        recipe=recipe,
        device=device,
        model=matcher,
        optimiser=make_adamw(matcher, recipe.optimiser),
        average=average,
        identity={
            "recipe": json.dumps(what_shapes(recipe), sort_keys=True),
            "dataset": manifest_digest,
            "text encoder": encoder.digest,
        },
        best=copy.deepcopy(average.shadow),
    )


def _loop(
    run: MatcherRun,
    folder: RunFolder,
    root: Path,
    clips: Sequence[Clip],
    encoder: TextEncoder,
    beside: _Beside,
    *,
    max_time_s: float | None,
    progress: Progress,
) -> dict[str, float]:
    training = run.recipe.training
    texts = embed_texts(encoder, clips, progress)
    if run.step == 0:
        run.model.start_from_texts(texts.vectors.to(run.device))
        run.average.reset(run.model)
    train, valid = (
        hear_clips(run.model, root, clips, split, texts, max_s=training.max_s, progress=progress)
        for split in ("train", "valid")
    )
    sampler = PairSampler(
        train,
        texts.vectors,
        Matcher(run.recipe.matcher),  # on the CPU, where batches are made
        batch_size=training.batch_size,
        category_caption=training.category_caption,
        category_power=training.category_power,
        seed=training.seed,
    )
    # Reading the clips was no training: the time limit begins here.
    folder.restart_clock()

    def checkpoint() -> dict[str, float]:
        measured: dict[str, float] = {}
        if valid:
            scores = measure_matcher(_averaged(run), valid, texts)
            measured = asdict(scores)
            folder.log(run.step, measured, prefix="valid")
            progress.metrics(run.step, measured)
            run.keep_if_best(1 - scores.quality)
        else:
            run.keep_if_best(None)
        _save(run, folder, encoder, beside)
        return measured

    return run_steps(
        run,
        folder,
        training,
        what="training the matcher",
        make_batch=sampler.batch,
        take_step=lambda batch, share: _train_step(run, batch, share),
        checkpoint=checkpoint,
        save=lambda: _save(run, folder, encoder, beside),
        max_time_s=max_time_s,
        progress=progress,
    )


def embed_texts(encoder: TextEncoder, clips: Sequence[Clip], progress: Progress) -> Texts:
    """Embed every caption and every category of a dataset once."""
    texts = dict.fromkeys(text for clip in clips for text in (*clip.captions, clip.category))
    rows = {text: row for row, text in enumerate(texts)}
    progress.start("embedding captions", len(rows))
    vectors = []
    for start in range(0, len(rows), _TEXTS_AT_A_TIME):
        some = list(rows)[start : start + _TEXTS_AT_A_TIME]
        vectors.append(encoder.encode(some).pooled.cpu())
        progress.advance(len(some))
    progress.finish()
    return Texts(rows, torch.cat(vectors))


@torch.no_grad()
def hear_clips(
    matcher: Matcher,
    root: Path,
    clips: Sequence[Clip],
    split: Split,
    texts: Texts,
    *,
    max_s: float,
    progress: Progress,
) -> list[CaptionedClip]:
    """Read the clips of a split and keep their spectra, half a megabyte a minute.

    Args:
        matcher: Whose features are made.
        root: Folder that the clips' paths are relative to.
        clips: Of all splits.
        split: Which to read.
        texts: Their captions and categories among others.
        max_s: Of each clip.
        progress: Listens.

    Raises:
        InputError: A file is missing, damaged or of another rate.
    """
    chosen = [clip for clip in clips if clip.split == split]
    rate, device = matcher.config.sample_rate, matcher.log_scale.device
    heard = []
    progress.start(f"reading clips of the {split} split", len(chosen))
    for clip in chosen:
        samples = read_piece(root / clip.path, max(1, int(max_s * rate)), sample_rate=rate)
        magnitudes = matcher.log_mel.magnitudes(torch.from_numpy(samples)[None].to(device))[0]
        loudest = magnitudes.amax().clamp(min=1e-12)
        heard.append(
            CaptionedClip(
                (magnitudes / loudest).cpu().numpy().astype(np.float16),
                tuple(texts.rows[caption] for caption in clip.captions),
                texts.rows[clip.category],
                clip.recording,
            )
        )
        progress.advance()
    progress.finish()
    return heard


@torch.no_grad()
def measure_matcher(matcher: Matcher, clips: Sequence[CaptionedClip], texts: Texts) -> MatchScores:
    """Measure a matcher, in evaluation mode, on clips: each by its first caption and its category.

    The categories to choose from are those of `clips`.
    """
    device = matcher.log_scale.device
    audio = torch.stack(
        [
            matcher.embed_magnitudes(torch.from_numpy(clip.magnitudes).float().to(device))
            for clip in clips
        ]
    )
    text = matcher.embed_text(texts.vectors.to(device)).cpu()
    names = list(texts.rows)
    classes = sorted({clip.category for clip in clips})
    return score_matches(
        audio,
        text[[clip.captions[0] for clip in clips]],
        [names[clip.captions[0]] for clip in clips],
        text[classes],
        [classes.index(clip.category) for clip in clips],
    )


def _averaged(run: MatcherRun) -> Matcher:
    averaged = copy.deepcopy(run.model).eval()
    averaged.load_state_dict(run.average.shadow)
    return averaged


def _train_step(run: MatcherRun, batch: PairBatch, share: float) -> dict[str, float]:
    recipe = run.recipe
    seed_step(recipe.training.seed, run.step)
    run.model.train()
    set_learning_rate(
        run.optimiser, recipe.optimiser, share, run.step, halvings=run.guard.rollbacks
    )
    spectrum, text, category = (tensor.to(run.device) for tensor in batch)
    targets = near_equals(
        text,
        category,
        sharpness=recipe.training.target_sharpness,
        category_bonus=recipe.training.category_bonus,
    )
    audio = run.model(spectrum)
    loss = contrastive_loss(audio, run.model.embed_text(text), run.model.scale, targets)
    metrics = run.descend([loss], max_grad_norm=recipe.optimiser.max_grad_norm)
    return {
        "loss": metrics["loss"],
        "scale": float(run.model.scale.detach()),
        "grad_norm": metrics["grad_norm"],
        "skipped": float(run.guard.skipped),
        "learning_rate": run.optimiser.param_groups[0]["lr"],
    }


def _save(run: MatcherRun, folder: RunFolder, encoder: TextEncoder, beside: _Beside) -> None:
    """Write the state to resume from, and the model folder with the best weights so far."""
    folder.save(run.state_dict())
    made_by = dict(beside.sections.get("training", {}))
    made_by["matcher"] = {
        "step": run.step,
        "best_step": run.best_step,
        "dataset": run.identity["dataset"],
        "recipe": to_dict(run.recipe),
    }
    save_model_folder(
        folder.path,
        {
            **beside.sections,
            "matcher": {**to_dict(run.recipe.matcher), "text_encoder_sha256": encoder.digest},
            "text_encoder": {**to_dict(encoder.config), "sha256": encoder.digest},
            "training": made_by,
        },
        {
            **beside.parts,
            "matcher": _stored(run.released, run.recipe.training.weights_dtype),
        },
    )


def _stored(weights: Mapping[str, Tensor], dtype: str) -> dict[str, Tensor]:
    """Return weights as the model folder holds them."""
    if dtype == "int8":
        return pack_int8(weights)
    return {
        name: value.to(getattr(torch, dtype)) if value.is_floating_point() else value
        for name, value in weights.items()
    }
