"""How well does a matcher pair sounds with texts that it has not seen?

    python benchmarks/matcher.py --model MODEL --data DATA [--split test] [--json]

Each clip of the split is measured by its first caption (text to sound: recall), and by the name of
its category among all of the split's (zero-shot), then among the 14 classes that generated sounds
are judged by.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from soundgen.data.manifest import MANIFEST_NAME, read_manifest
from soundgen.errors import SoundgenError
from soundgen.evaluation.classifier import CLASSES
from soundgen.evaluation.retrieval import MatchScores
from soundgen.pipelines.model import load_matcher
from soundgen.pipelines.train_matcher import embed_texts, hear_clips, measure_matcher
from soundgen.progress import SilentProgress

MAX_S = 30.0


def measure(model: str, data: Path, split: str) -> dict[str, MatchScores]:
    """Return the scores over all categories, and over the clips of the 14 classes."""
    loaded, quiet = load_matcher(model), SilentProgress()
    manifest = data / MANIFEST_NAME if data.is_dir() else data
    clips = [clip for clip in read_manifest(manifest) if clip.split == split]
    texts = embed_texts(loaded.text_encoder, clips, quiet)
    heard = hear_clips(
        loaded.matcher, manifest.parent, clips, split, texts, max_s=MAX_S, progress=quiet
    )
    wanted = {texts.rows[name] for name in CLASSES if name in texts.rows}
    return {
        "all categories": measure_matcher(loaded.matcher, heard, texts),
        "14 classes": measure_matcher(
            loaded.matcher, [clip for clip in heard if clip.category in wanted], texts
        ),
    }


def main() -> int:
    """Measure and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", choices=("train", "valid", "test"), default="test")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    try:
        found = {
            name: asdict(scores)
            for name, scores in measure(options.model, options.data, options.split).items()
        }
    except SoundgenError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return int(error.exit_code)
    if options.json:
        print(json.dumps(found, indent=1))
        return 0
    print(f"| {options.split} |" + "".join(f" {name} |" for name in found))
    print("|---|" + "---|" * len(found))
    for key in next(iter(found.values())):
        cells = (
            f"{scores[key]:.3f}" if "num" not in key else scores[key] for scores in found.values()
        )
        print(f"| {key} |" + "".join(f" {cell} |" for cell in cells))
    return 0


if __name__ == "__main__":
    sys.exit(main())
