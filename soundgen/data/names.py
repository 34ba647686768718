"""Words, recordings and safe file names from the names that sound files come with."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from pathlib import PurePosixPath

# Words that say how or where a file is kept, not how it sounds.
_NOISE = frozenset(
    "wav wave flac mp3 ogg opus m4a aif aiff final master mastered edit edited take stereo mono sfx"
    " fx sound sounds sample samples clip file audio freesound untitled copy track khz hz kbps new"
    " old version".split()
)
_GENERIC_FOLDERS = _NOISE | frozenset(
    "audios wavs effects files data dataset datasets train valid validation val dev test eval"
    " clips assets src raw media misc resources packs pack download downloads export exports"
    " bounce bounces render renders output".split()
)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_FORMAT_TOKEN = re.compile(
    r"\d+(?:\.\d+)?(?:k|khz|hz|kbps|ms|bpm|db)|(?:16|24|32)bits?|[vxr]\d{1,2}"
)
_HEX = re.compile(r"(?=.*\d.*\d)[0-9a-f]{6,}")
# One or two digits at the end number takes and cuts; longer numbers are ids of their own.
_TAKE = re.compile(
    r"(?:[\s_.-]*(?:\(\d{1,2}\)|(?:take|part|cut|var|alt|v|x|no)?[\s_.-]*(?<!\d)\d{1,2}))+$", re.I
)


def text_name(path: str | os.PathLike[str]) -> str:
    r"""Return a path as text that any file can hold: bytes that are not UTF-8 as `\xNN`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def words_of(name: str) -> list[str]:
    """Return the words in a file or folder name, lower case, without numbers and format marks."""
    words: list[str] = []
    spaced = _CAMEL.sub(" ", unicodedata.normalize("NFC", name))
    for token in re.split(r"[\W_]+", spaced.lower()):
        if token == "8bit":
            words.append("8-bit")
            continue
        if token.isdigit() or _FORMAT_TOKEN.fullmatch(token) or _HEX.fullmatch(token):
            continue
        # "rain01" is rain, but "ak47" and "mp5" are names.
        letters = token.rstrip("0123456789")
        word = letters if len(letters) >= 3 else token
        if word in _NOISE or letters in _NOISE or (len(word) == 1 and word.isascii()):
            continue
        if word:
            words.append(word)
    return words


def folder_words(name: str) -> list[str]:
    """Return the words of the nearest folder of `name` (a relative path) that says something."""
    for part in reversed(PurePosixPath(name).parts[:-1]):
        words = [word for word in words_of(part) if word not in _GENERIC_FOLDERS]
        if words:
            return words
    return []


def recording_of(name: str) -> str:
    """Return what a file was probably cut from: its path without suffix and take number.

    "rain/roof-01.wav" and "rain/roof (2).wav" are "rain/roof"; "clip_0001.wav" stays itself, as
    does a name without any letter.
    """
    path = PurePosixPath(name)
    stem = _TAKE.sub("", path.stem)
    if not any(char.isalpha() for char in stem):
        stem = path.stem
    return str(path.parent / stem)


def clip_stem(name: str) -> str:
    """Return a portable relative path without suffix for the clip made of `name`.

    It depends on nothing but `name`, and two names never share one: eight digits of a hash tell
    "a.wav" from "a.mp3".
    """
    path = PurePosixPath(name)
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    folders = [_slug(part) for part in path.parts[:-1]]
    return "/".join([*folders, f"{_slug(path.stem)}-{digest}"])


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60].rstrip("-") or "x"
