"""A loaded model and what it makes: the two calls of the Python API."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from typing import cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from soundgen.audio.loudness import below_clipping
from soundgen.audio.resample import resample_stream
from soundgen.audio.waveform import Waveform
from soundgen.checkpoint import DEFAULT_MODEL, ModelFolder, resolve_model
from soundgen.codec.entropy import EntropyModel, RangeCoder
from soundgen.codec.model import Codec
from soundgen.codec.sgc_header import ENTROPY_DIGEST_BYTES, SgcHeader
from soundgen.config import from_dict
from soundgen.errors import CheckpointError, DeviceError, InputError
from soundgen.evaluation.matcher import Matcher
from soundgen.lm.conditioning import TextCondition
from soundgen.lm.config import AUTO_PRECISION, FLOAT32, LMConfig, Precision
from soundgen.lm.engine import Engine, SoundPlan
from soundgen.lm.model import LanguageModel
from soundgen.lm.sampling import SamplingSettings
from soundgen.nn.unfilled import Unfilled
from soundgen.pipelines.model_parts import (
    build_codec,
    build_entropy,
    build_matcher,
    build_text_encoder,
    check_matcher,
    load_weights,
)
from soundgen.pipelines.origin import Beginning, Continuation, Variation, begin
from soundgen.pipelines.pieces import generate_in_pieces, in_pieces
from soundgen.pipelines.pool import default_jobs
from soundgen.pipelines.sound import Sound
from soundgen.text.encoder import TextEncoder
from soundgen.training.device import computes_bfloat16, resolve_device

MAX_AUTO_S = 10.0
"""Where a sound whose length is left to the model is cut."""
MIN_AUTO_S = 0.1


@dataclass(frozen=True)
class LoadedCodec:
    """A codec ready to run, and which one it is."""

    codec: Codec
    digest: str
    name: str
    entropy: EntropyModel | None = None
    """What its codes can be entropy-coded with."""
    entropy_digest: str = ""
    """As `.sgc` headers name it; empty where there is none."""

    def coder(self, n_q: int) -> RangeCoder | None:
        """Return what entropy-codes `n_q` codebooks; `None` where there is no entropy model."""
        return None if self.entropy is None else RangeCoder(self.entropy, n_q)

    def sgc_header(
        self,
        n_q: int,
        *,
        original_sample_rate: int,
        original_channels: int,
        num_samples: int,
        entropy_coded: bool,
    ) -> SgcHeader:
        """Return the header of a file that this codec writes; the arguments are its fields."""
        config = self.codec.config
        return SgcHeader(
            sample_rate=config.sample_rate,
            hop_length=config.hop_length,
            n_q=n_q,
            bits_per_code=config.bits_per_code,
            original_sample_rate=original_sample_rate,
            original_channels=original_channels,
            num_samples=num_samples,
            codec_digest=self.digest,
            entropy_digest=self.entropy_digest if entropy_coded else "",
        )


@dataclass(frozen=True)
class LoadedMatcher:
    """A matcher ready to compare sounds with texts, and which one it is."""

    matcher: Matcher
    text_encoder: TextEncoder
    digest: str

    @torch.no_grad()
    def embed_prompt(self, prompt: str) -> torch.Tensor:
        """Return the vector of a text in the matcher's space, float32 `[1, D]`."""
        vectors = self.text_encoder.encode([prompt]).pooled
        return self.matcher.embed_text(vectors.to(self.matcher.log_scale.device)).cpu()


class Model:
    """A text-to-sound model: text encoder, language model, codec, and matcher if it has one.

    Args:
        folder: Where its parts are.
        device: Where it runs.
        precision: Of the language model's weights in generation.

    Raises:
        CheckpointError: A part is missing or does not fit the others.
        DeviceError: The device has no products of that precision.
    """

    def __init__(
        self, folder: ModelFolder, device: torch.device, precision: Precision = FLOAT32
    ) -> None:
        self.folder, self.device = folder, device
        self.codec = build_codec(folder, device)
        section = dict(folder.section("lm"))
        trained_on = section.pop("codec_digest", None)
        if trained_on != folder.codec_digest:
            raise CheckpointError(
                f"{folder.path}: its language model was trained on another codec",
                hint="train a language model on this codec, or put the right codec there",
            )
        config = from_dict(LMConfig, section, f"{folder.path}: lm")
        with Unfilled():
            language_model = LanguageModel(config)
        load_weights(language_model, folder, "lm")
        self.language_model = language_model.to(device).eval()
        self.text_encoder = build_text_encoder(folder, remembering=True)
        if folder.has("matcher"):
            check_matcher(folder)
        self.engine = Engine(
            self.language_model,
            max_text_tokens=self.text_encoder.config.max_tokens,
            precision=precision,
        )

    @property
    def digest(self) -> str:
        """SHA-256 over all that shapes a sound; hex."""
        return self.folder.model_digest

    @cached_property
    def matcher(self) -> Matcher | None:
        """What compares its sounds with texts, `None` if it has none; built when first needed."""
        return build_matcher(self.folder, self.device) if self.folder.has("matcher") else None

    @property
    def sample_rate(self) -> int:
        """Rate of its sounds, Hz."""
        return self.codec.config.sample_rate

    def match(self, prompt: str, sounds: Sequence[Sound]) -> list[float]:
        """Say how well each sound fits a prompt: cosines in [-1, 1].

        Raises:
            CheckpointError: The model has no matcher.
            InputError: A sound is silent.
        """
        if not sounds:
            return []
        if self.matcher is None:
            raise CheckpointError(
                f"{self.folder.path}: has no matcher",
                hint="train one with: soundgen train matcher --model MODEL",
            )
        loaded = LoadedMatcher(self.matcher, self.text_encoder, self.folder.matcher_digest)
        rate = self.matcher.config.sample_rate
        audio = torch.stack(
            [
                self.matcher.embed_stream(resample_stream([sound.samples], sound.sample_rate, rate))
                for sound in sounds
            ]
        )
        text = loaded.embed_prompt(prompt)
        return [round(float(one), 6) for one in self.matcher.similarity(audio, text)[:, 0]]

    def generate(
        self,
        prompts: str | Sequence[str],
        *,
        duration_s: float | None = None,
        seed: int | Sequence[int] = 0,
        negative_prompt: str = "",
        settings: SamplingSettings | None = None,
        origin: Continuation | Variation | None = None,
        on_step: Callable[[], None] = lambda: None,
    ) -> list[Sound]:
        """Make a sound for each prompt, all in one batch.

        Args:
            prompts: What to hear; an empty one leaves it to the model.
            duration_s: Length; `None` lets the model end each sound, after 10 s at the latest.
                Of a continuation, of what is added.
            seed: Prompt i is drawn with `seed + i`, or with its own of a list.
            negative_prompt: What not to hear.
            settings: How codes are drawn.
            origin: A sound to go on from: to make longer, or to vary, with every prompt.
            on_step: Called after every step of the language model.

        Raises:
            InputError: A duration is not above 0, or one is given for a variation, which is as
                long as its origin; the origin is too short; or there are fewer seeds than prompts.
        """
        prompts = [prompts] if isinstance(prompts, str) else list(prompts)
        seeds = [seed + i for i in range(len(prompts))] if isinstance(seed, int) else list(seed)
        if len(seeds) != len(prompts):
            raise InputError(f"{len(prompts)} prompts, but {len(seeds)} seeds")
        if duration_s is not None and not 0 < duration_s < math.inf:
            raise InputError(f"duration_s must be above 0, got {duration_s}")
        if duration_s is not None and isinstance(origin, Variation):
            raise InputError("a variation is as long as its origin: leave duration_s out")
        if not prompts:
            return []
        settings = settings or SamplingSettings()
        config = self.language_model.config
        beginning = None if origin is None else begin(self.codec, config, origin)
        plans = self._plans(prompts, seeds, duration_s, negative_prompt, beginning)
        rate, there = config.frame_rate, 0 if beginning is None else beginning.codes.shape[1]
        if beginning is None and in_pieces(duration_s):
            all_codes = generate_in_pieces(
                self.engine, self.codec.quantizer, plans, settings, on_step=on_step
            )
        else:
            all_codes = self.engine.generate(
                plans,
                settings,
                max_frames=there + round(MAX_AUTO_S * rate),
                min_frames=round(MIN_AUTO_S * rate),
                on_step=on_step,
            )
        making = {
            "duration_s": duration_s,
            "negative_prompt": negative_prompt,
            **asdict(settings),
            "model_digest": self.digest,
            "model": self.folder.reference,
            "device": self.device.type,
            "dtype": self.engine.precision,
            "threads": torch.get_num_threads(),
            "soundgen": version("soundgen"),
        }
        if self.folder.licenses or self.folder.is_non_commercial:
            making["model_license"] = self.folder.license
        return [
            Sound(
                self._render(codes, duration_s, beginning), self.sample_rate, prompt, own_seed,
                making,
            )
            for codes, prompt, own_seed in zip(all_codes, prompts, seeds, strict=True)
        ]  # fmt: skip

    def _plans(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        duration_s: float | None,
        negative_prompt: str,
        beginning: Beginning | None,
    ) -> list[SoundPlan]:
        embedded = self.text_encoder.encode([*prompts, negative_prompt])

        def condition(row: int, *, present: bool) -> TextCondition:
            return TextCondition(
                embedded.states[row : row + 1],
                embedded.mask[row : row + 1],
                embedded.pooled[row : row + 1],
                torch.tensor([present]),
            )

        num_samples, num_frames = self._num_samples(duration_s), None
        if beginning is not None:
            num_frames = beginning.num_frames(num_samples)
        elif num_samples is not None:
            num_frames = math.ceil(num_samples / self.codec.config.hop_length)
        return [
            SoundPlan(
                text=condition(row, present=bool(prompts[row].strip())),
                negative=condition(len(prompts), present=bool(negative_prompt.strip())),
                num_frames=num_frames,
                generator=torch.Generator().manual_seed(own_seed),
                given=None if beginning is None else beginning.codes,
                start_frame=0 if beginning is None else beginning.start_frame,
            )
            for row, own_seed in enumerate(seeds)
        ]

    def _num_samples(self, duration_s: float | None) -> int | None:
        return None if duration_s is None else max(1, round(duration_s * self.sample_rate))

    def _render(
        self, codes: torch.Tensor, duration_s: float | None, beginning: Beginning | None
    ) -> NDArray[np.float32]:
        """Decode codes `[K, L]` to samples, cut to the length asked for and kept below clipping."""
        wav = self.codec.decode(codes[None])[0, 0].numpy()
        if beginning is not None:
            return beginning.joined(wav, self._num_samples(duration_s))
        wav = wav[: self._num_samples(duration_s)]
        mono = Waveform(np.ascontiguousarray(wav[None], dtype=np.float32), self.sample_rate)
        return np.asarray(below_clipping(mono).samples[0])


def use_threads(threads: int | None) -> None:
    """Compute on this many processor threads.

    `None`: as many as OMP_NUM_THREADS says, or else as this process may use. On a busy machine more
    threads than free processors are many times slower: each small product waits for the last one.
    """
    if threads is None and os.environ.get("OMP_NUM_THREADS", "").isdigit():
        threads = int(os.environ["OMP_NUM_THREADS"])
    torch.set_num_threads(threads or default_jobs())


def load_model(
    name_or_path: str = DEFAULT_MODEL, *, device: str = "auto", precision: str = FLOAT32
) -> Model:
    """Load a model: a shipped name, a model folder, or `hf:owner/name`.

    Args:
        name_or_path: Which.
        device: auto, cpu, cuda or mps.
        precision: Of the language model's weights in generation: auto, float32, bfloat16 or int8.

    Raises:
        CheckpointError: There is no such model, or it is damaged.
        DeviceError: The device is not there, or has no products of that precision.
    """
    folder = resolve_model(name_or_path)
    folder.verify()
    found = resolve_device(device)
    return Model(folder, found, resolve_precision(precision, found))


def resolve_precision(name: str, device: torch.device) -> Precision:
    """Return the precision called `name`: auto, float32, bfloat16 or int8.

    Raises:
        DeviceError: It has another name.
    """
    if name == "auto":
        fast = device.type == "cpu" and computes_bfloat16(device)
        return AUTO_PRECISION if fast else FLOAT32
    for precision in get_args(Precision):
        if name == precision:
            return cast(Precision, precision)
    raise DeviceError(f"unknown precision '{name}'", hint="use auto, float32, bfloat16 or int8")


def load_codec(name_or_path: str = DEFAULT_MODEL, *, device: str = "cpu") -> LoadedCodec:
    """Load a model's codec, and the entropy model if it has one.

    Args:
        name_or_path: Which model.
        device: auto, cpu, cuda or mps.

    Raises:
        CheckpointError: There is no such model, or it is damaged.
        DeviceError: The device is not there.
    """
    folder = resolve_model(name_or_path)
    folder.verify()
    return LoadedCodec(
        build_codec(folder, resolve_device(device)),
        folder.codec_digest,
        folder.name,
        build_entropy(folder) if folder.has("entropy") else None,
        folder.entropy_digest[: 2 * ENTROPY_DIGEST_BYTES] if folder.has("entropy") else "",
    )


def load_matcher(name_or_path: str = DEFAULT_MODEL, *, device: str = "cpu") -> LoadedMatcher:
    """Load a model's matcher with the text encoder that it belongs to, and nothing else.

    Args:
        name_or_path: Which model.
        device: auto, cpu, cuda or mps.

    Raises:
        CheckpointError: There is no such model, it has no matcher, or it is damaged.
        DeviceError: The device is not there.
    """
    folder = resolve_model(name_or_path)
    folder.section("matcher")
    folder.verify()
    return LoadedMatcher(
        build_matcher(folder, resolve_device(device)),
        build_text_encoder(folder),
        folder.matcher_digest,
    )
