"""Water: waves, stream, bubbles, drips, splash, pouring."""

from __future__ import annotations

import numpy as np

from soundgen.data.synth.kind import Kind, Samples, Take
from soundgen.data.synth.signals import (
    add_at,
    bubbles,
    damped,
    decay,
    drift,
    low_pass,
    noise,
    resonate,
    room,
    seconds,
    sloped,
    unit_peak,
    unit_rms,
)


def waves(take: Take) -> Samples:
    """Surf: noise that swells, breaks bright and runs back as foam, wave after wave.

    Farnell 2010, chapter on running water; the foam is bubbles (van den Doel 2005).
    """
    rng, count = take.rng, take.num_samples
    rough = take.has("rough")
    period_s = take.between(3.0, 4.5) if rough else take.between(4.0, 6.5)
    deep = sloped(rng, count, -4, 40, 500 if rough else 350)
    body = sloped(rng, count, -2, 80, 4000)
    foam = sloped(rng, count, -1, 600, 5500)
    total = (0.5 if rough else 0.25) * deep * np.exp(0.3 * drift(rng, count, 0.5))
    moment = -take.between(0.0, 0.9) * period_s
    while moment < take.duration_s:
        rise, fall = period_s * take.between(0.25, 0.4), period_s * take.between(0.25, 0.4)
        t = take.time - moment - rise
        swell = np.where(
            t < 0, np.exp(-((t / (0.5 * rise)) ** 2)), np.exp(-np.maximum(t, 0) / fall)
        )
        wash = np.where(
            t < 0.1, np.exp(-(((t - 0.1) / (0.3 * rise)) ** 2)), np.exp(-(t - 0.1) / (0.9 * fall))
        )
        size = take.octaves(0.6, 1.0)
        total += size * ((1.2 if rough else 0.5) * body * swell + 0.7 * foam * wash**1.5)
        moment += period_s * take.between(0.8, 1.2)
    return total + 0.1 * foam


def stream(take: Take) -> Samples:
    """Bubbles by the hundred over a bed of noise (van den Doel 2005)."""
    rng, count = take.rng, take.num_samples
    small = take.has("small")
    flow = np.exp(0.35 * drift(rng, count, 2.0))
    per_s = take.pick("size", {"small": (60, 140), "large": (350, 600)})
    drops = bubbles(rng, count, per_s * flow, 0.7 if small else 1.0, 4.5 if small else 9.0)
    bed = sloped(rng, count, -1 if small else -3, 300 if small else 150, 6500) * flow
    return unit_rms(drops) + (take.between(0.4, 0.8) if small else take.between(1.0, 1.8)) * bed


def bubbling(take: Take) -> Samples:
    """Single bubbles that can be told apart (van den Doel 2005; Minnaert 1933 for their pitch)."""
    rng, count = take.rng, take.num_samples
    low, high = (1.0, 3.0) if take.has("small") else (4.0, 11.0)
    per_s = take.pick("number", {"a few": (3, 7), "many": (25, 60)})
    drops = bubbles(rng, count, per_s, low, high)
    drops += 0.3 * bubbles(rng, count, 3 * per_s, 0.8 * low, 0.6 * high)
    # Someone always begins at once; Poisson alone may begin with nothing.
    first = 3000 / take.octaves(low, high)
    add_at(drops, damped(np.array([first]), np.array([0.08]), np.array([high**0.8]), 0.1)[0], 80)
    muffled = low_pass(drops, 3000 if high > 5 else 6000, 1)
    # The surface that they break through splashes and rumbles as much as they do.
    stir = low_pass(np.abs(drops), 12, 1)
    wash = sloped(rng, count, -4, 40, 3500) * (0.3 * float(stir.mean()) + stir)
    return muffled + take.between(0.4, 0.9) * wash


def drips(take: Take) -> Samples:
    """A drop's bubble rings, rising, after the click of the surface; in a room or a cave."""
    rng, count = take.rng, take.num_samples
    total = np.zeros(count)
    gap_s = take.pick("pace", {"slow": (0.9, 1.6), "fast": (0.18, 0.4)})
    pitch = take.octaves(700, 2200)
    moment = 0.02
    while moment < take.duration_s - 0.08:
        hz = pitch * take.between(0.8, 1.25)
        t60_s = take.between(0.05, 0.14)
        drop = damped(np.array([hz]), np.array([t60_s]), np.array([1.0]), take.between(0.1, 0.25))
        click = noise(rng, 24) * np.hanning(24) * take.between(0.1, 0.3)
        at, level = seconds(moment), take.octaves(0.4, 1.0)
        add_at(total, click, at, level)
        add_at(total, drop[0], at + seconds(take.between(0.008, 0.02)), level)
        moment += gap_s * take.between(0.8, 1.2)
    if take.has("a cave"):
        return room(rng, total, take.between(1.5, 3.0), take.between(0.3, 0.6), 3000)
    return room(rng, total, 0.25, 0.15, 4500)


def splash(take: Take) -> Samples:
    """A slap of noise as the surface breaks, a low cavity, then spray and bubbles falling back."""
    rng, count = take.rng, take.num_samples
    big = take.has("big")
    slap = sloped(rng, count, -2, 200, 2500 if big else 5000) * decay(
        count, take.between(0.3, 0.6) if big else take.between(0.15, 0.3), take.octaves(0.01, 0.06)
    )
    spray_s = take.duration_s * take.between(0.6, 0.9)
    spray = sloped(rng, count, -2, 200, 5500) * decay(count, 2.5 * spray_s, 0.06)
    spray *= np.exp(0.5 * drift(rng, count, 25))
    falling = np.exp(-take.time * 3.5 / take.duration_s)
    drops = bubbles(rng, count, (900 if big else 450) * falling, 0.7, 5.0 if big else 3.0)
    cavity = damped(
        np.array([take.octaves(110, 220) if big else take.octaves(350, 700)]),
        np.array([0.3 if big else 0.12]), np.array([0.8 if big else 0.4]), 0.08,
    )[0]  # fmt: skip
    total = 0.8 * slap + 0.5 * spray + 0.8 * unit_rms(drops) * np.sqrt(falling)
    add_at(total, cavity, seconds(0.03))
    return total


def pouring(take: Take) -> Samples:
    """Bubbles of a jet, heard through the air left in the vessel, whose pitch rises as it fills.

    The air is a pipe closed at one end: f = c / 4h, with its odd harmonics.
    """
    rng, count = take.rng, take.num_samples
    glass = take.has("a glass")
    height = take.between(0.09, 0.13) if glass else take.between(0.22, 0.32)
    left = height * (1 - take.between(0.6, 0.85) * take.time / take.duration_s)
    jet = unit_rms(bubbles(rng, count, take.octaves(120, 300), 0.8, 4.0 if glass else 8.0))
    jet += 0.7 * sloped(rng, count, -2, 200, 5000) * np.exp(0.3 * drift(rng, count, 8))
    total = 0.8 * jet
    # A filter that moves: slices of 50 ms, each through its own resonance, crossfaded.
    hop = seconds(0.05)
    window = np.hanning(2 * hop + 1)[:-1]
    padded = np.concatenate([np.zeros(hop), jet, np.zeros(2 * hop)])
    rung = np.zeros(len(padded) + hop)
    for start in range(0, len(padded) - 2 * hop, hop):
        base = 343 / 4 / left[min(start, count - 1)]
        piece = padded[start : start + 2 * hop] * window
        for number in (1, 3, 5):
            if base * number < 7000:
                tone = resonate(piece, base * number, 0.05 * base * number)
                add_at(rung, tone, start, 1.8 / number)
    return total + rung[hop : hop + count]


def underwater(take: Take) -> Samples:
    """Low-passed rumble and bubbles that pass; water carries no highs from the surface down."""
    rng, count = take.rng, take.num_samples
    rumble = low_pass(sloped(rng, count, -4, 30, 300), take.octaves(250, 500), 1)
    per_s = take.pick("number", {"a few": (2, 5), "many": (15, 40)})
    rush = np.exp(1.0 * drift(rng, count, 0.8))
    drops = low_pass(bubbles(rng, count, per_s * rush, 2.5, 10.0), take.octaves(1500, 2800))
    wash = sloped(rng, count, -3, 200, 2500)
    mixed = 0.35 * unit_rms(rumble) + take.between(0.1, 0.25) * wash
    return mixed + take.between(5, 9) * unit_peak(drops)


def rain_gutter(take: Take) -> Samples:
    """A thin stream in a pipe: bubbles through the resonances of a tube."""
    rng, count = take.rng, take.num_samples
    per_s = take.pick("strength", {"trickling": (20, 45), "gushing": (200, 400)})
    flow = bubbles(rng, count, per_s * np.exp(0.5 * drift(rng, count, 2)), 1.0, 5.0)
    splashing = sloped(rng, count, 0, 300, 7000) * np.exp(0.3 * drift(rng, count, 6))
    flow = unit_rms(flow) + 0.8 * splashing
    base = take.octaves(180, 420)
    tube = sum(
        (resonate(flow, base * (2 * k + 1), 150 + 60 * k) / (1 + 0.5 * k) for k in range(6)),
        start=np.zeros(count),
    )
    return unit_rms(tube) + take.between(0.6, 1.2) * flow


KINDS = (
    Kind(
        name="waves",
        category="water",
        render=waves,
        traits={"strength": ("calm|gentle|small", "rough|big|stormy")},
        captions=("{strength} waves on a beach", "{strength} sea waves", "{strength} surf",
                  "{strength} ocean waves breaking on the shore"),
        tags=("waves", "sea", "water"),
        duration_s={"": (7, 10)},
        level_db={"calm": -6},
        fade_s=(0.15, 0.15),
    ),
    Kind(
        name="stream",
        category="water",
        render=stream,
        traits={"size": ("small|little", "large|rushing")},
        captions=("a {size} stream", "a {size} stream of water flowing", "{size} creek flowing",
                  "water of a {size} brook running"),
        tags=("stream", "flowing", "water"),
        duration_s={"": (4, 10)},
        level_db={"small": -5},
        fade_s=(0.1, 0.1),
    ),
    Kind(
        name="bubbles",
        category="water",
        render=bubbling,
        traits={"number": ("a few", "many|lots of"), "size": ("small|tiny", "large|big")},
        captions=("{number} {size} bubbles", "{number} {size} bubbles in water",
                  "{size} water bubbles popping", "{number} bubbles rising in water"),
        tags=("bubbles", "water"),
        duration_s={"": (1.5, 4)},
        fade_s=(0.002, 0.05),
    ),
    Kind(
        name="drips",
        category="water",
        render=drips,
        traits={"pace": ("slow", "fast|quick"), "place": ("a sink", "a cave")},
        captions=("{pace} water drips in {place}", "{pace} dripping water",
                  "water drops dripping in {place}", "{pace} dripping in {place}"),
        tags=("drip", "drops", "water"),
        duration_s={"": (2, 6)},
        fade_s=(0.001, 0.1),
    ),
    Kind(
        name="splash",
        category="water",
        render=splash,
        traits={"size": ("small|little", "big|large")},
        captions=("a {size} splash in water", "{size} water splash", "a {size} splash",
                  "{size} splash into water"),
        tags=("splash", "water"),
        duration_s={"small": (0.5, 1.0), "big": (1.0, 2.2)},
        level_db={"small": -7},
        fade_s=(0.001, 0.15),
    ),
    Kind(
        name="pouring",
        category="water",
        render=pouring,
        traits={"vessel": ("a glass", "a bucket|a large pot")},
        captions=("pouring water into {vessel}", "filling {vessel} with water",
                  "water being poured into {vessel}"),
        tags=("pouring", "filling", "water"),
        duration_s={"": (2.5, 6)},
        fade_s=(0.03, 0.1),
    ),
    Kind(
        name="underwater",
        category="water",
        render=underwater,
        traits={"number": ("a few", "many|lots of")},
        captions=("underwater ambience with {number} bubbles", "under water, {number} bubbles",
                  "{number} bubbles heard underwater"),
        tags=("underwater", "bubbles", "water"),
        duration_s={"": (4, 9)},
        fade_s=(0.1, 0.1),
    ),
    Kind(
        name="gutter",
        category="water",
        render=rain_gutter,
        traits={"strength": ("trickling", "gushing")},
        captions=("water {strength} through a pipe", "water {strength} in a drain",
                  "{strength} drain pipe"),
        tags=("pipe", "drain", "water"),
        duration_s={"": (3, 8)},
        level_db={"trickling": -5},
        fade_s=(0.05, 0.1),
    ),
)  # fmt: skip
