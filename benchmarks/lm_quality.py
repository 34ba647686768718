"""Does the shipped model sound like its prompts? Every figure by a command of its own.

    python benchmarks/lm_quality.py --model MODEL --data DATA --classifier FILE --out DIR
        [--rows 1,2,3,4,5,6,7,8,9,rain] [--seeds 16] [--long-seeds 1] [--rain-seeds 10]
        [--matcher M2] [--short-classifier FILE]
        [--json]

| row | what | from |
|---|---|---|
| 1 | class accuracy over that of round trips of valid and test clips | `two_each` of prompts.json |
| 2 | the same of words that no caption holds | `unseen` of prompts.json |
| 3, 4, 5, 7 | text match, Fréchet distance, copies, length | `soundgen eval lm` on row 1's sounds |
| 6 | text match of the best of four that the model's matcher chose | needs `--matcher` |
| 8 | share of sounding frames with a pitch (pYIN), over that of real clips | needs librosa |
| 9 | level and spectral centroid of the last 10 s of 45 against the first | |
| rain | 10 s of rain heard as rain in each quarter | needs `--short-classifier` |

Sounds go to folders in `--out`, and what is there already is not made again. The classifier is that
of `class_accuracy.py train`, and that of quarters the same with `--segment-frames 100`: one that
hears 3 s at once hears a quarter of 2.5 s as a sound that has ended, and real rain as no rain.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from class_accuracy import judge, real_items
from pitch_and_drift import drift, pitched_share
from quality_rows import Row, markdown

from soundgen.audio.io import read_mono
from soundgen.audio.waveform import Waveform
from soundgen.data.manifest import read_manifest
from soundgen.errors import InputError, SoundgenError, UsageError
from soundgen.evaluation.classifier import load_classifier
from soundgen.evaluation.lm_report import GENERATED, OTHERS, ROUND_TRIP, UNPROMPTED, LmReport
from soundgen.pipelines.evaluate_lm import SOUNDS_FOLDER, evaluate_lm
from soundgen.pipelines.generate import generate
from soundgen.pipelines.listening import Listener
from soundgen.pipelines.model import load_codec, load_matcher, use_threads
from soundgen.pipelines.sound_names import prompt_slug
from soundgen.pipelines.sound_request import GenerateFailure, GenerateSettings, SoundRequest
from soundgen.progress import SilentProgress

HERE = Path(__file__).resolve().parent
ROWS = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "rain")
RATE = 16_000
BEST_OF = 4
QUARTER_S = 2.5
QUARTER = round(QUARTER_S * RATE)


class Notices(SilentProgress):
    """Stages and notices as lines on stderr."""

    def start(self, what: str, total: int | None) -> None:
        """Name the stage."""
        print(what, file=sys.stderr, flush=True)

    def notice(self, message: str) -> None:
        """Show the line."""
        print(message, file=sys.stderr, flush=True)


def load_prompts(file: str, name: str) -> list[dict[str, str]]:
    """Return a list of prompts with the `category` of each."""
    rows = json.loads((HERE / file).read_text(encoding="utf-8"))[name]
    return [
        {"prompt": row["prompt"], "category": row.get("category") or row["class"]} for row in rows
    ]


class Benchmark:
    """Measures rows; what several of them need is made once.

    Args:
        options: Of the command line.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.out: Path = options.out
        self.data: Path = options.data
        self.progress = Notices()
        self._reports: dict[str, LmReport] = {}
        self._ceiling: tuple[float, int] | None = None

    def row(self, number: str) -> Row:
        """Measure one row."""
        measures: dict[str, Callable[[], Row]] = {
            "1": lambda: self._accuracy("1", "two_each", 0.6, 0.9),
            "2": lambda: self._accuracy("2", "unseen", 0.4, 0.8),
            "3": self._text_match,
            "4": self._frechet,
            "5": self._copies,
            "6": self._best_of,
            "7": self._length,
            "8": self._pitch,
            "9": self._long,
            "rain": self._rain,
        }
        return measures[number]()

    def _report(self, name: str) -> LmReport:
        """Return the evaluation of a list of prompts.json."""
        if name not in self._reports:
            file = self.out / f"{name}.json"
            file.write_text(json.dumps(load_prompts("prompts.json", name)), encoding="utf-8")
            self._reports[name] = evaluate_lm(
                data=self.data,
                prompts=file,
                out=self.out / name,
                model=self.options.model,
                num_seeds=self.options.seeds,
                classifier=self.options.classifier,
                sheet=find_spec("matplotlib") is not None,
                threads=self.options.threads,
                progress=self.progress,
            )
        return self._reports[name]

    def _accuracy(self, number: str, name: str, floor: float, aim: float) -> Row:
        found = self._report(name).source(GENERATED).class_accuracy
        ceiling, num_clips = self._round_trips()
        return Row(
            number,
            f"class accuracy over round trips', {name}",
            None if found is None else found / ceiling,
            floor,
            aim,
            details={
                "generated": found,
                "round_trips": ceiling,
                "num_clips": num_clips,
                "by_class": _by_category(self._report(name)),
            },
        )

    def _round_trips(self) -> tuple[float, int]:
        """Return the accuracy over all codebooks' round trips of valid and test clips.

        Classes weigh alike, as they do among the prompts.
        """
        if self._ceiling is None:
            classifier = load_classifier(self.options.classifier)
            self.progress.notice("round trips of valid and test clips")
            table, _ = judge(
                classifier,
                real_items(self.data, ["valid", "test"], classifier),
                codec=load_codec(self.options.model).codec,
            )
            self._ceiling = table.balanced_accuracy, table.total
        return self._ceiling

    def _text_match(self) -> Row:
        report = self._report("two_each")
        details = {source.name: source.text_match for source in report.sources}
        value = report.source(GENERATED).text_match_normalised
        return Row("3", "text match, 0 to 1", value, 0.4, 0.8, details=details)

    def _frechet(self) -> Row:
        report = self._report("two_each")
        far = {source.name: source.frechet for source in report.sources}
        own, trips = far[GENERATED], far[ROUND_TRIP]
        bounds = [value for name in (UNPROMPTED, OTHERS) if (value := far[name]) is not None]
        ratio = own / trips if own is not None and trips else None
        floor = min(bounds) / trips if bounds and trips else None
        return Row(
            "4", "Fréchet distance over round trips'", ratio, floor, 2.0, True, details={**far}
        )

    def _copies(self) -> Row:
        report = self._report("two_each")
        details = {source.name: source.copied_share for source in report.sources}
        return Row(
            "5", "copies of training clips", details[GENERATED], None, 0.05, True, details=details
        )

    def _length(self) -> Row:
        report = self._report("two_each")
        details = {source.name: source.length_error_octaves for source in report.sources}
        return Row(
            "7", "error of length, octaves", details[GENERATED], 1.5, 0.7, True, details=details
        )

    def _best_of(self) -> Row:
        """Choose among row 1's sounds: as `--best-of 4` does, which makes the same candidates."""
        what = f"gain in text match by the best of {BEST_OF}, heard by another matcher"
        if self.options.matcher is None:
            raise UsageError("row 6 needs --matcher: a model whose matcher had another seed")
        report = self._report("two_each")
        if report.inputs.num_seeds < BEST_OF:
            raise UsageError(f"row 6 needs --seeds {BEST_OF} or more")
        classifier = load_classifier(self.options.classifier)
        loaded = [load_matcher(name) for name in (self.options.model, self.options.matcher)]
        ears = [Listener(classifier, matcher, matcher.digest) for matcher in loaded]
        plain, chosen = [], []
        for prompt in report.inputs.prompts:
            texts = [matcher.embed_prompt(prompt)[0].numpy() for matcher in loaded]
            folder = self.out / "two_each" / SOUNDS_FOLDER / prompt_slug(prompt)
            scores = np.array(
                [
                    [float(ear.embed(_read(folder / f"{seed}.wav")) @ text)
                     for ear, text in zip(ears, texts, strict=True)]
                    for seed in range(report.inputs.num_seeds)
                    if (folder / f"{seed}.wav").is_file()
                ]
            )  # fmt: skip
            for start in range(0, len(scores) - BEST_OF + 1, BEST_OF):
                group = scores[start : start + BEST_OF]
                plain.append(group[:, 1].mean())
                chosen.append(group[group[:, 0].argmax(), 1])
        gains = np.array(chosen) - np.array(plain)
        error = float(gains.std(ddof=1) / np.sqrt(len(gains))) if len(gains) > 1 else None
        details = {
            "mean": float(np.mean(plain)),
            "best": float(np.mean(chosen)),
            "num_groups": len(gains),
            "standard_error": error,
        }
        return Row("6", what, float(gains.mean()), 0.0, None, details=details)

    def _pitch(self) -> Row:
        """Compare the share of sounding frames that have a pitch, prompt by prompt."""
        if find_spec("librosa") is None:
            raise UsageError("row 8 needs librosa", hint="pip install librosa")
        clips = [clip for clip in read_manifest(self.data) if clip.split in ("valid", "test")]
        root = self.data if self.data.is_dir() else self.data.parent
        found: dict[str, dict[str, float | None]] = {}
        ratios = []
        made = self._sounds("tonal", self.options.seeds, None)
        for row in load_prompts("prompts_lm.json", "tonal"):
            own = _mean_pitched(made[row["prompt"]])
            real = _mean_pitched(
                [root / clip.path for clip in clips if clip.category == row["category"]]
            )
            found[row["prompt"]] = {"generated": own, "real": real}
            if own is not None and real:
                ratios.append(own / real)
        value = float(np.mean(ratios)) if ratios else None
        return Row("8", "frames with a pitch over real clips'", value, 0.5, 0.9, details=found)

    def _long(self) -> Row:
        """Count the prompts whose end is like their beginning."""
        found: dict[str, list[dict[str, float]]] = {}
        within = {"floor": 0, "aim": 0}
        made = self._sounds("long", self.options.long_seeds, 45.0)
        for prompt, files in made.items():
            for file in files:
                level_db, octaves = drift(_read(file).samples[0], RATE)
                found.setdefault(prompt, []).append({"level_db": level_db, "octaves": octaves})
                within["floor"] += abs(level_db) <= 6 and abs(octaves) <= 1
                within["aim"] += abs(level_db) <= 3 and abs(octaves) <= 0.5
        details = {"within_3_db_and_half_an_octave": within["aim"], "drift": found}
        num_sounds = self.options.long_seeds * len(made)  # a sound that failed is not within
        value = within["floor"] / num_sounds
        what = f"45 s: share within 6 dB and one octave, of {num_sounds}"
        # The aim is a narrower band for the same share of prompts.
        aim = 0.8 if within["aim"] / num_sounds >= 0.8 else None
        return Row("9", what, value, 0.8, aim, details=details)

    def _rain(self) -> Row:
        """Count the seeds that are heard as rain in each 2.5 s of 10."""
        if self.options.short_classifier is None:
            raise UsageError(
                "the row rain needs --short-classifier",
                hint="class_accuracy.py train --segment-frames 100",
            )
        classifier = load_classifier(self.options.short_classifier)
        config = classifier.config
        if config.segment_frames * config.hop_length > QUARTER_S * config.sample_rate:
            raise UsageError(f"--short-classifier hears more than {QUARTER_S:g} s at once")
        ear = Listener(classifier, None, "")
        found = {}
        (row,) = load_prompts("prompts_lm.json", "rain")
        num_sounds = self.options.rain_seeds
        for file in self._sounds("rain", num_sounds, 10.0)[row["prompt"]]:
            quarters = np.array_split(_read(file).samples[0], 4)
            found[file.stem] = [ear.name(Waveform(quarter[None], RATE)) for quarter in quarters]
        right = sum(set(heard) == {row["category"]} for heard in found.values())
        details = {"heard": found, "real": self._real_quarters(ear, row["category"])}
        what = f"10 s heard as rain in each quarter, of {num_sounds}"
        return Row("rain", what, right / num_sounds, 0.8, None, details=details)

    def _real_quarters(self, ear: Listener, category: str) -> dict[str, dict[str, int]]:
        """Count what the same ear hears in quarters of real clips, in each split."""
        root = self.data if self.data.is_dir() else self.data.parent
        heard: dict[str, Counter[str]] = {}
        for clip in read_manifest(self.data):
            if clip.category != category:
                continue
            samples = _read(root / clip.path).samples[0]
            for start in range(0, len(samples) - QUARTER + 1, QUARTER):
                name = ear.name(Waveform(samples[None, start : start + QUARTER], RATE))
                heard.setdefault(clip.split, Counter())[name] += 1
        return {split: dict(names) for split, names in heard.items()}

    def _sounds(self, name: str, count: int, duration_s: float | None) -> dict[str, list[Path]]:
        """Make the sounds of a list of prompts_lm.json; return, by prompt, those that came out.

        All in one call, so that batches are full.
        """
        made: dict[str, list[Path]] = {}
        requests = []
        for row in load_prompts("prompts_lm.json", name):
            prompt = row["prompt"]
            made[prompt] = []
            folder = self.out / name / prompt_slug(prompt)
            folder.mkdir(parents=True, exist_ok=True)
            requests += [
                SoundRequest(
                    prompt=prompt,
                    seed=seed,
                    output=folder / f"{seed}.wav",
                    settings=GenerateSettings(duration_s=duration_s),
                )
                for seed in range(count)
            ]
        self.progress.notice(f"making {len(requests)} sounds: {name}")
        for result in generate(requests, model=self.options.model, threads=self.options.threads):
            if isinstance(result, GenerateFailure):
                self.progress.notice(f"{result.output}: {result.error.message}")
            else:
                made[result.prompt].append(result.output)
        return made


def _mean_pitched(files: Sequence[Path]) -> float | None:
    shares = [pitched_share(_read(file).samples[0][: 10 * RATE], RATE) for file in files]
    found = [share for share in shares if share is not None]
    return float(np.mean(found)) if found else None


def _by_category(report: LmReport) -> dict[str, float]:
    shares: dict[str, list[float]] = {}
    for found in report.prompts:
        if found.category is not None and found.class_accuracy is not None:
            shares.setdefault(found.category, []).append(found.class_accuracy)
    return {name: float(np.mean(values)) for name, values in shares.items()}


def _read(path: Path) -> Waveform:
    return read_mono(path, RATE)[0]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="soundgen-small")
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.jsonl")
    parser.add_argument("--classifier", type=Path, required=True)
    parser.add_argument("--short-classifier", type=Path, help="of 2.5 s, for the row rain")
    parser.add_argument("--out", type=Path, required=True, help="folder for sounds and results")
    parser.add_argument("--rows", default=",".join(ROWS), help="which, such as 1,2")
    parser.add_argument("--seeds", type=int, default=16, help="for each prompt of rows 1 to 8")
    parser.add_argument("--long-seeds", type=int, default=1, help="for each prompt of row 9")
    parser.add_argument("--rain-seeds", type=int, default=10)
    parser.add_argument("--matcher", help="a model whose matcher had another seed, for row 6")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write the table; return the exit code."""
    options = parse(arguments)
    numbers = options.rows.split(",")
    try:
        unknown = sorted(set(numbers) - set(ROWS))
        if unknown:
            raise UsageError(f"--rows {unknown[0]}: not one of {', '.join(ROWS)}")
        if not options.classifier.is_file():
            raise InputError(f"{options.classifier}: no such file")
        use_threads(options.threads)
        options.out.mkdir(parents=True, exist_ok=True)
        benchmark = Benchmark(options)
        rows = [benchmark.row(number) for number in numbers]
    except SoundgenError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return int(error.exit_code)
    found = json.dumps([{**asdict(row), "verdict": row.verdict} for row in rows], indent=1)
    (options.out / "rows.json").write_text(found + "\n", encoding="utf-8")
    (options.out / "rows.md").write_text(markdown(rows) + "\n", encoding="utf-8")
    print(found if options.json else markdown(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
