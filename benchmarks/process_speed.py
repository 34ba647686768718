"""Whole commands, as a user or a script starts them, beside what else does the same.

    python benchmarks/process_speed.py [--rows help,generate,many,prepare] [--repeat 5]
        [--threads 2] [--minutes 60] [--out speed.json]

| row | ours | theirs |
|---|---|---|
| help | `soundgen --help` | a Python that does nothing |
| generate | `soundgen generate "rain" -d 5` | a script with `transformers` MusicGen, see below |
| many | 32 prompts from a file, 5 s each, in seconds of sound a second | |
| prepare | `dataset prepare`, an hour of 44.1 kHz stereo in 200 files | ffmpeg, file by file |

The script loads a text encoder, a decoder and a codec of the same sizes with random weights from a
folder, makes 5 s with guidance and writes a WAV file. ffmpeg writes mono 16 kHz FLAC.

Ours and theirs take turns; the first of each warms the disk cache and is not counted; of the rest
the median counts.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

ROWS = ("help", "generate", "many", "prepare")
GENERATE_S = 5
NUM_PROMPTS = 32
NUM_FILES = 200
PROMPTS = ("rain", "thunder", "birds singing", "footsteps on gravel", "door slam", "engine",
           "crackling fire", "church bell")  # fmt: skip

PEER_MODEL = """
import sys
from transformers import (EncodecConfig, MusicgenConfig, MusicgenDecoderConfig,
                          MusicgenForConditionalGeneration, T5Config)
text = T5Config(d_model=384, d_ff=1536, d_kv=32, num_layers=6, num_heads=12, vocab_size=30522)
codec = EncodecConfig(sampling_rate=16000, num_filters=32, codebook_size=1024,
                      upsampling_ratios=[8, 5, 4, 2])
decoder = MusicgenDecoderConfig(vocab_size=1024, num_codebooks=4, num_hidden_layers=6,
                                hidden_size=256, ffn_dim=1024, num_attention_heads=4,
                                pad_token_id=1024, bos_token_id=1024)
config = MusicgenConfig(text_encoder=text.to_dict() | {"model_type": "t5"},
                        audio_encoder=codec.to_dict() | {"model_type": "encodec"},
                        decoder=decoder.to_dict())
MusicgenForConditionalGeneration(config).save_pretrained(sys.argv[1])
"""
PEER_RUN = """
import sys
import soundfile, torch
from transformers import MusicgenForConditionalGeneration
torch.set_num_threads(int(sys.argv[3]))
model = MusicgenForConditionalGeneration.from_pretrained(sys.argv[1]).eval()
with torch.inference_mode():
    wav = model.generate(torch.tensor([[3, 17, 1]]), decoder_start_token_id=1024,
                         pad_token_id=1024, bos_token_id=1024, guidance_scale=3.0,
                         do_sample=True, top_k=100,
                         max_new_tokens=253, min_new_tokens=253)
soundfile.write(sys.argv[2], wav[0, 0].numpy(), 16000)
"""


class Bench:
    """Measures rows in a folder of its own.

    Args:
        options: Of the command line.
        folder: Empty.
    """

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.folder = options, folder
        self.environment = {**os.environ, "TQDM_DISABLE": "1", "TRANSFORMERS_VERBOSITY": "error"}

    def help(self) -> dict[str, object]:
        """Measure `soundgen --help` beside an empty Python."""
        return self._pair(
            lambda turn: self._soundgen("--help"),
            lambda turn: self._run([sys.executable, "-c", "pass"]),
        )

    def generate(self) -> dict[str, object]:
        """Measure one sound, from the shell's prompt to the file."""
        peer = self.folder / "peer"
        self._run([sys.executable, "-c", PEER_MODEL, str(peer)])
        threads = str(self.options.threads)
        found = self._pair(
            lambda turn: self._soundgen(
                *("generate", "rain", "-d", str(GENERATE_S), "--seed", str(turn)),
                *("-o", "rain.wav", "-f", "--threads", threads, "--device", "cpu"),
            ),
            lambda turn: self._run([sys.executable, "-c", PEER_RUN, str(peer), "p.wav", threads]),
        )
        # Both wrote what they should.
        for name in ("rain.wav", "p.wav"):
            assert abs(soundfile.info(self.folder / name).duration - GENERATE_S) < 0.1
        return found

    def many(self) -> dict[str, object]:
        """Measure a file of prompts."""
        prompts = [PROMPTS[number % len(PROMPTS)] for number in range(NUM_PROMPTS)]
        (self.folder / "prompts.txt").write_text("\n".join(prompts) + "\n", encoding="utf-8")
        found = self._pair(
            lambda turn: self._soundgen(
                *("generate", "--prompts", "prompts.txt", "-d", str(GENERATE_S), "-f"),
                *("--seed", str(100 * turn), "-o", "many/", "--device", "cpu"),
                *("--threads", str(self.options.threads)),
            ),
            None,
        )
        spent = found["ours, s"]
        assert isinstance(spent, float)
        found["seconds of sound a second"] = round(NUM_PROMPTS * GENERATE_S / spent, 2)
        return found

    def prepare(self) -> dict[str, object]:
        """Measure the preparation of a folder of stereo files."""
        source = self.folder / "source"
        source.mkdir()
        seconds = self.options.minutes * 60 / NUM_FILES
        rng = np.random.default_rng(0)
        for number in range(NUM_FILES):
            noise = rng.standard_normal((round(seconds * 44_100), 2)).astype(np.float32)
            noise = 0.2 * np.cumsum(noise, axis=0) / 40  # brown: FLAC has something to do
            noise -= noise.mean(axis=0)
            noise /= max(1.0, float(np.abs(noise).max()))
            soundfile.write(source / f"{number:03d}.wav", noise, 44_100, subtype="PCM_16")

        def with_ffmpeg(turn: int) -> None:
            out = self.folder / f"ffmpeg-{turn}"
            out.mkdir()
            for file in sorted(source.iterdir()):
                self._run(
                    [
                        *("ffmpeg", "-v", "error", "-i", str(file), "-ac", "1", "-ar", "16000"),
                        str(out / f"{file.stem}.flac"),
                    ]
                )
            shutil.rmtree(out)

        def with_soundgen(turn: int) -> None:
            self._soundgen("dataset", "prepare", "source", f"data-{turn}", "-q")
            shutil.rmtree(self.folder / f"data-{turn}")

        return self._pair(with_soundgen, with_ffmpeg if shutil.which("ffmpeg") else None)

    def _pair(
        self, ours: Callable[[int], None], theirs: Callable[[int], None] | None
    ) -> dict[str, object]:
        times: dict[str, list[float]] = {"ours": [], "theirs": []}
        for turn in range(self.options.repeat + 1):
            for name, run in (("ours", ours), ("theirs", theirs)):
                if run is not None:
                    start = time.perf_counter()
                    run(turn)
                    if turn:
                        times[name].append(time.perf_counter() - start)
        found: dict[str, object] = {"ours, s": round(statistics.median(times["ours"]), 3)}
        if theirs is not None:
            found["theirs, s"] = round(statistics.median(times["theirs"]), 3)
            ratios = [b / a for a, b in zip(times["ours"], times["theirs"], strict=True)]
            found["ratio"] = round(statistics.median(ratios), 2)
            found["ratio, lowest and highest"] = [round(min(ratios), 2), round(max(ratios), 2)]
        return found

    def _soundgen(self, *arguments: str) -> None:
        self._run([sys.executable, "-m", "soundgen", *arguments])

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(command)[:200]}\n{done.stderr}")


def main() -> None:
    """Measure and print; write JSON if asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=60.0, help="of sound, for prepare")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    report: dict[str, object] = {"threads": options.threads, "repeat": options.repeat}
    for row in options.rows.split(","):
        if row not in ROWS:
            parser.error(f"--rows {row}: not one of {', '.join(ROWS)}")
        with tempfile.TemporaryDirectory(prefix="soundgen-") as name:
            report[row] = getattr(Bench(options, Path(name)), row)()
        print(row, report[row], flush=True)
    if options.out:
        options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
