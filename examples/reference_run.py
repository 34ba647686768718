"""What `train_from_scratch.sh` asks of a run: prompts for a dataset, and a row of the leaderboard.

    python examples/reference_run.py prompts DATA --out prompts.txt
    python examples/reference_run.py row OUT --name small

Both read what other commands wrote, and train nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from soundgen import __version__
from soundgen.data.manifest import Clip, read_manifest
from soundgen.errors import InputError, SoundgenError
from soundgen.files import atomic_path

MAX_CATEGORIES = 10
COLUMNS = (
    "date", "commit", "run", "computer", "minutes", "class accuracy", "chance", "round trips",
    "held-out clips", "text match", "Fréchet",
)  # fmt: skip
"""Of `docs/leaderboard.md`."""
RESULT_FILE, ROW_FILE = "result.json", "row.md"


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """A run and its scores; `None` where a figure cannot be had.

    Attributes:
        date: Day of the measurement, UTC.
        commit: Of soundgen, with a + where files differ from it; its version without git.
        name: Of the run.
        computer: Processor, cores in use, GPU if there is one.
        minutes: Of all stages together.
        stopped: How many times a stage was broken off; what it took until then is not in `minutes`.
        num_sounds: Judged.
        class_accuracy: Share heard as the prompt's category, of all sounds. (The report's own
            figure leaves prompts out whose category has no test clip to compare with.)
        chance: Of hearing the right one of the classes.
        round_trip_accuracy: The same of held-out clips, encoded and decoded.
        real_accuracy: The same of held-out clips.
        text_match: Mean cosine of prompt and sound.
        frechet: Distance to held-out clips.
    """

    date: str
    commit: str
    name: str
    computer: str
    minutes: float
    stopped: int
    num_sounds: int
    class_accuracy: float | None
    chance: float | None
    round_trip_accuracy: float | None
    real_accuracy: float | None
    text_match: float | None
    frechet: float | None

    @property
    def sentence(self) -> str:
        """What came of it, for people."""
        return (
            f"{_share(self.class_accuracy)} of {self.num_sounds} sounds are heard as what was "
            f"asked for; chance {_share(self.chance)}, codec round trips "
            f"{_share(self.round_trip_accuracy)}, held-out clips {_share(self.real_accuracy)}; "
            f"{self.minutes:.0f} minutes"
        )

    @property
    def row(self) -> str:
        """A row of `COLUMNS`, in Markdown."""
        cells = (
            self.date,
            self.commit,
            self.name,
            self.computer,
            f"{self.minutes:.0f}" + (f" (stopped {self.stopped}x)" if self.stopped else ""),
            f"{_share(self.class_accuracy)} of {self.num_sounds}",
            _share(self.chance),
            _share(self.round_trip_accuracy),
            _share(self.real_accuracy),
            _number(self.text_match),
            _number(self.frechet),
        )
        return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def choose_prompts(clips: Sequence[Clip]) -> list[tuple[str, str]]:
    """Return up to two prompts for each of the categories with the most recordings.

    They are its name, which every clip is trained under, and the most frequent caption of its
    train clips; only categories that have train and test clips are judged.

    Raises:
        InputError: There are fewer than two such categories, or no valid clips.
    """
    recordings: defaultdict[str, set[str]] = defaultdict(set)
    captions: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for clip in clips:
        recordings[clip.category].add(clip.recording)
        if clip.split == "train":
            captions[clip.category].update(clip.captions)
    tested = {clip.category for clip in clips if clip.split == "test"}
    known = sorted(tested & set(captions), key=lambda name: (-len(recordings[name]), name))
    if len(known) < 2 or not any(clip.split == "valid" for clip in clips):
        raise InputError(
            "too few sounds: two categories need train and test clips, and one valid clips",
            hint="it takes some hundred sounds in all; see: soundgen dataset stats",
        )
    chosen: list[tuple[str, str]] = []
    for category in known[:MAX_CATEGORIES]:
        taken = {prompt for prompt, _ in chosen}
        ranked = sorted(captions[category].items(), key=lambda pair: (-pair[1], pair[0]))
        asked = dict.fromkeys([category, *(text for text, _ in ranked)])
        fresh = [text for text in asked if text not in taken and "\t" not in text]
        chosen += [(text, category) for text in fresh[:2]]
    return chosen


def read_result(run: Path, name: str) -> Result:
    """Gather the scores and the times of the run in the folder `run`.

    Raises:
        InputError: It has not been measured, or its report is damaged.
    """
    report = run / "measured" / "report.json"
    try:
        found = json.loads(report.read_text(encoding="utf-8"))
        sources = {source["name"]: source for source in found["sources"]}
        generated = sources["generated"]
        confusion = found["confusion"]
        minutes, stopped = read_times(run / "times.tsv")
        return Result(
            date=datetime.now(UTC).date().isoformat(),
            commit=_commit(),
            name=name,
            computer=_computer(),
            minutes=minutes,
            stopped=stopped,
            num_sounds=sum(sum(row) for row in confusion["counts"]) if confusion else 0,
            class_accuracy=_accuracy(confusion["counts"]) if confusion else None,
            chance=1 / len(confusion["classes"]) if confusion else None,
            round_trip_accuracy=sources["codec round trip"]["class_accuracy"],
            real_accuracy=sources["real clips"]["class_accuracy"],
            text_match=generated["text_match"],
            frechet=generated["frechet"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{report}: no report of eval lm ({type(error).__name__})",
            hint="bash examples/train_from_scratch.sh makes one",
        ) from error


def read_times(path: Path) -> tuple[float, int]:
    """Return the minutes that finished stages took, and how many attempts did not finish.

    The stage that asks is under way: it counts until now.

    Raises:
        OSError: The file cannot be read.
        ValueError: It holds something else.
    """
    begun: dict[str, int] = {}
    seconds, stopped = 0, 0
    for line in path.read_text(encoding="utf-8").splitlines():
        name, what, moment = line.split("\t")
        if what == "begin":
            stopped += name in begun
            begun[name] = int(moment)
        else:
            seconds += int(moment) - begun.pop(name)
    now = datetime.now(UTC).timestamp()
    return (seconds + sum(now - moment for moment in begun.values())) / 60, stopped


def _commit() -> str:
    root = Path(__file__).resolve().parent.parent
    try:
        commit, changed = (
            subprocess.run(
                ["git", "-C", str(root), *words], capture_output=True, text=True, check=True
            ).stdout.strip()
            for words in (["rev-parse", "--short=7", "HEAD"], ["status", "--porcelain", "-uno"])
        )
    except (OSError, subprocess.CalledProcessError):
        return __version__
    return commit + "+" * bool(changed)


def _computer() -> str:
    if Path("/proc/driver/nvidia/version").exists():
        import torch  # seconds, and only it knows which GPU is in use

        if torch.cuda.is_available():
            return torch.cuda.get_device_name()
    facts = _processor()
    half = {"avx512_bf16", "amx_bf16"} & set(facts.get("flags", "").split())
    cores = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
    name = " ".join(facts.get("model name", platform.machine()).split())
    return f"{name}, {cores} core{'s' * (cores != 1)}" + ", bfloat16" * bool(half)


def _processor() -> dict[str, str]:
    """Return what the system says of the last of its cores; nothing where it says nothing."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value for name, _, value in pairs}


def _accuracy(counts: Sequence[Sequence[int]]) -> float:
    return sum(row[place] for place, row in enumerate(counts)) / sum(map(sum, counts))


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def prompts(options: argparse.Namespace) -> None:
    """Write prompts for a dataset, each with its category."""
    chosen = choose_prompts(read_manifest(options.data))
    _write(options.out, "".join(f"{prompt}\t{category}\n" for prompt, category in chosen))


def row(options: argparse.Namespace) -> None:
    """Print what a run came to; write it to OUT/result.json, and its row to OUT/row.md."""
    result = read_result(options.run_folder, options.name)
    values: dict[str, Any] = {name: getattr(result, name) for name in Result.__slots__}
    _write(options.run_folder / RESULT_FILE, json.dumps(values, ensure_ascii=False, indent=1))
    _write(options.run_folder / ROW_FILE, result.row + "\n")
    print(result.sentence)


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("prompts", help=prompts.__doc__)
    command.set_defaults(run=prompts)
    command.add_argument("data", type=Path, help="folder that holds a manifest.jsonl")
    command.add_argument("--out", type=Path, required=True, help="file to write")
    command = commands.add_parser("row", help=row.__doc__)
    command.set_defaults(run=row)
    command.add_argument("run_folder", metavar="OUT", type=Path, help="of train_from_scratch.sh")
    command.add_argument("--name", default="small", help="of the run")
    options = parser.parse_args(arguments)
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
