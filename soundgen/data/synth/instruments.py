"""Instruments: drums, cymbal, plucked string, wooden bars, shaker."""

from __future__ import annotations

import numpy as np

from soundgen.data.synth.kind import Kind, Samples, Take
from soundgen.data.synth.signals import (
    arrivals,
    band_pass,
    decay,
    formants,
    high_pass,
    low_pass,
    modes,
    noise,
    phase_of,
    room,
    sloped,
    strike,
    unit_peak,
    unit_rms,
)


def kick(take: Take) -> Samples:
    """A sine that falls an octave or two in 30 ms, and the click of the beater."""
    rng, count = take.rng, take.num_samples
    base = take.octaves(42, 65) if take.has("deep") else take.octaves(75, 115)
    hz = base * (1 + take.between(1.5, 4) * np.exp(-take.time / take.between(0.012, 0.03)))
    body = np.tanh(1.6 * np.sin(phase_of(hz, count))) * decay(count, take.between(0.3, 0.6), 0.001)
    click = unit_peak(low_pass(noise(rng, count), 4000) * decay(count, 0.015))
    return body + take.between(0.1, 0.35) * click


def tom(take: Take) -> Samples:
    """Modes of a round membrane, 1 : 1.59 : 2.14 : 2.30 ..., whose tension sinks after the hit."""
    rng, count = take.rng, take.num_samples
    base = take.pick("pitch", {"low": (75, 115), "high": (170, 280)})
    hz = base * (1 + 0.25 * np.exp(-take.time / 0.04))
    total = np.zeros(count)
    for ratio, level in (
        (1, 1.0),
        (1.59, 0.5),
        (2.14, 0.3),
        (2.3, 0.25),
        (2.65, 0.2),
        (2.92, 0.15),
    ):
        ring = decay(count, take.between(0.5, 0.9) / ratio, 0.001)
        total += level * ring * np.sin(phase_of(hz * ratio, count))
    stick = unit_peak(band_pass(noise(rng, count), 500, 5000) * decay(count, 0.02))
    return room(rng, total + 0.25 * stick, 0.5, 0.12, 3000)


def snare(take: Take) -> Samples:
    """Two modes of the head, and wires that rattle as long as it moves: high-passed noise."""
    rng, count = take.rng, take.num_samples
    tight = take.has("tight")
    base = take.octaves(170, 240)
    head = modes(strike(rng, count, 0.001), [base, 1.59 * base, 2.3 * base],
                 [0.2, 0.14, 0.1], [1, 0.7, 0.4])  # fmt: skip
    wires = high_pass(noise(rng, count), 1400 if tight else 900, 1)
    wires *= decay(count, take.between(0.12, 0.2) if tight else take.between(0.3, 0.5), 0.001)
    return unit_peak(head) + take.between(0.7, 1.1) * unit_peak(wires)


def cymbal(take: Take) -> Samples:
    """Noise that decays the faster the lower, over inharmonic square waves (the TR-808's way)."""
    rng, count = take.rng, take.num_samples
    hat = take.has("a closed hi-hat")
    t60_s = {"a closed hi-hat": 0.09, "an open hi-hat": 0.5, "a crash cymbal": 1.8}[
        take.traits["cymbal"]
    ] * take.between(0.8, 1.3)
    ratios = np.array([2.0, 3.0, 4.16, 5.43, 6.79, 8.21]) * take.octaves(150, 260)
    squares = sum(
        (np.sign(np.sin(phase_of(float(hz), count, rng))) for hz in ratios), start=np.zeros(count)
    )
    clang = unit_rms(high_pass(squares, 3000 if hat else 2000))
    sizzle = unit_rms(high_pass(noise(rng, count), 3500 if hat else 1800))
    attack = unit_rms(sloped(rng, count, 1, 400, 7500)) * decay(count, 0.08)
    return (0.5 * clang + sizzle) * decay(count, t60_s, 0.0015) + 0.5 * attack


def pluck(take: Take) -> Samples:
    """A string: noise in a delay line that loses its highs each time round.

    Karplus and Strong 1983, with Jaffe and Smith's (1983) position of the plectrum.
    """
    from scipy.signal import lfilter

    rng, count = take.rng, take.num_samples
    hz = take.pick("pitch", {"low": (75, 150), "high": (300, 620)})
    period = round(16000 / hz - 0.5)
    burst = np.zeros(count)
    burst[:period] = rng.uniform(-1, 1, period)
    steel = take.has("steel")
    # Thick strings are stiff: they swallow what is high beside their pitch.
    burst = low_pass(burst, min(6500, hz * (take.between(20, 30) if steel else 9)), 1)
    place = max(1, int(period * take.between(0.1, 0.3)))
    burst[place:] -= burst[:-place]
    t60_s = take.octaves(1.8, 4.0) if steel else take.octaves(0.9, 2.0)
    loss = 10 ** (-3 / (t60_s * hz))
    blend = 0.5 if not steel else take.between(0.15, 0.35)
    loop = np.zeros(period + 2)
    loop[0] = 1
    loop[period] -= loss * (1 - blend)
    loop[period + 1] -= loss * blend
    string: Samples = lfilter([1.0], loop, burst)
    body = formants(string, [(110, 60, 0.8), (210, 80, 0.7), (400, 200, 0.5)])
    return string + 0.7 * body


def bars(take: Take) -> Samples:
    """A tuned bar, its second mode at four times the first: marimba; or untuned: glockenspiel."""
    rng, count = take.rng, take.num_samples
    low = take.has("wooden")
    base = take.pick("material", {"wooden": (220, 700), "metal": (1100, 2400)})
    ring = take.octaves(0.35, 0.7) if low else take.octaves(1.0, 2.5)
    hit = strike(rng, count, 0.002 if low else 0.0004)
    ratios = [1.0, 3.93, 9.2] if low else [1.0, 2.76, 5.4, 8.9]
    notes = modes(hit, [base * r for r in ratios], [ring / r**0.9 for r in ratios],
                  [1.0, 0.35, 0.12, 0.08][: len(ratios)])  # fmt: skip
    stick = unit_peak(band_pass(noise(rng, count), 500, 3500) * decay(count, 0.02))
    return room(rng, unit_peak(notes) + 0.06 * stick, 0.6, 0.08)


def shaker(take: Take) -> Samples:
    """Beans in a gourd: collisions whose energy decays, in a resonance (PhISEM, Cook 1997)."""
    rng, count = take.rng, take.num_samples
    per_s = take.pick("pace", {"slow": (2, 3), "fast": (5, 8)})
    cycle = (take.time * per_s) % 1.0
    energy = np.exp(-((cycle - 0.25) ** 2) / 0.008) + 0.5 * np.exp(-((cycle - 0.72) ** 2) / 0.012)
    onsets = arrivals(rng, count, 1600 * energy)
    hits = np.zeros(count)
    np.add.at(hits, onsets, rng.exponential(1, len(onsets)) * rng.choice((-1, 1), len(onsets)))
    shell = take.octaves(3000, 5200)
    return formants(hits, [(shell, 1500, 1.0), (0.55 * shell, 1200, 0.3)])


def piano(take: Take) -> Samples:
    """Stretched harmonics of a stiff string, struck; each falls fast, then slowly, and beats.

    Fletcher 1964 for the stretch: f_n = n f sqrt(1 + B n^2).
    """
    rng, count = take.rng, take.num_samples
    base = take.pick("pitch", {"low": (65, 130), "high": (520, 1050)})
    stretch = 4e-4 * (base / 261) ** 0.8
    total = np.zeros(count)
    for number in range(1, 26):
        hz = number * base * np.sqrt(1 + stretch * number**2)
        if hz > 7000:
            break
        level = (
            np.exp(-0.16 * number * (base / 200) ** 0.3) * abs(np.sin(np.pi * number / 8)) + 1e-3
        )
        slow = 9 / (1 + (hz / 350) ** 0.8)
        ring = 0.75 * decay(count, 0.25 * slow, 0.002) + 0.25 * decay(count, slow, 0.002)
        for detune in (-0.12, 0.14):
            total += level * ring * np.sin(phase_of(hz + detune * (1 + 0.1 * number), count, rng))
    thump = unit_peak(low_pass(noise(rng, count), 350) * decay(count, 0.09))
    return room(rng, unit_peak(total) + 0.06 * thump, 0.8, 0.1, 3000)


KINDS = (
    Kind(
        name="kick",
        category="drum",
        render=kick,
        traits={"depth": ("deep|low|sub", "tight|punchy")},
        captions=("a {depth} kick drum", "{depth} bass drum hit", "{depth} kick"),
        tags=("drum", "kick"),
        duration_s={"": (0.25, 0.55)},
        fade_s=(0.0005, 0.05),
    ),
    Kind(
        name="tom",
        category="drum",
        render=tom,
        traits={"pitch": ("low|deep", "high")},
        captions=("a {pitch} tom drum", "{pitch} tom hit", "{pitch} drum struck once"),
        tags=("drum", "tom"),
        duration_s={"": (0.4, 0.9)},
        fade_s=(0.0005, 0.08),
    ),
    Kind(
        name="snare",
        category="drum",
        render=snare,
        traits={"manner": ("tight|short|dry", "loose|long")},
        captions=("a {manner} snare drum", "{manner} snare hit", "{manner} snare"),
        tags=("drum", "snare"),
        duration_s={"tight": (0.18, 0.3), "loose": (0.35, 0.6)},
        fade_s=(0.0005, 0.04),
    ),
    Kind(
        name="cymbal",
        category="cymbal",
        render=cymbal,
        traits={"cymbal": ("a closed hi-hat", "an open hi-hat", "a crash cymbal")},
        captions=("{cymbal}", "hit on {cymbal}", "{cymbal} struck once"),
        tags=("cymbal", "percussion"),
        duration_s={"a closed hi-hat": (0.1, 0.2), "an open hi-hat": (0.4, 0.8),
                    "a crash cymbal": (1.2, 2.5)},
        fade_s=(0.0005, 0.05),
    ),
    Kind(
        name="pluck",
        category="pluck",
        render=pluck,
        traits={"string": ("nylon|soft", "steel|bright"), "pitch": ("low", "high")},
        captions=("a {pitch} note plucked on a {string} string", "{pitch} {string} string pluck",
                  "{string} guitar string plucked, {pitch} note"),
        tags=("string", "pluck", "guitar"),
        duration_s={"nylon": (0.8, 2.0), "steel": (1.2, 3.0)},
        fade_s=(0.0005, 0.2),
    ),
    Kind(
        name="bars",
        category="percussion",
        render=bars,
        traits={"material": ("wooden|marimba", "metal|glockenspiel")},
        captions=("a {material} bar is struck", "{material} bar note", "{material} mallet note"),
        tags=("mallet", "percussion", "note"),
        duration_s={"wooden": (0.4, 0.9), "metal": (0.9, 2.2)},
        fade_s=(0.0005, 0.1),
    ),
    Kind(
        name="shaker",
        category="percussion",
        render=shaker,
        traits={"pace": ("slow", "fast|quick")},
        captions=("{pace} shaker", "a {pace} shaker rhythm", "maracas shaken, {pace}"),
        tags=("shaker", "maracas", "percussion"),
        duration_s={"": (0.8, 2.5)},
        fade_s=(0.005, 0.05),
    ),
    Kind(
        name="piano",
        category="piano",
        render=piano,
        traits={"pitch": ("low|deep", "high|bright")},
        captions=("a {pitch} piano note", "{pitch} single piano key", "{pitch} note on a piano"),
        tags=("piano", "note"),
        duration_s={"low": (2, 4), "high": (1.0, 2.5)},
        fade_s=(0.0005, 0.3),
    ),
)  # fmt: skip
