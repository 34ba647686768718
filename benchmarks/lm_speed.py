"""Steps a second of the language model, beside `transformers` MusicGen of the same dimensions.

    python benchmarks/lm_speed.py [--dim 512 --layers 8 --heads 8] [--steps 200] [--repeat 5]
        [--threads 2] [--precisions float32,bfloat16,int8] [--device cpu] [--out speed.json]

Both have random weights, four codebooks of 1024, guidance on, a text of 12 tokens and the same
window; a step is one frame of every codebook. The two take turns and the median of the repetitions
counts, so that what else the machine does meets both. Beside the ratio stand the machine's limits,
measured in the same run: a step has to read all weights once (memory bandwidth, what rows 1 and 2
of the table are held against), and at batch 16 has to do all their products (row 3): of that limit
stand two shares, of the rate of float32 products and of that of the engine's own precision.

With `--device cuda` (row 11, `--precisions float32,bfloat16`) each engine is measured with its
captured step and without, and what it needs of the device's memory is reported.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch

from soundgen.lm.conditioning import TextCondition
from soundgen.lm.config import LMConfig
from soundgen.lm.engine import Engine, SoundPlan
from soundgen.lm.model import LanguageModel
from soundgen.lm.sampling import SamplingSettings
from soundgen.pipelines.machine_limits import product_rate, read_bandwidth

NUM_TOKENS = 12
CODEBOOK = 1024
BATCH = 16
PEER = "MusicGen, batch 1"


def main() -> None:
    """Measure, print a table, write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precisions", default="float32,bfloat16,int8")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--no-peer", action="store_true", help="leave MusicGen out")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    device = torch.device(options.device)
    model = make_model(options.dim, options.layers, options.heads, options.steps).to(device)
    engines = {}
    for precision in options.precisions.split(","):
        engine = Engine(model, max_text_tokens=NUM_TOKENS, precision=precision)
        engines[precision] = engine
        if engine.captures:
            plain = Engine(model, max_text_tokens=NUM_TOKENS, precision=precision)
            plain.captures = False
            engines[f"{precision} without the graph"] = plain
    runs: dict[str, Callable[[], None]] = {}
    for precision, engine in engines.items():
        for batch in (1, BATCH):
            runs[f"soundgen {precision}, batch {batch}"] = partial(
                run_engine, engine, batch, options.steps
            )
    if not options.no_peer:
        peer = make_peer(options.dim, options.layers, options.heads, device)
        runs[PEER] = lambda: peer(options.steps)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(options.repeat + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()  # ends with the codes on the CPU
            if turn:  # the first one warms up
                times[name].append(time.perf_counter() - start)
    report = summary(times, engines, options.steps)
    report["threads"], report["dims"] = options.threads, [options.dim, options.layers]
    if device.type == "cuda":
        report["peak memory, MB"] = round(torch.cuda.max_memory_allocated(device) / 1e6)
    for name, value in report.items():
        print(f"{name:45} {value}")
    if options.out:
        options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def summary(
    times: Mapping[str, list[float]], engines: Mapping[str, Engine], steps: int
) -> dict[str, object]:
    """Return rates, their ratio with its spread, and shares of the machine's limits."""
    report: dict[str, object] = {}
    for name, spent in times.items():
        report[f"{name}, steps/s"] = round(steps / statistics.median(spent), 1)
    device = next(iter(engines.values())).device
    bandwidth = read_bandwidth(device)
    rates = {dtype: product_rate(device, dtype) for dtype in (torch.float32, torch.bfloat16)}
    report["memory bandwidth, GB/s"] = round(bandwidth / 1e9, 1)
    for dtype, rate in rates.items():
        report[f"{dtype} matrix products, GFLOP/s"] = round(rate / 1e9, 1)
    for name, engine in engines.items():
        ours = times[f"soundgen {name}, batch 1"]
        if PEER in times:
            ratios = [b / a for a, b in zip(ours, times[PEER], strict=True)]
            report[f"{name}: ratio to MusicGen"] = round(statistics.median(ratios), 2)
            report[f"{name}: lowest and highest"] = [round(min(ratios), 2), round(max(ratios), 2)]
        report[f"{name}: weights read a step, MB"] = round(engine.step_bytes / 1e6, 1)
        report[f"{name}: batch 1, share of the bandwidth limit"] = round(
            engine.step_bytes * steps / statistics.median(ours) / bandwidth, 3
        )
        flops = 2 * BATCH * engine.step_flops  # guidance doubles the rows
        batch = statistics.median(times[f"soundgen {name}, batch {BATCH}"])
        # int8 weights are multiplied by rows of bfloat16.
        own = torch.float32 if engine.precision == "float32" else torch.bfloat16
        for dtype in dict.fromkeys((torch.float32, own)):
            report[f"{name}: batch {BATCH}, share of the rate of {dtype} products"] = round(
                flops * steps / batch / rates[dtype], 3
            )
    return report


def make_model(dim: int, layers: int, heads: int, steps: int) -> LanguageModel:
    """Build our model with random weights, its window long enough for all steps."""
    config = LMConfig(
        n_q=4,
        codebook_size=CODEBOOK,
        dim=dim,
        num_layers=layers,
        num_heads=heads,
        dropout=0.0,
        text_dim=384,
        context_s=(steps + 8) / 50.0,
    )
    return LanguageModel(config).eval()


def run_engine(engine: Engine, batch: int, steps: int) -> None:
    """Generate so many frames for `batch` prompts, with guidance."""

    def text(present: bool) -> TextCondition:
        return TextCondition(
            torch.randn(1, NUM_TOKENS, 384),
            torch.ones(1, NUM_TOKENS, dtype=torch.bool),
            torch.nn.functional.normalize(torch.randn(1, 384)),
            torch.tensor([present]),
        )

    plans = [
        SoundPlan(text(True), text(False), steps - 3, torch.Generator().manual_seed(seed))
        for seed in range(batch)
    ]
    engine.generate(plans, SamplingSettings(top_k=100, cfg_scale=3.0), max_frames=steps - 3)


def make_peer(dim: int, layers: int, heads: int, device: torch.device) -> Callable[[int], None]:
    """Build a MusicGen decoder of the same dimensions; return what makes it take steps."""
    from transformers import (
        EncodecConfig,
        MusicgenConfig,
        MusicgenDecoderConfig,
        MusicgenForConditionalGeneration,
        T5Config,
    )
    from transformers.modeling_outputs import BaseModelOutput

    # Text encoder and codec as small as they can be: the text comes as states, and what the codec
    # costs is not to count.
    text_config = T5Config(d_model=dim, d_ff=16, d_kv=8, num_layers=1, num_heads=1, vocab_size=32)
    codec_config = EncodecConfig(
        num_filters=4, hidden_size=4, codebook_dim=4, codebook_size=CODEBOOK, num_lstm_layers=1
    )
    decoder_config = MusicgenDecoderConfig(
        vocab_size=CODEBOOK,
        num_codebooks=4,
        num_hidden_layers=layers,
        hidden_size=dim,
        ffn_dim=4 * dim,
        num_attention_heads=heads,
        pad_token_id=CODEBOOK,
        bos_token_id=CODEBOOK,
    )
    config = MusicgenConfig(
        text_encoder=text_config.to_dict() | {"model_type": "t5"},
        audio_encoder=codec_config.to_dict() | {"model_type": "encodec"},
        decoder=decoder_config.to_dict(),
    )
    model = MusicgenForConditionalGeneration(config).eval().to(device)
    states = torch.randn(1, NUM_TOKENS, dim, device=device)

    @torch.inference_mode()
    def run(steps: int) -> None:
        model.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=states),
            attention_mask=torch.ones(1, NUM_TOKENS, dtype=torch.long, device=device),
            decoder_start_token_id=CODEBOOK,
            pad_token_id=CODEBOOK,
            bos_token_id=CODEBOOK,
            guidance_scale=3.0,
            do_sample=True,
            top_k=100,
            max_new_tokens=steps,
            min_new_tokens=steps,
        ).cpu()

    return run


if __name__ == "__main__":
    main()
