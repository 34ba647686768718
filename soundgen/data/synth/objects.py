"""Small things: glass, coins, blades, paper."""

from __future__ import annotations

import numpy as np

from soundgen.data.synth.kind import Kind, Samples, Take
from soundgen.data.synth.signals import (
    add_at,
    band_pass,
    decay,
    low_pass,
    modes,
    noise,
    resonate,
    room,
    seconds,
    sloped,
    strike,
    unit_peak,
    unit_rms,
)

_TIMES = ("once", "several times|again and again")


def glass_clink(take: Take) -> Samples:
    """A few high modes of a thin shell that ring clear: a wine glass, a bottle."""
    rng, count = take.rng, take.num_samples
    base = take.pick("pitch", {"low": (700, 1200), "high": (1900, 3000)})
    hz = base * np.array([1, 2.32, 4.25, 6.63, 9.38]) * rng.uniform(0.98, 1.02, 5)
    hz = np.concatenate([hz, hz * rng.uniform(1.001, 1.004, 5)])
    ring = take.octaves(0.4, 1.2)
    t60_s = np.maximum(0.05, ring * (base / hz) ** 0.6)
    total = np.zeros(count)
    moments = [0.003]
    if take.has("several times"):
        moments += list(np.cumsum(rng.uniform(0.15, 0.4, 5)))
    for moment in moments:
        if moment < take.duration_s - 0.1:
            gains = rng.uniform(0.3, 1, 10).tolist()
            hit = strike(rng, count - seconds(moment), 0.0002)
            ringing = modes(hit, hz.tolist(), t60_s.tolist(), gains)
            add_at(total, ringing, seconds(moment), take.between(0.5, 1))
    return room(rng, total, 0.4, 0.1, 6000)


def glass_break(take: Take) -> Samples:
    """A crack of noise, then shards: modes of small panes that fall and ring, ever fewer."""
    rng, count = take.rng, take.num_samples
    big = take.has("window")
    crack = sloped(rng, count, 0, 200 if big else 500, 7000) * decay(count, 0.6 if big else 0.25)
    total = 1.2 * unit_peak(crack)
    number = int(rng.integers(120, 200) if big else rng.integers(40, 80))
    for moment in rng.exponential(0.22 * take.duration_s, number):
        if moment > take.duration_s - 0.1:
            continue
        base = take.octaves(1100, 5000) if big else take.octaves(1800, 5600)
        hz = base * np.array([1, 1.42, 1.9])
        size = seconds(take.between(0.06, 0.18))
        hit = strike(rng, size, 0.0002)
        shard = modes(hit, hz.tolist(), [take.octaves(0.05, 0.3)] * 3, [1, 0.7, 0.5])
        shard = unit_peak(shard) * decay(size, 0.3)
        add_at(total, shard, seconds(moment), take.octaves(0.06, 0.5) * np.exp(-moment))
    return room(rng, total, 0.5, take.between(0.1, 0.25), 5500)


def coin_drop(take: Take) -> Samples:
    """A disc that bounces, each time sooner and softer, and ends in a whirr (Euler's disc)."""
    rng, count = take.rng, take.num_samples
    total = np.zeros(count)
    for number in range(1 if take.has("a coin") else int(rng.integers(4, 9))):
        base = take.octaves(2300, 3600)
        hz = base * np.array([1, 1.28, 1.73, 2.1, 2.4]) * rng.uniform(0.97, 1.03, 5)
        moment = 0.005 if number == 0 else take.between(0, 0.5 * take.duration_s)
        gap, level = take.between(0.12, 0.26), 1.0
        while gap > 0.012 and moment < take.duration_s - 0.05:
            hit = strike(rng, seconds(0.35), 0.0002, 0.2)
            gains = rng.uniform(0.3, 1, 5).tolist()
            ring = unit_peak(modes(hit, hz.tolist(), [take.octaves(0.1, 0.35)] * 5, gains))
            add_at(total, ring, seconds(moment), level)
            moment += gap
            gap *= take.between(0.7, 0.86)
            level *= take.between(0.68, 0.85)
    knock_on = resonate(total, take.octaves(200, 420), 90)
    return room(rng, total + 0.8 * knock_on, 0.3, 0.12, 5000)


def sword(take: Take) -> Samples:
    """Two blades: long metal modes above 1 kHz, a scrape of noise sweeping along them."""
    rng, count = take.rng, take.num_samples
    base = take.octaves(900, 1500)
    hz = base * np.sort(np.concatenate([[1.0], rng.uniform(1.1, 6.5, 17)]))
    t60_s = rng.uniform(0.25, 1.1, 18)
    total = np.zeros(count)
    moments = [0.004]
    if take.has("several times"):
        moments += list(np.cumsum(rng.uniform(0.25, 0.6, 6)))
    for moment in moments:
        if moment > take.duration_s - 0.15:
            break
        rest = count - seconds(moment)
        gains = rng.uniform(0.2, 1, 18).tolist()
        clash = unit_peak(modes(strike(rng, rest, 0.0002, 0.4), hz.tolist(), t60_s.tolist(), gains))
        scrape = sloped(rng, rest, 2, 2500, 7200) * decay(rest, take.between(0.08, 0.25), 0.004)
        add_at(total, clash + 0.35 * unit_peak(scrape), seconds(moment), take.between(0.6, 1))
    return room(rng, total, 0.5, 0.15, 5000)


def crumple(take: Take) -> Samples:
    """Paper: Poisson clicks, each an own resonance, in bursts (Fontana and Bresin 2003)."""
    rng, count = take.rng, take.num_samples
    total = np.zeros(count)
    moment = 0.01
    pace = take.pick("pace", {"slowly": (0.02, 0.05), "quickly": (0.004, 0.009)})
    while moment < take.duration_s - 0.02:
        size = seconds(take.octaves(0.002, 0.012))
        snap = noise(rng, size) * np.exp(-5 * np.arange(size) / size)
        add_at(total, snap, seconds(moment), float(0.2 + rng.pareto(2.2)))
        moment += float(rng.exponential(pace * (4 if rng.random() < 0.06 else 1)))
    sheet = band_pass(total, take.octaves(500, 900), 7200, 1)
    rubbing = sloped(rng, count, -1, 200, 6500) * low_pass(np.abs(sheet), 15, 1)
    body = 0.5 * unit_rms(low_pass(total, 1500, 1))
    return unit_rms(sheet) + body + take.between(0.4, 0.9) * unit_rms(rubbing)


KINDS = (
    Kind(
        name="glass-clink",
        category="glass",
        render=glass_clink,
        traits={"pitch": ("low", "high|thin"), "times": _TIMES},
        captions=("{pitch} glass clinks {times}", "{pitch} clink of a glass",
                  "tapping a glass {times}",
                  "{pitch} glass ting, {times}"),
        tags=("glass", "clink"),
        duration_s={"once": (0.4, 1.1), "several times": (1.2, 2.2)},
        fade_s=(0.0005, 0.1),
    ),
    Kind(
        name="glass-break",
        category="glass",
        render=glass_break,
        traits={"object": ("a small bottle|a glass", "a window|a big window pane")},
        captions=("{object} breaking", "{object} shatters", "shattering of {object}",
                  "breaking glass, {object}"),
        tags=("glass", "breaking", "shatter"),
        duration_s={"a small bottle": (0.6, 1.2), "a window": (1.0, 2.2)},
        fade_s=(0.0005, 0.1),
    ),
    Kind(
        name="coin-drop",
        category="coin",
        render=coin_drop,
        traits={"number": ("a coin|a single coin", "several coins|coins|many coins")},
        captions=("{number} dropped on a table", "{number} falling and bouncing",
                  "{number} clinking"),
        tags=("coin", "drop", "metal"),
        duration_s={"a coin": (0.7, 1.3), "several coins": (1.2, 2.2)},
        fade_s=(0.0005, 0.05),
    ),
    Kind(
        name="sword",
        category="sword",
        render=sword,
        traits={"times": _TIMES},
        captions=("swords clash {times}", "blades hitting each other {times}",
                  "sword clang, {times}"),
        tags=("sword", "metal", "blade"),
        duration_s={"once": (0.4, 1.0), "several times": (1.5, 3)},
        fade_s=(0.0005, 0.1),
    ),
    Kind(
        name="paper",
        category="paper",
        render=crumple,
        traits={"pace": ("slowly", "quickly|fast")},
        captions=("paper crumpled {pace}", "crumpling paper {pace}",
                  "a sheet of paper crushed {pace}"),
        tags=("paper", "crumple"),
        duration_s={"slowly": (1.0, 2.5), "quickly": (0.5, 1.5)},
        fade_s=(0.005, 0.05),
    ),
)  # fmt: skip
