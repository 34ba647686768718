"""What fixes a codec: the architecture's numbers, complete enough to rebuild it from weights."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class SeanetConfig:
    """SEANet autoencoder of EnCodec (Defossez et al. 2022, section 3.1)."""

    num_filters: int = 16
    """Channels after the first convolution; doubled at each stride."""
    num_residual_layers: int = 1
    """Residual units before each stride."""
    kernel_size: int = 7
    residual_kernel_size: int = 3
    dilation_base: int = 2
    compress: int = 2
    """Channel reduction inside a residual unit."""
    num_lstm_layers: int = 2
    last_kernel_size: int | None = None
    """Of the last convolution of each half; `None`: as of the first."""
    conv_shortcut: bool = False
    """Whether a residual unit's skip connection is a convolution of one tap."""
    pad_mode: Literal["waveform", "constant", "reflect"] = "waveform"
    """`waveform`: zeros before the sound, and behind it to a whole frame. Else each convolution
    pads its own input, with zeros or mirrored, as EnCodec's released weights want it."""
    causal: bool = True
    """Whether nothing looks ahead, so that the codec streams."""
    trim_right_ratio: float = 1.0
    """Share of a transposed convolution's surplus that is cut off behind the sound."""

    def __post_init__(self) -> None:
        """Refuse sizes below one, and edges that do not go together."""
        for name in ("num_filters", "kernel_size", "residual_kernel_size", "dilation_base"):
            _at_least(self, name, 1)
        _at_least(self, "compress", 1)
        _at_least(self, "num_residual_layers", 0)
        _at_least(self, "num_lstm_layers", 0)
        if self.num_filters % self.compress:
            raise ValueError(f"num_filters must be a multiple of compress ({self.compress})")
        if self.last_kernel_size is not None:
            _at_least(self, "last_kernel_size", 1)
        if not 0 <= self.trim_right_ratio <= 1:
            raise ValueError(f"trim_right_ratio must be in [0, 1], got {self.trim_right_ratio}")
        if not self.causal and (self.pad_mode == "waveform" or self.trim_right_ratio != 1):
            raise ValueError(
                "causal = false needs pad_mode constant or reflect, and trim_right_ratio 1"
            )

    @property
    def streams(self) -> bool:
        """Whether a stream can be coded piece by piece."""
        return self.causal and self.trim_right_ratio == 1


@dataclass(frozen=True, kw_only=True, slots=True)
class SpectralConfig:
    """Frame-rate ConvNeXt autoencoder between an STFT and its inverse (Vocos, Siuzdak 2023)."""

    encoder_dim: int = 256
    encoder_layers: int = 6
    decoder_dim: int = 384
    decoder_layers: int = 8
    expansion: float = 3.0
    """Width of a block's hidden layer over its own."""
    kernel_size: int = 7
    lookahead_frames: int = 1
    """Frames to the right that each block's convolution sees."""
    analysis_n_fft: int = 640
    """Window of the complex front end, samples: short, for the timing of transients."""
    analysis_wide_n_fft: int = 2048
    """Window of the log-magnitude front end, samples: long, to tell partials apart."""
    synthesis_n_fft: int = 1280
    """Window of the inverse STFT, samples."""
    layer_scale: float = 0.2

    def __post_init__(self) -> None:
        """Refuse sizes below one and windows that do not centre on a frame."""
        _check_frame_rate(self, "analysis_n_fft", "analysis_wide_n_fft", "synthesis_n_fft")


@dataclass(frozen=True, kw_only=True, slots=True)
class MagnitudeConfig:
    """Frame-rate ConvNeXt autoencoder of log-magnitudes; phases by Griffin and Lim's rounds."""

    encoder_dim: int = 256
    encoder_layers: int = 4
    decoder_dim: int = 320
    decoder_layers: int = 6
    expansion: float = 3.0
    """Width of a block's hidden layer over its own."""
    kernel_size: int = 7
    lookahead_frames: int = 1
    """Frames to the right that each block's convolution sees."""
    wide_n_fft: int = 2048
    """Window of what only the encoder sees, samples."""
    long_n_fft: int = 1280
    """Window of the magnitudes that tell partials apart, samples; one a frame."""
    short_n_fft: int = 320
    """Window of the magnitudes that tell when, samples; `short_rows` a frame."""
    short_rows: int = 4
    rounds: int = 8
    """Of alternating projections, each through both windows."""
    layer_scale: float = 0.2

    def __post_init__(self) -> None:
        """Refuse sizes below one and windows that do not centre on their hop."""
        for size in ("short_rows", "rounds"):
            _at_least(self, size, 1)
        _check_frame_rate(self, "wide_n_fft", "long_n_fft", "short_n_fft")


@dataclass(frozen=True, kw_only=True, slots=True)
class CodecConfig:
    """A neural codec: an autoencoder around a residual vector quantizer."""

    autoencoder: Literal["seanet", "spectral", "magnitude"]
    sample_rate: int = 16_000
    """Hz."""
    strides: tuple[int, ...] = (2, 4, 5, 8)
    """Downsampling of each SEANet stage; their product is `hop_length` for all autoencoders."""
    latent_dim: int = 128
    num_codebooks: int = 8
    codebook_size: int = 1024
    num_paths: int = 4
    """Of the beam search that encodes; 1 takes the nearest entry of each codebook. 16 gain a
    quarter more over 1 than 4 do."""
    seanet: SeanetConfig = field(default_factory=SeanetConfig)
    spectral: SpectralConfig = field(default_factory=SpectralConfig)
    magnitude: MagnitudeConfig = field(default_factory=MagnitudeConfig)

    def __post_init__(self) -> None:
        """Refuse sizes that cannot work."""
        for name in ("sample_rate", "latent_dim", "num_codebooks", "num_paths"):
            _at_least(self, name, 1)
        if self.codebook_size < 2 or self.codebook_size > 65_536:
            raise ValueError(f"codebook_size must be in 2..65536, got {self.codebook_size}")
        if not self.strides or min(self.strides) < 1:
            raise ValueError(f"strides must be at least 1 each, got {self.strides}")
        if self.autoencoder == "spectral":
            for name in ("analysis_n_fft", "synthesis_n_fft"):
                if getattr(self.spectral, name) < self.hop_length:
                    raise ValueError(f"spectral.{name} must be at least {self.hop_length}")
        if self.autoencoder == "magnitude":
            self._check_magnitude()

    def _check_magnitude(self) -> None:
        spec = self.magnitude
        if self.hop_length % spec.short_rows:
            raise ValueError(f"magnitude.short_rows must divide the hop, {self.hop_length}")
        # Each sample in two windows or more, or it has no other window to agree with.
        for name, hop in (
            ("wide_n_fft", self.hop_length),
            ("long_n_fft", 2 * self.hop_length),
            ("short_n_fft", 2 * self.hop_length // spec.short_rows),
        ):
            if getattr(spec, name) < hop:
                raise ValueError(f"magnitude.{name} must be at least {hop}")
        features = spec.long_n_fft // 2 + 1 + spec.short_rows * (spec.short_n_fft // 2 + 1)
        if self.latent_dim > features:
            raise ValueError(
                f"latent_dim must be at most {features}, the log-magnitudes of a frame"
            )

    @property
    def hop_length(self) -> int:
        """Samples per frame."""
        return math.prod(self.strides)

    @property
    def frame_rate(self) -> float:
        """Frames per second, Hz."""
        return self.sample_rate / self.hop_length

    @property
    def pads_waveform(self) -> bool:
        """Whether zeros fill a sound's last frame; else each convolution pads its own input."""
        return self.autoencoder != "seanet" or self.seanet.pad_mode == "waveform"

    @property
    def first_piece_frames(self) -> int:
        """Frames that a stream must begin with, for convolutions to mirror what stands there."""
        if self.autoencoder != "seanet" or self.seanet.pad_mode != "reflect":
            return 1
        sea = self.seanet
        # Each convolution mirrors all that its kernel reaches back to, so it must be there.
        reach: int = (sea.residual_kernel_size - 1) * sea.dilation_base ** (
            sea.num_residual_layers - 1
        )
        in_units = math.floor(reach / min(self.strides)) + 1
        return max(sea.kernel_size, sea.last_kernel_size or 1, in_units, 2)

    @property
    def bits_per_code(self) -> int:
        """Bits that hold one entry's index."""
        return (self.codebook_size - 1).bit_length()

    def bandwidth_kbps(self, n_q: int) -> float:
        """Nominal rate of `n_q` codebooks, kbit/s."""
        return n_q * self.bits_per_code * self.frame_rate / 1000

    def n_q_for_bandwidth(self, bandwidth_kbps: float) -> int:
        """Return the most codebooks that fit in `bandwidth_kbps`.

        Raises:
            ValueError: Not even one codebook fits.
        """
        n_q = int(bandwidth_kbps / self.bandwidth_kbps(1) + 1e-9)
        if n_q < 1:
            raise ValueError(
                f"{bandwidth_kbps:g} kbit/s is below one codebook "
                f"({self.bandwidth_kbps(1):g} kbit/s)"
            )
        return min(n_q, self.num_codebooks)


@dataclass(frozen=True, kw_only=True, slots=True)
class EntropyConfig:
    """The model that entropy coding predicts codes with (`codec/entropy.py`)."""

    num_codebooks: int
    codebook_size: int
    context_frames: int
    """Frames before the present one that a prediction sees."""
    hidden_size: int

    def __post_init__(self) -> None:
        """Refuse sizes for which the sums would not be exact."""
        _in_range(self, "num_codebooks", 1, 64)
        _in_range(self, "codebook_size", 2, 65_536)
        _in_range(self, "context_frames", 1, 64)
        # 255 x 127 x 512 < 2^24: a sum that float32 holds exactly.
        _in_range(self, "hidden_size", 1, 512)


def _check_frame_rate(config: SpectralConfig | MagnitudeConfig, *windows: str) -> None:
    """Refuse ConvNeXt blocks that cannot be built, and windows that do not centre on a frame."""
    for size in ("encoder_dim", "encoder_layers", "decoder_dim", "decoder_layers", "kernel_size"):
        _at_least(config, size, 1)
    if not 0 < config.expansion < math.inf:
        raise ValueError(f"expansion must be above 0, got {config.expansion}")
    for name in windows:
        if getattr(config, name) % 2:
            raise ValueError(f"{name} must be even, got {getattr(config, name)}")
    if not 0 <= config.lookahead_frames < config.kernel_size:
        raise ValueError(
            f"lookahead_frames must be in [0, kernel_size), got {config.lookahead_frames}"
        )


def _at_least(config: object, name: str, least: int) -> None:
    value = getattr(config, name)
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")


def _in_range(config: object, name: str, least: int, most: int) -> None:
    value = getattr(config, name)
    if not least <= value <= most:
        raise ValueError(f"{name} must be in {least}..{most}, got {value}")
