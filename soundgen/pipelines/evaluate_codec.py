"""Measure a codec over a split of a dataset at each n_q, beside Opus on the same clips."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from soundgen.audio.io import read_audio
from soundgen.audio.resample import resample, to_mono
from soundgen.audio.wav_stream import to_pcm16
from soundgen.audio.waveform import Waveform
from soundgen.checkpoint import DEFAULT_MODEL, resolve_model
from soundgen.codec.bitstream import SgcWriter
from soundgen.codec.config import CodecConfig
from soundgen.config import from_dict
from soundgen.data.manifest import Clip, Split, read_manifest
from soundgen.errors import InputError, UsageError
from soundgen.evaluation.codec_report import ClipMeasure, CodecReport, RateTally
from soundgen.evaluation.opus import opus_round_trip, opus_version
from soundgen.evaluation.rate_plot import check_plot, draw_rates
from soundgen.files import check_output
from soundgen.progress import Progress, SilentProgress

if TYPE_CHECKING:
    from torch import Tensor

    from soundgen.evaluation.codec_metrics import Original
    from soundgen.pipelines.model import LoadedCodec

OPUS_KBPS = (6, 8, 12, 16)
_OPUS_RANGE = (6, 256)  # what opusenc takes for one channel, kbit/s


def evaluate_codec(
    *,
    data: Path,
    model: str = DEFAULT_MODEL,
    split: Split = "test",
    n_q: Sequence[int] | None = None,
    opus_kbps: Sequence[int] = OPUS_KBPS,
    shortest_s: float = 1.0,
    max_clips: int | None = None,
    plot: Path | None = None,
    device: str = "auto",
    force: bool = False,
    progress: Progress | None = None,
) -> CodecReport:
    """Encode and decode the clips of a split, and say how far they are from what they were.

    Sounds are compared as `decompress` writes them, in 16 bits, and the rate is that of whole
    `.sgc` files. Everything is weighted by seconds.

    Args:
        data: The dataset: its folder, or its manifest.
        model: Name or folder of the model whose codec is measured.
        split: Which clips.
        n_q: Codebooks in use; 1, 2, 4 ... up to all that the codec has if `None`.
        opus_kbps: Nominal rates of Opus; none of them if empty, or if it is not installed.
        shortest_s: Leave out clips that are shorter.
        max_clips: Measure no more than this many, spread evenly over the manifest.
        plot: Where to draw distance over rate.
        device: auto, cpu, cuda or mps.
        force: Overwrite an existing plot.
        progress: Listens.

    Raises:
        InputError: There is no manifest, no clip of this kind in it, or a clip is unreadable.
        UsageError: `n_q`, a rate or a number is out of range, or the plot cannot be drawn.
        OutputError: The plot exists already, or cannot be written.
        CheckpointError: There is no such model, or it has no codec.
        DeviceError: The device is not there.
    """
    progress = progress or SilentProgress()
    _check_numbers(opus_kbps, shortest_s, max_clips)
    if plot is not None:
        check_plot(plot)
        check_output(plot, force=force)
    folder = resolve_model(model)
    config = from_dict(CodecConfig, folder.section("codec"), str(folder.path))
    counts = _check_n_q(n_q, config)
    eligible = _eligible(data, split, shortest_s)
    clips = _spread(eligible, max_clips)
    version = opus_version() if opus_kbps else None
    if opus_kbps and version is None:
        progress.notice("opusenc and opusdec are not installed: measured without Opus")
    rates = sorted(set(opus_kbps)) if version else []
    root = data if data.is_dir() else data.parent

    from soundgen.pipelines.model import load_codec  # PyTorch, seconds: not before it is needed

    loaded = load_codec(str(folder.path), device=device)
    run = _Run(loaded, root, counts, rates)
    progress.start(f"evaluate {folder.name} on {split}", len(clips))
    try:
        for clip in clips:
            run.measure(clip)
            progress.advance()
    finally:
        progress.finish()
    report = CodecReport(
        model=folder.name,
        codec_digest=loaded.digest,
        data=str(data),
        split=split,
        shortest_s=shortest_s,
        num_clips=len(clips),
        seconds=run.seconds,
        num_eligible=len(eligible),
        capacity_used=run.capacity_used(),
        opus=version,
        points=tuple(tally.point() for tally in run.tallies),
    )
    if plot is not None:
        draw_rates(report, plot)
    return report


def _check_numbers(opus_kbps: Sequence[int], shortest_s: float, max_clips: int | None) -> None:
    low, high = _OPUS_RANGE
    for kbps in opus_kbps:
        if not low <= kbps <= high:
            raise UsageError(f"--opus {kbps}: Opus takes {low} to {high} kbit/s")
    if not (math.isfinite(shortest_s) and shortest_s >= 0):
        raise UsageError(f"--shortest must be 0 s or more, got {shortest_s}")
    if max_clips is not None and max_clips < 1:
        raise UsageError(f"--max-clips must be at least 1, got {max_clips}")


def _check_n_q(n_q: Sequence[int] | None, config: CodecConfig) -> list[int]:
    most = config.num_codebooks
    if n_q is None:
        return sorted({most, *(1 << power for power in range(most.bit_length()))})
    wrong = [count for count in n_q if not 1 <= count <= most]
    if wrong or not n_q:
        raise UsageError(f"--n-q must be in 1..{most}, got {wrong[0] if wrong else 'none'}")
    return sorted(set(n_q))


def _eligible(data: Path, split: Split, shortest_s: float) -> list[Clip]:
    clips = [clip for clip in read_manifest(data) if clip.split == split]
    if not clips:
        raise InputError(f"{data}: no clip is in split {split}")
    found = [clip for clip in clips if clip.duration >= shortest_s]
    if not found:
        raise InputError(
            f"{data}: no clip of split {split} has {shortest_s:g} s or more",
            hint="--shortest 0 takes all",
        )
    return found


def _spread(clips: list[Clip], most: int | None) -> list[Clip]:
    """Return at most so many clips; manifests are sorted, so that the first would be alike."""
    if most is None or most >= len(clips):
        return clips
    return [clips[i * len(clips) // most] for i in range(most)]


class _Run:
    """Measures clip after clip."""

    def __init__(
        self, loaded: LoadedCodec, root: Path, n_q: Sequence[int], opus_kbps: Sequence[int]
    ) -> None:
        self.seconds = 0.0
        self._loaded, self._codec, self._root = loaded, loaded.codec, root
        self._config = loaded.codec.config
        self._codes: list[Tensor] = []
        self._ours = [
            RateTally(codec="soundgen", n_q=count, nominal_kbps=self._config.bandwidth_kbps(count))
            for count in n_q
        ]
        self._opus = [RateTally(codec="opus", n_q=None, nominal_kbps=kbps) for kbps in opus_kbps]

    @property
    def tallies(self) -> list[RateTally]:
        """All rates, ours first."""
        return [*self._ours, *self._opus]

    def capacity_used(self) -> tuple[float, ...]:
        """Return the entropy of each codebook's codes as a share of its bits."""
        import torch

        from soundgen.codec.quantizer import capacity_used

        return tuple(capacity_used(torch.cat(self._codes, dim=1), self._config.codebook_size))

    def measure(self, clip: Clip) -> None:
        """Send one clip through every codec at every rate."""
        import torch

        from soundgen.evaluation.codec_metrics import Original

        path = self._root / clip.path
        source = read_audio(path)
        samples = resample(to_mono(source), self._config.sample_rate).samples[0]
        if not samples.size:
            raise InputError(f"{path}: holds no audio")
        self.seconds += len(samples) / self._config.sample_rate
        original = Original(torch.from_numpy(samples), sample_rate=self._config.sample_rate)
        wav = original.wav[None, None]
        whole = self._codec.encode(wav)
        self._codes.append(whole[0])
        for tally in self._ours:
            # Anew for each: the search chooses the first codes with a view to all that follow.
            is_whole = tally.n_q == self._config.num_codebooks
            codes = whole if is_whole else self._codec.encode(wav, tally.n_q)
            decoded = self._codec.decode(codes)[0, 0, : len(samples)].numpy()
            size_bytes = self._sgc_size(codes[0], len(samples), source)
            self._count(tally, clip, original, decoded, size_bytes)
        for tally in self._opus:
            result = opus_round_trip(
                samples,
                round(tally.nominal_kbps),
                sample_rate=self._config.sample_rate,
                name=str(path),
            )
            self._count(tally, clip, original, result.samples, result.size_bytes)

    def _count(
        self,
        tally: RateTally,
        clip: Clip,
        original: Original,
        decoded: NDArray[np.float32],
        size_bytes: int,
    ) -> None:
        import torch

        as_written = np.frombuffer(to_pcm16(decoded), dtype="<i2").astype(np.float32) / 32768
        distances = original.compare(torch.from_numpy(as_written))
        tally.clips.append(
            ClipMeasure(
                category=clip.category,
                duration_s=len(decoded) / self._config.sample_rate,
                size_bytes=size_bytes,
                **distances._asdict(),
            )
        )

    def _sgc_size(self, codes: Tensor, num_samples: int, source: Waveform) -> int:
        """Return the bytes of the `.sgc` file that `compress` writes for `codes` `[n_q, L]`."""
        coder = self._loaded.coder(len(codes))
        header = self._loaded.sgc_header(
            len(codes),
            original_sample_rate=source.sample_rate,
            original_channels=source.channels,
            num_samples=num_samples,
            entropy_coded=coder is not None,
        )
        writer = SgcWriter(io.BytesIO(), header, coder)
        writer.write(codes.numpy())
        writer.finish(num_samples)
        return writer.size_bytes
