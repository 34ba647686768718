"""What an audio file is before a sample of it is decoded, and which decoder it needs."""

from __future__ import annotations

import stat
from dataclasses import dataclass, field, replace
from io import FileIO
from pathlib import Path
from typing import Any

import soundfile

from soundgen.audio.ffmpeg import MediaInfo, ffmpeg_path, probe_media
from soundgen.audio.sniff import read_head, sniff
from soundgen.audio.tags import clean_tags, read_id3_tags
from soundgen.audio.whole import missing_bytes, mp3_samples
from soundgen.errors import InputError

# The range in which resampling makes sense; headers outside it are damaged.
MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 100, 1_536_000
# libsndfile's count for a FLAC that does not say; no real file has so many samples.
_UNKNOWN_FRAMES = 1 << 40


@dataclass(frozen=True)
class AudioInfo:
    """What an audio file holds.

    Attributes:
        sample_rate: Hz.
        channels: Number of channels.
        num_samples: Samples in each channel, as the header has it (estimated for some formats).
        duration_s: num_samples / sample_rate.
        format: "WAV", "FLAC", "OGG", "MP3" ..., or what ffmpeg was needed for: "MP4", "WMA" ...
        subtype: How samples are coded: "PCM_16", "VORBIS", "aac" ...
        tags: Lower-case names ("title", "comment", "artist", "license" ...) to text.
    """

    sample_rate: int
    channels: int
    num_samples: int
    duration_s: float
    format: str
    subtype: str
    tags: dict[str, str] = field(default_factory=dict)


def inspect_file(path: Path, name: str) -> tuple[AudioInfo, MediaInfo | None]:
    """Return what a file holds, and ffprobe's view of it if soundfile cannot read it.

    Args:
        path: The file.
        name: What messages call it.

    Raises:
        InputError: It is missing, empty, not audio, or shorter than its header says.
    """
    head = _check_readable(path, name)
    media: MediaInfo | None = None
    with path.open("rb", buffering=0) as stream:  # libsndfile reads on from the same position
        lost = missing_bytes(stream)
        if lost:
            raise InputError(
                f"{name}: truncated: {lost} bytes fewer than its header promises",
                hint="get the file again, or open and save it in an audio editor",
            )
        try:
            info = _soundfile_info(stream)
        except soundfile.LibsndfileError as error:
            media = _inspect_media(path, name, head, error)
            info = _media_info(media, head)
        else:
            info.tags.update(read_id3_tags(stream, info.format))
            counted = mp3_samples(stream) if info.format == "MP3" else None
            if counted is not None and counted < info.num_samples:
                info = replace(info, num_samples=counted, duration_s=counted / info.sample_rate)
            if _ends_early(info, counted):
                media = probe_media(path, name, f"{info.format} without a length")
                info = _media_info(media, head)
    if not MIN_SAMPLE_RATE <= info.sample_rate <= MAX_SAMPLE_RATE:
        raise InputError(f"{name}: has an impossible sample rate of {info.sample_rate} Hz")
    return info, media


def _soundfile_info(stream: FileIO) -> AudioInfo:
    stream.seek(0)
    with soundfile.SoundFile(stream.fileno(), closefd=False) as file:
        return AudioInfo(
            sample_rate=file.samplerate,
            channels=file.channels,
            num_samples=file.frames,
            duration_s=file.frames / max(file.samplerate, 1),
            format=file.format,
            subtype=file.subtype,
            tags=clean_tags(file.copy_metadata()),
        )


def _media_info(media: MediaInfo, head: bytes) -> AudioInfo:
    return AudioInfo(
        sample_rate=media.sample_rate,
        channels=media.channels,
        num_samples=round(media.duration_s * media.sample_rate),
        duration_s=media.duration_s,
        format=sniff(head)[0],
        subtype=media.codec,
        tags=clean_tags(media.tags),
    )


def _ends_early(info: AudioInfo, counted: int | None) -> bool:
    """Tell whether libsndfile would stop before the end: the file was written into a pipe."""
    if info.format == "FLAC":
        return info.num_samples >= _UNKNOWN_FRAMES
    # Encoders' padding is a frame or two.
    return counted is not None and counted > 1.05 * info.num_samples + 2304


def _inspect_media(path: Path, name: str, head: bytes, error: Any) -> MediaInfo:
    what, kind = sniff(head)
    if kind in ("media", "audio"):
        # An "audio" file that soundfile refuses may hold a codec that ffmpeg knows (Speex, ADPCM).
        try:
            return probe_media(path, name, what)
        except InputError as refused:
            if kind == "media":
                raise
            hint = "" if ffmpeg_path() else "if it plays elsewhere, ffmpeg is needed to read it"
            raise InputError(
                f"{name}: a damaged {what} file{decoder_reason(error)}", hint=hint
            ) from refused
    raise InputError(f"{name}: not an audio file ({what})")


def _check_readable(path: Path, name: str) -> bytes:
    """Return the first bytes of a regular file with something in it."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise InputError(f"{name}: is a folder, not an audio file")
        if not stat.S_ISREG(mode):
            # Opening a pipe that nobody writes to would wait for ever.
            raise InputError(f"{name}: not a regular file ({file_kind(mode)})")
        head = read_head(path)
    except OSError as error:
        dangling = path.is_symlink() and not path.exists()
        why = "a link to a file that does not exist" if dangling else error.strerror
        raise InputError(f"{name}: cannot be read ({why})") from error
    if not head:
        raise InputError(f"{name}: an empty file")
    return head


def file_kind(mode: int) -> str:
    """Name what a `st_mode` that is neither file nor folder stands for."""
    names = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device",
             stat.S_IFBLK: "a device"}  # fmt: skip
    return names.get(stat.S_IFMT(mode), "special")


def decoder_reason(error: Any) -> str:
    """Return libsndfile's reason in brackets, where it has one to give."""
    text = str(error.error_string or "").strip().removeprefix("Error :").strip(" .")
    # What it says of an MP3 without a single whole frame is untrue.
    return f" ({text})" if text and "does not exist" not in text else ""
