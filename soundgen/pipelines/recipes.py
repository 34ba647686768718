"""Recipes: the TOML files that fix a training run, as typed configurations."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal, NamedTuple, overload

from soundgen.codec.config import CodecConfig
from soundgen.config import apply_overrides, from_dict, load_toml, to_dict
from soundgen.data.segments_config import SegmentConfig
from soundgen.errors import ConfigError
from soundgen.evaluation.matcher_config import MatcherConfig
from soundgen.lm.config import LMConfig
from soundgen.pipelines.recipe_checks import (
    check_betas,
    check_counts,
    check_not_negative,
    check_share,
    check_windows,
)
from soundgen.text.config import TextEncoderConfig

RecipeKind = Literal["codec", "lm", "matcher"]


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimiserConfig:
    """AdamW and its schedule."""

    learning_rate: float
    betas: tuple[float, ...] = (0.8, 0.99)
    weight_decay: float = 0.01
    warmup_steps: int = 100
    decay_start: float = 0.5
    """Share of the run after which the learning rate falls."""
    final_factor: float = 0.02
    """What is left of it at the end."""
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        """Refuse rates that cannot work."""
        if not 0 < self.learning_rate < 1:
            raise ValueError(f"learning_rate must be in (0, 1), got {self.learning_rate}")
        check_betas(self.betas)
        check_share(self, "decay_start", "final_factor", "weight_decay")
        if not 0 < self.max_grad_norm:
            raise ValueError(f"max_grad_norm must be above 0, got {self.max_grad_norm}")


@dataclass(frozen=True, kw_only=True, slots=True)
class CodecLossConfig:
    """Shares of the gradient at the decoder's output (balancer), and the commitment's weight."""

    time: float = 0.1
    mel: float = 1.0
    magnitude: float = 0.0
    adversarial: float = 0.5
    feature: float = 0.5
    commitment: float = 0.25
    """Of l_w, which is not balanced: it does not depend on the decoder."""
    mel_windows: tuple[int, ...] = (32, 64, 128, 256, 512, 1024, 2048)
    magnitude_windows: tuple[int, ...] = (128, 512, 2048)
    mel_l2: float = 0.0
    """Weight of l_s's root-mean-square term against its L1 term."""

    def __post_init__(self) -> None:
        """Refuse weights below 0 and windows that no STFT has."""
        for name in ("time", "mel", "magnitude", "adversarial", "feature", "commitment", "mel_l2"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")
        if self.time + self.mel <= 0:
            raise ValueError("time and mel must not both be 0")
        check_windows("mel_windows", self.mel_windows)
        check_windows("magnitude_windows", self.magnitude_windows)


@dataclass(frozen=True, kw_only=True, slots=True)
class DiscriminatorConfig:
    """Multi-scale STFT discriminator and when it plays."""

    start: float = 0.6
    """Share of the run after which it joins; 1 leaves it out."""
    windows: tuple[int, ...] = (1024, 512, 256)
    num_filters: int = 16
    learning_rate: float = 3e-4
    betas: tuple[float, ...] = (0.5, 0.9)
    update_probability: float = 2 / 3
    """EnCodec: it overpowers the decoder easily, so it moves in two steps of three."""
    batch_size: int = 16
    """Items of the batch that it sees: a knob for slow machines."""

    def __post_init__(self) -> None:
        """Refuse what cannot be built or trained."""
        check_windows("windows", self.windows)
        check_betas(self.betas)
        check_share(self, "start", "update_probability", "learning_rate")
        check_counts(self, "num_filters", "batch_size")


@dataclass(frozen=True, kw_only=True, slots=True)
class CodecTrainingConfig:
    """One codec training run."""

    steps: int
    batch_size: int = 16
    """Items that a process takes at a time."""
    accumulate: int = 1
    """Times that it does so before each step, for a larger batch than its memory holds."""
    seed: int = 0
    ema_decay: float = 0.999
    quantizer_start: float = 0.02
    """Share of the run during which the autoencoder trains alone, before the k-means start."""
    kmeans_batches: int = 16
    component_batches: int = 100
    """Batches whose log-spectra give `magnitude` its principal components."""
    n_q_choices: tuple[int, ...] = (2, 4, 8, 8)
    """Quantizer dropout: codebooks that an item uses are drawn from these."""
    log_every: int = 20
    checkpoint_every: int = 250
    """Steps between checkpoints; each also measures the valid split."""
    keep_checkpoints: int = 0
    """Checkpoints that stay in the run folder as models: the last ones, and the best beside."""
    valid_s: float = 120.0
    """Seconds of the valid split that are measured."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the autoencoder's matrix products; auto: bfloat16 where the device has instructions for
    it and, on a CPU, the autoencoder is `magnitude`. Quantizer, discriminator and losses stay in
    float32."""
    weights_dtype: Literal["float32", "float16"] = "float16"

    def __post_init__(self) -> None:
        """Refuse counts below one and shares that are none."""
        check_counts(
            self,
            *("steps", "batch_size", "accumulate", "kmeans_batches", "component_batches"),
            *("log_every", "checkpoint_every"),
        )
        check_share(self, "ema_decay", "quantizer_start")
        check_not_negative(self, "keep_checkpoints")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, got {self.seed}")


@dataclass(frozen=True, kw_only=True, slots=True)
class EntropyTrainingConfig:
    """The model for entropy coding, fitted when the codec is done."""

    seconds: float = 3600.0
    """Of the train split that it sees, encoded; 0 leaves the model out."""
    steps: int = 1500
    batch_size: int = 16
    """In chunks of a `.sgc` file."""
    learning_rate: float = 4e-3
    context_frames: int = 16
    hidden_size: int = 192

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        if not 0 <= self.seconds < float("inf"):
            raise ValueError(f"seconds must be 0 or more, got {self.seconds}")
        check_counts(self, "steps", "batch_size", "context_frames", "hidden_size")
        check_share(self, "learning_rate")
        if self.context_frames > 64 or self.hidden_size > 512:
            raise ValueError("context_frames must be at most 64, hidden_size at most 512")


@dataclass(frozen=True, kw_only=True, slots=True)
class CodecRecipe:
    """Everything that fixes a codec training."""

    codec: CodecConfig
    training: CodecTrainingConfig
    optimiser: OptimiserConfig
    losses: CodecLossConfig = field(default_factory=CodecLossConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    segments: SegmentConfig = field(default_factory=SegmentConfig)
    entropy: EntropyTrainingConfig = field(default_factory=EntropyTrainingConfig)

    def __post_init__(self) -> None:
        """Refuse parts that do not fit together."""
        choices = self.training.n_q_choices
        if not choices or min(choices) < 1 or max(choices) > self.codec.num_codebooks:
            raise ValueError(
                f"training.n_q_choices must be in 1..{self.codec.num_codebooks}, got {choices}"
            )
        if self.codec.num_codebooks not in choices:
            raise ValueError("training.n_q_choices must name codec.num_codebooks too")
        if self.codec.autoencoder == "magnitude" and self.discriminator.start < 1:
            raise ValueError("the magnitude autoencoder has no discriminator: start must be 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class LMTrainingConfig:
    """One language-model training run."""

    steps: int
    batch_frames: int = 8000
    """Frames that a process takes at a time, padding included: clips of like length together."""
    accumulate: int = 1
    """Times that it does so before each step, for a larger batch than its memory holds."""
    sharded: bool = False
    """Split weights, gradients and optimiser over the processes (FSDP), for a model that no single
    device can hold all of that for."""
    max_s: float = 10.0
    """Training window; longer clips are cut to it."""
    seed: int = 0
    ema_decay: float = 0.999
    condition_dropout: float = 0.1
    """Share of items whose prompt is dropped, for classifier-free guidance."""
    duration_dropout: float = 0.15
    """Share of items whose duration is dropped, for `-d auto`."""
    input_noise: float = 0.0
    """Mean share of the codes it reads that are replaced by others."""
    swapped_beginnings: float = 0.0
    """Share of items with a prompt that begin as another sound, which is not learnt from."""
    anchored_windows: float = 0.0
    """Share of the windows from inside a sound that hold its beginning too."""
    text_noise: float = 0.0
    """Most that is added to a prompt's sentence vector, whose norm is 1."""
    token_dropout: float = 0.0
    """Mean share of a prompt's tokens that are hidden."""
    codebook_start: bool = False
    """Start embeddings and heads from the codec's codebooks; a run with `--init` does not."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of matrix products; auto: bfloat16 where the device has instructions for it."""
    duration_power: float = 0.5
    category_power: float = 0.5
    longest_s: float = 4.0
    """Seconds beyond this do not raise a clip's probability any more."""
    label_smoothing: float = 0.0
    codebook_weights: tuple[float, ...] = ()
    """Weight of each codebook's cross-entropy; all 1 if empty."""
    log_every: int = 20
    checkpoint_every: int = 250
    patience: int = 0
    """Checkpoints without a better measurement after which the run ends; 0: it goes on."""
    keep_checkpoints: int = 0
    """Checkpoints that stay in the run folder as models, the last ones; the run is the best."""
    valid_batches: int = 24
    weights_dtype: Literal["float32", "float16"] = "float16"

    def __post_init__(self) -> None:
        """Refuse counts below one and shares that are none."""
        check_counts(
            self,
            *("steps", "batch_frames", "accumulate"),
            *("log_every", "checkpoint_every", "valid_batches"),
        )
        check_share(self, "ema_decay", "condition_dropout", "duration_dropout", "label_smoothing")
        check_share(self, "swapped_beginnings", "anchored_windows")
        check_not_negative(self, "patience", "keep_checkpoints")
        if not 0 <= self.input_noise <= 0.5:
            raise ValueError(f"input_noise must be in [0, 0.5], got {self.input_noise}")
        if not 0 <= self.token_dropout <= 0.5:
            raise ValueError(f"token_dropout must be in [0, 0.5], got {self.token_dropout}")
        if not 0 <= self.text_noise < float("inf"):
            raise ValueError(f"text_noise must be 0 or more, got {self.text_noise}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, got {self.seed}")
        if self.longest_s <= 0 or self.max_s <= 0:
            raise ValueError("longest_s and max_s must be above 0")
        if any(not 0 <= weight < float("inf") for weight in self.codebook_weights):
            raise ValueError("codebook_weights must be 0 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class LMRecipe:
    """Everything that fixes a language-model training."""

    lm: LMConfig
    training: LMTrainingConfig
    optimiser: OptimiserConfig
    text_encoder: TextEncoderConfig = field(default_factory=TextEncoderConfig)

    def __post_init__(self) -> None:
        """Refuse parts that do not fit together."""
        weights = self.training.codebook_weights
        if weights and (len(weights) != self.lm.n_q or not sum(weights)):
            raise ValueError(
                f"training.codebook_weights must be {self.lm.n_q} numbers (lm.n_q), got {weights}"
            )
        if self.training.max_s < self.lm.context_s:
            raise ValueError(
                f"training.max_s ({self.training.max_s}) must be at least lm.context_s "
                f"({self.lm.context_s}): generation would use positions that were never trained"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class MatcherTrainingConfig:
    """One matcher training run."""

    steps: int
    batch_size: int = 128
    """Pairs that are told apart in a step."""
    seed: int = 0
    ema_decay: float = 0.99
    max_s: float = 30.0
    """Of one clip; the rest of a long recording is much the same."""
    category_caption: float = 0.15
    """Share of draws whose text is the bare name of the category."""
    category_power: float = 0.5
    target_sharpness: float = 15.0
    """One over the temperature at which texts count as near-equals."""
    category_bonus: float = 0.1
    """Added to the cosine of two texts of the same category."""
    log_every: int = 20
    checkpoint_every: int = 100
    patience: int = 0
    """Checkpoints without a better measurement after which the run ends; 0: it goes on."""
    weights_dtype: Literal["float32", "float16", "int8"] = "int8"

    def __post_init__(self) -> None:
        """Refuse counts below one and shares that are none."""
        check_counts(self, "steps", "log_every", "checkpoint_every")
        check_share(self, "ema_decay", "category_caption", "category_power", "category_bonus")
        check_not_negative(self, "patience")
        if self.batch_size < 2:
            raise ValueError(f"batch_size must be at least 2, got {self.batch_size}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, got {self.seed}")
        for name in ("max_s", "target_sharpness"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class MatcherRecipe:
    """Everything that fixes a matcher training."""

    matcher: MatcherConfig
    training: MatcherTrainingConfig
    optimiser: OptimiserConfig
    text_encoder: TextEncoderConfig = field(default_factory=TextEncoderConfig)
    """Where the training is given a model, that model's text encoder counts instead."""


def what_shapes(recipe: CodecRecipe | LMRecipe | MatcherRecipe) -> dict[str, Any]:
    """Return a recipe without what may change when a run is resumed, as it leaves weights alone."""
    plain = to_dict(recipe)
    for name in ("patience", "keep_checkpoints"):
        plain["training"].pop(name, None)
    return plain


class RecipeEntry(NamedTuple):
    """One shipped recipe."""

    kind: RecipeKind
    name: str
    summary: str


def list_recipes() -> list[RecipeEntry]:
    """Return the shipped recipes with the first comment line of each."""
    entries = []
    kinds: tuple[RecipeKind, ...] = ("codec", "lm", "matcher")
    for kind in kinds:
        folder = resources.files("soundgen.recipes") / kind
        for file in sorted(folder.iterdir(), key=lambda file: file.name):
            if file.name.endswith(".toml"):
                first = file.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
                entries.append(RecipeEntry(kind, file.name.removesuffix(".toml"), first))
    return entries


def recipe_text(kind: RecipeKind, name: str) -> str:
    """Return a shipped recipe as it stands in its file.

    Raises:
        ConfigError: There is none of that name.
    """
    names = [entry.name for entry in list_recipes() if entry.kind == kind]
    if name not in names:
        raise ConfigError(
            f"{name}: no such {kind} recipe",
            hint=f"shipped: {', '.join(names)}; or name a .toml file",
        )
    return (resources.files("soundgen.recipes") / kind / f"{name}.toml").read_text(encoding="utf-8")


@overload
def load_recipe(
    kind: Literal["codec"], name_or_file: str, overrides: Sequence[str] = ()
) -> CodecRecipe: ...
@overload
def load_recipe(
    kind: Literal["lm"], name_or_file: str, overrides: Sequence[str] = ()
) -> LMRecipe: ...
@overload
def load_recipe(
    kind: Literal["matcher"], name_or_file: str, overrides: Sequence[str] = ()
) -> MatcherRecipe: ...
def load_recipe(
    kind: RecipeKind, name_or_file: str, overrides: Sequence[str] = ()
) -> CodecRecipe | LMRecipe | MatcherRecipe:
    """Read a recipe by its shipped name or from a file, with `key.sub=value` overrides set.

    Raises:
        ConfigError: It does not exist, or holds a key or value that cannot be.
    """
    path = Path(name_or_file)
    data: dict[str, Any]
    if path.suffix == ".toml" or path.is_file():
        data, where = load_toml(path), str(path)
    else:
        data, where = tomllib.loads(recipe_text(kind, name_or_file)), f"recipe {name_or_file}"
    data = apply_overrides(data, overrides)
    if kind == "codec":
        return from_dict(CodecRecipe, data, where)
    if kind == "lm":
        return from_dict(LMRecipe, data, where)
    return from_dict(MatcherRecipe, data, where)
