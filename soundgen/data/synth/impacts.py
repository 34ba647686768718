"""Things that are struck: doors, wood, metal, stone, bells."""

from __future__ import annotations

import numpy as np

from soundgen.data.synth.kind import Kind, Samples, Take
from soundgen.data.synth.signals import (
    add_at,
    band_pass,
    decay,
    formants,
    low_pass,
    modes,
    noise,
    room,
    seconds,
    sloped,
    strike,
    unit_peak,
)


def blow(
    take: Take, num_samples: int, material: str, base: float, loudness: float = 1.0
) -> Samples:
    """Make one hit on a body of a material; `loudness` up to 1, softer ones are duller.

    Modal synthesis; decay by loss factor, t60 = a / (b + f), which is what tells materials apart
    (Wildes and Richards 1988; van den Doel and Pai 1998).
    """
    rng = take.rng
    spread, ring, contact_s, rough = {
        "wood": (9.0, 70.0, 0.0007, 0.3),
        "metal": (14.0, 1500.0, 0.0002, 0.2),
        "stone": (7.0, 45.0, 0.00025, 0.8),
        "glass": (8.0, 900.0, 0.0002, 0.1),
        "plastic": (6.0, 35.0, 0.0006, 0.3),
    }[material]
    count = int(rng.integers(10, 18))
    hz = base * np.concatenate([[1.0], np.sort(rng.uniform(1.3, spread, count - 1))])
    t60_s = ring / (150 + hz) * rng.uniform(0.6, 1.4, count)
    gain = rng.uniform(0.3, 1.0, count) * (base / hz) ** (0.35 if material == "wood" else 0.05)
    if material == "metal":
        # Held, damped by what it lies on, or free.
        t60_s *= take.octaves(0.12, 1.0)
    hit = strike(rng, num_samples, contact_s / max(0.3, loudness), rough)
    body = unit_peak(modes(hit, hz.tolist(), t60_s.tolist(), gain.tolist()))
    # What the modes leave out: the short noise of the contact itself, and of all that shakes.
    length_s = take.octaves(0.01, 0.12) if material in ("wood", "metal") else 0.015
    tick = band_pass(noise(rng, num_samples) * decay(num_samples, length_s), 0.7 * base, 7000, 1)
    share = {"stone": 0.5, "wood": 0.45, "plastic": 0.4}.get(material, 0.2)
    return loudness * (body + share * loudness * unit_peak(tick))


def knock(take: Take) -> Samples:
    """Knuckles on a door: low modes of a wooden panel, in a rhythm, with the room behind it."""
    rng, count = take.rng, take.num_samples
    loud = take.has("loud")
    base = take.octaves(110, 210)
    gap_s = take.pick("pace", {"slow": (0.38, 0.55), "fast": (0.13, 0.22)})
    total = np.zeros(count)
    moment = 0.01
    panel = base * np.array([1, 1.62, 2.2, 2.9, 3.7, 4.9, 6.3, 8.8])
    while moment < take.duration_s - 0.12:
        level = take.octaves(0.75, 1.0)
        hit = strike(rng, seconds(0.35), take.between(0.001, 0.002) if loud else 0.003, 0.4)
        ring = modes(hit, panel.tolist(), (20 / (90 + panel)).tolist(), (base / panel).tolist())
        add_at(total, unit_peak(ring), seconds(moment), level)
        add_at(total, noise(rng, 90) * np.hanning(90), seconds(moment), 0.12 * level)
        moment += gap_s * take.between(0.9, 1.1)
    return room(rng, total, take.between(0.2, 0.6), take.between(0.15, 0.35), 2500)


def door_slam(take: Take) -> Samples:
    """It swings, hits its frame (low modes, a burst of air), the latch falls, the room answers."""
    rng, count = take.rng, take.num_samples
    heavy = take.has("heavy")
    swing = take.between(0.03, 0.2)
    at = seconds(swing)
    x = np.clip(take.time / swing, 0, 1)
    air = sloped(rng, count, -3, 100, 4000) * x**3 * (x < 1)
    rest = count - at
    base = take.octaves(60, 100) if heavy else take.octaves(110, 190)
    panel = base * np.concatenate([[1.0], np.sort(rng.uniform(1.4, 30, 20))])
    ring = modes(strike(rng, rest, 0.0015, 0.6), panel, 40 / (120 + panel), (base / panel) ** 0.4)
    slap = sloped(rng, rest, -3, 80, 5500) * decay(rest, take.between(0.15, 0.4), 0.001)
    hit = unit_peak(ring) + take.between(0.8, 1.3) * unit_peak(slap)
    for _ in range(int(rng.integers(2, 5))):
        latch = blow(take, seconds(0.15), "metal", take.octaves(900, 2200), 0.9)
        later = seconds(take.between(0.0, 0.12))
        add_at(hit, latch * decay(len(latch), 0.12), later, take.between(0.2, 0.6))
    total = 0.12 * air
    add_at(total, hit, at)
    return room(rng, total, take.between(0.4, 1.0), take.between(0.15, 0.3), 3000)


def creak(take: Take) -> Samples:
    """Stick and slip: a train of small jerks whose rate follows the force, through a wooden panel.

    Farnell 2010, chapter on creaking.
    """
    rng, count = take.rng, take.num_samples
    x = np.linspace(0, 1, count)
    rate = take.pick("pace", {"slow": (18, 35), "quick": (70, 160)})
    bend = take.between(-0.8, 0.8)
    force = rate * 2 ** (bend * np.sin(np.pi * x * take.between(0.8, 2.0)) + 0.7 * x)
    total = np.zeros(count)
    at = 0.01
    while at < take.duration_s - 0.02:
        index = min(count - 1, seconds(at))
        add_at(total, np.array([0.3, 1.0, 0.3]), index, take.octaves(0.4, 1))
        at += take.between(0.75, 1.25) / force[index]
    panel = np.array([62.5, 125, 250, 395, 560, 790, 1050, 1500, 2200, 2900]) * take.octaves(
        0.8, 1.5
    )
    creaky = formants(total, [(float(hz), 30 + 0.09 * hz, 1.0) for hz in panel])
    creaky += 0.12 * low_pass(total, 4500)
    return room(rng, creaky * np.sin(np.pi * x**0.7) ** 0.5, 0.5, 0.2, 3000)


def struck(take: Take) -> Samples:
    """One blow on a free body: modes whose decay tells the material (van den Doel and Pai 1998)."""
    material = {"wooden": "wood", "metal": "metal", "stone": "stone", "plastic": "plastic"}[
        take.traits["material"]
    ]
    base = take.pick("size", {"small": (500, 1100), "large": (130, 300)})
    if material == "stone":
        base *= 2.2
    hit = blow(take, take.num_samples, material, base, take.between(0.6, 1))
    wet = take.between(0.05, 0.25)
    return room(take.rng, hit, take.between(0.2, 0.6), wet, 4000)


def wood(take: Take) -> Samples:
    """Modes of a wooden bar or block; short, since wood swallows what it rings."""
    take = Take(take.rng, take.num_samples, {**take.traits, "material": "wooden"})
    return struck(take)


def metal(take: Take) -> Samples:
    """Many inharmonic modes that ring long: a pan, a pipe, a sheet."""
    take = Take(take.rng, take.num_samples, {**take.traits, "material": "metal"})
    return struck(take)


def stone(take: Take) -> Samples:
    """High modes that are gone at once, and the grit of the contact; one stone, or a slide."""
    rng, count = take.rng, take.num_samples
    if take.has("a stone"):
        return room(rng, blow(take, count, "stone", take.octaves(600, 1500)), 0.4, 0.15, 3500)
    total = np.zeros(count)
    moments = np.sort(rng.beta(1.3, 2.2, int(rng.integers(14, 34)))) * (take.duration_s - 0.15)
    for moment in moments:
        hit = blow(take, seconds(0.12), "stone", take.octaves(350, 1600), take.octaves(0.2, 1))
        add_at(total, hit, seconds(moment))
    grit = sloped(rng, count, -2, 60, 5000) * decay(count, 1.6 * take.duration_s, 0.1)
    return room(rng, total + 0.025 * grit, 0.6, 0.2, 3000)


# Partials of a church bell by their old names, from the hum on: (ratio, level, relative decay).
_BELL = (
    (0.5, 0.7, 1.0), (1.0, 0.9, 0.8), (1.19, 1.0, 0.65), (1.5, 0.5, 0.5), (2.0, 1.0, 0.55),
    (2.51, 0.4, 0.35), (2.66, 0.45, 0.3), (3.01, 0.6, 0.25), (4.17, 0.4, 0.16), (5.43, 0.3, 0.11),
    (6.79, 0.2, 0.08),
)  # fmt: skip


def bell(take: Take) -> Samples:
    """Hum, prime, tierce, quint and nominal, each a pair of modes that beat.

    Partials after Rossing 1984, "The acoustics of bells"; pairs since no bell is quite round.
    """
    rng, count = take.rng, take.num_samples
    base = take.pick("size", {"large": (220, 460), "small": (900, 1700)})
    ring_s = take.octaves(3.5, 7) if take.has("large") else take.octaves(1.0, 2.2)
    hz, t60_s, gain = [], [], []
    for ratio, level, relative in _BELL:
        split = take.octaves(0.3, 1.6) if base < 500 else take.octaves(0.8, 4)
        for side in (-0.5, 0.5):
            hz.append(base * ratio * take.between(0.997, 1.003) + side * split)
            t60_s.append(ring_s * relative)
            gain.append(level * take.between(0.5, 1))
    total = np.zeros(count)
    moments = [0.005]
    if take.has("again and again"):
        gap = take.between(0.9, 1.4) if base < 500 else take.between(0.25, 0.5)
        moments = list(np.arange(0.005, take.duration_s - 0.3, gap))
    for moment in moments:
        rest = count - seconds(moment)
        hit = strike(rng, rest, 0.0015 if base < 500 else 0.0003)
        add_at(total, modes(hit, hz, t60_s, gain), seconds(moment), take.between(0.8, 1))
    return room(rng, total, 1.2, take.between(0.05, 0.25), 3500)


KINDS = (
    Kind(
        name="knock",
        category="door",
        render=knock,
        traits={"strength": ("soft|gentle", "loud|hard"), "pace": ("slow", "fast|quick")},
        captions=("{strength}, {pace} knocking on a door", "{strength} knocks on a wooden door",
                  "{pace} knocking on a door", "someone knocks on a door, {strength} and {pace}"),
        tags=("door", "knock", "wood"),
        duration_s={"slow": (1.2, 2.4), "fast": (0.6, 1.4)},
        level_db={"soft": -10},
        fade_s=(0.001, 0.08),
    ),
    Kind(
        name="door-slam",
        category="door",
        render=door_slam,
        traits={"weight": ("light|", "heavy|big")},
        captions=("a {weight} door slams", "{weight} door slammed shut", "slam of a {weight} door"),
        tags=("door", "slam"),
        duration_s={"": (0.6, 1.4)},
        level_db={"light": -4},
        fade_s=(0.001, 0.2),
    ),
    Kind(
        name="door-creak",
        category="door",
        render=creak,
        traits={"pace": ("slow", "quick|fast")},
        captions=("a {pace} creak of a door", "{pace} creaking door", "old door creaking, {pace}",
                  "{pace} squeaky wooden door"),
        tags=("door", "creak", "wood"),
        duration_s={"slow": (1.2, 3), "quick": (0.5, 1.3)},
        fade_s=(0.005, 0.05),
    ),
    Kind(
        name="wood-hit",
        category="impact wood",
        render=wood,
        traits={"size": ("small|light", "large|heavy")},
        captions=("hit on a {size} piece of wood", "{size} wooden impact", "{size} wood knock",
                  "a {size} wooden block is struck"),
        tags=("wood", "hit"),
        duration_s={"": (0.2, 0.5)},
        fade_s=(0.0005, 0.05),
    ),
    Kind(
        name="metal-hit",
        category="impact metal",
        render=metal,
        traits={"size": ("small|thin", "large|heavy")},
        captions=("hit on a {size} piece of metal", "{size} metal impact", "{size} metal clang",
                  "a {size} metal object is struck"),
        tags=("metal", "hit"),
        duration_s={"small": (0.4, 1.2), "large": (0.7, 2.0)},
        fade_s=(0.0005, 0.15),
    ),
    Kind(
        name="stone",
        category="impact stone",
        render=stone,
        traits={"number": ("a stone|a rock", "many stones|rocks")},
        captions=("{number} hitting rock", "{number} falling", "{number} knocking on stone"),
        tags=("stone", "rock"),
        duration_s={"a stone": (0.15, 0.4), "many stones": (1.2, 2.8)},
        fade_s=(0.0005, 0.06),
    ),
    Kind(
        name="bell",
        category="bell",
        render=bell,
        traits={"size": ("small|little", "large|big|church"), "times": ("once",
                "again and again|repeatedly")},
        captions=("a {size} bell rings {times}", "{size} bell ringing",
                  "{size} bell struck {times}"),
        tags=("bell", "ringing"),
        duration_s={"once": (1.5, 4), "again and again": (2.5, 6)},
        fade_s=(0.0005, 0.4),
    ),
)  # fmt: skip
