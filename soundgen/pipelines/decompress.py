"""Decompress `.sgc` files into WAV files: check, find the codec, decode and write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from soundgen.audio.wav_stream import to_pcm16, wav_header
from soundgen.checkpoint import ModelFolder, resolve_model, shipped_models
from soundgen.codec.bitstream import Chunk, Damage, SgcReader
from soundgen.codec.sgc_header import SgcHeader
from soundgen.codec.sgc_info import damage_error, damage_text
from soundgen.errors import CheckpointError, InputError, OutputError, UsageError
from soundgen.pipelines.batch import FileFailure, FileJob, FileKinds, open_output, plan_files
from soundgen.progress import Progress, SilentProgress

if TYPE_CHECKING:
    from torch import Tensor

    from soundgen.codec.model import Codec
    from soundgen.pipelines.model import LoadedCodec

KINDS = FileKinds(name=".sgc files", sources=frozenset({".sgc"}), output=".wav")
_SILENCE_BLOCK = 1 << 16
# Entropy-coded chunks that are decoded side by side: of a file many, for speed; of a stream each
# as it comes.
_FILE_CHUNKS, _STREAM_CHUNKS = 48, 1


@dataclass(frozen=True, kw_only=True, slots=True)
class DecompressedFile:
    """One file decompressed.

    Attributes:
        source: The `.sgc` file; "<stdin>" for standard input.
        output: The WAV file, mono, 16 bit; "-" for standard output.
        sample_rate: Hz.
        num_samples: Length in samples.
        duration_s: The same in seconds.
        codec_digest: SHA-256 of the codec that decoded it.
        complete: Nothing was damaged or missing.
        damage: A phrase for each damaged place, naming the seconds lost.
    """

    source: str
    output: str
    sample_rate: int
    num_samples: int
    duration_s: float
    codec_digest: str
    complete: bool
    damage: tuple[str, ...]


def decompress(
    inputs: Sequence[str],
    *,
    output: str | None = None,
    recover: bool = False,
    model: str | None = None,
    device: str = "auto",
    force: bool = False,
    stdin: BinaryIO | None = None,
    stdout: BinaryIO | None = None,
    progress: Progress | None = None,
) -> Iterator[DecompressedFile | FileFailure]:
    """Decompress `.sgc` files; what can be checked cheaply is checked before this returns.

    Args:
        inputs: Files, folders (their tree is kept), or "-" alone for standard input.
        output: A `.wav` file, a folder, or "-"; beside each input as `.wav` if `None`.
        recover: Decode what is left of damaged files, with silence where sound is lost.
        model: Name or folder of the model whose codec decodes; found by its digest if `None`.
        device: auto, cpu, cuda or mps.
        force: Overwrite existing outputs.
        stdin: What "-" reads, decoded as it comes.
        stdout: What "-" writes.
        progress: Listens.

    Returns:
        The results in order, each as soon as it is done. Of several inputs, one that fails is a
        `FileFailure` among them; of a single one, the error is raised.

    Raises:
        UsageError: Inputs and output do not fit.
        OutputError: An output exists, or cannot be written.
        CheckpointError: `model` does not exist or has no codec.
    """
    jobs, failures = plan_files(inputs, output, KINDS, force=force)
    if not jobs and len(failures) == 1:
        raise failures[0].error
    decoder = _Decoder(_Codecs(model, device), recover, progress or SilentProgress())
    return _decompress_all(jobs, failures, decoder, stdin, stdout)


def _decompress_all(
    jobs: Sequence[FileJob],
    failures: Sequence[FileFailure],
    decoder: _Decoder,
    stdin: BinaryIO | None,
    stdout: BinaryIO | None,
) -> Iterator[DecompressedFile | FileFailure]:
    yield from failures
    for job in jobs:
        try:
            result = decoder.decode(job, stdin, stdout)
        except (InputError, OutputError, CheckpointError) as error:
            if len(jobs) + len(failures) == 1:
                raise
            yield FileFailure(job.name, error)
        else:
            yield result


class _Codecs:
    """The codecs at hand, by digests; each is loaded once, when a file first needs it."""

    def __init__(self, model: str | None, device: str) -> None:
        self._given = None if model is None else resolve_model(model)
        if self._given is not None:
            self._given.section("codec")
        self._device = device
        self._loaded: dict[tuple[str, str], LoadedCodec] = {}

    def find(self, header: SgcHeader, name: str) -> LoadedCodec:
        """Return the codec that a file names, with the entropy model that it names.

        Args:
            header: Of the file.
            name: The file, for messages.

        Raises:
            CheckpointError: They are not installed, or their folder is damaged.
        """
        key = (header.codec_digest, header.entropy_digest)
        if key not in self._loaded:
            from soundgen.pipelines.model import load_codec  # PyTorch: not before it is needed

            folder = self._folder(header, name)
            loaded = load_codec(str(folder.path), device=self._device)
            if loaded.digest != header.codec_digest:
                raise CheckpointError(f"{folder.path}: its codec is not what its digest says")
            self._loaded[key] = loaded
        return self._loaded[key]

    def _folder(self, header: SgcHeader, name: str) -> ModelFolder:
        digest = header.codec_digest
        if self._given is not None and self._given.codec_digest != digest:
            raise CheckpointError(
                f"{name}: needs codec {digest}; {self._given.path} holds "
                f"{self._given.codec_digest}",
                hint="leave --model out to search the installed models",
            )
        folders = shipped_models() if self._given is None else [self._given]
        fitting = [one for one in folders if one.has("codec") and one.codec_digest == digest]
        for folder in fitting:
            if _has_entropy(folder, header.entropy_digest):
                return folder
        if fitting:
            raise CheckpointError(
                f"{name}: needs entropy model {header.entropy_digest}, which is not that of "
                f"{fitting[0].path}",
                hint="--model FOLDER names the model as it was when the file was compressed",
            )
        raise CheckpointError(
            f"{name}: needs codec {digest}, which is not installed",
            hint="--model FOLDER names the model that it was compressed with; "
            "a newer or older soundgen may ship it",
        )


class _Decoder:
    """Decodes files one after another."""

    def __init__(self, codecs: _Codecs, recover: bool, progress: Progress) -> None:
        self._codecs = codecs
        self._recover = recover
        self._progress = progress

    def decode(
        self, job: FileJob, stdin: BinaryIO | None, stdout: BinaryIO | None
    ) -> DecompressedFile:
        """Write the sound of one file as `job` says.

        Raises:
            InputError: The file is damaged, and not to be recovered or beyond it.
            CheckpointError: Its codec is not installed.
            OutputError: The output cannot be written.
            UsageError: There is no standard input to read.
        """
        if job.source is None:
            if stdin is None:
                raise UsageError("there is no standard input to read")
            return self._decode_stream(SgcReader(stdin, job.name), job, stdout, 0)
        num_samples = self._check(job.source)
        with _open(job.source) as stream:
            return self._decode_stream(SgcReader(stream, job.name), job, stdout, num_samples)

    def _check(self, path: Path) -> int:
        """Check all of a file before its codec is loaded; return its length in samples.

        Raises:
            InputError: It is damaged, and not to be recovered.
        """
        if not path.is_file():
            raise InputError(f"{path}: not a regular file", hint="pipe it in, with - as input")
        with _open(path) as stream:
            reader = SgcReader(stream, str(path))
            damages = [record for record in reader.records() if isinstance(record, Damage)]
        if damages and not self._recover:
            raise damage_error(str(path), reader.header, damages)
        if not reader.num_samples:
            raise InputError(f"{path}: nothing of it can be recovered")
        return reader.num_samples

    def _decode_stream(
        self, reader: SgcReader, job: FileJob, stdout: BinaryIO | None, num_samples: int
    ) -> DecompressedFile:
        header = reader.header
        loaded = self._codecs.find(header, reader.name)
        _check_fit(header, loaded.codec, reader.name)
        known = num_samples or header.num_samples or None
        seconds = round(known / header.sample_rate) if known else None
        self._progress.start(f"decompress {reader.name}", seconds)
        try:
            with open_output(job, stdout) as stream:
                sound = _Sound(stream, header, known, self._progress)
                at_once = _STREAM_CHUNKS if job.source is None else _FILE_CHUNKS
                damages = self._decode_records(reader, loaded, sound, at_once)
                sound.finish(reader.num_samples, patch=job.output is not None)
        finally:
            self._progress.finish()
        damage = tuple(damage_text(header, one) for one in damages)
        if damage:
            self._progress.notice(f"{reader.name}: damaged, and recovered: {', '.join(damage)}")
        return DecompressedFile(
            source=reader.name,
            output=job.output_name,
            sample_rate=header.sample_rate,
            num_samples=reader.num_samples,
            duration_s=reader.num_samples / header.sample_rate,
            codec_digest=header.codec_digest,
            complete=reader.complete,
            damage=damage,
        )

    def _decode_records(
        self, reader: SgcReader, loaded: LoadedCodec, sound: _Sound, at_once: int
    ) -> list[Damage]:
        """Decode each unbroken run of chunks on its own, with silence in between."""
        from soundgen.codec.streaming import decode_chunks

        damages: list[Damage] = []
        records = self._without_harmless(reader, damages)
        for is_gap, run in groupby(records, key=lambda record: isinstance(record, Damage)):
            records_of_run = iter(run)
            first = next(records_of_run)
            rest = chain([first], records_of_run)
            if is_gap:
                for gap in rest:
                    sound.silence(gap.num_frames or 0)
                continue
            # What codes mean may depend on where they stand in the stream.
            codes = _code_tensors(reader, loaded, rest, at_once)
            for wav in decode_chunks(loaded.codec, codes, first_frame=first.first_frame):
                sound.write(wav.numpy())
        if not reader.num_samples:
            raise InputError(f"{reader.name}: nothing of it can be recovered")
        return damages

    def _without_harmless(
        self, reader: SgcReader, damages: list[Damage]
    ) -> Iterator[Chunk | Damage]:
        """Yield chunks and gaps; note all damage, where foreign bytes cost no sound as well.

        Raises:
            InputError: There is damage, and it is not to be recovered.
        """
        records = reader.records()
        for record in records:
            if isinstance(record, Damage):
                damages.append(record)
                if not self._recover:
                    damages += [later for later in records if isinstance(later, Damage)]
                    raise damage_error(reader.name, reader.header, damages)
                if record.num_frames == 0:
                    continue  # the decoder's state holds on
            yield record


class _Sound:
    """A mono 16-bit WAV written as it comes.

    The last frame is held back: only the end record says where in it the sound ends.
    """

    def __init__(
        self, stream: BinaryIO, header: SgcHeader, num_samples: int | None, progress: Progress
    ) -> None:
        self._stream = stream
        self._header = header
        self._promised = num_samples
        self._progress = progress
        self._held = np.zeros(0, dtype=np.float32)
        self._num_written = 0
        stream.write(wav_header(header.sample_rate, num_samples))

    def write(self, samples: NDArray[np.float32]) -> None:
        """Append float32 `[t]`."""
        samples = np.concatenate([self._held, samples])
        keep = min(len(samples), self._header.hop_length)
        self._put(samples[: len(samples) - keep])
        self._held = samples[len(samples) - keep :]

    def silence(self, num_frames: int) -> None:
        """Append so many silent frames."""
        left = num_frames * self._header.hop_length
        while left:
            self.write(np.zeros(min(left, _SILENCE_BLOCK), dtype=np.float32))
            left -= min(left, _SILENCE_BLOCK)

    def finish(self, num_samples: int, *, patch: bool) -> None:
        """Write what was held back, up to `num_samples` in all; `patch` a header that was wrong."""
        self._put(self._held[: num_samples - self._num_written])
        if patch and num_samples != self._promised:
            self._stream.seek(0)
            self._stream.write(wav_header(self._header.sample_rate, num_samples))

    def _put(self, samples: NDArray[np.float32]) -> None:
        rate = self._header.sample_rate
        self._stream.write(to_pcm16(samples))
        self._stream.flush()  # whoever listens at the other end of a pipe is waiting
        before = self._num_written // rate
        self._num_written += len(samples)
        self._progress.advance(self._num_written // rate - before)


def _code_tensors(
    reader: SgcReader, loaded: LoadedCodec, records: Iterator[Chunk | Damage], at_once: int
) -> Iterator[Tensor]:
    """Yield the codes int64 `[n_q, l]` of chunks, none beyond the codec's last entry."""
    import torch

    size = loaded.codec.config.codebook_size
    coder = loaded.coder(reader.header.n_q) if reader.header.entropy_coded else None
    chunks = (record for record in records if isinstance(record, Chunk))
    while group := list(islice(chunks, at_once)):
        for chunk, codes in zip(group, reader.codes(group, coder), strict=True):
            if codes.max() >= size:
                at_s = chunk.first_frame / reader.header.frame_rate
                raise InputError(f"{reader.name}: a code at {at_s:.2f} s is beyond {size - 1}")
            yield torch.from_numpy(codes)


def _check_fit(header: SgcHeader, codec: Codec, name: str) -> None:
    config = codec.config
    fits = (
        header.sample_rate == config.sample_rate
        and header.hop_length == config.hop_length
        and header.bits_per_code == config.bits_per_code
        and header.n_q <= config.num_codebooks
    )
    if not fits:
        raise InputError(f"{name}: its header does not fit the codec that it names")


def _has_entropy(folder: ModelFolder, digest: str) -> bool:
    """Say whether a folder has the entropy model with `digest`, or none is needed."""
    return not digest or (folder.has("entropy") and folder.entropy_digest.startswith(digest))


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
