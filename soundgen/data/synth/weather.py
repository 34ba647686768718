"""Weather and fire: rain, wind, thunder, hail, fire."""

from __future__ import annotations

import numpy as np

from soundgen.data.synth.kind import Kind, Samples, Take
from soundgen.data.synth.signals import (
    add_at,
    arrivals,
    band_pass,
    coloured,
    damped,
    drift,
    low_pass,
    modes,
    noise,
    room,
    scatter,
    seconds,
    sloped,
    swept_noise,
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
    per_s = take.pick("strength", {"light": (25, 80), "steady": (150, 400), "heavy": (800, 1800)})
    hiss = take.pick("strength", {"light": (0.1, 0.25), "steady": (0.6, 1), "heavy": (1.5, 2.5)})
    swell = np.exp(0.15 * drift(rng, count, 0.6))
    onsets = arrivals(rng, count, per_s * swell)
    size = rng.lognormal(0, 0.8, len(onsets))
    pitch = low * (high / low) ** rng.random(len(onsets)) / (0.7 + 0.3 * size)
    decays = t60_s * rng.uniform(0.5, 1.5, len(onsets))
    drops = scatter(count, onsets, damped(pitch, decays, size))
    # The skin of the drop tears within a millisecond: a click of noise before it rings.
    clicks = np.zeros(count)
    np.add.at(clicks, onsets, size * rng.choice((-1.0, 1.0), len(onsets)))
    drops += band_pass(clicks, low, min(7500, 1.6 * high))
    # Heavier rain has larger drops, and those are lower.
    slope = take.pick("strength", {"light": (2, 3), "steady": (0.5, 1.5), "heavy": (0.1, 0.5)})
    bed = sloped(rng, count, slope, 350, 7000 if low > 800 else 3500) * swell
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
    hz = base * np.sort(rng.uniform(1, 14, 14))
    body = modes(low_pass(blows, 3500, 1), hz, t60_s * rng.uniform(0.4, 1, 14), 300 / hz)
    return unit_rms(body) + take.between(0.1, 0.3) * sloped(rng, count, 0, 800, 6000)


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
    start = seconds(take.between(0.02, 0.1 if near else 0.5))
    time = np.maximum(take.time - start / 16000, 0)
    length = take.duration_s
    swells = np.exp(0.9 * drift(rng, count, take.between(0.7, 1.6)))
    rate = np.where(take.time * 16000 >= start, swells * np.exp(-time * 3.0 / length), 0)
    rumble = np.zeros(count)
    onsets = arrivals(rng, count, take.octaves(25, 60) * rate)
    if not len(onsets):
        onsets = np.array([start])
    width = seconds(take.octaves(0.012, 0.03))
    wave = np.linspace(1, -1, width)
    strength = rng.lognormal(0, 0.8, len(onsets)) * np.exp(-time[onsets] * 2.0 / length)
    np.add.at(rumble, onsets, strength)
    rumble = np.convolve(rumble, wave)[:count]
    rolled = unit_rms(low_pass(rumble, take.octaves(140, 300) if near else take.octaves(70, 130)))
    rolled *= np.exp(0.5 * drift(rng, count, 6))
    if near:
        crack = np.zeros(count)
        steep = take.octaves(0.08, 0.3)
        burst = arrivals(rng, count, 900 * np.where(time > 0, np.exp(-time / steep), 0))
        np.add.at(crack, burst, rng.lognormal(0, 1.1, len(burst)))
        tear = low_pass(crack, 3200, 1) + 0.8 * low_pass(noise(rng, count), 1800) * np.exp(
            -time / steep
        ) * (time > 0)
        tail = room(rng, unit_rms(tear), 2.5, take.between(0.5, 0.9), 900)
        return 0.7 * rolled + take.between(1.3, 2.2) * tail
    return rolled + 0.12 * unit_rms(low_pass(noise(rng, count), 350) * rate)


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
