"""Creatures: crickets, flies, frogs, dog, cat, heartbeat, applause."""

from __future__ import annotations

import numpy as np

from soundgen.data.synth.kind import Kind, Samples, Take
from soundgen.data.synth.signals import (
    add_at,
    arrivals,
    band_pass,
    decay,
    drift,
    formants,
    low_pass,
    noise,
    phase_of,
    pulses,
    room,
    seconds,
    sloped,
    swept_noise,
    unit_peak,
    unit_rms,
)


def crickets(take: Take) -> Samples:
    """Bursts of three or four pulses of a pure tone near 4.5 kHz: a wing drawn over a comb.

    Farnell 2010, chapter on insects; many animals, each with its own pitch and pace.
    """
    rng, count = take.rng, take.num_samples
    one = take.has("a cricket")
    per_s = take.pick("pace", {"slow": (1.2, 2.0), "fast": (3.2, 5.0)})
    total = np.zeros(count)
    for number in range(1 if one else int(rng.integers(8, 16))):
        hz = take.octaves(3900, 5300)
        rate = per_s * take.between(0.9, 1.1)
        pulse_hz = take.between(26, 36)
        pulses_each = int(rng.integers(3, 5))
        cycle = (take.time * rate + (0.0 if number == 0 else rng.random())) % 1.0
        within = cycle / rate * pulse_hz  # in pulses, since the chirp began
        gate = np.where(within < pulses_each, np.sin(np.pi * (within % 1)) ** 2, 0)
        tone = np.sin(phase_of(hz * (1 - 0.01 * (within % 1)), count, rng))
        level = 1.0 if number == 0 else take.octaves(0.05, 0.5)
        total += level * gate * tone
    return total + 0.004 * noise(rng, count)


def fly(take: Take) -> Samples:
    """Wing beats: pulses at 120 to 230 Hz through the resonances of a thorax (Farnell 2010)."""
    rng, count = take.rng, take.num_samples
    one = not take.has("a swarm of bees")
    total = np.zeros(count)
    for number in range(1 if one else 14):
        base = take.octaves(170, 230) if take.has("a fly") else take.octaves(110, 170)
        near = np.exp(0.7 * drift(rng, count, take.between(0.6, 1.4)))
        hz = base * np.exp(0.05 * drift(rng, count, 3) + 0.06 * np.log(near))
        wings = pulses(phase_of(hz, count, rng), take.octaves(60, 220))
        wings -= wings.mean()
        body = formants(wings, [(900, 600, 0.7), (2200, 900, 1.0), (4200, 1500, 0.9)]) + 0.1 * wings
        total += (1.0 if number == 0 else take.octaves(0.2, 0.9)) * body * near
    return total + 0.01 * noise(rng, count)


def frogs(take: Take) -> Samples:
    """A throat that opens and shuts: pulses that excite two formants, in calls."""
    rng, count = take.rng, take.num_samples
    total = np.zeros(count)
    one = take.has("a frog")
    for number in range(1 if one else int(rng.integers(5, 9))):
        low = take.has("deep")
        base = take.octaves(550, 1000) if low else take.octaves(1500, 2700)
        rate = take.octaves(26, 55) if low else take.octaves(40, 90)
        length = take.between(0.2, 0.5) if low else take.between(0.08, 0.25)
        gap = take.between(0.3, 0.9)
        moment = 0.02 if number == 0 else take.between(0, 1)
        voice = np.zeros(count)
        while moment < take.duration_s - 0.08:
            size = seconds(length * take.between(0.85, 1.15))
            x = np.linspace(0, 1, size)
            throat = pulses(phase_of(rate * (0.8 + 0.5 * x), size), 60)
            croak = throat * (
                noise(rng, size) * 0.5 + np.sin(phase_of(base * (0.9 + 0.2 * x), size))
            )
            croak = formants(
                croak,
                [(base, 0.18 * base, 1.0), (2.3 * base, 0.5 * base, 0.6), (3.4 * base, base, 0.3)],
            )
            add_at(voice, croak * np.sin(np.pi * x**0.7) ** 0.6, seconds(moment))
            moment += length + gap * take.between(0.7, 1.4)
        total += (1.0 if number == 0 else take.octaves(0.15, 0.7)) * unit_peak(voice)
    return room(rng, total, take.between(0.3, 0.8), take.between(0.03, 0.15), 3500)


def dog(take: Take) -> Samples:
    """A bark: noisy pulses whose pitch leaps and falls, through the formants of a mouth."""
    rng, count = take.rng, take.num_samples
    small = take.has("small")
    base = take.octaves(420, 700) if small else take.octaves(140, 230)
    scale = take.octaves(1.25, 1.6) if small else take.octaves(0.75, 0.95)
    total = np.zeros(count)
    moment = 0.01
    times = 1 if take.has("once") else 99
    while moment < take.duration_s - 0.15 and times:
        times -= 1
        size = seconds(take.between(0.12, 0.18) if small else take.between(0.18, 0.3))
        x = np.linspace(0, 1, size)
        hz = base * (0.75 + 0.55 * np.sin(np.pi * x**0.6)) * np.exp(0.04 * drift(rng, size, 40))
        voice = pulses(phase_of(hz, size), 14) - 0.2 + 0.35 * noise(rng, size)
        opening = 0.8 + 0.4 * np.sin(np.pi * x.mean())
        bark = formants(voice, [(650 * scale * opening, 180, 1.0), (1350 * scale, 250, 0.6),
                                (2700 * scale, 450, 0.2)])  # fmt: skip
        add_at(total, bark * np.sin(np.pi * x**0.45) ** 0.8, seconds(moment), take.between(0.8, 1))
        moment += size / 16000 + take.between(0.12, 0.5)
    return room(rng, total, take.between(0.3, 0.8), take.between(0.1, 0.25))


def cat(take: Take) -> Samples:
    """A meow: harmonics under formants that glide from [i] over [a] to [u], as a mouth does."""
    rng, count = take.rng, take.num_samples
    x = np.linspace(0, 1, count)
    base = take.octaves(600, 800) if take.has("kitten") else take.octaves(380, 540)
    bend = take.between(0.3, 0.6)
    hz = (
        base
        * (0.8 + bend * np.sin(np.pi * x**0.7))
        * (1 + 0.012 * np.sin(2 * np.pi * 6 * take.time))
    )
    phase = phase_of(hz, count)
    open_mouth = np.sin(np.pi * np.clip(1.1 * x, 0, 1)) ** 1.2
    first = 400 + 800 * open_mouth
    second = 2500 - 900 * open_mouth - 500 * x
    total = np.zeros(count)
    for number in range(1, 15):
        at = number * hz
        gain = 1 / (1 + ((at - first) / 220) ** 2) + 0.6 / (1 + ((at - second) / 350) ** 2)
        gain += 0.2 / (1 + ((at - 4300) / 700) ** 2)
        total += gain * np.sin(number * phase) * (at < 7500)
    total *= np.sin(np.pi * x**0.6) ** 0.7
    breath = band_pass(noise(rng, count), 1500, 6000) * 0.02 * np.sin(np.pi * x)
    return room(rng, total + breath, 0.3, 0.1)


def heartbeat(take: Take) -> Samples:
    """Two thumps a beat, the valves that shut; the second is shorter and higher."""
    rng, count = take.rng, take.num_samples
    per_min = take.pick("pace", {"slow": (45, 62), "fast": (105, 150)})
    total = np.zeros(count)
    moment = 0.03
    pitch = take.octaves(45, 70)
    while moment < take.duration_s - 0.1:
        beat = 60 / per_min
        for later, hz, length, level in (
            (0.0, pitch, 0.16, 1.0),
            (min(0.3, 0.4 * beat), 1.35 * pitch, 0.11, 0.7),
        ):
            size = seconds(length)
            x = np.arange(size) / size
            thump = np.sin(phase_of(hz * (1.5 - 0.7 * x), size)) * np.sin(np.pi * x**0.5) ** 2
            thump += 0.25 * low_pass(noise(rng, size), 150) * np.exp(-6 * x)
            add_at(total, thump, seconds(moment + later), level)
        moment += beat * take.between(0.97, 1.03)
    return total + 0.02 * sloped(rng, count, -6, 30, 250)


def applause(take: Take) -> Samples:
    """Hands that clap, each a resonance of its own at its own pace.

    Peltola et al. 2007, "Synthesis of hand clapping sounds".
    """
    rng, count = take.rng, take.num_samples
    people = int(rng.integers(3, 7)) if take.has("a few people") else int(rng.integers(60, 110))
    total = np.zeros(count)
    size = seconds(0.02)
    for _ in range(people):
        hz, width = take.octaves(700, 2600), take.octaves(300, 900)
        clap = noise(rng, size) * np.exp(-np.arange(size) / seconds(take.between(0.0015, 0.004)))
        clap = unit_peak(formants(clap, [(hz, width, 1.0), (2.1 * hz, 2 * width, 0.5)]))
        gap = 1 / take.between(2.8, 4.8)
        times = np.arange(take.between(0, gap), take.duration_s, gap)
        onsets = ((times + rng.normal(0, 0.012, len(times))) * 16000).astype(int)
        level = take.octaves(0.25, 1)
        for at in onsets:
            add_at(total, clap, int(at), level * take.between(0.6, 1))
    return room(rng, total, take.between(0.4, 1.2), take.between(0.2, 0.5))


def snake(take: Take) -> Samples:
    """A rattle and a hiss: grains at 60 Hz in a resonance (Cook 1997, PhISEM), and air."""
    rng, count = take.rng, take.num_samples
    swell = np.sin(np.pi * np.linspace(0.05, 0.95, count)) ** 0.6
    if take.has("hissing"):
        middle = take.octaves(3500, 5500) * np.exp(0.04 * drift(rng, count, 3))
        return (swept_noise(rng, middle, 2600) + 0.4 * sloped(rng, count, 2, 1500, 7000)) * swell
    onsets = arrivals(rng, count, take.between(50, 75) * 3)
    rattle = np.zeros(count)
    np.add.at(rattle, onsets, rng.random(len(onsets)))
    beat = 0.4 + 0.6 * np.maximum(0, np.sin(phase_of(take.between(45, 65), count))) ** 2
    shaken = formants(rattle * beat, [(3200, 900, 1.0), (5600, 1500, 0.9)])
    return unit_rms(shaken) * swell * decay(count, 60, 0.05)


KINDS = (
    Kind(
        name="crickets",
        category="insects",
        render=crickets,
        traits={
            "number": ("a cricket|a single cricket", "many crickets|crickets"),
            "pace": ("slow", "fast|quick"),
        },
        captions=("{number} chirping, {pace}", "{number} chirping at night",
                  "{pace} chirps of {number}"),
        tags=("cricket", "insect", "night"),
        duration_s={"a cricket": (1.5, 4), "many crickets": (4, 10)},
        fade_s=(0.01, 0.05),
    ),
    Kind(
        name="flies",
        category="insects",
        render=fly,
        traits={"animal": ("a fly", "a bee", "a swarm of bees|many bees")},
        captions=("{animal} buzzing", "buzzing of {animal}", "{animal} flying around"),
        tags=("insect", "buzz"),
        duration_s={"": (2, 6), "a swarm of bees": (4, 8)},
        fade_s=(0.05, 0.1),
    ),
    Kind(
        name="frogs",
        category="frogs",
        render=frogs,
        traits={
            "number": ("a frog|a single frog", "many frogs|frogs|a chorus of frogs"),
            "pitch": ("deep|low", "high|high pitched"),
        },
        captions=("{number} croaking, {pitch}", "{number} croaking", "{pitch} croaks of {number}"),
        tags=("frog", "croak"),
        duration_s={"a frog": (0.8, 2.5), "many frogs": (4, 9)},
        fade_s=(0.005, 0.05),
    ),
    Kind(
        name="dog",
        category="dog",
        render=dog,
        traits={"size": ("small|little", "large|big"), "times": ("once",
                "again and again|repeatedly")},
        captions=("a {size} dog barks {times}", "{size} dog barking {times}",
                  "bark of a {size} dog"),
        tags=("dog", "bark"),
        duration_s={"once": (0.35, 0.7), "again and again": (1.2, 3)},
        fade_s=(0.002, 0.05),
    ),
    Kind(
        name="cat",
        category="cat",
        render=cat,
        traits={"animal": ("cat", "kitten|small cat"), "length": ("short", "long|drawn-out")},
        captions=("a {length} meow of a {animal}", "{animal} meowing", "{length} {animal} meow",
                  "a {animal} meows"),
        tags=("cat", "meow"),
        duration_s={"short": (0.4, 0.7), "long": (0.9, 1.5)},
        fade_s=(0.01, 0.05),
    ),
    Kind(
        name="heartbeat",
        category="human",
        render=heartbeat,
        traits={"pace": ("slow|calm", "fast|racing")},
        captions=("a {pace} heartbeat", "{pace} heart beating", "{pace} heartbeat thumping"),
        tags=("heart", "heartbeat"),
        duration_s={"": (2.5, 6)},
        fade_s=(0.01, 0.1),
    ),
    Kind(
        name="applause",
        category="crowd",
        render=applause,
        traits={"number": ("a few people|a small group", "a large crowd|a big audience")},
        captions=("{number} clapping", "applause of {number}", "{number} applauding"),
        tags=("applause", "clapping"),
        duration_s={"": (2.5, 6)},
        level_db={"a few people": -5},
        fade_s=(0.02, 0.2),
    ),
    Kind(
        name="snake",
        category="animal",
        render=snake,
        traits={"manner": ("hissing", "rattling")},
        captions=("a snake {manner}", "{manner} snake", "{manner} of a snake"),
        tags=("snake", "animal"),
        duration_s={"": (0.7, 2)},
        fade_s=(0.02, 0.05),
    ),
)  # fmt: skip
