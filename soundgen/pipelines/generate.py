"""From prompts to sound files: checked before the model loads, whole or absent when written."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from soundgen.audio.finish import FinishedSound, FinishSettings, check_loop_finish
from soundgen.audio.io import check_format, check_loop_format, pcm_subtype, read_audio
from soundgen.audio.loop import Seam
from soundgen.audio.plot import check_plotting, draw_sound
from soundgen.checkpoint import DEFAULT_MODEL, ModelFolder, resolve_model
from soundgen.errors import CheckpointError, DiskFullError, SoundgenError
from soundgen.files import check_output, sha256_of
from soundgen.pipelines.making import find_made
from soundgen.pipelines.sound_request import (
    BATCH_SIZE,
    GenerateFailure,
    GenerateResult,
    SoundRequest,
)
from soundgen.pipelines.sound_source import read_source
from soundgen.progress import Progress, SilentProgress

if TYPE_CHECKING:
    # PyTorch takes a second: not before everything that can be checked without it is.
    from soundgen.pipelines.draw_sounds import ChosenSound, SoundDrawer
    from soundgen.pipelines.model import Model


def generate(
    requests: Sequence[SoundRequest],
    *,
    model: str = DEFAULT_MODEL,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    force: bool = False,
    finished: Collection[Path] = (),
    progress: Progress | None = None,
) -> Iterator[GenerateResult | GenerateFailure]:
    """Make sounds, several at a time, and write each as soon as it is there.

    Of a request with several candidates, sixteen are made at a time and only the best so far is
    kept, so that memory does not grow with their number.

    A file that its tags show to be the very sound that is asked for is skipped; any other that
    is in the way stops everything before it begins, unless `force` is on.

    Args:
        requests: What to make.
        model: Shipped name, model folder or `hf:owner/name`.
        device: auto, cpu, cuda or mps.
        precision: Of the language model's weights: auto, float32, bfloat16 or int8.
        threads: Of the processor; as many as it has cores if `None`.
        force: Overwrite.
        finished: Files that an earlier run of the same batch made: those are skipped under
            `force` too.
        progress: Listens.

    Yields:
        A result for each request, or why there is none if others go on.

    Raises:
        SoundgenError: Model, output or device cannot be used; see the message.
    """
    progress = progress or SilentProgress()
    folder = resolve_model(model)
    folder.section("lm")
    if any(request.best_of > 1 for request in requests) and not folder.has("matcher"):
        raise CheckpointError(
            f"{folder.path}: has no matcher, which chooses the best of several sounds",
            hint="leave out --best-of, or train one: soundgen train matcher --model MODEL",
        )
    if any(request.plot for request in requests):
        check_plotting()
    sample_rate = int(folder.section("codec").get("sample_rate", 16_000))
    pending: list[SoundRequest] = []
    done: list[GenerateResult] = []
    _check_sources(requests, sample_rate)
    for request in requests:
        _check_file(request, sample_rate)
        again = force and request.output not in finished
        earlier = None if again else _made_already(request, folder, precision)
        if earlier is None:
            check_output(request.output, force=force)
            pending.append(request)
        else:
            done.append(earlier)
        if request.plot is not None and (earlier is None or not request.plot.exists()):
            check_output(request.plot, force=force)
    for found in done:
        if found.plot is not None and not found.plot.exists():
            draw_sound(read_audio(found.output), found.plot, found.prompt)
        yield found
    if not pending:
        return
    if folder.is_non_commercial:
        progress.notice(
            f"the weights of this model are under {folder.license}: not for commercial use"
        )
    for notice in _limits([request.finish for request in pending], sample_rate):
        progress.notice(notice)

    from soundgen.pipelines.draw_sounds import SoundDrawer
    from soundgen.pipelines.model import load_model, use_threads

    use_threads(threads)
    loaded = load_model(model, device=device, precision=precision)
    drawer = SoundDrawer(loaded, pending, progress)
    for batch in _batches(pending):
        for result in _make(loaded, batch, drawer):
            if isinstance(result, GenerateFailure) and len(requests) == 1:
                raise result.error
            yield result


def _check_file(request: SoundRequest, sample_rate: int) -> None:
    """Refuse a format that cannot hold what the finish asks for, or a loop."""
    finish = request.finish
    if request.settings.loop:
        check_loop_format(request.output)
        check_loop_finish(finish)
    check_format(
        request.output,
        finish.sample_rate or sample_rate,
        finish.channels,
        subtype=pcm_subtype(request.output, finish.bit_depth),
    )


def _check_sources(requests: Sequence[SoundRequest], sample_rate: int) -> None:
    """Read each file that sounds go on from, to the end: damage is to be known now."""
    for source in {request.settings.source: None for request in requests}:
        if source is not None:
            read_source(source, sample_rate)


def _limits(finishes: Sequence[FinishSettings], sample_rate: int) -> Iterator[str]:
    """Say once what a file's header promises and the model's sound does not hold."""
    highest = max(finish.sample_rate or sample_rate for finish in finishes)
    if highest > sample_rate:
        yield (
            f"{highest} Hz holds nothing above {sample_rate / 2000:g} kHz here: the model's own "
            f"rate is {sample_rate} Hz"
        )
    if any(finish.channels == 2 for finish in finishes):
        yield "two channels hold the same sound twice: the model is mono"


def _batches(requests: Sequence[SoundRequest]) -> Iterator[list[SoundRequest]]:
    """Group requests of the same settings, at most `BATCH_SIZE` at a time, in order.

    One with several candidates fills batches of its own.
    """
    batch: list[SoundRequest] = []
    for request in requests:
        if batch and (
            len(batch) == BATCH_SIZE
            or request.settings != batch[0].settings
            or max(request.best_of, batch[0].best_of) > 1
        ):
            yield batch
            batch = []
        batch.append(request)
    if batch:
        yield batch


def _make(
    model: Model, batch: Sequence[SoundRequest], drawer: SoundDrawer
) -> Iterator[GenerateResult | GenerateFailure]:
    started = time.monotonic()
    chosen = drawer.draw(batch)
    spent = (time.monotonic() - started) / len(batch)
    for request, made in zip(batch, chosen, strict=True):
        if isinstance(made, SoundgenError):
            yield _failure(request, made)
            continue
        try:
            finished = _write(model, request, made)
            if request.plot is not None:
                draw_sound(finished.waveform, request.plot, request.prompt)
        except DiskFullError:
            raise  # no other sound would find room
        except SoundgenError as failed:
            yield _failure(request, failed)
            continue
        yield GenerateResult(
            output=request.output,
            prompt=request.prompt,
            seed=made.seed,
            duration_s=finished.waveform.duration_s,
            model_digest=model.digest,
            seconds_spent=round(spent, 3),
            best_of=request.best_of,
            match=made.match,
            true_peak_dbtp=finished.true_peak_dbtp,
            loudness_lufs=finished.loudness_lufs,
            plot=request.plot,
            seam=made.sound.seam,
            source=_path_of(request),
            row=request.row,
            variation=request.variation,
            warning="; ".join([*_warnings(model, request, made), *finished.warnings]),
        )


def _failure(request: SoundRequest, error: SoundgenError) -> GenerateFailure:
    return GenerateFailure(
        output=request.output,
        prompt=request.prompt,
        seed=request.seed,
        error=error,
        row=request.row,
        variation=request.variation,
    )


def _warnings(model: Model, request: SoundRequest, made: ChosenSound) -> list[str]:
    warnings = []
    source = request.settings.source
    if made.source is not None and made.source.notice:
        warnings.append(made.source.notice)
    if source is not None and source.use == "continue":
        window_s = model.language_model.config.context_s
        if source.context_s > window_s:
            warnings.append(
                f"the model looks back over {window_s:g} s, so it heard no more of {source.path}"
            )
    if request.settings.negative_prompt.strip() and request.settings.cfg_scale == 1:
        warnings.append("the negative prompt has no effect at a cfg-scale of 1 (no guidance)")
    if model.text_encoder.is_cut(request.prompt):
        warnings.append(
            f"the prompt is longer than the {model.text_encoder.config.max_tokens} tokens that "
            "the model reads; its end is ignored"
        )
    if made.drawn_with != made.seed:
        warnings.append(
            f"seed {made.seed}: {made.fault}; drawn again with the derived seed {made.drawn_with}"
        )
    return warnings


def _choice(request: SoundRequest, folder: ModelFolder) -> dict[str, Any]:
    """Return what decides which of several candidates is chosen; the one there is, if only one."""
    if request.best_of == 1:
        return {"seed": request.seed}
    return {
        "best_of": request.best_of,
        "first_seed": request.seed,
        "matcher_digest": folder.matcher_digest,
    }


def _write(model: Model, request: SoundRequest, made: ChosenSound) -> FinishedSound:
    making = {
        **made.sound.making,
        **_choice(request, model.folder),
        # Its own, so that without --best-of it makes this very sound again.
        "seed": made.seed,
        "drawn_with": made.drawn_with,
        **({} if made.match is None else {"match": made.match}),
    }
    if request.settings.source is not None and made.source is not None:
        making["source"] = request.settings.source.as_made(made.source.sha256)
    return replace(made.sound, making=making).save(request.output, request.finish)


def _path_of(request: SoundRequest) -> str | None:
    source = request.settings.source
    return None if source is None else source.path


def _same_source(making: Mapping[str, Any], request: SoundRequest) -> bool:
    """Tell whether a file was made from what is there to go on from now, wherever it lay then."""
    made, source = making.get("source"), request.settings.source
    if source is None or not isinstance(made, dict):
        return source is None and made is None
    wanted = source.as_made(sha256_of(Path(source.path)))
    return {**made, "path": ""} == {**wanted, "path": ""}


def _made_already(
    request: SoundRequest, folder: ModelFolder, precision: str
) -> GenerateResult | None:
    settings = asdict(request.settings)
    is_loop = settings.pop("loop")  # files of earlier versions do not say it
    del settings["source"]
    wanted = {
        "prompt": request.prompt,
        **settings,
        "model_digest": folder.model_digest,
        "finish": asdict(request.finish),
        **_choice(request, folder),
    }
    if precision != "auto":
        wanted["dtype"] = precision
    made = find_made(request.output, wanted)
    if made is None:
        return None
    found, making = made
    if making.get("loop", False) != is_loop or not _same_source(making, request):
        return None
    return GenerateResult(
        output=request.output,
        prompt=request.prompt,
        seed=making["seed"],
        duration_s=found.duration_s,
        model_digest=folder.model_digest,
        seconds_spent=0.0,
        best_of=request.best_of,
        match=making.get("match") if request.best_of > 1 else None,
        true_peak_dbtp=making.get("true_peak_dbtp"),
        loudness_lufs=making.get("loudness_lufs"),
        plot=request.plot,
        seam=Seam(**making["seam"]) if request.settings.loop else None,
        source=_path_of(request),
        row=request.row,
        variation=request.variation,
        skipped=True,
    )
