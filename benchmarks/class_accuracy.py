"""Does a generated sound sound like its prompt? A classifier trained on real clips judges.

    python benchmarks/class_accuracy.py train --data DATA --out classifier.safetensors
    python benchmarks/class_accuracy.py generate --model soundgen-small --set table --seeds 8 \
        --duration 3 --out sounds/
    python benchmarks/class_accuracy.py score --classifier classifier.safetensors --wavs sounds/
    python benchmarks/class_accuracy.py score --classifier classifier.safetensors \
        --data DATA --splits valid,test [--model soundgen-small]      # real clips, or round trips
    python benchmarks/class_accuracy.py prompts --set significance

The prompts stand in `prompts.json`, fixed before any language model or classifier was trained.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from soundgen.audio.io import probe, read_mono
from soundgen.data.manifest import read_manifest
from soundgen.errors import InputError, SoundgenError, UsageError
from soundgen.files import check_output

if TYPE_CHECKING:
    from soundgen.codec.model import Codec
    from soundgen.evaluation.classifier import SoundClassifier
    from soundgen.evaluation.confusion import Confusion

PROMPTS = Path(__file__).with_name("prompts.json")
SETS = ("significance", "table", "two_each", "unseen")
SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")


@dataclass(frozen=True)
class Item:
    """A sound to judge, and the class that it should be heard as."""

    path: Path
    true: str


@dataclass(frozen=True)
class Judgement:
    """What was heard in one sound, and how sure the classifier is of it."""

    path: str
    true: str
    heard: str
    probability: float


class LogProgress:
    """Progress as lines on stderr."""

    def start(self, what: str, total: int | None) -> None:
        """Name the stage."""
        print(what, file=sys.stderr)

    def advance(self, n: int = 1) -> None:
        """Say nothing of single steps."""

    def finish(self) -> None:
        """Say nothing at the end."""

    def metrics(self, step: int, values: Any) -> None:
        """Show measurements."""
        shown = "  ".join(f"{name} {value:.3f}" for name, value in values.items())
        print(f"{step:4d}  {shown}", file=sys.stderr)

    def notice(self, message: str) -> None:
        """Show a line."""
        print(message, file=sys.stderr)


def load_prompts(name: str) -> list[dict[str, str]]:
    """Return one of the lists: `prompt` and `class` each."""
    prompts: list[dict[str, str]] = json.loads(PROMPTS.read_text(encoding="utf-8"))[name]
    return prompts


def train(options: argparse.Namespace) -> None:
    """Train the classifier on the real train clips and report its accuracy on the test clips."""
    from soundgen.evaluation.classifier import save_classifier
    from soundgen.evaluation.classifier_training import TrainingSettings
    from soundgen.pipelines.train_classifier import train_on_dataset

    check_output(options.out, force=options.force)
    settings = TrainingSettings(
        seed=options.seed, num_epochs=options.epochs, epoch_clips=options.epoch_clips
    )
    classifier, report = train_on_dataset(
        options.data, settings, segment_frames=options.segment_frames, progress=LogProgress()
    )
    save_classifier(classifier, options.out)
    print(f"{options.out}: epoch {report.best_epoch} of {report.epochs}, {report}", file=sys.stderr)
    table, _ = judge(classifier, real_items(options.data, ["test"], classifier))
    print(f"real test clips\n\n{table.markdown()}")


def score(options: argparse.Namespace) -> None:
    """Judge sounds and print the confusion table, as Markdown or JSON."""
    from soundgen.evaluation.classifier import load_classifier

    if (options.wavs is None) == (options.data is None):
        raise UsageError("name either --wavs or --data")
    classifier = load_classifier(options.classifier)
    if options.wavs is not None:
        items = listed_items(options.wavs, classifier.config.classes)
    else:
        items = real_items(options.data, options.splits.split(","), classifier)
    codec = None
    if options.model is not None:
        from soundgen.pipelines.model import load_codec

        codec = load_codec(options.model).codec
    table, judgements = judge(classifier, items, codec=codec, n_q=options.n_q)
    print(as_json(table, judgements) if options.json else table.markdown())


def judge(
    classifier: SoundClassifier,
    items: Sequence[Item],
    *,
    codec: Codec | None = None,
    n_q: int | None = None,
) -> tuple[Confusion, list[Judgement]]:
    """Classify every sound, after a round trip through `codec` if there is one."""
    from soundgen.evaluation.confusion import NOTHING, tabulate

    classes = classifier.config.classes
    judgements = []
    for item in items:
        samples = read_mono(item.path, classifier.config.sample_rate)[0].samples[0]
        if codec is not None:
            samples = round_trip(codec, samples, n_q)
        try:
            probabilities = classifier.probabilities(samples)
        except InputError:
            judgements.append(Judgement(str(item.path), item.true, NOTHING, 0.0))
            continue
        best = int(probabilities.argmax())
        judgements.append(
            Judgement(str(item.path), item.true, classes[best], float(probabilities[best]))
        )
    return tabulate(classes, ((one.true, one.heard) for one in judgements)), judgements


def round_trip(codec: Codec, samples: NDArray[np.float32], n_q: int | None) -> NDArray[np.float32]:
    """Return float32 `[T]` encoded and decoded."""
    import torch

    with torch.no_grad():
        codes = codec.encode(torch.from_numpy(samples)[None, None], n_q)
        decoded: NDArray[np.float32] = codec.decode(codes)[0, 0, : samples.size].numpy()
    return decoded


def as_json(table: Confusion, judgements: Sequence[Judgement]) -> str:
    """Return the table, its summary and each sound's verdict as one JSON object."""
    return json.dumps(
        {
            "classes": table.classes,
            "counts": table.counts,
            "num_sounds": table.total,
            "num_right": table.right,
            "accuracy": table.accuracy,
            "balanced_accuracy": table.balanced_accuracy,
            "class_accuracy": table.class_accuracy,
            "chance": 1 / len(table.classes),
            "p_value": table.p_value,
            "sounds": [vars(one) for one in judgements],
        },
        indent=1,
    )


def real_items(data: Path, splits: Sequence[str], classifier: SoundClassifier) -> list[Item]:
    """List the clips of a dataset whose category is one of the classes.

    Raises:
        InputError: There is none.
    """
    folder = data if data.is_dir() else data.parent
    items = [
        Item(folder / clip.path, clip.category)
        for clip in read_manifest(data)
        if clip.split in splits and clip.category in classifier.config.classes
    ]
    if not items:
        raise InputError(f"{data}: no clip of {', '.join(splits)} has a category to judge")
    return items


def listed_items(wavs: Path, classes: Sequence[str]) -> list[Item]:
    """List sounds with their classes: JSON lines with `path` and `class`, or a folder of files.

    In a folder the class is the name of the file's own folder, or that of its prompt: the one in
    its tags, or the one that its name begins with.

    Raises:
        InputError: There are none, or a class is not to be found or unknown.
    """
    if wavs.is_dir():
        paths = sorted(path for path in wavs.rglob("*") if path.suffix.lower() in SUFFIXES)
        items = [Item(path, _class_of(path, classes)) for path in paths]
    else:
        lines = [line for line in wavs.read_text(encoding="utf-8").splitlines() if line.strip()]
        try:
            rows = [json.loads(line) for line in lines]
            items = [Item(wavs.parent / row["path"], row["class"]) for row in rows]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{wavs}: expected JSON lines with 'path' and 'class'") from error
        unknown = {item.true for item in items} - set(classes)
        if unknown:
            raise InputError(f"{wavs}: unknown classes: {', '.join(sorted(unknown))}")
    if not items:
        raise InputError(f"{wavs}: no sounds to judge")
    return items


def _class_of(path: Path, classes: Sequence[str]) -> str:
    if path.parent.name in classes:
        return path.parent.name
    known = {row["prompt"]: row["class"] for name in SETS for row in load_prompts(name)}
    prompt = probe(path).tags.get("title", "")
    if prompt in known:
        return known[prompt]
    # Longest first: "rain falling" before "rain".
    for prompt in sorted(known, key=len, reverse=True):
        if path.stem.startswith(_slug(prompt)):
            return known[prompt]
    raise InputError(
        f"{path}: its class is not to be found", hint="put it into a folder named after its class"
    )


def _slug(prompt: str) -> str:
    from soundgen.pipelines.sound_names import prompt_slug

    return prompt_slug(prompt)


def generate(options: argparse.Namespace) -> None:
    """Make the sounds of a list of prompts: `OUT/<class>/<prompt>_<seed>.wav`."""
    from soundgen.pipelines import generate as pipeline
    from soundgen.pipelines.sound_request import GenerateSettings, SoundRequest

    settings = GenerateSettings(duration_s=options.duration)
    requests = []
    for row in load_prompts(options.set):
        folder = options.out / row["class"]
        folder.mkdir(parents=True, exist_ok=True)
        for seed in range(options.seeds):
            path = folder / f"{_slug(row['prompt'])}_{seed}.wav"
            requests.append(
                SoundRequest(prompt=row["prompt"], seed=seed, output=path, settings=settings)
            )
    for result in pipeline.generate(
        requests, model=options.model, device=options.device, threads=None, force=options.force
    ):
        print(result.output)


def prompts(options: argparse.Namespace) -> None:
    """Print a list of prompts with their classes."""
    rows = load_prompts(options.set)
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        print(f"{row['class']}\t{row['prompt']}")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    commands = parser.add_subparsers(required=True)

    command = commands.add_parser("train", help=train.__doc__)
    command.set_defaults(run=train)
    command.add_argument("--data", type=Path, required=True, help="folder with manifest.jsonl")
    command.add_argument("--out", type=Path, required=True, help="safetensors file to write")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--epochs", type=int, default=30)
    command.add_argument(
        "--segment-frames", type=int, help="heard at once, 40 a second; 100 for lm_quality's rain"
    )
    command.add_argument("--epoch-clips", type=int, default=1120, help="draws an epoch")
    command.add_argument("-f", "--force", action="store_true", help="overwrite --out")

    command = commands.add_parser("generate", help=generate.__doc__)
    command.set_defaults(run=generate)
    command.add_argument("--model", default="soundgen-small")
    command.add_argument("--set", choices=SETS, default="table")
    command.add_argument("--seeds", type=int, default=8, help="seeds 0 to N - 1 for each prompt")
    command.add_argument("--duration", type=float, default=None, help="s; auto if not given")
    command.add_argument("--out", type=Path, required=True, help="folder")
    command.add_argument("--device", default="auto")
    command.add_argument("-f", "--force", action="store_true", help="overwrite sounds")

    command = commands.add_parser("score", help=score.__doc__)
    command.set_defaults(run=score)
    command.add_argument("--classifier", type=Path, required=True)
    command.add_argument("--wavs", type=Path, help="folder, or JSON lines with path and class")
    command.add_argument("--data", type=Path, help="dataset of real clips, instead of --wavs")
    command.add_argument("--splits", default="valid,test", help="of --data")
    command.add_argument("--model", help="send the sounds through this model's codec first")
    command.add_argument("--n-q", type=int, help="codebooks for --model; all if not given")
    command.add_argument("--json", action="store_true")

    command = commands.add_parser("prompts", help=prompts.__doc__)
    command.set_defaults(run=prompts)
    command.add_argument("--set", choices=SETS, default="table")
    command.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    options = parse(arguments)
    try:
        options.run(options)
    except SoundgenError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
