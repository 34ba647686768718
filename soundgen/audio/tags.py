"""Title, comment and the like inside audio files, the same names whatever the format.

libsndfile reads and writes them for most formats. It garbles all but ASCII in an MP3 that it
wrote, and in a WAV loses a comment of 2 kB or more and any licence; both formats get an ID3 tag. A
WAV carries what fits as INFO too, since some programs read only the one, some only the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO

from soundgen.errors import InputError

# libsndfile's names of what it can store; ours are the same.
TAG_NAMES = ("title", "copyright", "software", "artist", "comment", "date", "album", "license",
             "tracknumber", "genre")  # fmt: skip
_LIBRARY_MARK = " (libsndfile-"
_WAV_INFO_NAMES = {"title", "copyright", "software", "artist", "comment", "date", "album", "genre"}
_WAV_INFO_MAX_BYTES = 2000
_ID3_FRAMES = {"title": "TIT2", "copyright": "TCOP", "software": "TSSE", "artist": "TPE1",
               "date": "TDRC", "album": "TALB", "tracknumber": "TRCK", "genre": "TCON"}  # fmt: skip


def clean_tags(raw: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that have a value, names in lower case, without libsndfile's own mark."""
    tags = {}
    for name, value in raw.items():
        if name == "software" and _LIBRARY_MARK in value:
            value = value[: value.index(_LIBRARY_MARK)]
        if value.strip("\0 \n"):
            tags[name.lower()] = value.strip("\0 \n")
    return tags


def check_tags(tags: Mapping[str, str]) -> None:
    """Refuse names that no format could store.

    Raises:
        InputError: A name is not in `TAG_NAMES`.
    """
    for name in tags:
        if name not in TAG_NAMES:
            raise InputError(f"tag '{name}': not one of {', '.join(TAG_NAMES)}")


def set_soundfile_tags(file: Any, tags: Mapping[str, str]) -> None:
    """Give an open `soundfile.SoundFile` the tags that its format holds well."""
    for name, value in tags.items():
        if not value:
            continue  # libsndfile refuses an empty string
        if file.format == "MP3" or (file.format == "WAV" and not _fits_wav_info(name, value)):
            continue
        setattr(file, name, value)


def write_id3_tags(path: Path, file_format: str, tags: Mapping[str, str]) -> None:
    """Give a finished MP3 or WAV file an ID3 tag; other formats have no use for one."""
    if file_format not in ("MP3", "WAV") or not tags:
        return
    from mutagen import id3  # read only here: it takes 60 ms to import
    from mutagen.mp3 import MP3
    from mutagen.wave import WAVE

    audio: Any = MP3(path) if file_format == "MP3" else WAVE(path)
    if audio.tags is None:
        audio.add_tags()
    for name, value in tags.items():
        if name == "comment":
            audio.tags.add(id3.COMM(encoding=3, lang="eng", desc="", text=[value]))
        elif name in _ID3_FRAMES:
            audio.tags.add(getattr(id3, _ID3_FRAMES[name])(encoding=3, text=[value]))
        else:
            audio.tags.add(id3.TXXX(encoding=3, desc=name, text=[value]))
    audio.save()


def read_id3_tags(stream: BinaryIO | FileIO, file_format: str) -> dict[str, str]:
    """Return the tags of the ID3 block of an MP3 or WAV; empty where there is none."""
    if file_format not in ("MP3", "WAV", "WAVEX"):
        return {}
    from mutagen import MutagenError
    from mutagen.mp3 import MP3
    from mutagen.wave import WAVE

    stream.seek(0)
    try:
        found: Any = (MP3 if file_format == "MP3" else WAVE)(fileobj=stream).tags
    except (MutagenError, ValueError, OSError):
        return {}  # damaged tags do not make the sound worse
    names = {frame: name for name, frame in _ID3_FRAMES.items()}
    tags: dict[str, str] = {}
    for frame in found.values() if found is not None else ():
        text = "; ".join(str(part) for part in getattr(frame, "text", ()))
        if frame.FrameID in names:
            tags[names[frame.FrameID]] = text
        elif frame.FrameID == "COMM" and not frame.desc.startswith("iTun"):  # volume and the like
            tags["comment"] = text
        elif frame.FrameID == "TXXX":
            tags[frame.desc.lower()] = text
        elif frame.FrameID in ("WCOP", "WXXX") and "license" not in tags:
            tags["license" if frame.FrameID == "WCOP" else "url"] = frame.url
    return clean_tags(tags)


def _fits_wav_info(name: str, value: str) -> bool:
    return name in _WAV_INFO_NAMES and len(value.encode()) <= _WAV_INFO_MAX_BYTES
