"""What soundfile cannot read (m4a, wma, aac, the sound of videos), through pydub and ffmpeg.

pydub finds the programs and asks ffprobe what is in a file. The samples are streamed from ffmpeg
instead of going through `AudioSegment`, which holds a whole file in memory several times over.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soundgen.errors import InputError

# Bare streams of frames, as `sniff` names them.
_WITHOUT_LENGTH = ("AAC", "AC-3", "AMR", "MPEG video", "MPEG transport stream",
                   "without a length")  # fmt: skip


@dataclass(frozen=True)
class MediaInfo:
    """What ffprobe says about the first sound track of a file."""

    sample_rate: int
    channels: int
    duration_s: float
    duration_is_known: bool  # False where ffprobe guesses it from the bit rate
    codec: str
    tags: dict[str, str]


def ffmpeg_path() -> str | None:
    """Return the ffmpeg that would be used, None where it or ffprobe is not installed."""
    found = which("ffmpeg")
    return found if found and which("ffprobe") else None


def probe_media(path: Path, name: str, kind: str) -> MediaInfo:
    """Ask ffprobe about a file.

    Args:
        path: The file.
        name: What messages call it.
        kind: What its first bytes say it is, such as "MP4"; ends in "without a length" if that is
            why ffmpeg is asked.

    Raises:
        InputError: ffmpeg is missing, or the file is damaged or holds no sound.
    """
    if ffmpeg_path() is None:
        raise InputError(
            f"{name}: reading {kind} needs ffmpeg, which is not installed",
            hint="install ffmpeg, or convert the file to WAV or FLAC",
        )
    found = _ask_ffprobe(path)
    streams = [s for s in found.get("streams", []) if s.get("codec_type") == "audio"]
    if not found:
        raise InputError(f"{name}: ffmpeg cannot read this {kind} file")
    if not streams:
        raise InputError(f"{name}: holds no sound track ({kind})")
    stream, container = streams[0], found.get("format", {})
    rate, channels = int(stream.get("sample_rate", 0)), int(stream.get("channels", 0))
    if rate < 1 or channels < 1:
        raise InputError(f"{name}: ffmpeg cannot read the sound of this {kind} file")
    tags = {**container.get("tags", {}), **stream.get("tags", {})}
    return MediaInfo(
        sample_rate=rate,
        channels=channels,
        duration_s=float(stream.get("duration", container.get("duration", 0.0))),
        duration_is_known=not kind.endswith(_WITHOUT_LENGTH),
        codec=str(stream.get("codec_name", kind)),
        tags={key.lower(): str(value) for key, value in tags.items()},
    )


def decode_media(
    path: Path, name: str, media: MediaInfo, block_frames: int
) -> Iterator[NDArray[np.float32]]:
    """Yield the first sound track as float32 `[T, C]` blocks at its own rate.

    Raises:
        InputError: ffmpeg fails, or stops long before the end that the file promises.
    """
    command = [
        which("ffmpeg") or "ffmpeg", "-nostdin", "-v", "error",
        # A playlist inside the file must not open others or the network.
        "-protocol_whitelist", "file,pipe", "-i", f"file:{path.absolute()}",
        "-map", "0:a:0", "-f", "f32le", "-c:a", "pcm_f32le",
        "-ar", str(media.sample_rate), "-ac", str(media.channels), "pipe:1",
    ]  # fmt: skip
    frame_bytes = 4 * media.channels
    num_frames = 0
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
        if process.stdout is None:
            raise RuntimeError("a process started with a pipe has one")
        try:
            while data := process.stdout.read(block_frames * frame_bytes):
                whole = len(data) - len(data) % frame_bytes
                block = np.frombuffer(data[:whole], dtype="<f4").astype(np.float32)
                num_frames += block.size // media.channels
                yield block.reshape(-1, media.channels)
            status = process.wait()
        finally:
            process.kill()
            process.stdout.close()
            process.wait()
        errors.seek(0)
        complaint = errors.read().decode(errors="replace").strip().splitlines()
    if status != 0:
        raise InputError(f"{name}: ffmpeg failed: {complaint[-1] if complaint else status}")
    decoded_s = num_frames / media.sample_rate
    # Encoders pad and trim by some frames; much less than promised is a file cut off.
    if media.duration_is_known and decoded_s < 0.95 * media.duration_s - 0.2:
        raise InputError(
            f"{name}: truncated: {decoded_s:.2f} s of {media.duration_s:.2f} s can be decoded"
        )


def _ask_ffprobe(path: Path) -> dict[str, Any]:
    with warnings.catch_warnings():
        # pydub warns of its own regular expressions, and of programs that we have looked for.
        warnings.simplefilter("ignore")
        from pydub.utils import mediainfo_json
    try:
        found = mediainfo_json(str(path.absolute()))
    except (json.JSONDecodeError, KeyError, IndexError):
        return {}
    return found if isinstance(found, dict) else {}
