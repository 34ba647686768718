"""How a sound was made, as its file tells it: JSON in the comment tag, and tags for everyone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from soundgen.audio.io import AudioInfo, probe
from soundgen.errors import InputError

LICENSE = "CC0-1.0"
"""What may be done with the sounds that we make: anything."""


def making_tags(making: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of a sound, the same whatever its format.

    Args:
        making: `prompt`, `seed`, and all else that makes the sound again.
    """
    # What a model with terms of its own makes is not ours to give away: "model_license" names them.
    given = "model_license" not in making
    return {
        "title": str(making["prompt"]),
        "software": "soundgen",
        # A WAV's INFO has no other place for it, and some programs do not look beyond INFO.
        **({"license": LICENSE, "copyright": LICENSE} if given else {}),
        "comment": json.dumps(making, ensure_ascii=False),
    }


def read_making(tags: Mapping[str, str]) -> dict[str, Any] | None:
    """Return what `making_tags` wrote; `None` for other files' tags."""
    try:
        making = json.loads(tags.get("comment", ""))
    except ValueError:
        return None
    if not isinstance(making, dict) or not {"prompt", "seed"} <= making.keys():
        return None
    return making


def find_made(path: Path, wanted: Mapping[str, Any]) -> tuple[AudioInfo, dict[str, Any]] | None:
    """Return a file and its making if that has all that is wanted; `None` for any other file.

    Args:
        path: Where such a file may be.
        wanted: Keys of a making and their values.
    """
    if not path.is_file():
        return None
    try:
        found = probe(path)
    except InputError:
        return None
    making = read_making(found.tags) or {}
    if any(key not in making or making[key] != value for key, value in wanted.items()):
        return None
    return found, making
