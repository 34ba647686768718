"""From prompts to sound files: checked before the model loads, whole or absent when written."""

from __future__ import annotations

import json
import re
import time
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from soundgen.audio.io import check_format, probe, write_audio
from soundgen.audio.waveform import Waveform
from soundgen.checkpoint import DEFAULT_MODEL, ModelFolder, resolve_model
from soundgen.errors import InputError, SoundgenError
from soundgen.files import check_output
from soundgen.pipelines.describe import read_making
from soundgen.progress import Progress, SilentProgress

if TYPE_CHECKING:
    # PyTorch takes a second: not before everything that can be checked without it is.
    from soundgen.pipelines.model import Model, Sound

BATCH_SIZE = 8
_MAX_SLUG = 60
_SILENT_PEAK = 1e-3
"""-60 dB of full scale: below, a listener hears nothing."""
_REDRAW_OFFSET = 0x9E37_79B9


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerateSettings:
    """How a sound is made, seed and prompt apart."""

    duration_s: float | None = None
    """Length; `None` lets the model end the sound."""
    temperature: float = 1.0
    top_k: int = 100
    top_p: float = 0.0
    cfg_scale: float = 3.0
    negative_prompt: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SoundRequest:
    """One file to make."""

    prompt: str
    seed: int
    output: Path
    settings: GenerateSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerateResult:
    """One file that was made, or was there already."""

    output: Path
    prompt: str
    seed: int
    duration_s: float
    model_digest: str
    seconds_spent: float
    warning: str = ""
    skipped: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerateFailure:
    """One file of several that could not be made; the others go on."""

    output: Path
    error: SoundgenError


def prompt_slug(prompt: str) -> str:
    """Return a file name for a prompt that every file system takes: letters, digits, hyphens."""
    plain = unicodedata.normalize("NFKC", prompt).lower()
    slug = re.sub(r"[^\w]+", "-", plain).strip("-_")[:_MAX_SLUG].rstrip("-_")
    # Windows refuses a file of these names whatever its suffix.
    reserved = re.fullmatch(r"con|prn|aux|nul|com\d|lpt\d", slug)
    return f"sound-{slug}" if reserved else slug or "sound"


def generate(
    requests: Sequence[SoundRequest],
    *,
    model: str = DEFAULT_MODEL,
    device: str = "auto",
    threads: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Iterator[GenerateResult | GenerateFailure]:
    """Make sounds, several at a time, and write each as soon as it is there.

    A file that its tags show to be the very sound that is asked for is skipped; any other that
    is in the way stops everything before it begins, unless `force` is on.

    Args:
        requests: What to make.
        model: Shipped name, model folder or `hf:owner/name`.
        device: auto, cpu, cuda or mps.
        threads: Of the processor; as many as it has cores if `None`.
        force: Overwrite.
        progress: Listens.

    Yields:
        A result for each request, or why there is none if others go on.

    Raises:
        SoundgenError: Model, output or device cannot be used; see the message.
    """
    progress = progress or SilentProgress()
    folder = resolve_model(model)
    folder.section("lm")
    pending: list[SoundRequest] = []
    done: list[GenerateResult] = []
    for request in requests:
        check_format(request.output, int(folder.section("codec").get("sample_rate", 16_000)), 1)
        earlier = None if force else _made_already(request, folder)
        if earlier is None:
            check_output(request.output, force=force)
            pending.append(request)
        else:
            done.append(earlier)
    yield from done
    if not pending:
        return

    from soundgen.pipelines.model import load_model, use_threads

    use_threads(threads)
    loaded = load_model(model, device=device)
    for batch in _batches(pending):
        for result in _make(loaded, batch, progress):
            if isinstance(result, GenerateFailure) and len(requests) == 1:
                raise result.error
            yield result


def _batches(requests: Sequence[SoundRequest]) -> Iterator[list[SoundRequest]]:
    """Group requests of the same settings, at most `BATCH_SIZE` at a time, in order."""
    batch: list[SoundRequest] = []
    for request in requests:
        if batch and (len(batch) == BATCH_SIZE or request.settings != batch[0].settings):
            yield batch
            batch = []
        batch.append(request)
    if batch:
        yield batch


def _make(
    model: Model, batch: Sequence[SoundRequest], progress: Progress
) -> Iterator[GenerateResult | GenerateFailure]:
    started = time.monotonic()
    settings = batch[0].settings
    steps = None
    if settings.duration_s is not None:
        steps = round(settings.duration_s * model.language_model.config.frame_rate)
    what = batch[0].prompt if len(batch) == 1 else f"{len(batch)} sounds"
    progress.start(f"generate {what}", steps)
    try:
        sounds = _draw(model, batch, [request.seed for request in batch], progress)
    finally:
        progress.finish()
    spent = (time.monotonic() - started) / len(batch)
    for request, sound in zip(batch, sounds, strict=True):
        drawn_with = request.seed
        if _is_silent(sound):
            drawn_with = request.seed ^ _REDRAW_OFFSET
            (sound,) = _draw(model, [request], [drawn_with], progress)
        if _is_silent(sound):
            error = InputError(
                f"'{request.prompt}': came out silent twice, with seeds {request.seed} and "
                f"{drawn_with}",
                hint="try another --seed, or other words",
            )
            yield GenerateFailure(output=request.output, error=error)
            continue
        try:
            _write(model, request, sound, drawn_with)
        except SoundgenError as failed:
            yield GenerateFailure(output=request.output, error=failed)
            continue
        yield GenerateResult(
            output=request.output,
            prompt=request.prompt,
            seed=request.seed,
            duration_s=sound.duration_s,
            model_digest=model.digest,
            seconds_spent=round(spent, 3),
            warning=_warning(model, request, drawn_with),
        )


def _draw(
    model: Model, batch: Sequence[SoundRequest], seeds: Sequence[int], progress: Progress
) -> list[Sound]:
    from soundgen.lm.sampling import SamplingSettings

    settings = batch[0].settings
    return model.generate(
        [request.prompt for request in batch],
        duration_s=settings.duration_s,
        seed=seeds,
        negative_prompt=settings.negative_prompt,
        settings=SamplingSettings(
            temperature=settings.temperature,
            top_k=settings.top_k,
            top_p=settings.top_p,
            cfg_scale=settings.cfg_scale,
        ),
        on_step=progress.advance,
    )


def _is_silent(sound: Sound) -> bool:
    # NaN compares as not above anything, so it counts as silent too.
    return not float(abs(sound.samples).max(initial=0.0)) > _SILENT_PEAK


def _warning(model: Model, request: SoundRequest, drawn_with: int) -> str:
    warnings = []
    if request.settings.negative_prompt.strip() and request.settings.cfg_scale == 1:
        warnings.append("the negative prompt has no effect at a cfg-scale of 1 (no guidance)")
    if model.text_encoder.is_cut(request.prompt):
        warnings.append(
            f"the prompt is longer than the {model.text_encoder.config.max_tokens} tokens that "
            "the model reads; its end is ignored"
        )
    if drawn_with != request.seed:
        warnings.append(
            f"seed {request.seed} gave silence; drawn again with the derived seed {drawn_with}"
        )
    return "; ".join(warnings)


def _making(request: SoundRequest, model_digest: str) -> dict[str, Any]:
    """Return what, beside the machine, decides how a sound comes out."""
    return {
        "prompt": request.prompt,
        "seed": request.seed,
        **asdict(request.settings),
        "model_digest": model_digest,
    }


def _write(model: Model, request: SoundRequest, sound: Sound, drawn_with: int) -> None:
    import torch

    making = {
        **_making(request, model.digest),
        "drawn_with": drawn_with,
        "model": model.folder.reference,
        "device": model.device.type,
        "dtype": "float32",
        "threads": torch.get_num_threads(),
        "soundgen": version("soundgen"),
    }
    tags = {
        "title": request.prompt,
        "software": "soundgen",
        "license": "CC0-1.0",
        "comment": json.dumps(making, ensure_ascii=False),
    }
    write_audio(request.output, Waveform(sound.samples[None], sound.sample_rate), tags=tags)


def _made_already(request: SoundRequest, folder: ModelFolder) -> GenerateResult | None:
    if not request.output.is_file():
        return None
    try:
        found = probe(request.output)
    except InputError:
        return None
    making = read_making(found.tags) or {}
    wanted = _making(request, folder.model_digest)
    if any(key not in making or making[key] != value for key, value in wanted.items()):
        return None
    return GenerateResult(
        output=request.output,
        prompt=request.prompt,
        seed=request.seed,
        duration_s=found.duration_s,
        model_digest=folder.model_digest,
        seconds_spent=0.0,
        skipped=True,
    )
