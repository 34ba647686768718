"""Bursts of air: explosions, gunshots, fireworks, whooshes, steam."""

from __future__ import annotations

import numpy as np

from soundgen.data.synth.kind import Kind, Samples, Take
from soundgen.data.synth.signals import (
    add_at,
    arrivals,
    band_pass,
    decay,
    drift,
    far_away,
    high_pass,
    low_pass,
    noise,
    phase_of,
    resonate,
    room,
    seconds,
    sloped,
    swept_noise,
    unit_peak,
    unit_rms,
)


def _blast(take: Take, num_samples: int, size: float) -> Samples:
    """Make a shock: the Friedlander wave, a fireball that darkens, a thump that falls."""
    rng = take.rng
    time = np.arange(num_samples) / 16000
    positive_s = 0.004 * size
    shock = (1 - time / positive_s) * np.exp(-time / positive_s)
    bright = sloped(rng, num_samples, -1, 200, 6000) * decay(num_samples, 0.6 * size, 0.001)
    dark = low_pass(noise(rng, num_samples), 500 / size**0.5) * decay(num_samples, 1.2 * size, 0.01)
    hz = 45 + 90 / size * np.exp(-time / (0.06 * size))
    thump = np.sin(phase_of(hz, num_samples)) * decay(num_samples, 0.7 * size, 0.002)
    return np.tanh(1.5 * (shock + 0.6 * unit_peak(bright) + 0.9 * unit_peak(dark) + 0.8 * thump))


def explosion(take: Take) -> Samples:
    """A shock wave, a fireball that darkens, debris that falls (Farnell 2010, on explosions)."""
    rng, count = take.rng, take.num_samples
    size = take.pick("size", {"small": (0.5, 0.9), "big": (1.8, 3.0)})
    total = _blast(take, count, size)
    if take.has("near"):
        falling = np.clip(take.time / 0.25, 0, 1) * np.exp(-take.time * 3 / take.duration_s)
        debris = np.zeros(count)
        for at in arrivals(rng, count, take.octaves(15, 45) * falling):
            width = seconds(take.octaves(0.004, 0.03))
            bit = noise(rng, width) * np.exp(-5 * np.arange(width) / width)
            add_at(debris, bit, int(at), take.octaves(0.1, 1))
        total += 0.25 * unit_peak(band_pass(debris, 300, 4500, 1))
        return room(rng, total, take.between(0.8, 1.8), 0.25, 1800)
    rolled = far_away(rng, total, take.octaves(220, 450), 3.0)
    return low_pass(rolled, 700) * np.exp(0.3 * drift(rng, count, 5))


def gunshot(take: Take) -> Samples:
    """A muzzle blast of milliseconds, the bolt, and the echo of the land around it."""
    rng, count = take.rng, take.num_samples
    size = {"a pistol": 0.22, "a rifle": 0.4, "a machine gun": 0.28}[take.traits["gun"]]
    size *= take.between(0.85, 1.2)
    total = np.zeros(count)
    shots = [0.002]
    if take.has("a machine gun"):
        gap = 1 / take.between(8, 13)
        shots = list(np.arange(0.002, take.duration_s - 0.35, gap))
    for moment in shots:
        piece = high_pass(_blast(take, min(count, seconds(0.6)), size), 120, 1)
        snap = sloped(rng, len(piece), 1, 500, 7500) * decay(len(piece), 0.06, 0.0003)
        tail = sloped(rng, len(piece), -2, 200, 6000) * decay(len(piece), take.between(0.3, 0.8))
        shot = 0.6 * piece + unit_peak(snap) + 0.45 * unit_peak(tail)
        add_at(total, np.tanh(1.5 * shot), seconds(moment), take.between(0.9, 1))
    if take.has("distant"):
        return far_away(rng, total, take.octaves(900, 1800), 2.0)
    total = room(rng, total, take.between(0.8, 1.6), take.between(0.2, 0.4), 4500)
    slap = seconds(take.between(0.12, 0.3))
    echo = low_pass(total, 1500, 1)
    add_at(total, echo[: max(0, count - slap)], slap, 0.15)
    return total


def fireworks(take: Take) -> Samples:
    """A whistle that rises, a bang, and a crackle of hundreds of small ones."""
    rng, count = take.rng, take.num_samples
    total = np.zeros(count)
    one = take.has("a firework")
    for number in range(1 if one else int(rng.integers(4, 7))):
        start = 0.02 if number == 0 else take.between(0, 0.6 * take.duration_s)
        flight = take.between(0.5, 0.9)
        size = seconds(flight)
        x = np.linspace(0, 1, size)
        hz = take.octaves(1500, 2200) * (1 + 0.9 * x) * np.exp(0.02 * drift(rng, size, 25))
        whistle = np.sin(phase_of(hz, size)) * np.sin(np.pi * x**0.6) * 0.25
        add_at(total, whistle, seconds(start), 1.0 if one else 0.4)
        bang = low_pass(_blast(take, seconds(1.2), 0.8), 2500, 1)
        add_at(total, bang, seconds(start + flight), take.octaves(0.5, 1))
        rest = seconds(1.1)
        sparks = np.zeros(rest)
        for at in arrivals(rng, rest, 160 * np.exp(-np.arange(rest) / (0.4 * rest))):
            snap = noise(rng, 60) * np.exp(-np.arange(60) / 9)
            add_at(sparks, snap, int(at), take.octaves(0.1, 0.6))
        add_at(total, sparks, seconds(start + flight + 0.1), 0.25)
    return room(rng, total, 1.6, 0.35, 2500)


def whoosh(take: Take) -> Samples:
    """A band of noise whose middle rises and falls as something passes: vortices off an edge.

    Farnell 2010, chapter on wind and swishes.
    """
    rng, count = take.rng, take.num_samples
    x = np.linspace(0, 1, count)
    peak = take.between(0.35, 0.6)
    shape = np.where(x < peak, x / peak, (1 - x) / (1 - peak)).clip(0, 1) ** take.between(1.5, 2.5)
    middle = take.pick("pitch", {"low": (250, 500), "high": (1300, 2600)})
    hz = middle * (0.5 + 1.3 * shape)
    band = swept_noise(rng, hz, 0.9 * middle)
    air = sloped(rng, count, -2, 0.7 * middle, min(7000, 4 * middle))
    return (band + 0.35 * air) * shape


def steam(take: Take) -> Samples:
    """Gas through a valve: noise with a wide high resonance; a burst, or a leak."""
    rng, count = take.rng, take.num_samples
    middle = take.octaves(3000, 5000)
    jet = 0.6 * sloped(rng, count, 1, 800, 7500) + unit_rms(
        resonate(noise(rng, count), middle, 2200)
    )
    jet *= np.exp(0.12 * drift(rng, count, 12))
    if take.has("a short burst of"):
        return (
            jet
            * decay(count, 1.6 * take.duration_s, 0.012)
            * np.clip((take.duration_s - take.time) / (0.5 * take.duration_s), 0, 1)
        )
    return jet * (0.7 + 0.3 * np.tanh(drift(rng, count, 1)))


def splat(take: Take) -> Samples:
    """Something soft and wet: a low slap, squelching bands of noise that rise and tear off."""
    rng, count = take.rng, take.num_samples
    big = take.has("big")
    slap = low_pass(noise(rng, count), 500 if big else 1100) * decay(count, 0.12, 0.002)
    total = unit_peak(slap)
    for _ in range(int(rng.integers(2, 5))):
        size = seconds(take.between(0.08, 0.2))
        x = np.linspace(0, 1, size)
        hz = take.octaves(300, 700) * (1 if big else 1.8) * 2 ** (take.between(0.5, 1.6) * x)
        squelch = swept_noise(rng, hz, 250) * np.sin(np.pi * x**0.5)
        add_at(total, unit_peak(squelch), seconds(take.between(0.01, 0.4) * take.duration_s), 0.35)
    # Strings of slime that snap.
    snaps = np.zeros(count)
    for at in arrivals(rng, count, 250 * np.exp(-5 * take.time / take.duration_s)):
        snap = noise(rng, 40) * np.exp(-np.arange(40) / 8)
        add_at(snaps, snap, int(at), take.octaves(0.1, 1))
    wet = sloped(rng, count, -1, 600, 7000) * decay(count, take.duration_s, 0.005)
    return 0.5 * total + 0.5 * unit_peak(snaps) + 0.35 * unit_peak(wet)


KINDS = (
    Kind(
        name="explosion",
        category="explosion",
        render=explosion,
        traits={"size": ("small", "big|huge|large"), "distance": ("near|close",
                "distant|far away")},
        captions=("a {size}, {distance} explosion", "{size} explosion",
                  "{distance} {size} explosion",
                  "{size} blast, {distance}"),
        tags=("explosion", "blast"),
        duration_s={"small": (0.9, 1.8), "big": (2, 4)},
        level_db={"small": -3, "distant": -8},
        fade_s=(0.0005, 0.4),
    ),
    Kind(
        name="gunshot",
        category="gunshot",
        render=gunshot,
        traits={"gun": ("a pistol", "a rifle", "a machine gun"),
                "distance": ("near|close|", "distant|far away")},
        captions=("{distance} shot of {gun}", "{gun} fired, {distance}",
                  "{distance} gunfire of {gun}"),
        tags=("gun", "shot"),
        duration_s={"": (0.6, 1.3), "a machine gun": (1.2, 2.2)},
        level_db={"distant": -9},
        fade_s=(0.0005, 0.25),
    ),
    Kind(
        name="fireworks",
        category="explosion",
        render=fireworks,
        traits={"number": ("a firework|a single firework", "many fireworks|fireworks")},
        captions=("{number} exploding", "{number} whistling and banging", "{number} in the sky"),
        tags=("fireworks", "bang"),
        duration_s={"a firework": (2, 3), "many fireworks": (4, 6)},
        fade_s=(0.005, 0.3),
    ),
    Kind(
        name="whoosh",
        category="whoosh",
        render=whoosh,
        traits={"pace": ("slow|long", "fast|quick|short"), "pitch": ("low|deep", "high|thin")},
        captions=("a {pace}, {pitch} whoosh", "{pace} {pitch} swoosh",
                  "{pitch} whoosh passing by, {pace}"),
        tags=("whoosh", "swish", "air"),
        duration_s={"slow": (0.8, 1.8), "fast": (0.2, 0.45)},
        fade_s=(0.01, 0.02),
    ),
    Kind(
        name="steam",
        category="machine",
        render=steam,
        traits={"length": ("a short burst of", "a long hiss of|a steady hiss of")},
        captions=("{length} steam", "{length} air from a valve", "{length} gas escaping"),
        tags=("steam", "hiss", "air"),
        duration_s={"a short burst of": (0.3, 0.8), "a long hiss of": (2, 5)},
        fade_s=(0.005, 0.05),
    ),
    Kind(
        name="splat",
        category="water",
        render=splat,
        traits={"size": ("small|little", "big|heavy")},
        captions=("a {size} wet splat", "{size} splat of mud", "{size} squelch"),
        tags=("splat", "mud", "wet"),
        duration_s={"": (0.25, 0.6)},
        level_db={"small": -5},
        fade_s=(0.0005, 0.05),
    ),
)  # fmt: skip
