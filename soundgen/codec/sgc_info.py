"""What a `.sgc` file holds and what it has lost, as far as it can be said without its codec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from soundgen.codec.bitstream import Damage, SgcReader
from soundgen.codec.sgc_header import FORMAT_VERSION, SgcHeader
from soundgen.errors import InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class SgcInfo:
    """What a `.sgc` file holds, as far as it can be known without its codec."""

    version: int
    sample_rate: int
    original_sample_rate: int
    original_channels: int
    num_samples: int
    """Decoded length at `sample_rate`; of a file that ends early, what is left of it."""
    duration_s: float
    n_q: int
    bits_per_code: int
    hop_length: int
    chunk_frames: int
    entropy_coded: bool
    codec_digest: str
    entropy_digest: str
    """Of the model that its codes are entropy-coded with, 16 hexadecimal digits; may be empty."""
    size_bytes: int
    kbps: float
    """Rate of the whole file, all its bytes over its duration, kbit/s."""
    complete: bool
    """The end record is there and no chunk is damaged."""
    damage: tuple[str, ...]
    """One phrase for each damaged place, naming the seconds."""


def damage_text(header: SgcHeader, damage: Damage) -> str:
    """Return a phrase that names the seconds lost: "1.50-3.00 s lost"."""
    start_s = damage.first_frame / header.frame_rate
    if damage.num_frames is None:
        total = header.num_samples
        if total and damage.first_frame >= header.num_frames(total):
            return "its end record is missing, its sound is all there"
        if not total:
            return f"it ends at {start_s:.2f} s without an end record, so more may be missing"
        return f"it ends early, at {start_s:.2f} of {total / header.sample_rate:.2f} s"
    if damage.num_frames <= 0:
        return f"{damage.num_bytes} foreign bytes at {start_s:.2f} s, nothing lost"
    end_s = (damage.first_frame + damage.num_frames) / header.frame_rate
    if header.num_samples:
        end_s = min(end_s, header.num_samples / header.sample_rate)
    return f"{start_s:.2f}-{end_s:.2f} s lost"


def damage_error(name: str, header: SgcHeader, damages: Sequence[Damage]) -> InputError:
    """Return the error for a damaged file: one line that names the seconds lost."""
    shown = [damage_text(header, damage) for damage in damages[:8]]
    if len(damages) > len(shown):
        shown.append(f"and {len(damages) - len(shown)} more")
    return InputError(
        f"{name}: damaged: {', '.join(shown)}",
        hint="--recover decodes the rest, with silence where sound is lost",
    )


def describe(path: Path) -> SgcInfo:
    """Read all of a `.sgc` file but its codes, checking every checksum; needs no codec.

    Raises:
        InputError: `path` cannot be read, is no `.sgc` file, or its header is damaged.
    """
    try:
        with path.open("rb") as stream:
            reader = SgcReader(stream, str(path))
            damages = [record for record in reader.records() if isinstance(record, Damage)]
        size_bytes = path.stat().st_size
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    header = reader.header
    duration_s = reader.num_samples / header.sample_rate
    shared = {field.name for field in fields(SgcInfo)} & {field.name for field in fields(header)}
    known = {name: getattr(header, name) for name in shared}
    known |= {
        "version": FORMAT_VERSION,
        "num_samples": reader.num_samples,
        "duration_s": duration_s,
        "size_bytes": size_bytes,
        "entropy_coded": header.entropy_coded,
        "kbps": size_bytes * 8 / 1000 / duration_s if duration_s else 0.0,
        "complete": reader.complete,
        "damage": tuple(damage_text(header, damage) for damage in damages),
    }
    return SgcInfo(**known)
