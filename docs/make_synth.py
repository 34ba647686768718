"""Write docs/synth.md and its pictures from the catalogue: `python docs/make_synth.py`.

A test keeps the page fresh; the pictures are as new as the last run, and need matplotlib.
"""

from __future__ import annotations

import inspect
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soundgen.data.synth.catalogue import FAMILIES, KINDS
from soundgen.data.synth.kind import Kind
from soundgen.data.synth.render import plan, render

PAGE = Path(__file__).with_name("synth.md")
PICTURES = Path(__file__).with_name("synth")
SEED = 1

_COLUMNS = 3
_WIDTH, _HEIGHT, _TEXT, _LABEL, _GAP = 150, 48, 13, 92, 6
_RANGE_DB = 66.0
_STEPS = 22  # of brightness; more would only be noise to the compression
_WINDOW = 512

_HEAD = """\
<!-- Written by docs/make_synth.py from the catalogue; a test keeps it fresh. -->

# Sounds from nothing

```
soundgen dataset synth data --hours 1 --seed 1
```

makes a dataset of {number} kinds of sounds without a recording: each is computed from a model of
how it comes about. It is free of any licence (CC0-1.0) and in the form that `dataset prepare`
writes, so every command that reads a dataset reads it: to try soundgen without a download, to
test a change, to add to recordings what they lack.

- **Captions say what was drawn.** Every kind has traits, such as the strength of rain or the size
  of a bell; the numbers of the model are drawn from the range that goes with the word. Each clip
  has two to four captions; the first names all traits.
- **A clip is a function of (seed, kind, number).** The same seed makes the same bytes, whatever
  `--jobs` is; the clips of `--hours 1` are the first ones of `--hours 2`; `--kinds rain,bell` makes
  the same rain and bells as all kinds together do. That holds for one version of soundgen, numpy
  and scipy on one kind of processor; elsewhere a sample may round differently.
- **One of each in turn.** Kinds have equally many clips, hence ambiences most of the hours.
  `--kinds` takes names of kinds and of families.
- **Stopped, it goes on.** The same command makes what is missing; with more hours it adds; another
  seed or other kinds are refused unless `-f` says to begin anew.
- **Splits.** Each clip is a recording of its own, and what sounds alike, such as two short clicks,
  shares a split: 90 % train, 5 % valid, 5 % test.

What it is not: a recording. A wooden hit here has twenty modes, and a voice is three formants;
nothing has a place, a microphone or an accident. A model trained on nothing else will sound like
these models.

{measured}
"""

_MEASURED = """\
How near they come: a classifier that was trained on recordings only, and hears 52 % of their test
clips right (14 classes), hears {heard} % of the synthetic clips of those classes as what they are.
Heard best: thunder, fire, explosions, gunshots, drums, birds; heard badly: splashes (as
explosions), engines (as wind), footsteps (as doors).
"""


def page(heard: str = "56") -> str:
    """Return the page."""
    measured = _MEASURED.format(heard=heard)
    parts = [_HEAD.format(number=len(KINDS), measured=measured)]
    for family, kinds in FAMILIES.items():
        parts.append(f"## {family}\n")
        parts.append(f"![Mel spectrograms of {family}](synth/{family}.png)\n")
        parts.append("| kind | category | traits | s | model |\n|---|---|---|---|---|")
        parts += [_row(kind) for kind in kinds]
        parts.append("")
    return "\n".join(parts).rstrip("\n") + "\n"


def _row(kind: Kind) -> str:
    traits = "; ".join(f"{trait}: {', '.join(kind.values(trait))}" for trait in kind.traits)
    low = min(span[0] for span in kind.duration_s.values())
    high = max(span[1] for span in kind.duration_s.values())
    model = " ".join((inspect.getdoc(kind.render) or "").split())
    return f"| {kind.name} | {kind.category} | {traits} | {low:g} to {high:g} | {model} |"


def draw(family: str, path: Path) -> None:
    """Draw a row of clips for each kind of a family: log-mel spectrograms of whole clips."""
    from PIL import Image, ImageDraw

    kinds = FAMILIES[family]
    step = _HEIGHT + _TEXT + _GAP
    size = (_LABEL + _COLUMNS * (_WIDTH + _GAP), len(kinds) * step)
    sheet = np.full(size[::-1], 255, np.uint8)
    texts = []
    for row, kind in enumerate(kinds):
        texts.append((2, row * step + _TEXT + _HEIGHT // 2 - 6, kind.name))
        for column in range(_COLUMNS):
            left, top = _LABEL + column * (_WIDTH + _GAP), row * step + _TEXT
            score = plan(kind, SEED, column, _contrast(kind, column))
            tile = _tile(render(kind, SEED, column, score))
            sheet[top : top + _HEIGHT, left : left + _WIDTH] = tile
            words = ", ".join([*score.traits.values(), f"{score.num_samples / 16000:.1f} s"])
            texts.append((left, top - _TEXT + 1, words[:30]))
    image = Image.fromarray(sheet, mode="P")
    image.putpalette(_palette())
    pen = ImageDraw.Draw(image)
    for x, y, text in texts:
        pen.text((x, y), text, fill=254)
    image.save(path, optimize=True)


def _contrast(kind: Kind, column: int) -> dict[str, str]:
    """Let the columns differ: the first and the last value of every trait, then by chance."""
    if column == 2:
        return {}
    return {trait: kind.values(trait)[-column] for trait in kind.traits}


def _tile(samples: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return steps of brightness `[_HEIGHT, _WIDTH]`, high frequencies on top."""
    padded = np.pad(samples, _WINDOW // 2)
    starts = np.linspace(0, len(samples) - 1, _WIDTH * 4).astype(int)
    frames = padded[starts[:, None] + np.arange(_WINDOW)] * np.hanning(_WINDOW)
    power = np.abs(np.fft.rfft(frames)) ** 2
    mel = np.linspace(0, 2840, _HEIGHT + 1)  # 8 kHz
    edges = 700 * (10 ** (mel / 2595) - 1) / 8000 * (_WINDOW // 2)
    bands = []
    for low, high in pairwise(edges):
        bands.append(power[:, int(low) : max(int(low) + 1, round(high))].max(axis=1))
    loudest = np.stack(bands).reshape(_HEIGHT, _WIDTH, 4).max(axis=2)
    level = 10 * np.log10(loudest / loudest.max() + 1e-12)
    steps = np.clip((level + _RANGE_DB) / _RANGE_DB * _STEPS, 0, _STEPS)
    return np.flipud(steps).astype(np.uint8)


def _palette() -> list[int]:
    """Magma for the steps; 254 is the ink, 255 the paper."""
    import matplotlib

    magma: Any = matplotlib.colormaps["magma"]
    colours = [[int(255 * part) for part in magma(i / _STEPS)[:3]] for i in range(_STEPS + 1)]
    colours += [[255, 255, 255]] * (256 - len(colours))
    colours[254] = [30, 30, 30]
    return [part for colour in colours for part in colour]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    PICTURES.mkdir(exist_ok=True)
    for name in FAMILIES:
        draw(name, PICTURES / f"{name}.png")
