"""Birds: song, owl, crow."""

from __future__ import annotations

import numpy as np

from soundgen.data.synth.kind import Kind, Samples, Take
from soundgen.data.synth.signals import (
    add_at,
    band_pass,
    drift,
    far_away,
    formants,
    harmonics,
    noise,
    phase_of,
    room,
    seconds,
    sloped,
    unit_peak,
)


def _syllable(take: Take, length_s: float, start_hz: float, stop_hz: float, bend: float) -> Samples:
    """Make one chirp from pitch to pitch, `bend` octaves off the straight way in the middle."""
    count = seconds(length_s)
    x = np.linspace(0, 1, count)
    hz = start_hz * (stop_hz / start_hz) ** x * 2 ** (bend * np.sin(np.pi * x))
    phase = phase_of(np.clip(hz, 500, 7300), count, take.rng)
    tone = np.sin(phase) + take.between(0.02, 0.15) * np.sin(2 * phase) * (hz < 3600)
    edge = take.between(0.15, 0.4)
    shaped: Samples = tone * np.clip(np.minimum(x, 1 - x) / edge, 0, 1) ** 1.5
    return shaped


def _outdoors(take: Take, x: Samples) -> Samples:
    """Add what any recording under the sky has: wind and traffic from afar, soft or loud."""
    bed = sloped(take.rng, len(x), -3, 60, 6000) * np.exp(0.2 * drift(take.rng, len(x), 0.7))
    return unit_peak(x) + take.octaves(0.002, 0.05) * bed


def _phrase(take: Take, song: str, base: float) -> Samples:
    """Make one song of one bird."""
    rng = take.rng
    notes: list[tuple[Samples, float]] = []
    if song == "chirping":
        length, ratio, bend = (
            take.between(0.04, 0.1),
            take.octaves(0.6, 1.5),
            take.between(-0.3, 0.4),
        )
        for _ in range(int(rng.integers(2, 6))):
            hz = base * take.between(0.93, 1.07)
            notes.append((_syllable(take, length, hz, hz * ratio, bend), take.between(0.05, 0.14)))
    elif song == "trilling":
        length, ratio = take.between(0.02, 0.045), take.octaves(0.65, 1.45)
        for step in range(int(rng.integers(10, 26))):
            hz = base * (1 + 0.004 * step)
            notes.append((_syllable(take, length, hz, hz * ratio, 0.1), take.between(0.01, 0.018)))
    else:
        for _ in range(int(rng.integers(2, 5))):
            hz = base * take.octaves(0.75, 1.35)
            length = take.between(0.12, 0.4)
            bend = take.between(-0.12, 0.12)
            notes.append((_syllable(take, length, hz, hz * take.octaves(0.85, 1.2), bend),
                          take.between(0.04, 0.12)))  # fmt: skip
    pieces = [np.concatenate([note, np.zeros(seconds(gap))]) for note, gap in notes]
    return np.concatenate(pieces)


def birds(take: Take) -> Samples:
    """Chirps: sine sweeps in syllables and phrases, as a syrinx makes them (Farnell 2010)."""
    rng, count = take.rng, take.num_samples
    total = np.zeros(count)
    one = take.has("a bird")
    for number in range(1 if one else int(rng.integers(3, 6))):
        base = take.pick("pitch", {"low": (1500, 2400), "high": (3600, 5400)})
        level = 1.0 if number == 0 else take.octaves(0.1, 0.7)
        song = take.traits["song"]
        moment = take.between(0.02, 0.15) if number == 0 else take.between(0, 1.2)
        voice = np.zeros(count)
        while moment < take.duration_s - 0.1:
            add_at(voice, _phrase(take, song, base), seconds(moment), take.octaves(0.6, 1))
            moment += take.between(0.5, 1.6) + (0 if one else take.between(0, 0.8))
        total += level * voice
    return _outdoors(take, room(rng, total, take.between(0.5, 1.4), take.between(0.05, 0.3), 5000))


def owl(take: Take) -> Samples:
    """Hoots: a low sine with little overtone and breath, in the owl's rhythm."""
    rng, count = take.rng, take.num_samples
    base = take.octaves(300, 420)
    total = np.zeros(count)
    moment = 0.05
    rhythm = [(0.18, 0.25), (0.12, 0.12), (0.12, 0.12), (0.45, 0.4)]
    while moment < take.duration_s - 0.5:
        for length, gap in rhythm:
            if moment + length > take.duration_s:
                break
            size = seconds(length * take.between(0.9, 1.1))
            x = np.linspace(0, 1, size)
            phase = phase_of(base * (1 + 0.06 * np.sin(np.pi * x)), size)
            hoot = np.sin(phase) + 0.12 * np.sin(2 * phase) + 0.05 * np.sin(3 * phase)
            breath = 0.04 * band_pass(noise(rng, size), base, 3 * base)
            add_at(total, (hoot + breath) * np.sin(np.pi * x) ** 0.7, seconds(moment))
            moment += length + gap
        moment += take.between(0.8, 1.6)
    if take.has("distant"):
        return _outdoors(take, far_away(rng, total, 900))
    return _outdoors(take, room(rng, total, 1.2, 0.25, 1500))


def crow(take: Take) -> Samples:
    """A caw: rough harmonics at 400 to 600 Hz, shaped by two wide formants."""
    rng, count = take.rng, take.num_samples
    total = np.zeros(count)
    moment = 0.01
    times = 1 if take.has("once") else 99
    base = take.octaves(380, 560)
    while moment < take.duration_s - 0.2 and times:
        times -= 1
        size = seconds(take.between(0.22, 0.4))
        x = np.linspace(0, 1, size)
        hz = base * (0.9 + 0.2 * np.sin(np.pi * x)) * np.exp(0.06 * drift(rng, size, 90))
        phase = phase_of(hz, size)
        voice = harmonics(phase, [1 / k**0.7 for k in range(1, 13)], float(hz.max()))
        voice *= 1 + 0.5 * np.sin(0.5 * phase)
        caw = formants(
            voice + 1.2 * noise(rng, size), [(1300, 350, 1.0), (1900, 400, 0.7), (3000, 900, 0.5)]
        )
        add_at(total, caw * np.sin(np.pi * x**0.5) ** 0.8, seconds(moment))
        moment += size / 16000 + take.between(0.2, 0.5)
    return _outdoors(take, room(rng, total, 1.0, take.between(0.15, 0.4), 3000))


KINDS = (
    Kind(
        name="birds",
        category="birds",
        render=birds,
        traits={
            "pitch": ("low|low pitched", "high|high pitched"),
            "number": ("a bird|a single bird", "several birds|many birds|birds"),
            "song": ("chirping", "trilling", "whistling"),
        },
        captions=("{number} {song}, {pitch}", "{number} {song}", "{pitch} birdsong",
                  "{pitch} {song} of {number}"),
        tags=("birds", "song"),
        duration_s={"a bird": (1.2, 3.5), "several birds": (4, 9)},
        fade_s=(0.005, 0.1),
    ),
    Kind(
        name="owl",
        category="birds",
        render=owl,
        traits={"distance": ("near|close|", "distant|far away")},
        captions=("{distance} owl hooting", "hooting of a {distance} owl",
                  "{distance} owl at night"),
        tags=("owl", "bird", "hoot"),
        duration_s={"": (2, 5)},
        level_db={"distant": -8},
        fade_s=(0.005, 0.1),
    ),
    Kind(
        name="crow",
        category="birds",
        render=crow,
        traits={"times": ("once", "again and again|several times")},
        captions=("a crow caws {times}", "crow cawing {times}", "a raven croaks {times}"),
        tags=("crow", "bird", "caw"),
        duration_s={"once": (0.5, 0.9), "again and again": (1.5, 3.5)},
        fade_s=(0.002, 0.08),
    ),
)  # fmt: skip
