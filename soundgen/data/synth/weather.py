"""Weather and fire: rain, wind, thunder, hail, fire."""

from __future__ import annotations

import numpy as np

from soundgen.data.synth.kind import Kind, Samples, Take
from soundgen.data.synth.signals import (
    add_at,
    arrivals,
    band_pass,
    coloured,
    drift,
    low_pass,
    modes,
    noise,
    room,
    scatter_damped,
    seconds,
    sloped,
    swept_noise,
    unit_peak,
    unit_rms,
)

# Of a drop that hits each surface: lowest and highest pitch in Hz, time to fall by 60 dB in s,
# and how loud the hits are beside the hiss of all that fall farther away.
_SURFACES = {
    "the street": (1800, 6500, 0.008, 1.0),
    "a tin roof": (900, 5200, 0.050, 2.2),
    "leaves": (700, 3200, 0.012, 1.2),
    "a window": (1400, 4800, 0.022, 1.8),
}


def rain(take: Take) -> Samples:
    """Poisson drops, each a damped sine of the surface, over noise of all the farther ones.

    Farnell 2010, "Designing Sound", chapter on rain.
    """
    rng, count = take.rng, take.num_samples
    low, high, t60_s, level = _SURFACES[take.traits["surface"]]
    per_s = take.pick("strength", {"light": (40, 110), "steady": (180, 450), "heavy": (800, 1800)})
    hiss = take.pick("strength", {"light": (0.6, 1.0), "steady": (1.0, 1.6), "heavy": (2.0, 3.0)})
    swell = np.exp(0.15 * drift(rng, count, 0.6))
    onsets = arrivals(rng, count, per_s * swell)
    size = rng.lognormal(0, 0.8, len(onsets))
    pitch = low * (high / low) ** rng.random(len(onsets)) / (0.7 + 0.3 * size)
    decays = t60_s * rng.uniform(0.5, 1.5, len(onsets))
    drops = scatter_damped(count, onsets, pitch, decays, size)
    # The skin of the drop tears within a millisecond: a click of noise before it rings.
    clicks = np.zeros(count)
    np.add.at(clicks, onsets, size * rng.choice((-1.0, 1.0), len(onsets)))
    drops += band_pass(clicks, low, min(7500, 1.6 * high))
    # Heavier rain has larger drops, and those are lower.
    slope = take.pick("strength", {"light": (0.8, 1.4), "steady": (0.4, 0.9), "heavy": (0.1, 0.4)})
    bed = sloped(rng, count, slope - 1, 70, 7500 if low > 800 else 5000) * swell
    return level * unit_rms(drops) + hiss * bed


def hail(take: Take) -> Samples:
    """Rain's Poisson grains, but hard ones: modes of metal, wood or stone that each hit excites."""
    rng, count = take.rng, take.num_samples
    per_s = take.pick("strength", {"light": (8, 20), "heavy": (60, 150)})
    onsets = arrivals(rng, count, per_s * np.exp(0.3 * drift(rng, count, 0.7)))
    blows = np.zeros(count)
    np.add.at(blows, onsets, rng.lognormal(0, 0.7, len(onsets)))
    surface = take.traits["surface"]
    base, t60_s = {"a car roof": (240, 0.16), "a wooden roof": (350, 0.05)}[surface]
    hz = base * np.sort(rng.uniform(1, 24, 28))
    body = modes(low_pass(blows, 3500, 1), hz, t60_s * rng.uniform(0.2, 0.6, 28), (300 / hz) ** 0.6)
    ticks = band_pass(blows, 1500, 7000, 1)
    bed = sloped(rng, count, -1, 80, 7000)
    return unit_rms(body) + 0.6 * unit_rms(ticks) + take.between(0.4, 0.9) * bed


def wind(take: Take) -> Samples:
    """Noise whose level and brightness follow slow gusts, and bands that whistle along.

    A gust moves the pitch of what it howls through (Farnell 2010, chapter on wind).
    """
    rng, count = take.rng, take.num_samples
    gusts = take.pick("strength", {"gentle": (0.3, 0.5), "strong": (0.7, 1.1)})
    speed = np.exp(gusts * (0.7 * drift(rng, count, 0.35) + 0.3 * drift(rng, count, 1.5)))
    edge = take.pick("strength", {"gentle": (250, 450), "strong": (450, 900)})
    dull = sloped(rng, count, -5, 40, edge)
    bright = sloped(rng, count, -4, 150, 3 * edge)
    air = 0.7 * dull * speed + 0.5 * bright * speed**1.8
    if take.has("howling"):
        for _ in range(int(rng.integers(1, 4))):
            middle = take.octaves(280, 900)
            pitch = middle * np.clip(speed, 0.4, 2.2) ** 0.35 * np.exp(0.05 * drift(rng, count, 2))
            howl = swept_noise(rng, pitch, take.octaves(0.05, 0.14) * middle)
            air += take.between(0.4, 1.0) * howl * np.minimum(speed, 3) ** 1.6
    if take.has("rustling leaves"):
        # Each leaf is a tiny click; together they hiss as much as the air moves.
        rustle = noise(rng, count) * (rng.random(count) < 0.06 * np.minimum(speed, 3) / 2)
        air += 0.6 * unit_rms(band_pass(rustle, 1800, 6500) * np.minimum(speed, 3) ** 1.5)
    return air


def thunder(take: Take) -> Samples:
    """N-waves from all along a crooked channel, which arrive one after another.

    Few 1969, "Power spectrum of thunder"; distance takes the highs and stretches the rumble.
    """
    rng, count = take.rng, take.num_samples
    near = take.has("near")
    start = take.between(0.02, 0.1 if near else 0.6)
    since = np.maximum(take.time - start, 0)
    struck = take.time >= start
    fading = np.where(struck, np.exp(-since * take.between(1.6, 2.6) / take.duration_s), 0)
    fading *= np.minimum(1, since / (0.01 if near else take.between(0.1, 0.5)))
    # Branches of the channel lie at all distances: their N-waves come in swells.
    swells = np.exp(0.8 * drift(rng, count, take.between(0.8, 1.8)) + 0.35 * drift(rng, count, 8))
    onsets = arrivals(rng, count, take.octaves(60, 140) * swells * fading)
    hits = np.zeros(count)
    np.add.at(hits, onsets, rng.lognormal(0, 0.8, len(onsets)) * fading[onsets])
    width = seconds(take.octaves(0.006, 0.02))
    waves = np.convolve(hits, np.linspace(1, -1, width))[:count]
    edge = take.octaves(500, 1100) if near else take.octaves(180, 380)
    air = sloped(rng, count, -4, 35, edge) * swells * fading
    total: Samples = unit_rms(air) + 0.8 * unit_rms(low_pass(waves, edge))
    # As it goes on, what arrives comes from farther away: darker.
    darker = low_pass(total, 0.35 * edge)
    part = np.minimum(1, since / (0.7 * take.duration_s))
    total = total * (1 - part) + 1.2 * darker * part
    if near:
        steep = take.octaves(0.12, 0.45)
        burst = arrivals(rng, count, 700 * np.where(struck, np.exp(-since / steep), 0))
        crack = np.zeros(count)
        np.add.at(crack, burst, rng.lognormal(0, 1.1, len(burst)) * rng.choice((-1, 1), len(burst)))
        tear = unit_peak(low_pass(crack, 3500, 1))
        tear += 0.5 * sloped(rng, count, -3, 100, 4500) * np.exp(-since / steep) * struck
        total = total + take.between(2.0, 3.5) * room(rng, tear, 2.0, 0.3, 1500)
    # Thunder comes with a storm.
    storm = take.octaves(0.01, 0.05) if near else take.octaves(0.002, 0.012)
    total += storm * sloped(rng, count, -2, 60, 6500)
    return total


def fire(take: Take) -> Samples:
    """Flames that lap, gases that hiss and wood that crackles: three noises (Farnell 2010)."""
    rng, count = take.rng, take.num_samples
    big = take.has("large")
    lapping = low_pass(noise(rng, count), take.octaves(180, 320) if big else 140)
    lapping = unit_rms(lapping * np.exp(0.6 * drift(rng, count, 5)))
    hiss = sloped(rng, count, 0, 900, 5500) * np.exp(0.7 * drift(rng, count, 2.5))
    per_s = take.pick("size", {"small": (5, 14), "large": (25, 60)})
    onsets = arrivals(rng, count, per_s * np.exp(0.9 * drift(rng, count, 1.2)))
    # A crackle is a splinter that snaps: most are small, a few are pops.
    total = np.zeros(count)
    pieces = 0.5 * rng.pareto(1.6, len(onsets)).clip(0, 12) + 0.05
    for at, level in zip(onsets, pieces, strict=True):
        width = seconds(take.octaves(0.0015, 0.012))
        snap = noise(rng, width) * np.exp(-5 * np.arange(width) / width)
        add_at(total, snap, int(at), float(level))
    crackle = unit_rms(band_pass(total, take.octaves(400, 900), 6500, 1))
    roar = coloured(rng, count, lambda f: 1 / (1 + (f / 300) ** 1.5)) * np.exp(
        0.4 * drift(rng, count, 1.5)
    )
    return (
        (1.3 if big else 0.35) * lapping
        + (1.2 if big else 0.15) * roar
        + (0.25 if big else 0.12) * hiss
        + take.between(0.8, 1.3) * crackle
    )


KINDS = (
    Kind(
        name="rain",
        category="rain",
        render=rain,
        traits={
            "strength": ("light|gentle", "steady|", "heavy|hard|pouring"),
            "surface": ("the street|pavement|", "a tin roof|a metal roof", "leaves", "a window"),
        },
        captions=("{strength} rain on {surface}", "{strength} rain falling on {surface}",
                  "{strength} rainfall", "rain drops falling on {surface}"),
        tags=("rain", "weather"),
        duration_s={"": (4, 10)},
        level_db={"light": -10, "steady": -4},
        fade_s=(0.05, 0.05),
    ),
    Kind(
        name="hail",
        category="rain",
        render=hail,
        traits={"strength": ("light", "heavy"), "surface": ("a car roof", "a wooden roof")},
        captions=("{strength} hail on {surface}", "{strength} hailstorm",
                  "hailstones hitting {surface}"),
        tags=("hail", "weather"),
        duration_s={"": (3, 8)},
        level_db={"light": -6},
        fade_s=(0.05, 0.05),
    ),
    Kind(
        name="wind",
        category="wind",
        render=wind,
        traits={
            "strength": ("gentle|light", "strong|stormy"),
            "manner": ("blowing", "howling", "rustling leaves"),
        },
        captions=("{strength} wind {manner}", "wind {manner}", "{strength} gusts of wind",
                  "{strength} wind outdoors"),
        tags=("wind", "weather"),
        duration_s={"": (5, 10)},
        level_db={"gentle": -8},
        fade_s=(0.1, 0.1),
    ),
    Kind(
        name="thunder",
        category="thunder",
        render=thunder,
        traits={"distance": ("near|close|loud", "distant|far")},
        captions=("{distance} thunder", "{distance} thunder rumbling", "{distance} thunder clap",
                  "{distance} rolling thunder"),
        tags=("thunder", "storm", "weather"),
        duration_s={"": (4, 9)},
        level_db={"distant": -8},
        fade_s=(0.005, 0.6),
    ),
    Kind(
        name="fire",
        category="fire",
        render=fire,
        traits={"size": ("small", "large|big")},
        captions=("a {size} fire burning", "a {size} fire crackling", "{size} crackling fire",
                  "{size} flames burning and crackling"),
        tags=("fire", "flames", "crackling"),
        duration_s={"": (4, 10)},
        level_db={"small": -5},
        fade_s=(0.05, 0.05),
    ),
)  # fmt: skip
