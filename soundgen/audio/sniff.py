"""What a file is by its first bytes."""

from __future__ import annotations

from pathlib import Path

# Bytes 4-8 say what an ISO media file or a RIFF file is; those have rows of their own below.
_SIGNATURES: tuple[tuple[int, bytes, str, str], ...] = (
    # offset, magic, name, kind: "audio" (soundfile reads it), "media" (ffmpeg reads it), "other"
    (0, b"RIFF", "WAV", "audio"),
    (0, b"RIFX", "WAV", "audio"),
    (0, b"RF64", "WAV", "audio"),
    (0, b"riff", "W64", "audio"),
    (0, b"FORM", "AIFF", "audio"),
    (0, b"fLaC", "FLAC", "audio"),
    (0, b"OggS", "Ogg", "audio"),
    (0, b"ID3", "MP3", "audio"),
    (0, b".snd", "AU", "audio"),
    (0, b"caff", "CAF", "audio"),
    (4, b"ftyp", "MP4", "media"),
    (4, b"moov", "MP4", "media"),
    (4, b"mdat", "MP4", "media"),
    (4, b"wide", "MP4", "media"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "WMA", "media"),
    (0, b"\x1a\x45\xdf\xa3", "Matroska or WebM", "media"),
    (0, b"ADIF", "AAC", "media"),
    (0, b"FLV\x01", "FLV", "media"),
    (0, b"#!AMR", "AMR", "media"),
    (0, b"wvpk", "WavPack", "media"),
    (0, b"MAC ", "Monkey's Audio", "media"),
    (0, b"MPCK", "Musepack", "media"),
    (0, b"TTA1", "True Audio", "media"),
    (0, b"\x0b\x77", "AC-3", "media"),
    (0, b"\x00\x00\x01\xba", "MPEG video", "media"),
    (0, b"\xff\xd8\xff", "a JPEG image", "other"),
    (0, b"\x89PNG", "a PNG image", "other"),
    (0, b"GIF8", "a GIF image", "other"),
    (0, b"BM", "a BMP image", "other"),
    (0, b"%PDF", "a PDF document", "other"),
    (0, b"PK\x03\x04", "a ZIP archive", "other"),
    (0, b"\x1f\x8b", "a gzip archive", "other"),
    (0, b"7z\xbc\xaf", "a 7z archive", "other"),
    (0, b"Rar!", "a RAR archive", "other"),
    (0, b"\x7fELF", "a program", "other"),
    (0, b"MZ", "a program", "other"),
)
_HEAD_BYTES = 512


def sniff(head: bytes) -> tuple[str, str]:
    """Name the content that starts with `head` and its kind.

    Returns:
        The name, and "audio" (soundfile reads it), "media" (ffmpeg reads it), "other" (no
        audio) or "unknown".
    """
    if head[:4] == b"RIFF" and head[8:12] not in (b"WAVE", b""):
        is_video = head[8:11] == b"AVI"
        return ("AVI", "media") if is_video else ("a RIFF file, not a WAV", "other")
    for offset, magic, name, kind in _SIGNATURES:
        if head.startswith(magic, offset):
            return name, kind
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        # An MPEG frame: layer bits 00 are AAC in ADTS, the others MP1 to MP3.
        return ("MP3", "audio") if head[1] & 0x06 else ("AAC", "media")
    if head[:1] == b"\x47" and head[188:189] == b"\x47":
        return "MPEG transport stream", "media"
    return _describe(head), "unknown"


def read_head(path: Path) -> bytes:
    """Return the first bytes of a file, enough for `sniff`; an `OSError` passes."""
    with path.open("rb") as stream:
        return stream.read(_HEAD_BYTES)


def _describe(head: bytes) -> str:
    if not head.strip(b"\0"):
        return "only zero bytes"
    # The last bytes may be the beginning of a character that the head cuts.
    whole = head.decode("utf-8", errors="ignore")
    if len(whole.encode()) >= len(head) - 3 and all(c.isprintable() or c.isspace() for c in whole):
        return "a text file"
    text = head[:12].decode("ascii", errors="replace")
    if text.isprintable() and "�" not in text:
        return f"it starts with {text!r}"
    return f"it starts with the bytes {head[:4].hex(' ')}"
