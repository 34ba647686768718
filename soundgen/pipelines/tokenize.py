"""Encode a dataset once for language-model training: codes, captions, augmented variants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from soundgen.audio.io import read_mono
from soundgen.data.manifest import MANIFEST_NAME, Clip, read_manifest
from soundgen.data.tokens import (
    CACHE_FILE,
    CACHE_FORMAT,
    CacheInfo,
    TokenCache,
    TokenCacheWriter,
)
from soundgen.errors import InputError, OutputError
from soundgen.files import folder_lock, sha256_of
from soundgen.pipelines.model import LoadedCodec, load_codec
from soundgen.pipelines.shards import Shard, check_shard, lock_merge, lock_work, mark_shard_done
from soundgen.pipelines.tokenize_state import (
    STATE_FOLDER,
    TokenJournal,
    begin_cache,
    end_cache,
    was_begun,
)
from soundgen.progress import Progress, SilentProgress
from soundgen.text.config import TextEncoderConfig
from soundgen.text.encoder import TextEncoder, load_text_encoder
from soundgen.text.weights import find_encoder
from soundgen.training.device import resolve_device
from soundgen.training.seeding import sample_rng

MAX_CLIP_S = 60.0
"""Longer clips are cut to this; their splits belong to `dataset prepare`."""
_LONGEST_MIX_S = 10.0


@dataclass(frozen=True)
class TokenizeReport:
    """What was written.

    Attributes:
        cache: The token cache.
        finished: False if other shards have work to do before there is a cache.
        num_clips: Clips of the train and valid splits; of a shard that is not the last, clips and
            variants that were its work.
        num_variants: Versions of each train clip.
        hours: Length of all, variants included.
    """

    cache: Path
    num_clips: int
    num_variants: int
    hours: float = 0.0
    finished: bool = True


class _Texts:
    """Numbers distinct texts in the order they appear."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}

    def rows_of(self, texts: Sequence[str]) -> list[int]:
        return [self.rows.setdefault(text, len(self.rows)) for text in dict.fromkeys(texts)]


def tokenize(
    *,
    data: Path,
    cache: Path,
    model: str,
    variants: int = 1,
    n_q: int | None = None,
    text_encoder: str | None = None,
    shard: tuple[int, int] | None = None,
    device: str = "auto",
    force: bool = False,
    progress: Progress | None = None,
) -> TokenizeReport:
    """Encode the train and valid splits of a dataset with a model's codec, or go on with it.

    The same data and codec give the same cache, byte by byte, however often the work was
    interrupted and however many shards did it; another processor may round differently.

    Codes cannot be mixed or made louder, so augmentation happens here: of each train clip,
    `variants - 1` further versions are written, with another gain, shifted by part of a frame,
    and every second one mixed with another clip at -5 to 5 dB, their captions joined.

    Args:
        data: Folder with `manifest.jsonl`.
        cache: Folder to write.
        model: Whose codec to use.
        variants: Versions of each train clip, the plain one included.
        n_q: Codebooks to encode with; all of the codec's if `None`. As many as the language model
            will have are quicker, and nearer to the sound than the first ones of more.
        text_encoder: Name or folder of the encoder; MiniLM if `None`.
        shard: (i, n): encode only the i-th of n parts, i from 1. The parts may run on several
            machines that share `cache`; the last to end puts the cache together.
        device: auto, cpu, cuda or mps.
        force: Replace a cache that is there.
        progress: Listens.

    Raises:
        OutputError: `cache` holds a cache already, or part of another one.
        InputError: The dataset has no train clip or a file cannot be read.
        SoundgenError: Model, encoder, device or output cannot be used; see the message.
    """
    progress = progress or SilentProgress()
    if variants < 1:
        raise InputError(f"variants must be at least 1, got {variants}")
    part = check_shard(shard, force=force)
    is_there = (cache / CACHE_FILE).exists() and not force
    if is_there and part is None and not (cache / STATE_FOLDER).exists():
        raise OutputError(f"{cache}: holds a token cache already", hint="use -f to replace it")
    clips = [clip for clip in read_manifest(data) if clip.split != "test"]
    if not any(clip.split == "train" for clip in clips):
        raise InputError(f"{data}: no clip of the train split", hint="see: soundgen dataset stats")
    codec = load_codec(model, device=str(resolve_device(device)))
    most = codec.codec.config.num_codebooks
    n_q = most if n_q is None else n_q
    if not 1 <= n_q <= most:
        raise InputError(f"n_q must be in 1..{most} with this codec, got {n_q}")
    encoder = load_text_encoder(_text_config(text_encoder), device="cpu")
    manifest = data / MANIFEST_NAME if data.is_dir() else data
    info = _cache_info(manifest, codec, encoder, variants, n_q)
    if is_there:
        return _made_already(cache, info, len(clips), part)
    work = _Work(manifest.parent, clips, codec, info, progress)
    with lock_work(cache, cache / STATE_FOLDER, part):
        begin_cache(cache, info, force=force)
        with TokenJournal(cache, info, part) as journal:
            work.encode([n for n in range(work.size) if part is None or part.takes(n)], journal)
        if part is None:
            return _finish(cache, work, journal, encoder)
        if not mark_shard_done(journal.state, part):
            mine = len(range(part.index - 1, work.size, part.count))
            return TokenizeReport(cache, mine, variants, finished=False)
    with lock_merge(cache):
        with TokenJournal(cache, info, part) as journal:
            work.encode(range(work.size), journal)
        return _finish(cache, work, journal, encoder)


@dataclass(frozen=True)
class _Work:
    """All clips and, behind them, the variants of the train split, numbered from 0."""

    root: Path
    clips: Sequence[Clip]
    codec: LoadedCodec
    info: CacheInfo
    progress: Progress

    @cached_property
    def train(self) -> list[Clip]:
        return [clip for clip in self.clips if clip.split == "train"]

    @property
    def size(self) -> int:
        return len(self.clips) + len(self.train) * (self.info.num_variants - 1)

    def encode(self, numbers: Sequence[int], journal: TokenJournal) -> None:
        """Encode those of the pieces of work that no shard has done."""
        done = journal.done()
        missing = [number for number in numbers if number not in done]
        self.progress.start("encoding clips", len(numbers))
        self.progress.advance(len(numbers) - len(missing))
        for number in missing:
            self._encode(number, journal)
            self.progress.advance()
        self.progress.finish()

    def _encode(self, number: int, journal: TokenJournal) -> None:
        rate = self.codec.codec.config.sample_rate
        if number < len(self.clips):
            clip = self.clips[number]
            audio, words = _load(self.root, clip, rate), prompts(clip)
        else:
            variant, index = divmod(number - len(self.clips), len(self.train))
            variant, clip = variant + 1, self.train[index]
            rng = sample_rng(variant, index)
            mix = index % 2 == variant % 2
            audio, words = _augmented(self.root, clip, self.train, self.codec, rng, mix=mix)
        wav = torch.from_numpy(audio)[None, None]
        whole_s = clip.duration if len(audio) >= int(MAX_CLIP_S * rate) else 0.0
        journal.add(
            number,
            self.codec.codec.encode(wav, self.info.n_q)[0].numpy(),
            duration_s=max(len(audio) / rate, whole_s),
            category=clip.category,
            split=clip.split,
            texts=words,
        )


def _finish(
    cache: Path, work: _Work, journal: TokenJournal, encoder: TextEncoder
) -> TokenizeReport:
    """Put the cache together from what all shards have encoded."""
    texts = _Texts()
    seconds = 0.0
    with TokenCacheWriter(cache, work.info) as writer:
        for clip, codes in journal.clips():
            writer.add(
                codes,
                duration_s=clip.duration_s,
                category=clip.category,
                split=clip.split,
                text_rows=texts.rows_of(clip.texts),
            )
            seconds += clip.duration_s
        work.progress.start("embedding captions", None)
        _tell_cut(list(texts.rows), encoder, work.progress)
        embedded = encoder.encode(list(texts.rows))
        writer.finish(embedded.states, embedded.mask, embedded.pooled)
        work.progress.finish()
    end_cache(cache)
    return TokenizeReport(cache, len(work.clips), work.info.num_variants, seconds / 3600)


def _made_already(
    cache: Path, info: CacheInfo, num_clips: int, part: Shard | None
) -> TokenizeReport:
    """Return the report of a cache that was complete when its last process ended or died.

    Raises:
        OutputError: It is another cache.
    """
    found = TokenCache(cache)
    if found.info != info or (part is None and not was_begun(cache, info)):
        raise OutputError(f"{cache}: holds a token cache already", hint="use -f to replace it")
    if part is None:
        with folder_lock(cache):
            end_cache(cache)
    seconds = sum(clip.duration_s for clip in found.clips)
    return TokenizeReport(cache, num_clips, info.num_variants, seconds / 3600)


def prompts(clip: Clip) -> list[str]:
    """Return the texts a clip is trained under: captions, tags, its category as people ask."""
    tags = [", ".join(clip.tags)] if clip.tags else []
    category = clip.category
    return [*clip.captions, *tags, category, f"{category} sound", f"sound of {category}"]


def _tell_cut(texts: Sequence[str], encoder: TextEncoder, progress: Progress) -> None:
    """Say how many texts the encoder reads the beginning of only."""
    # A token is a character at least, so most texts need not be counted.
    most = encoder.config.max_tokens
    cut = [text for text in texts if len(text) > most - 2 and encoder.is_cut(text)]
    if cut:
        count = f"{len(cut)} texts are" if len(cut) > 1 else "1 text is"
        progress.notice(
            f"warning: {count} longer than the {most} tokens that {encoder.config.name} reads, and "
            f"cut there: {cut[0][:40]!r} ..."
        )


def _text_config(name: str | None) -> TextEncoderConfig:
    if name is None:
        return TextEncoderConfig()
    config = TextEncoderConfig(name=name)
    if config == TextEncoderConfig():
        return config
    # transformers takes seconds to import, and MiniLM does without
    from soundgen.text.huggingface import encoder_width

    return TextEncoderConfig(name=name, dim=encoder_width(find_encoder(config), name))


def _cache_info(
    manifest: Path, codec: LoadedCodec, encoder: TextEncoder, variants: int, n_q: int
) -> CacheInfo:
    config = codec.codec.config
    return CacheInfo(
        format=CACHE_FORMAT,
        codec_digest=codec.digest,
        n_q=n_q,
        codebook_size=config.codebook_size,
        frame_rate=config.frame_rate,
        text_encoder={**asdict(encoder.config), "sha256": encoder.digest},
        num_variants=variants,
        dataset=sha256_of(manifest),
    )


def _load(root: Path, clip: Clip, sample_rate: int) -> NDArray[np.float32]:
    waveform, _ = read_mono(root / clip.path, sample_rate)
    samples: NDArray[np.float32] = waveform.samples[0, : int(MAX_CLIP_S * sample_rate)]
    if not len(samples):
        raise InputError(f"{root / clip.path}: is empty", hint="see: soundgen dataset verify")
    return samples


def _augmented(
    root: Path,
    clip: Clip,
    train: Sequence[Clip],
    codec: LoadedCodec,
    rng: np.random.Generator,
    *,
    mix: bool,
) -> tuple[NDArray[np.float32], list[str]]:
    config = codec.codec.config
    audio = _load(root, clip, config.sample_rate)
    words = prompts(clip)
    # Another offset within a frame gives other codes for the same sound.
    offset = int(rng.integers(min(config.hop_length, len(audio))))
    audio = audio[offset:] if len(audio) > 4 * config.hop_length else audio
    if mix:
        other = train[int(rng.integers(len(train)))]
        audio = _mixed(audio, _load(root, other, config.sample_rate), config.sample_rate, rng)
        words = [
            f"{ours} and {theirs}"
            for ours, theirs in zip(
                rng.choice(clip.captions, 2), rng.choice(other.captions, 2), strict=True
            )
        ]
    gain = 10 ** (rng.uniform(-9, 3) / 20)
    peak = float(np.abs(audio).max()) * gain
    return (audio * (gain / max(1.0, peak))).astype(np.float32), words


def _mixed(
    audio: NDArray[np.float32],
    other: NDArray[np.float32],
    sample_rate: int,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Add two sounds, the second -5 to 5 dB beside the first; the longer one is cut to 10 s."""
    longest = int(_LONGEST_MIX_S * sample_rate)
    audio, other = audio[:longest], other[:longest]
    level = np.sqrt(np.mean(audio**2)) + 1e-5
    ratio = level / (np.sqrt(np.mean(other**2)) + 1e-5) * 10 ** (rng.uniform(-5, 5) / 20)
    total = np.zeros(max(len(audio), len(other)), np.float32)
    total[: len(audio)] += audio
    start = int(rng.integers(len(total) - len(other) + 1))
    total[start : start + len(other)] += (other * min(ratio, 10.0)).astype(np.float32)
    return total
