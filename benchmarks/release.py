"""Turn a run folder into a folder that ships: weights, config, provenance, model card.

    python benchmarks/release.py --run runs/lm --data DATA --card card.md --out checkpoints/NAME

`card.md` is the model card's text; `PROVENANCE.jsonl` lists every clip of the train split.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from soundgen.checkpoint import PARTS, open_model_folder
from soundgen.data.manifest import read_manifest
from soundgen.errors import OutputError

FIELDS = ("path", "source", "source_path", "origin", "author", "license", "recording")


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--card", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    folder = open_model_folder(options.run)
    folder.verify()
    if options.out.exists():
        raise OutputError(f"{options.out}: exists already")
    options.out.mkdir(parents=True)
    for part in PARTS:
        if folder.has(part):
            shutil.copyfile(
                folder.path / f"{part}.safetensors", options.out / f"{part}.safetensors"
            )
    shutil.copyfile(folder.path / "config.json", options.out / "config.json")
    shutil.copyfile(options.card, options.out / "README.md")
    with (options.out / "PROVENANCE.jsonl").open("w", encoding="utf-8") as stream:
        for clip in read_manifest(options.data):
            if clip.split == "train":
                row = {field: getattr(clip, field) for field in FIELDS}
                stream.write(json.dumps(row, ensure_ascii=False) + "\n")
    open_model_folder(options.out).verify()


if __name__ == "__main__":
    main()
