"""What is known of a source file besides its samples, and where it was learnt from.

Captions come from a table that the user gives, the source's own manifest, a sidecar file, the
tags inside the file, or its name; the first that knows a field decides it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path, PurePosixPath
from typing import Any

from soundgen.data.licenses import is_known_license, normalize_license
from soundgen.data.manifest import SPLITS, Clip, Split
from soundgen.data.names import folder_words, words_of
from soundgen.errors import InputError

FALLBACK_CAPTION = "sound effect"
FALLBACK_CATEGORY = "other"
MAX_CAPTIONS = 20
MAX_CAPTION_CHARACTERS = 500
"""A hundred words; text encoders read some dozens. What is longer is a document."""
# A sidecar longer than this is a document, not a caption.
_MAX_SIDECAR_BYTES = 1 << 16

_FIELD_NAMES = {
    "tags": ("tags", "keywords", "labels"),
    "category": ("category", "label", "class"),
    "split": ("split", "subset"),
    "license": ("license", "licence"),
    "source": ("source", "url"),
    "source_path": ("source_path",),
    "origin": ("origin", "collection", "pack"),
    "author": ("author", "artist", "creator", "username"),
    "recording": ("recording", "recording_id"),
}
_CAPTION_NAME = re.compile(r"(?:caption|captions|text|description|sentence|prompt)(?:[_ ]?\d+)?")
_SPLIT_NAMES = {"training": "train", "val": "valid", "validation": "valid", "dev": "valid",
                "development": "valid", "testing": "test", "eval": "test",
                "evaluation": "test"}  # fmt: skip
# What programs write into tags of their own accord.
_JUNK = re.compile(
    r"https?://\S+|lav[fc]\d.*|processed by sox.*|.*\b(?:audacity|ffmpeg|lame|cdex|itunes)\b.*"
    r"|track ?\d+|untitled|unknown|none|[\W\d_]*",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What one place knows of a source file; `None` or empty where it says nothing."""

    captions: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    category: str | None = None
    split: Split | None = None
    license: str | None = None
    source: str | None = None
    source_path: str | None = None
    origin: str | None = None
    author: str | None = None
    recording: str | None = None


def merge(*known: Facts) -> Facts:
    """Return one set of facts: each field from the first that knows it."""
    values: dict[str, Any] = {}
    for field in fields(Facts):
        values[field.name] = next(
            (value for facts in known if (value := getattr(facts, field.name))), field.default
        )
    return Facts(**values)


def cut_captions(facts: Facts) -> Facts:
    """Return `facts` with captions of at most `MAX_CAPTION_CHARACTERS`, cut behind a word."""
    most = MAX_CAPTION_CHARACTERS
    if all(len(caption) <= most for caption in facts.captions):
        return facts
    cut = (
        caption
        if len(caption) <= most
        else caption[: most + 1].rsplit(maxsplit=1)[0][:most].rstrip(" ,;")
        for caption in facts.captions
    )
    return replace(facts, captions=tuple(dict.fromkeys(cut)))


def facts_of_clip(clip: Clip) -> Facts:
    """Return what a manifest says of a clip."""
    names = [field.name for field in fields(Facts)]
    return Facts(**{name: getattr(clip, name) for name in names})


def facts_of_row(row: Mapping[str, Any]) -> Facts:
    """Read the columns of a table's row or the keys of a JSON object; unknown ones are ignored.

    Raises:
        ValueError: A split or the type of a value cannot be.
    """
    lower = {str(key).strip().lower(): value for key, value in row.items() if value is not None}
    captions: list[str] = []
    for key, value in lower.items():
        if _CAPTION_NAME.fullmatch(key):
            captions += _texts(key, value, separator="|" if key == "captions" else None)
    values: dict[str, Any] = {"captions": _unique(captions)}
    for name, spellings in _FIELD_NAMES.items():
        found = next((lower[key] for key in spellings if key in lower), None)
        if name == "tags":
            values[name] = _unique(_texts(name, found, separator=",") if found is not None else [])
            continue
        if isinstance(found, (list, dict)):
            raise ValueError(f"{name} must be a string, got {found!r}")
        values[name] = " ".join(str(found).split()) or None if found is not None else None
    values["split"] = _split(values["split"])
    if values["license"]:
        values["license"] = normalize_license(values["license"])
    return Facts(**values)


def facts_of_sidecar(path: Path) -> Facts:
    """Read a `.txt` (a caption a line) or `.json` file that lies beside a sound.

    Raises:
        InputError: It cannot be read or parsed.
    """
    try:
        if path.stat().st_size > _MAX_SIDECAR_BYTES:
            raise InputError(f"{path}: too long for captions")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file in UTF-8") from error
    if path.suffix.lower() != ".json":
        return Facts(captions=_unique(text.splitlines()))
    try:
        found = json.loads(text)
        if isinstance(found, str):
            found = {"caption": found}
        elif isinstance(found, list):
            found = {"captions": found}
        elif isinstance(found, dict) and "title" in found and not _has_caption(found):
            found = {**found, "caption": found["title"]}
        if not isinstance(found, dict):
            raise ValueError(f"expected an object, got {type(found).__name__}")
        return facts_of_row(found)
    except ValueError as error:  # JSONDecodeError is one
        raise InputError(f"{path}: {error}") from error


def facts_of_tags(tags: Mapping[str, str]) -> Facts:
    """Read the tags inside a sound file; a file that soundgen made says its prompt."""
    captions: list[str] = []
    for name in ("title", "description", "comment"):
        text = tags.get(name, "").strip()
        if text.startswith("{"):
            text = _prompt_in(text)
        if text and not _JUNK.fullmatch(text):
            # A title such as "Rain_on_Roof-03" is a file name.
            captions.append(text if " " in text else " ".join(words_of(text)))
    license_name = tags.get("license")
    if not license_name and is_known_license(tags.get("copyright", "")):
        license_name = tags["copyright"]  # where a WAV keeps it, having no field for licences
    return Facts(
        captions=_unique(captions),
        author=tags.get("artist") or tags.get("author") or None,
        license=normalize_license(license_name) if license_name else None,
    )


def facts_of_name(name: str, root_name: str) -> Facts:
    """Read a file's name and its folders.

    Args:
        name: Path relative to the folder that is being prepared, with `/`.
        root_name: Name of that folder, the last resort for a caption.
    """
    folder, words = folder_words(name), words_of(PurePosixPath(name).stem)
    caption = [word for word in folder if word not in words] + words
    caption = caption or words_of(root_name) or FALLBACK_CAPTION.split()
    return Facts(
        captions=(" ".join(caption),),
        category=" ".join(folder) or FALLBACK_CATEGORY,
        source_path=name,
    )


def _has_caption(row: Mapping[str, Any]) -> bool:
    return any(_CAPTION_NAME.fullmatch(str(key).lower()) for key in row)


def _texts(key: str, value: Any, *, separator: str | None) -> list[str]:
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            pass  # a caption that begins with a bracket
    if isinstance(value, str):
        return value.split(separator) if separator else [value]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise ValueError(f"{key} must be a string or a list of strings, got {value!r}")


def _unique(texts: list[str]) -> tuple[str, ...]:
    cleaned = (" ".join(text.split()) for text in texts)
    return tuple(dict.fromkeys(text for text in cleaned if text))[:MAX_CAPTIONS]


def _split(text: str | None) -> Split | None:
    if not text:
        return None
    name = _SPLIT_NAMES.get(text.lower(), text.lower())
    if name not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {text!r}")
    return name


def _prompt_in(text: str) -> str:
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        return ""
    prompt = found.get("prompt") if isinstance(found, dict) else None
    return prompt if isinstance(prompt, str) else ""
