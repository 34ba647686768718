"""The model card: what a model folder's README.md tells people, and the hub, about the weights."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from huggingface_hub import ModelCardData

CARD_FILE = "README.md"
LIBRARY = "soundgen"
_NON_COMMERCIAL = re.compile(r"(^|[^a-z])(nc|non[\s_-]?commercial|research)([^a-z]|$)")


def read_license(folder: Path) -> str:
    """Return the licence that a folder's card names, as it is spelt there; empty if none."""
    try:
        lines = (folder / CARD_FILE).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ""
    if not lines or lines[0].strip() != "---":
        return ""
    for line in lines[1:]:
        key, _, value = line.partition(":")
        if key == "license":
            return value.strip().strip("\"'")
        if line.strip() == "---":
            break
    return ""


def is_non_commercial(license_name: str) -> bool:
    """Tell whether a licence keeps a model's weights from commercial use, by its name."""
    return _NON_COMMERCIAL.search(license_name.lower()) is not None


def make_card(
    title: str,
    body: str,
    *,
    license_name: str,
    tags: Sequence[str],
    makes_sounds: bool,
    base_model: str | None = None,
) -> str:
    """Return a card whose metadata the hub accepts.

    Args:
        title: Of the text.
        body: The text, in Markdown.
        license_name: As the hub spells it, e.g. `cc0-1.0`.
        tags: What it is found by.
        makes_sounds: Whether it turns text into sounds, or is a codec only.
        base_model: The hub's name of the model that it was made from.
    """
    # Imported here: it takes a quarter of a second, and few commands write a card.
    from huggingface_hub import ModelCardData

    data = ModelCardData(
        license=license_name,
        library_name=LIBRARY,
        pipeline_tag=_task(makes_sounds),
        tags=list(tags),
        base_model=base_model,
    )
    return f"---\n{data.to_yaml()}\n---\n\n# {title}\n\n{body.strip()}\n"


def complete_card(text: str, *, license_name: str, makes_sounds: bool) -> str:
    """Return a card with the metadata that the hub looks for, where it lacks them.

    Raises:
        ValueError: Its metadata are not a table in YAML.
    """
    from huggingface_hub import ModelCard
    from yaml import YAMLError

    try:
        # What it says of evaluations is not ours to judge.
        card = ModelCard(text, ignore_metadata_errors=True)
    except YAMLError as error:
        raise ValueError(f"not YAML: {error}") from error
    data = cast("ModelCardData", card.data)
    data.license = data.license or license_name
    data.library_name = data.library_name or LIBRARY
    data.pipeline_tag = data.pipeline_tag or _task(makes_sounds)
    data.tags = data.tags or [LIBRARY]
    return str(card)


def _task(makes_sounds: bool) -> str:
    return "text-to-audio" if makes_sounds else "audio-to-audio"
