"""The sounds that `eval lm` asks the model for, and which of them are there already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from soundgen.checkpoint import ModelFolder
from soundgen.data.prompt_list import JudgedPrompt
from soundgen.errors import InputError
from soundgen.pipelines.generate import generate
from soundgen.pipelines.sound_names import prompt_slug
from soundgen.pipelines.sound_request import GenerateFailure, GenerateSettings, SoundRequest
from soundgen.progress import Progress

UNPROMPTED_FOLDER = "without-a-prompt"
_MAX_UNPROMPTED = 64
"""As many as a Fréchet distance is taken over; text match needs fewer."""


@dataclass(frozen=True, slots=True)
class SoundRequests:
    """The sounds to make: a list for each prompt, and those without one."""

    prompted: tuple[tuple[SoundRequest, ...], ...]
    unprompted: tuple[SoundRequest, ...]

    @property
    def outputs(self) -> list[list[Path]]:
        """Files of each prompt."""
        return [[request.output for request in row] for row in self.prompted]

    @property
    def everything(self) -> list[SoundRequest]:
        """All of them; the seeds of one prompt together, since they are of like length."""
        return [*(request for row in self.prompted for request in row), *self.unprompted]


def list_sounds(
    prompts: Sequence[JudgedPrompt], num_seeds: int, folder: Path, settings: GenerateSettings
) -> SoundRequests:
    """List the sounds to make, and make the folders that they go to: one a prompt.

    Args:
        prompts: What to hear.
        num_seeds: Sounds for each, of seeds from 0 on.
        folder: Where the folders are made.
        settings: How all are made.
    """

    def row(prompt: str, name: str, count: int) -> tuple[SoundRequest, ...]:
        (folder / name).mkdir(parents=True, exist_ok=True)
        return tuple(
            SoundRequest(
                prompt=prompt, seed=seed, output=folder / name / f"{seed}.wav", settings=settings
            )
            for seed in range(count)
        )

    names: list[str] = [UNPROMPTED_FOLDER]
    for judged in prompts:
        slug = prompt_slug(judged.prompt)
        # Prompts that differ in signs only share a slug.
        while slug in names:
            slug += "-"
        names.append(slug)
    return SoundRequests(
        tuple(
            row(judged.prompt, name, num_seeds)
            for judged, name in zip(prompts, names[1:], strict=True)
        ),
        row("", UNPROMPTED_FOLDER, min(_MAX_UNPROMPTED, len(prompts) * num_seeds)),
    )


def make_sounds(
    requests: Sequence[SoundRequest],
    folder: ModelFolder,
    device: str,
    threads: int | None,
    *,
    force: bool,
    progress: Progress,
) -> set[Path]:
    """Make the sounds that are not there; return the files of those that came out silent.

    Args:
        requests: What to make; what is there with the same tags is kept.
        folder: The model.
        device: auto, cpu, cuda or mps.
        threads: Of the processor; as many as it has cores if `None`.
        force: Overwrite other sounds.
        progress: Listens.

    Raises:
        SoundgenError: A sound is in the way or cannot be written, or the model cannot be used.
    """
    failed: set[Path] = set()
    progress.start("making sounds", len(requests))
    try:
        for result in generate(
            requests, model=str(folder.path), device=device, threads=threads, force=force
        ):
            progress.advance()
            if isinstance(result, GenerateFailure):
                if not isinstance(result.error, InputError):
                    raise result.error  # not the sound's fault
                progress.notice(f"{result.output}: {result.error.message}")
                failed.add(result.output)
    finally:
        progress.finish()
    return failed
