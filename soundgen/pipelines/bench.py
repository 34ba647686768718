"""How fast a model runs on this machine, as a figure and as a share of what the machine allows."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise

import torch

from soundgen.checkpoint import DEFAULT_MODEL
from soundgen.lm.conditioning import TextCondition
from soundgen.lm.engine import SoundPlan
from soundgen.lm.sampling import SamplingSettings
from soundgen.pipelines.machine_limits import finish, product_rate, read_bandwidth
from soundgen.pipelines.model import Model, load_model, use_threads
from soundgen.pipelines.sound_request import BATCH_SIZE
from soundgen.progress import Progress, SilentProgress

MEASURED_S = 5.0
"""What one figure may take: seven of them, and loading, stay under a minute."""
_MIN_TIMES = 3
_WARM_UP = 3
_SOUND_S = 4.0
_GUIDED_ROWS = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchReport:
    """Speeds of one model on one machine; a rate is that of the median step or run.

    Attributes:
        model: Its name.
        soundgen: Version.
        torch: Version of PyTorch.
        machine: Its architecture and system.
        device: cpu, cuda or mps.
        threads: Of the processor.
        precision: Of the language model's weights.
        load_s: Seconds to load the model, PyTorch itself not counted.
        bandwidth_gb_s: Of memory, measured.
        product_gflop_s: Of large float32 matrix products, measured.
        step_mb: Weights that a step of the language model reads.
        lm_steps_s: Steps a second, one sound, with guidance.
        lm_sound_s_per_s: The same as seconds of sound a second.
        lm_bandwidth_share: The same as a share of the memory bandwidth.
        lm_batch: Sounds of the larger batch.
        lm_batch_steps_s: Steps a second of that batch, with guidance.
        lm_batch_sound_s_per_s: The same as seconds of sound a second, all sounds together.
        lm_batch_product_share: The same as a share of the matrix-product rate.
        codec_encode_x: Seconds of sound that the codec encodes a second.
        codec_decode_x: Seconds of sound that the codec decodes a second.
    """

    model: str
    soundgen: str
    torch: str
    machine: str
    device: str
    threads: int
    precision: str
    load_s: float
    bandwidth_gb_s: float
    product_gflop_s: float
    step_mb: float
    lm_steps_s: float
    lm_sound_s_per_s: float
    lm_bandwidth_share: float
    lm_batch: int
    lm_batch_steps_s: float
    lm_batch_sound_s_per_s: float
    lm_batch_product_share: float
    codec_encode_x: float
    codec_decode_x: float


def bench(
    *,
    model: str = DEFAULT_MODEL,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> BenchReport:
    """Measure a model; under a minute.

    Args:
        model: Shipped name, model folder or `hf:owner/name`.
        device: auto, cpu, cuda or mps.
        precision: auto, float32, bfloat16 or int8.
        threads: Of the processor; as many as it has cores if `None`.
        progress: Listens.

    Raises:
        CheckpointError: There is no such model, or it has no language model.
        DeviceError: The device or the precision is not to be had.
    """
    progress = progress or SilentProgress()
    use_threads(threads)
    progress.start("bench", 6)
    started = time.perf_counter()
    loaded = load_model(model, device=device, precision=precision)
    load_s = time.perf_counter() - started
    rates: list[float] = []
    measures: tuple[Callable[[], float], ...] = (
        lambda: read_bandwidth(loaded.device),
        lambda: product_rate(loaded.device),
        lambda: _steps_per_second(loaded, 1),
        lambda: _steps_per_second(loaded, BATCH_SIZE),
        lambda: _SOUND_S / _median_s(_encoding(loaded), loaded.device),
        lambda: _SOUND_S / _median_s(_decoding(loaded), loaded.device),
    )
    for measure in measures:
        rates.append(measure())
        progress.advance()
    progress.finish()
    bandwidth, products, alone, batch, encode, decode = rates
    frame_rate = loaded.language_model.config.frame_rate
    batch_flops = loaded.engine.step_flops * BATCH_SIZE * _GUIDED_ROWS
    return BenchReport(
        model=loaded.folder.name,
        soundgen=version("soundgen"),
        torch=torch.__version__,
        machine=f"{platform.machine()} {platform.system()}",
        device=loaded.device.type,
        threads=torch.get_num_threads(),
        precision=loaded.engine.precision,
        load_s=round(load_s, 3),
        bandwidth_gb_s=round(bandwidth / 1e9, 1),
        product_gflop_s=round(products / 1e9, 1),
        step_mb=round(loaded.engine.step_bytes / 1e6, 1),
        lm_steps_s=round(alone, 1),
        lm_sound_s_per_s=round(alone / frame_rate, 2),
        lm_bandwidth_share=round(alone * loaded.engine.step_bytes / bandwidth, 3),
        lm_batch=BATCH_SIZE,
        lm_batch_steps_s=round(batch, 1),
        lm_batch_sound_s_per_s=round(batch * BATCH_SIZE / frame_rate, 2),
        lm_batch_product_share=round(batch * batch_flops / products, 3),
        codec_encode_x=round(encode, 1),
        codec_decode_x=round(decode, 1),
    )


class _EnoughError(Exception):
    """Enough steps are timed."""


def _steps_per_second(model: Model, num_sounds: int) -> float:
    """Return the rate of the median step of so many sounds in a batch."""
    config, times = model.language_model.config, [time.perf_counter()]
    text_config = model.text_encoder.config

    def text(*, present: bool) -> TextCondition:
        return TextCondition(
            torch.randn(1, text_config.max_tokens, config.text_dim),
            torch.ones(1, text_config.max_tokens, dtype=torch.bool),
            torch.nn.functional.normalize(torch.randn(1, config.text_dim)),
            torch.tensor([present]),
        )

    def on_step() -> None:
        finish(model.device)
        times.append(time.perf_counter())
        if times[-1] - times[0] > MEASURED_S and len(times) > _WARM_UP + _MIN_TIMES:
            raise _EnoughError

    frames = model.engine.window_steps - config.n_q
    plans = [
        SoundPlan(text(present=True), text(present=False), frames, torch.Generator())
        for _ in range(num_sounds)
    ]
    try:
        model.engine.generate(plans, SamplingSettings(), max_frames=frames, on_step=on_step)
    except _EnoughError:
        pass
    spent = [after - before for before, after in pairwise(times)]
    return 1 / statistics.median(spent[_WARM_UP:] or spent)


def _encoding(model: Model) -> Callable[[], object]:
    wav = 0.1 * torch.randn(1, 1, round(_SOUND_S * model.sample_rate), device=model.device)
    return lambda: model.codec.encode(wav)


def _decoding(model: Model) -> Callable[[], object]:
    config = model.language_model.config
    shape = (1, config.n_q, round(_SOUND_S * config.frame_rate))
    codes = torch.randint(0, config.codebook_size, shape)
    return lambda: model.codec.decode(codes)


@torch.inference_mode()
def _median_s(run: Callable[[], object], device: torch.device) -> float:
    run()
    spent: list[float] = []
    while len(spent) < _MIN_TIMES or sum(spent) < MEASURED_S / 2:
        start = time.perf_counter()
        run()
        finish(device)
        spent.append(time.perf_counter() - start)
    return statistics.median(spent)
