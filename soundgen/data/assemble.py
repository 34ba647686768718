"""From converted files and what is known of them to the clips of a manifest.

Duplicates go, licences that are not allowed go, and every recording, with whatever sounds like a
part of it, comes into one split.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from soundgen.data.captions import FALLBACK_CAPTION, FALLBACK_CATEGORY, Facts
from soundgen.data.fingerprint import SAMPLE_RATE, Fingerprint
from soundgen.data.licenses import is_allowed
from soundgen.data.manifest import Clip, Split
from soundgen.data.names import recording_of
from soundgen.data.near_duplicates import group_near_duplicates
from soundgen.data.walk import Rejected

# Shares of the recordings, not of the hours: a share of hours would move clips as files are added.
TEST_SHARE = 0.05
VALID_SHARE = 0.05


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A clip that was written, with what is known of the file that it comes from."""

    source_name: str
    path: str
    part: int
    num_samples: int
    sha1_pcm16: str
    fingerprint: Fingerprint
    facts: Facts


@dataclass
class Assembly:
    """The result: clips sorted by path, and why others are not among them."""

    clips: list[Clip] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    num_moved: int = 0


def assemble(candidates: Sequence[Candidate], *, allowed_licenses: Collection[str]) -> Assembly:
    """Choose among candidates and split them; the result does not depend on their order.

    Args:
        candidates: All clips there are.
        allowed_licenses: The only licences to accept; all, and unknown ones, if empty.

    Returns:
        Clips and rejects. `num_moved` counts clips that their own manifest or table had put into
        another split than the recording they turned out to belong to.
    """
    assembly = Assembly()
    kept: list[Candidate] = []
    first_with: dict[str, str] = {}
    for candidate in sorted(candidates, key=lambda item: (item.source_name, item.part)):
        license_name = candidate.facts.license
        name = candidate.source_name
        part = f"part {candidate.part}: " if candidate.part else ""
        if not is_allowed(license_name, allowed_licenses):
            reason = f"licence {license_name} is not allowed" if license_name else "licence unknown"
            # A file is refused as a whole, so it is said once.
            if not assembly.rejected or assembly.rejected[-1] != Rejected(name, reason):
                assembly.rejected.append(Rejected(name, reason))
        elif candidate.sha1_pcm16 in first_with:
            original = first_with[candidate.sha1_pcm16]
            assembly.rejected.append(Rejected(name, f"{part}duplicate of {original}"))
        else:
            first_with[candidate.sha1_pcm16] = name
            kept.append(candidate)
    recordings = _recordings(kept)
    splits = _splits(kept, recordings)
    for candidate, recording in zip(kept, recordings, strict=True):
        split = splits[recording]
        assembly.num_moved += candidate.facts.split not in (None, split)
        assembly.clips.append(_clip(candidate, recording, split))
    assembly.clips.sort(key=lambda clip: clip.path)
    return assembly


def split_of(recording: str) -> Split:
    """Return the split of a recording from its name alone, so that new files move no old ones."""
    digest = hashlib.sha256(f"soundgen split: {recording}".encode()).digest()
    share = int.from_bytes(digest[:8]) / 2**64
    if share < TEST_SHARE:
        return "test"
    return "valid" if share < TEST_SHARE + VALID_SHARE else "train"


def _recordings(kept: Sequence[Candidate]) -> list[str]:
    """Return each clip's recording; recordings that sound like one another become the first."""
    own = [clip.facts.recording or recording_of(clip.source_name) for clip in kept]
    parents: dict[str, str] = {name: name for name in own}

    def find(name: str) -> str:
        while parents[name] != name:
            name = parents[name]
        return name

    groups = group_near_duplicates([clip.fingerprint for clip in kept])
    for index, group in enumerate(groups):
        low, high = sorted((find(own[index]), find(own[group])))
        parents[high] = low
    return [find(name) for name in own]


def _splits(kept: Sequence[Candidate], recordings: Sequence[str]) -> dict[str, Split]:
    asked: dict[str, set[Split]] = defaultdict(set)
    for clip, recording in zip(kept, recordings, strict=True):
        if clip.facts.split:
            asked[recording].add(clip.facts.split)
    order: tuple[Split, ...] = ("test", "valid", "train")
    splits: dict[str, Split] = {}
    for recording in recordings:
        # What was set aside for testing stays so; what is like it must leave the training.
        chosen = next((split for split in order if split in asked[recording]), None)
        splits[recording] = chosen or split_of(recording)
    if splits and "train" not in splits.values() and not any(asked.values()):
        # Chance put each of a few recordings aside; one of them has to be trained on.
        splits[min(splits)] = "train"
    return splits


def _clip(candidate: Candidate, recording: str, split: Split) -> Clip:
    facts = replace(candidate.facts, recording=recording, split=split)
    return Clip(
        path=candidate.path,
        captions=facts.captions or (FALLBACK_CAPTION,),
        tags=facts.tags,
        category=facts.category or FALLBACK_CATEGORY,
        duration=round(candidate.num_samples / SAMPLE_RATE, 4),
        split=split,
        license=facts.license,
        source=facts.source,
        source_path=facts.source_path,
        origin=facts.origin,
        author=facts.author,
        recording=recording,
        sha1_pcm16=candidate.sha1_pcm16,
    )
