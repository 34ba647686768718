"""What `eval lm` reports: each source of sounds by the same figures, and its tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from soundgen.evaluation.confusion import Confusion

GENERATED = "generated"
UNPROMPTED = "without a prompt"
RETRIEVED = "nearest caption"
OTHERS = "other categories"
ROUND_TRIP = "codec round trip"
REAL = "real clips"


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceFigures:
    """One source of sounds; `None` where a figure cannot be had.

    Attributes:
        name: Of the source, one of this module's.
        num_sounds: Measured.
        text_match: Mean cosine of prompt and sound in the matcher's space.
        text_match_normalised: The same, 0 for the model without a prompt and 1 for real clips.
        frechet: Fréchet distance to real clips (`lm_frechet`), unnormalised.
        class_accuracy: Share that the classifier hears as the prompt's category.
        relative_accuracy: The same, over that of the codec's round trips.
        diversity: Mean of 1 - cosine between the answers to a prompt.
        silence_share: Of the time.
        copied_share: Of sounds closer to their nearest training clip than that clip's nearest
            neighbour from another recording.
        nearest_similarity: Mean cosine with the nearest training clip.
        length_error_octaves: Median distance from the median length of the category's train clips.
    """

    name: str
    num_sounds: int
    text_match: float | None
    text_match_normalised: float | None
    frechet: float | None
    class_accuracy: float | None
    relative_accuracy: float | None
    diversity: float | None
    silence_share: float | None
    copied_share: float | None
    nearest_similarity: float | None
    length_error_octaves: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """What fixes an evaluation, apart from the program.

    Attributes:
        model: SHA-256 over all that shapes a sound.
        matcher: SHA-256 of the matcher; empty without one.
        classifier: SHA-256 of the classifier's file; empty where it is trained on the dataset.
        dataset: SHA-256 of the manifest.
        splits: Of the real clips.
        prompts: What was asked for, in order.
        categories: What each should be heard as.
        num_seeds: Sounds for each prompt.
        duration_s: Length asked for; `None` leaves it to the model.
        temperature: Of sampling.
        top_k: Of sampling.
        top_p: Of sampling.
        cfg_scale: Of sampling.
    """

    model: str
    matcher: str
    classifier: str
    dataset: str
    splits: tuple[str, ...]
    prompts: tuple[str, ...]
    categories: tuple[str | None, ...]
    num_seeds: int
    duration_s: float | None
    temperature: float
    top_k: int
    top_p: float
    cfg_scale: float


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptFigures:
    """The sounds of one prompt.

    Attributes:
        prompt: What was asked for.
        category: What they should be heard as.
        text_match: Mean cosine of prompt and sound.
        class_accuracy: Share heard as the category.
        heard: How many were heard as each class.
    """

    prompt: str
    category: str | None
    text_match: float | None
    class_accuracy: float | None
    heard: dict[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class LmReport:
    """A model's sounds beside its baselines.

    Attributes:
        name: Of the model.
        inputs: What was measured.
        space: Whose vectors sounds are compared by: "matcher" or "classifier".
        n_q: Codebooks of the round trips: those that the language model uses.
        frechet_sounds: Sounds on each side of a Fréchet distance; 0 if there were too few.
        frechet_axes: Dimensions that it is taken in.
        num_failed: Sounds that came out silent twice; they count as silence.
        sources: By source, `GENERATED` first.
        prompts: The model's sounds by prompt.
        confusion: Of the model's sounds; `None` if no prompt names a class.
    """

    name: str
    inputs: Inputs
    space: str
    n_q: int
    frechet_sounds: int
    frechet_axes: int
    num_failed: int
    sources: tuple[SourceFigures, ...]
    prompts: tuple[PromptFigures, ...]
    confusion: Confusion | None

    def source(self, name: str) -> SourceFigures:
        """Return the figures of a source that is there."""
        return next(source for source in self.sources if source.name == name)


def _plain(value: float) -> str:
    return f"{value:.3f}"


def _share(value: float) -> str:
    return f"{value:.1%}"


_COLUMNS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("text match", "text_match", _plain),
    ("0 to 1", "text_match_normalised", _plain),
    ("Fréchet", "frechet", _plain),
    ("class", "class_accuracy", _share),
    ("of round trip", "relative_accuracy", _share),
    ("diversity", "diversity", _plain),
    ("silence", "silence_share", _share),
    ("copies", "copied_share", _share),
    ("nearest", "nearest_similarity", _plain),
    ("length, oct", "length_error_octaves", lambda value: f"{value:.2f}"),
)


def table_rows(report: LmReport) -> tuple[list[str], list[list[str]]]:
    """Return the columns' heads, and a row of cells for each source."""
    heads = ["", "sounds", *(head for head, _, _ in _COLUMNS)]
    rows = []
    for source in report.sources:
        values = [(getattr(source, name), show) for _, name, show in _COLUMNS]
        cells = ["" if value is None else show(value) for value, show in values]
        rows.append([source.name, str(source.num_sounds), *cells])
    return heads, rows


def prompt_rows(report: LmReport) -> tuple[list[str], list[list[str]]]:
    """Return the same of the prompts; what was heard stands with the most frequent first."""
    rows = []
    for found in report.prompts:
        counts = sorted(found.heard.items(), key=lambda pair: (-pair[1], pair[0]))
        rows.append(
            [
                found.prompt,
                found.category or "",
                "" if found.text_match is None else _plain(found.text_match),
                "" if found.class_accuracy is None else _share(found.class_accuracy),
                ", ".join(f"{name} {count}" for name, count in counts[:3]),
            ]
        )
    return ["prompt", "category", "text match", "class", "heard as"], rows


def markdown(report: LmReport) -> str:
    """Return the whole report as a page for people."""
    inputs = report.inputs
    length = "auto" if inputs.duration_s is None else f"{inputs.duration_s:g} s"
    parts = [
        f"# {report.name}: {len(inputs.prompts)} prompts, {inputs.num_seeds} seeds each",
        f"Length {length}, temperature {inputs.temperature:g}, top-k {inputs.top_k}, cfg-scale "
        f"{inputs.cfg_scale:g}; real clips of {' and '.join(inputs.splits)}, round trips at n_q "
        f"{report.n_q}; vectors of the {report.space}; Fréchet distances over "
        f"{report.frechet_sounds} sounds in {report.frechet_axes} dimensions.",
        _markdown_table(*table_rows(report)),
        _markdown_table(*prompt_rows(report)),
    ]
    if report.confusion is not None:
        parts.append(report.confusion.markdown())
    return "\n\n".join(parts) + "\n"


def _markdown_table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}"]
    # A prompt may hold what Markdown takes for the end of a cell.
    lines += [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
    return "\n".join(lines)
