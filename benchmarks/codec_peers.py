"""Codecs side by side on one machine: seconds of audio encoded and decoded a second.

    python benchmarks/codec_peers.py [--rows seanet,shipped] [--seconds 60] [--threads 2]
        [--repeat 5] [--peers FOLDER] [--json FILE] [--markdown FILE]

seanet: our SEANet codec, 32 filters, 8 x 1024 codes at 16 kHz, beside `transformers.EncodecModel`
of the same configuration. shipped: the codec of soundgen-small beside `encodec` 24 kHz at 6 kbit/s
and `dac` 16 kHz at their own sizes, and beside Opus, whose two processes read and write WAV files.

All but the shipped codec have random weights, which cost the same. `encodec` and
`descript-audio-codec` are installed into a folder of their own (`--peers`, kept between runs if it
is named) without what they depend on: the model of `dac` needs nothing of `audiotools` but a base
class.

Ours and theirs take turns, everything in one process with the threads stated; the first turn
warms up and is not counted; of the rest the medians count, and the ratio is that of the turns,
with the lowest and the highest. Ours searches with a beam, which theirs do not; that is counted.
The share of the limit is the products that ours must do over the rate of a product of large
matrices, measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import soundfile
import torch
from torch import Tensor, nn

from soundgen.codec.config import CodecConfig
from soundgen.codec.model import Codec
from soundgen.codec.quantizer import NUM_PATHS
from soundgen.pipelines.machine_limits import product_rate
from soundgen.pipelines.model import load_codec

ROWS = ("seanet", "shipped")
PACKAGES = ("encodec==0.1.1", "descript-audio-codec==1.0.0", "einops==0.8.2")
RATE = 16_000


@dataclass
class Contender:
    """A codec that takes part.

    Attributes:
        name: For the table.
        encode: Encodes the sound.
        decode: Decodes what `encode` gave.
    """

    name: str
    encode: Callable[[], Any]
    decode: Callable[[Any], Any]


def main() -> None:
    """Measure, print the table, write what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--peers", type=Path, help="folder that the other codecs are installed in")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    report: dict[str, Any] = {
        "seconds": options.seconds,
        "threads": options.threads,
        "repeat": options.repeat,
        "torch": torch.__version__,
        "rows": [],
    }
    with tempfile.TemporaryDirectory(prefix="soundgen-") as folder, torch.no_grad():
        for row in options.rows.split(","):
            if row not in ROWS:
                parser.error(f"--rows {row}: not one of {', '.join(ROWS)}")
            report["rows"] += ROW_FUNCTIONS[row](options, options.peers or Path(folder))
    report["product_gflops"] = round(product_rate(torch.device("cpu")) / 1e9, 1)
    for row in report["rows"]:
        if "gflop_a_second" in row:
            share = row["gflop_a_second"] * row["round_trip"] / report["product_gflops"]
            row["share_of_product_rate"] = round(share, 3)
    table = as_markdown(report)
    print(table)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if options.markdown:
        options.markdown.write_text(table + "\n", encoding="utf-8")


def seanet_row(options: argparse.Namespace, _peers: Path) -> list[dict[str, Any]]:
    """Measure SEANet beside `transformers`."""
    from transformers import EncodecConfig, EncodecModel

    config = CodecConfig(
        autoencoder="seanet",
        sample_rate=RATE,
        strides=(2, 4, 5, 8),
        latent_dim=128,
        num_codebooks=8,
        codebook_size=1024,
    )
    config = replace(config, seanet=replace(config.seanet, num_filters=32))
    codec = Codec(config).eval()
    peer = EncodecModel(
        EncodecConfig(
            sampling_rate=RATE,
            num_filters=32,
            hidden_size=128,
            codebook_size=1024,
            upsampling_ratios=[8, 5, 4, 2],
            target_bandwidths=[4.0],
            use_conv_shortcut=False,
        )
    ).eval()
    sizes = [sum(p.numel() for p in part.parameters()) for part in (codec.encoder, peer.encoder)]
    if abs(sizes[0] / sizes[1] - 1) > 0.01:
        raise SystemExit(f"not the same configuration: {sizes} parameters")
    wav = noise(options.seconds, RATE)
    rows = race(
        options,
        ours_of(codec, wav, "soundgen seanet"),
        [
            Contender(
                "transformers EncodecModel",
                lambda: peer.encode(wav, bandwidth=4.0),
                lambda found: peer.decode(found.audio_codes, found.audio_scales),
            )
        ],
    )
    rows[0]["gflop_a_second"] = round(2 * products_a_second(codec) / 1e9, 3)
    return rows


def shipped_row(options: argparse.Namespace, peers: Path) -> list[dict[str, Any]]:
    """Measure the shipped codec beside `encodec` and `dac`."""
    install(peers)
    encodec_model, dac_model = load_encodec(), load_dac()
    wav, fast_wav = noise(options.seconds, RATE), noise(options.seconds, 24_000)
    return race(
        options,
        ours_of(load_codec("soundgen-small").codec, wav, "soundgen-small"),
        [
            Contender(
                "encodec 24 kHz", lambda: encodec_model.encode(fast_wav), encodec_model.decode
            ),
            Contender(
                "dac 16 kHz",
                lambda: dac_model.encode(wav)[1],
                lambda codes: dac_model.decode(dac_model.quantizer.from_codes(codes)[0]),
            ),
            *opus(wav, peers),
        ],
    )


ROW_FUNCTIONS = {"seanet": seanet_row, "shipped": shipped_row}


def ours_of(codec: Codec, wav: Tensor, name: str) -> Contender:
    """Return our codec, all codebooks in use, as a contender."""
    return Contender(name, lambda: codec.encode(wav), codec.decode)


def race(
    options: argparse.Namespace, ours: Contender, theirs: list[Contender]
) -> list[dict[str, Any]]:
    """Let all take turns; return a row each, ours first."""
    contenders = [ours, *theirs]
    times: dict[str, list[tuple[float, float]]] = {one.name: [] for one in contenders}
    for turn in range(options.repeat + 1):
        for one in contenders:
            start = time.perf_counter()
            found = one.encode()
            middle = time.perf_counter()
            one.decode(found)
            if turn:
                times[one.name].append((middle - start, time.perf_counter() - middle))
    rows = []
    for one in contenders:
        encode, decode = zip(*times[one.name], strict=True)
        totals = [sum(pair) for pair in times[one.name]]
        row: dict[str, Any] = {
            "codec": one.name,
            "encode": round(options.seconds / statistics.median(encode), 1),
            "decode": round(options.seconds / statistics.median(decode), 1),
            "round_trip": round(options.seconds / statistics.median(totals), 1),
        }
        if one is not ours:
            mine = [sum(pair) for pair in times[ours.name]]
            ratios = [b / a for a, b in zip(mine, totals, strict=True)]
            row["ours_over_it"] = round(statistics.median(ratios), 2)
            row["lowest_and_highest"] = [round(min(ratios), 2), round(max(ratios), 2)]
        rows.append(row)
    return rows


def products_a_second(codec: Codec) -> float:
    """Return how many multiplications a second of sound takes, there and back."""
    total = 0.0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
        nonlocal total
        weights = sum(p.numel() for p in module.parameters(recurse=False) if p.ndim > 1)
        if isinstance(module, nn.LSTM):
            total += weights * inputs[0].shape[0]
        else:
            total += weights * min(inputs[0].shape[-1], output.shape[-1])

    parts = [
        part
        for part in codec.modules()
        if isinstance(part, nn.Conv1d | nn.ConvTranspose1d | nn.LSTM)
    ]
    hooks = [part.register_forward_hook(count) for part in parts]
    with torch.enable_grad():  # the plain modules
        codec.decoder(codec.encoder(noise(1.0, RATE)))
    for hook in hooks:
        hook.remove()
    config = codec.config
    search = config.num_codebooks * NUM_PATHS * config.codebook_size * config.latent_dim
    return total + search * config.frame_rate


def opus(wav: Tensor, folder: Path) -> list[Contender]:
    """Return opus-tools at 12 kbit/s, where they are installed."""
    if not (shutil.which("opusenc") and shutil.which("opusdec")):
        return []
    sound, coded, again = (str(folder / name) for name in ("sound.wav", "sound.opus", "again.wav"))
    soundfile.write(sound, wav[0, 0].numpy(), RATE, subtype="PCM_16")

    def run(*command: str) -> None:
        subprocess.run(command, check=True)

    return [
        Contender(
            "opusenc, opusdec",
            lambda: run("opusenc", "--quiet", "--bitrate", "12", sound, coded),
            lambda _: run("opusdec", "--quiet", coded, again),
        )
    ]


def install(folder: Path) -> None:
    """Install the other codecs into `folder`, if they are not there, and let Python find them."""
    if not all((folder / name).is_dir() for name in ("encodec", "dac", "einops")):
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        subprocess.run([*command, "--target", str(folder), *PACKAGES], check=True)
    sys.path.append(str(folder))


def load_encodec() -> Any:
    """Return encodec's 24 kHz model at 6 kbit/s with random weights."""
    from encodec import EncodecModel

    model = EncodecModel.encodec_model_24khz(pretrained=False).eval()
    model.set_target_bandwidth(6.0)
    return model


def load_dac() -> Any:
    """Return DAC's 16 kHz model (conf/final/16khz.yml) with random weights."""

    class BaseModel(nn.Module):
        """What the model has of audiotools: lists of packages, for saving."""

        INTERN: ClassVar[list[str]] = []
        EXTERN: ClassVar[list[str]] = []

    # audiotools pins a protobuf of 2022 and brings a notebook server; nothing of it is computed
    # with here.
    nothing = type("Nothing", (), {})
    tools, ml = types.ModuleType("audiotools"), types.ModuleType("audiotools.ml")
    ml.BaseModel, ml.Accelerator = BaseModel, nothing  # type: ignore[attr-defined]
    tools.ml, tools.AudioSignal, tools.STFTParams = ml, nothing, nothing  # type: ignore[attr-defined]
    argbind = types.ModuleType("argbind")
    argbind.bind = lambda *a, **k: a[0] if a and callable(a[0]) else lambda f: f  # type: ignore[attr-defined]
    sys.modules |= {"audiotools": tools, "audiotools.ml": ml, "argbind": argbind}
    sys.modules["dac.utils"] = types.ModuleType("dac.utils")  # downloads and command lines
    from dac.model.dac import DAC

    return DAC(
        sample_rate=RATE,
        encoder_dim=64,
        encoder_rates=[2, 4, 5, 8],
        decoder_dim=1536,
        decoder_rates=[8, 5, 4, 2],
        n_codebooks=12,
        codebook_size=1024,
        codebook_dim=8,
    ).eval()


def noise(seconds: float, sample_rate: int) -> Tensor:
    """Return noise `[1, 1, T]`; speed does not depend on what is in a sound."""
    return 0.1 * torch.randn(1, 1, round(seconds * sample_rate))


def as_markdown(report: dict[str, Any]) -> str:
    """Return the table."""
    lines = [
        f"{report['seconds']:g} s of sound, {report['threads']} threads, median of "
        f"{report['repeat']}; seconds of audio a second. Products: "
        f"{report['product_gflops']} GFLOP/s.",
        "",
        "| codec | encode | decode | both | ours over it (lowest, highest) | of the product rate |",
        "|---|---|---|---|---|---|",
    ]
    for row in report["rows"]:
        ratio = ""
        if "ours_over_it" in row:
            low, high = row["lowest_and_highest"]
            ratio = f"{row['ours_over_it']} x ({low}, {high})"
        share = f"{row['share_of_product_rate']:.0%}" if "share_of_product_rate" in row else ""
        figures = " | ".join(f"{row[key]:g}" for key in ("encode", "decode", "round_trip"))
        lines.append(f"| {row['codec']} | {figures} | {ratio} | {share} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
