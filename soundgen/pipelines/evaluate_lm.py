"""Measure a model's sounds over a list of prompts, beside real clips and other baselines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from soundgen.checkpoint import DEFAULT_MODEL, ModelFolder, resolve_model
from soundgen.data.manifest import MANIFEST_NAME, Clip, Split, read_manifest
from soundgen.data.prompt_list import JudgedPrompt, read_prompts
from soundgen.errors import InputError, OutputError, UsageError
from soundgen.evaluation.contact_sheet import check_sheet
from soundgen.evaluation.frechet import PrincipalAxes
from soundgen.evaluation.lm_figures import (
    Yardstick,
    confusion_of,
    prompt_figures,
    source_figures,
)
from soundgen.evaluation.lm_frechet import frechet_distances
from soundgen.evaluation.lm_report import Inputs, LmReport, markdown
from soundgen.evaluation.memorisation import TrainingClips
from soundgen.evaluation.sound_set import MAX_HEARD_S
from soundgen.files import atomic_path, folder_lock, sha256_of
from soundgen.pipelines.lm_requests import SoundRequests, list_sounds, make_sounds
from soundgen.pipelines.sound_request import GenerateSettings
from soundgen.progress import Progress, SilentProgress

if TYPE_CHECKING:
    # PyTorch takes a second: not before everything that can be checked without it is.
    from soundgen.pipelines.listening import Listener
    from soundgen.pipelines.lm_sources import SoundSources

REPORT_FILE, PAGE_FILE, SHEET_FILE = "report.json", "report.md", "sheet.png"
SOUNDS_FOLDER = "sounds"
CLASSIFIER_FILE, HEARD_FILE = "classifier.safetensors", "training-clips.safetensors"
_DEFAULTS = GenerateSettings()


def evaluate_lm(
    *,
    data: Path,
    prompts: Path,
    out: Path,
    model: str = DEFAULT_MODEL,
    num_seeds: int = 4,
    settings: GenerateSettings = _DEFAULTS,
    splits: Sequence[Split] = ("test",),
    matcher: str | None = None,
    classifier: Path | None = None,
    sheet: bool = True,
    device: str = "auto",
    threads: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> LmReport:
    """Make the sounds of some prompts, and say how good they are beside five other sources.

    Those are real clips of the prompts' categories, their round trips through the codec, the
    training clips with the nearest captions, training clips of other categories, and the model
    without a prompt. Everything is written to `out`; sounds that are there already are kept.

    Args:
        data: Dataset that the model was trained on: its folder, or its manifest.
        prompts: File of prompts (`data/prompt_list.py`).
        out: Folder for sounds, report, page and contact sheet.
        model: Name or folder of the model.
        num_seeds: Sounds for each prompt, of seeds from 0 on.
        settings: How they are made.
        splits: Which real clips to compare with.
        matcher: Name or folder of a model whose matcher measures; the model's own if `None`,
            and the classifier's features where it has none.
        classifier: File of the classifier; trained on the dataset, and kept in `out`, if `None`.
        sheet: Draw the contact sheet.
        device: auto, cpu, cuda or mps.
        threads: Of the processor; as many as it has cores if `None`.
        force: Overwrite sounds and reports of other settings.
        progress: Listens.

    Raises:
        InputError: The prompts or the dataset cannot be used, or a clip is damaged.
        UsageError: A number is out of range, or the sheet cannot be drawn.
        OutputError: `out` holds another evaluation, or cannot be written.
        CheckpointError: A model is missing or damaged, or lacks the part it is named for.
        DeviceError: The device is not there.
    """
    progress = progress or SilentProgress()
    if num_seeds < 1:
        raise UsageError(f"--seeds must be at least 1, got {num_seeds}")
    if sheet:
        check_sheet()
    task = _task(data, prompts, splits, out, device, progress)
    folder = resolve_model(model)
    folder.section("lm")
    ear = resolve_model(matcher) if matcher is not None else folder
    if matcher is not None:
        ear.section("matcher")
    inputs = _inputs(task, folder, ear, num_seeds, settings, classifier)
    with folder_lock(out):
        _check_report(out / REPORT_FILE, inputs, force=force)
        requests = list_sounds(task.prompts, num_seeds, out / SOUNDS_FOLDER, settings)
        failed = make_sounds(
            requests.everything, folder, device, threads, force=force, progress=progress
        )

        from soundgen.pipelines.model import use_threads  # PyTorch, seconds

        use_threads(threads)
        sources = _sources(task, folder, _listener(task, ear, classifier))
        report = _measure(task, folder, sources, inputs, requests, failed)
        _write(out / REPORT_FILE, json.dumps(asdict(report), ensure_ascii=False, indent=1) + "\n")
        _write(out / PAGE_FILE, markdown(report))
        if sheet:
            sources.draw(requests.outputs, out / SHEET_FILE)
    return report


@dataclass(frozen=True)
class _Task:
    """What an evaluation is about.

    Attributes:
        manifest: The dataset's.
        prompts: What to make.
        splits: Of `real`.
        train: All clips that the model was trained on.
        real: Held-out clips of the prompts' categories.
        out: Where everything goes.
        device: Where it is computed.
        progress: Listens.
    """

    manifest: Path
    prompts: Sequence[JudgedPrompt]
    splits: tuple[Split, ...]
    train: tuple[Clip, ...]
    real: tuple[Clip, ...]
    out: Path
    device: str
    progress: Progress

    @cached_property
    def dataset(self) -> str:
        """SHA-256 of the manifest."""
        return sha256_of(self.manifest)


def _task(
    data: Path,
    prompts: Path,
    splits: Sequence[Split],
    out: Path,
    device: str,
    progress: Progress,
) -> _Task:
    """Read prompts and manifest; refuse prompts of categories that the dataset does not have."""
    judged = read_prompts(prompts)
    manifest = data / MANIFEST_NAME if data.is_dir() else data
    clips = read_manifest(manifest)
    known = {clip.category for clip in clips}
    named = {prompt.category for prompt in judged if prompt.category is not None}
    for category in sorted(named - known):
        raise InputError(
            f"{manifest}: has no clips of category '{category}', which a prompt names",
            hint=f"known: {', '.join(sorted(known))}",
        )
    train = tuple(clip for clip in clips if clip.split == "train")
    if not train:
        raise InputError(f"{manifest}: no clip is in split train")
    real = tuple(clip for clip in clips if clip.split in splits and clip.category in named)
    return _Task(manifest, judged, tuple(splits), train, real, out, device, progress)


def _inputs(
    task: _Task,
    folder: ModelFolder,
    ear: ModelFolder,
    num_seeds: int,
    settings: GenerateSettings,
    classifier: Path | None,
) -> Inputs:
    if classifier is not None and not classifier.is_file():
        raise InputError(f"{classifier}: no such file")
    return Inputs(
        model=folder.model_digest,
        matcher=ear.matcher_digest if ear.has("matcher") else "",
        classifier="" if classifier is None else sha256_of(classifier),
        dataset=task.dataset,
        splits=task.splits,
        prompts=tuple(prompt.prompt for prompt in task.prompts),
        categories=tuple(prompt.category for prompt in task.prompts),
        num_seeds=num_seeds,
        duration_s=settings.duration_s,
        temperature=settings.temperature,
        top_k=settings.top_k,
        top_p=settings.top_p,
        cfg_scale=settings.cfg_scale,
    )


def _check_report(path: Path, inputs: Inputs, *, force: bool) -> None:
    """Refuse to replace a report of something else; the same one may be made again."""
    if force or not path.exists():
        return
    try:
        earlier = json.loads(path.read_text(encoding="utf-8")).get("inputs")
    except (OSError, ValueError, AttributeError):
        earlier = None
    if earlier != json.loads(json.dumps(asdict(inputs))):
        raise OutputError(
            f"{path}: holds the report of another evaluation",
            hint="use -f to overwrite it, or choose another --out",
        )


def _listener(task: _Task, ear: ModelFolder, classifier: Path | None) -> Listener:
    """Load what listens; train the classifier if there is none yet."""
    from soundgen.evaluation.classifier import load_classifier, save_classifier
    from soundgen.evaluation.classifier_training import TrainingSettings
    from soundgen.pipelines.listening import Listener
    from soundgen.pipelines.model import load_matcher
    from soundgen.pipelines.train_classifier import classes_to_tell_apart, train_on_dataset

    file = classifier or task.out / CLASSIFIER_FILE
    if classifier is None and not file.exists():
        classes = classes_to_tell_apart(task.train, [prompt.category for prompt in task.prompts])
        task.progress.notice(
            f"no classifier was given: training one on {len(classes)} classes, {file}"
        )
        trained, _ = train_on_dataset(
            task.manifest, TrainingSettings(), classes=classes, progress=task.progress
        )
        save_classifier(trained, file)
    matcher = None
    if ear.has("matcher"):
        matcher = load_matcher(str(ear.path), device=task.device)
    else:
        task.progress.notice(
            f"{ear.path}: has no matcher; no text match, and the classifier's features"
        )
    return Listener(load_classifier(file), matcher, matcher.digest if matcher else sha256_of(file))


def _sources(task: _Task, folder: ModelFolder, listener: Listener) -> SoundSources:
    from soundgen.pipelines.lm_sources import SoundSources
    from soundgen.pipelines.model import load_codec
    from soundgen.pipelines.model_parts import build_text_encoder

    return SoundSources(
        listener=listener,
        codec=load_codec(str(folder.path), device=task.device).codec,
        n_q=int(folder.section("lm")["n_q"]),
        text_encoder=build_text_encoder(folder),
        root=task.manifest.parent,
        train=task.train,
        real=task.real,
        prompts=task.prompts,
        progress=task.progress,
    )


def _measure(
    task: _Task,
    folder: ModelFolder,
    sources: SoundSources,
    inputs: Inputs,
    requests: SoundRequests,
    failed: set[Path],
) -> LmReport:
    from soundgen.pipelines.listening import hear_training_clips

    listener = sources.listener
    heard = hear_training_clips(
        listener,
        sources.root,
        task.train,
        dataset=task.dataset,
        cache=task.out / HEARD_FILE,
        progress=task.progress,
    )
    generated = sources.generated(requests.outputs, failed)
    unprompted = sources.unprompted([request.output for request in requests.unprompted], failed)
    retrieved = sources.retrieved(inputs.num_seeds)
    others = sources.others()
    real, trips = sources.real_and_round_trips()
    answered = tuple(row for row, answers in enumerate(real.by_prompt) if answers)
    yardstick = Yardstick(
        prompts=inputs.prompts,
        categories=inputs.categories,
        text=None if listener.matcher is None else np.concatenate(
            [listener.matcher.embed_prompt(prompt).numpy() for prompt in inputs.prompts]
        ),
        judged=answered or tuple(range(len(inputs.prompts))),
        classes=listener.classifier.config.classes,
        expected_s=_expected_lengths(task.train, inputs),
        training=TrainingClips.among(heard.embeddings, heard.recordings[heard.clips]),
    )  # fmt: skip
    frechet = frechet_distances(
        real, [trips], [generated, retrieved], [unprompted, others],
        categories=inputs.categories, axes=PrincipalAxes.fit(heard.embeddings),
    )  # fmt: skip
    everything = [generated, unprompted, retrieved, others, trips, real]
    return LmReport(
        name=folder.name,
        inputs=inputs,
        space="classifier" if listener.matcher is None else "matcher",
        n_q=sources.n_q,
        frechet_sounds=frechet.num_sounds if frechet else 0,
        frechet_axes=frechet.num_axes if frechet else 0,
        num_failed=len(failed),
        sources=source_figures(everything, yardstick, frechet),
        prompts=prompt_figures(generated, yardstick),
        confusion=confusion_of(generated, yardstick),
    )


def _expected_lengths(train: Sequence[Clip], inputs: Inputs) -> tuple[float | None, ...]:
    """Return the median length of each prompt's category; `None` if the length was asked for."""
    lengths: dict[str | None, list[float]] = {}
    for clip in train:
        lengths.setdefault(clip.category, []).append(min(clip.duration, MAX_HEARD_S))
    return tuple(
        float(np.median(lengths[category]))
        if inputs.duration_s is None and category in lengths
        else None
        for category in inputs.categories
    )


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
