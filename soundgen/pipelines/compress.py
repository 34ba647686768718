"""Compress audio files into `.sgc` files: read, encode and write in bounded memory."""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from soundgen.audio.io import blocks_mono, conversion_notice, probe
from soundgen.audio.resample import resample_stream
from soundgen.audio.wav_stream import WavStream, open_wav_stream
from soundgen.checkpoint import DEFAULT_MODEL, ModelFolder, resolve_model
from soundgen.codec.bitstream import SgcWriter
from soundgen.codec.config import CodecConfig
from soundgen.codec.entropy import RangeCoder
from soundgen.config import from_dict
from soundgen.errors import InputError, OutputError, UsageError
from soundgen.pipelines.batch import FileFailure, FileJob, FileKinds, open_output, plan_files
from soundgen.progress import Progress, SilentProgress

if TYPE_CHECKING:
    from torch import Tensor

    from soundgen.pipelines.model import LoadedCodec

KINDS = FileKinds(
    name="audio files",
    sources=frozenset(
        ".wav .flac .ogg .oga .opus .mp3 .aif .aiff .aifc .au .caf .w64 .rf64 "
        ".m4a .aac .wma .mp4 .mka .webm".split()
    ),
    output=".sgc",
)
# Formats whose headers say exactly how many samples decode; others estimate, or pad.
_EXACT_FORMATS = {"WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC"}


@dataclass(frozen=True, kw_only=True, slots=True)
class CompressedFile:
    """One file compressed.

    Attributes:
        source: The input; "<stdin>" for standard input.
        output: The `.sgc` file; "-" for standard output.
        sample_rate: Of the codec, Hz.
        num_samples: Decoded length at `sample_rate`.
        duration_s: The same in seconds.
        original_sample_rate: Of the input, Hz.
        original_channels: Of the input.
        n_q: Codes per frame.
        size_bytes: All bytes written.
        kbps: Rate of the file, all bytes over the duration, kbit/s.
        codec_digest: SHA-256 of the codec that decodes it.
        entropy_coded: Its codes are entropy-coded.
        seconds_spent: Reading, encoding and writing, without loading the model.
    """

    source: str
    output: str
    sample_rate: int
    num_samples: int
    duration_s: float
    original_sample_rate: int
    original_channels: int
    n_q: int
    size_bytes: int
    kbps: float
    codec_digest: str
    entropy_coded: bool
    seconds_spent: float


def compress(
    inputs: Sequence[str],
    *,
    output: str | None = None,
    bandwidth_kbps: float | None = None,
    entropy: bool = True,
    model: str = DEFAULT_MODEL,
    device: str = "auto",
    force: bool = False,
    stdin: BinaryIO | None = None,
    stdout: BinaryIO | None = None,
    progress: Progress | None = None,
) -> Iterator[CompressedFile | FileFailure]:
    """Compress audio files; what can be checked cheaply is checked before this returns.

    Args:
        inputs: Files, folders (their tree is kept), or "-" alone for standard input.
        output: A `.sgc` file, a folder, or "-"; beside each input as `.sgc` if `None`.
        bandwidth_kbps: The most that the codes may take, before entropy coding; all the codec has
            if `None`.
        entropy: Entropy-code the codes, where the model can.
        model: Name or folder of the model whose codec encodes.
        device: auto, cpu, cuda or mps.
        force: Overwrite existing outputs.
        stdin: What "-" reads: WAV as it comes, other formats once they are whole.
        stdout: What "-" writes.
        progress: Listens.

    Returns:
        The results in order, each as soon as it is done. Of several inputs, one that fails is a
        `FileFailure` among them; of a single one, the error is raised.

    Raises:
        UsageError: `bandwidth_kbps` is below one codebook, or inputs and output do not fit.
        OutputError: An output exists, or cannot be written.
        CheckpointError: There is no such model, or it has no codec.
    """
    jobs, failures = plan_files(inputs, output, KINDS, force=force)
    if not jobs and len(failures) == 1:
        raise failures[0].error
    folder = resolve_model(model)
    config = from_dict(CodecConfig, folder.section("codec"), str(folder.path))
    n_q = _choose_n_q(config, bandwidth_kbps)
    encoder = _Encoder(folder, config, n_q, device, progress or SilentProgress(), entropy=entropy)
    return _compress_all(jobs, failures, encoder, stdin, stdout)


def _choose_n_q(config: CodecConfig, bandwidth_kbps: float | None) -> int:
    if bandwidth_kbps is None:
        return config.num_codebooks
    if not math.isfinite(bandwidth_kbps):
        raise UsageError(f"--bandwidth {bandwidth_kbps}: not a number of kbit/s")
    try:
        return config.n_q_for_bandwidth(bandwidth_kbps)
    except ValueError as error:
        most = config.bandwidth_kbps(config.num_codebooks)
        raise UsageError(
            f"--bandwidth: {error}",
            hint=f"from {config.bandwidth_kbps(1):g} to {most:g} kbit/s",
        ) from error


def _compress_all(
    jobs: Sequence[FileJob],
    failures: Sequence[FileFailure],
    encoder: _Encoder,
    stdin: BinaryIO | None,
    stdout: BinaryIO | None,
) -> Iterator[CompressedFile | FileFailure]:
    yield from failures
    for job in jobs:
        try:
            with _open_source(job, encoder.config.sample_rate, stdin) as source:
                result = encoder.encode(job, source, stdout)
        except (InputError, OutputError) as error:
            if len(jobs) + len(failures) == 1:
                raise
            yield FileFailure(job.name, error)
        else:
            yield result


@dataclass(frozen=True)
class _Source:
    """Audio about to be encoded.

    Attributes:
        name: For messages.
        sample_rate: The input's own, Hz.
        channels: The input's own.
        num_samples: The input's own, exactly; `None` if only decoding tells.
        blocks: float32 `[t]`, mono at the codec's rate; none if there is no audio.
    """

    name: str
    sample_rate: int
    channels: int
    num_samples: int | None
    blocks: Iterator[NDArray[np.float32]]


class _Encoder:
    """Encodes files with a codec that is loaded when the first one turns out to be readable."""

    def __init__(
        self,
        folder: ModelFolder,
        config: CodecConfig,
        n_q: int,
        device: str,
        progress: Progress,
        *,
        entropy: bool,
    ) -> None:
        self.config = config
        self._folder = folder
        self._n_q = n_q
        self._device = device
        self._progress = progress
        self._use_entropy = entropy

    @cached_property
    def _loaded(self) -> LoadedCodec:
        from soundgen.pipelines.model import load_codec  # PyTorch, seconds: not before it is needed

        return load_codec(str(self._folder.path), device=self._device)

    @cached_property
    def _coder(self) -> RangeCoder | None:
        return self._loaded.coder(self._n_q) if self._use_entropy else None

    def encode(self, job: FileJob, source: _Source, stdout: BinaryIO | None) -> CompressedFile:
        """Write `source` as `job` says."""
        notice = conversion_notice(
            source.name, source.sample_rate, source.channels, self.config.sample_rate
        )
        if notice:
            self._progress.notice(notice)
        promised = 0
        if source.num_samples is not None:
            promised = decoded_length(source.num_samples, source.sample_rate, self.config)
        header = self._loaded.sgc_header(
            self._n_q,
            original_sample_rate=source.sample_rate,
            original_channels=source.channels,
            num_samples=promised,
            entropy_coded=self._coder is not None,
        )
        start = time.monotonic()
        seconds = round(promised / self.config.sample_rate) if promised else None
        self._progress.start(f"compress {source.name}", seconds)
        try:
            with open_output(job, stdout) as stream:
                writer = SgcWriter(stream, header, self._coder)
                num_samples = self._write(source, writer)
        finally:
            self._progress.finish()
        duration_s = num_samples / self.config.sample_rate
        return CompressedFile(
            source=source.name,
            output=job.output_name,
            sample_rate=self.config.sample_rate,
            num_samples=num_samples,
            duration_s=duration_s,
            original_sample_rate=source.sample_rate,
            original_channels=source.channels,
            n_q=self._n_q,
            size_bytes=writer.size_bytes,
            kbps=writer.size_bytes * 8 / 1000 / duration_s,
            codec_digest=self._loaded.digest,
            entropy_coded=header.entropy_coded,
            seconds_spent=time.monotonic() - start,
        )

    def _write(self, source: _Source, writer: SgcWriter) -> int:
        """Encode all of `source` and return its length in samples at the codec's rate."""
        from soundgen.codec.streaming import encode_chunks

        audio = _Counted(source, self.config.sample_rate, self._progress)
        for codes in encode_chunks(self._loaded.codec, audio.tensors(), self._n_q):
            writer.write(codes.numpy())
        if writer.header.num_samples not in (0, audio.num_samples):
            raise InputError(f"{source.name}: changed while it was read")
        writer.finish(audio.num_samples)
        return audio.num_samples


class _Counted:
    """The blocks of a source as tensors, counted as they go by."""

    def __init__(self, source: _Source, sample_rate: int, progress: Progress) -> None:
        self.num_samples = 0
        self._source = source
        self._sample_rate = sample_rate
        self._progress = progress

    def tensors(self) -> Iterator[Tensor]:
        import torch

        seconds = 0
        for block in self._source.blocks:
            self.num_samples += len(block)
            yield torch.from_numpy(block)
            self._progress.advance(self.num_samples // self._sample_rate - seconds)
            seconds = self.num_samples // self._sample_rate
        if self.num_samples == 0:
            raise InputError(f"{self._source.name}: holds no audio")


def decoded_length(num_samples: int, sample_rate: int, config: CodecConfig) -> int:
    """Return how long `num_samples` at `sample_rate` Hz are after decoding, in samples.

    Rounded to the nearest, halves up, which is what the resampler gives; at least 1.
    """
    return max(1, (2 * num_samples * config.sample_rate + sample_rate) // (2 * sample_rate))


@contextmanager
def _open_source(job: FileJob, sample_rate: int, stdin: BinaryIO | None) -> Iterator[_Source]:
    """Open the input of `job`.

    Yields:
        Its header read and its samples not.
    """
    if job.source is not None:
        yield _file_source(job.source, job.name, sample_rate)
        return
    if stdin is None:
        raise UsageError("there is no standard input to read")
    wav, taken = open_wav_stream(stdin, job.name)
    if wav is not None:
        yield _stream_source(wav, job.name, sample_rate)
        return
    # Decoders of other formats must seek.
    with tempfile.NamedTemporaryFile(prefix="soundgen-") as copy:
        copy.write(taken)
        shutil.copyfileobj(stdin, copy, 1 << 20)
        copy.flush()
        try:
            yield _file_source(Path(copy.name), job.name, sample_rate)
        except InputError as error:
            message = error.message.replace(copy.name, job.name)
            raise InputError(message, hint=error.hint) from error


def _file_source(path: Path, name: str, sample_rate: int) -> _Source:
    info = probe(path)
    if info.num_samples == 0:
        raise InputError(f"{name}: holds no audio")
    exact = info.format in _EXACT_FORMATS
    num_samples = info.num_samples if exact else None
    blocks = _never_nothing(blocks_mono(path, sample_rate))
    return _Source(name, info.sample_rate, info.channels, num_samples, blocks)


def _stream_source(wav: WavStream, name: str, sample_rate: int) -> _Source:
    def resampled() -> Iterator[NDArray[np.float32]]:
        blocks = wav.blocks()
        first = next(blocks, None)
        if first is not None:
            mono = (b.mean(axis=1, dtype=np.float32) for b in chain([first], blocks))
            yield from _never_nothing(resample_stream(mono, wav.sample_rate, sample_rate))

    return _Source(name, wav.sample_rate, wav.channels, wav.num_samples, resampled())


def _never_nothing(blocks: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """Yield `blocks`, or one sample for a sound so short that resampling leaves none of it."""
    first = next(blocks, np.zeros(1, dtype=np.float32))
    yield first
    yield from blocks
