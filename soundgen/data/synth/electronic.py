"""Electronic sounds: alarms, sirens, telephones, lasers, drones, and what retro games make."""

from __future__ import annotations

import numpy as np

from soundgen.data.synth.kind import Kind, Samples, Take
from soundgen.data.synth.signals import (
    add_at,
    band_pass,
    choice,
    decay,
    drift,
    far_away,
    formants,
    harmonics,
    low_pass,
    modes,
    noise,
    phase_of,
    pulses,
    room,
    seconds,
    strike,
    unit_peak,
    unit_rms,
)


def square(phase: Samples, duty: float = 0.5) -> Samples:
    """Make a square wave as the sound chips of old consoles did, its aliases included."""
    return choice((phase / (2 * np.pi)) % 1.0 < duty, 1.0, -1.0)


def siren(take: Take) -> Samples:
    """A tone that sweeps: slowly up and down (wail), fast (yelp), or in two steps (hi-lo)."""
    rng, count = take.rng, take.num_samples
    low, high = take.octaves(450, 700), take.octaves(1000, 1500)
    rate = {"wailing": take.between(0.2, 0.35), "yelping": take.between(2.6, 4.2),
            "two-tone": take.between(0.8, 1.2)}[take.traits["manner"]]  # fmt: skip
    cycle = (take.time * rate + rng.random()) % 1.0
    if take.has("two-tone"):
        high = low * take.between(1.25, 1.4)
        hz = low_pass(choice(cycle < 0.5, low, high) - low, 60, 1) + low
    else:
        hz = low * (high / low) ** np.sin(np.pi * cycle) ** 1.2
    tone = harmonics(phase_of(hz, count), [1, 0.5, 0.55, 0.3, 0.3, 0.2, 0.15], 1.05 * high)
    tone = formants(tone, [(1100, 700, 1.0), (2400, 900, 0.5)]) + 0.3 * tone
    if take.has("distant"):
        return far_away(rng, tone, take.octaves(600, 1000), 2.5)
    return room(rng, tone, 0.8, take.between(0.1, 0.3), 3000)


def alarm(take: Take) -> Samples:
    """Beeps of a piezo: a near-square tone, gated."""
    rng, count = take.rng, take.num_samples
    hz = take.pick("pitch", {"low": (500, 850), "high": (1900, 3100)})
    per_s = take.pick("pace", {"slow": (1.0, 1.7), "fast": (4.5, 8)})
    cycle = (take.time * per_s) % 1.0
    gate = low_pass(choice(cycle < take.between(0.45, 0.6), 1.0, 0.0), 250, 1)
    second = take.between(1.2, 1.4) if rng.random() < 0.4 else 1.0
    tones = choice((take.time * per_s).astype(int) % 2 == 0, hz, hz * second)
    tone = np.tanh(take.between(1.5, 4) * np.sin(phase_of(tones, count)))
    return low_pass(tone, 7000) * gate


def telephone(take: Take) -> Samples:
    """An old one: a clapper between two gongs at 20 Hz; a new one: two tones that warble."""
    rng, count = take.rng, take.num_samples
    cadence = take.between(1.4, 2.0)
    on = (take.time % (cadence + take.between(0.8, 1.5))) < cadence
    if take.has("an electronic"):
        hz = take.octaves(800, 1300)
        warble = choice((take.time * take.between(13, 22)) % 1 < 0.5, hz, 1.25 * hz)
        tone = harmonics(phase_of(warble, count), [1, 0.3, 0.25, 0.1], 1.3 * hz)
        return tone * low_pass(choice(on, 1.0, 0.0), 60, 1)
    hits = np.zeros(count)
    times = np.arange(0.005, take.duration_s, 0.5 / take.between(18, 24))
    gongs = np.zeros((2, count))
    for number, moment in enumerate(times):
        at = min(count - 1, seconds(moment))
        if on[at]:
            hits[at] = 1
            gongs[number % 2, at] = take.between(0.7, 1)
    base = take.octaves(1000, 1500)
    ratios = np.array([1, 2.7, 3.9, 5.2])
    total = np.zeros(count)
    for gong, detune in zip(gongs, (1.0, 1.17), strict=True):
        total += modes(gong, base * detune * ratios, [0.35, 0.25, 0.15, 0.1], [1, 0.7, 0.5, 0.3])
    rattle = band_pass(hits, 800, 5000, 1)
    return room(rng, unit_rms(total) + 0.6 * unit_rms(rattle), 0.4, 0.12)


def laser(take: Take) -> Samples:
    """A chirp that falls exponentially, square or frequency-modulated (Chowning 1973)."""
    rng, count = take.rng, take.num_samples
    start = take.pick("pitch", {"low": (900, 1700), "high": (3200, 5800)})
    stop = start / take.octaves(5, 14)
    x = np.linspace(0, 1, count)
    hz = stop + (start - stop) * np.exp(-take.between(3, 6) * x)
    phase = phase_of(hz, count)
    if take.has("retro"):
        tone = low_pass(square(phase, take.between(0.2, 0.5)), 6500, 1)
    else:
        depth = take.between(1, 4) * (1 - x)
        tone = np.sin(phase + depth * np.sin(phase * take.between(0.5, 2.2)))
        tone += 0.1 * band_pass(noise(rng, count), 800, 6000) * np.exp(-8 * x)
    return tone * np.exp(-2.5 * x) * np.clip((1 - x) / 0.2, 0, 1)


def drone(take: Take) -> Samples:
    """Detuned sawtooth pairs that beat slowly, under a filter that breathes."""
    rng, count = take.rng, take.num_samples
    base = take.pick("brightness", {"dark": (38, 65), "bright": (110, 190)})
    total = np.zeros(count)
    for ratio in (1.0, 1.0, 1.5, 2.0, rng.choice((2.4, 3.0, 2.25))):
        hz = base * ratio * take.between(0.995, 1.005)
        gains = [1 / k for k in range(1, 13 if take.has("dark") else 30)]
        voice = harmonics(phase_of(hz, count, rng), gains, hz)
        total += voice * np.exp(0.4 * drift(rng, count, 0.4)) / ratio**0.5
    edge = 350 if take.has("dark") else 2500
    breath = 0.5 + 0.5 * np.tanh(drift(rng, count, 0.3))
    mixed = low_pass(total, edge) * (1 - 0.5 * breath) + 0.5 * breath * low_pass(total, 3 * edge)
    return room(rng, mixed, 2.0, 0.4, 2 * edge)


def power(take: Take) -> Samples:
    """Rising or falling notes or a sweep of a square wave: what a game gives and takes."""
    rng, count = take.rng, take.num_samples
    up = take.has("power-up")
    steps = int(rng.integers(4, 9))
    x = take.time / take.duration_s
    if take.has("arpeggio"):
        scale = np.array([0, 4, 7, 12, 16, 19, 24, 28, 31])[:steps]
        place = np.minimum((x * steps).astype(int), steps - 1)
        semitones = scale[place if up else steps - 1 - place].astype(np.float64)
    else:
        semitones = take.between(14, 28) * (x if up else 1 - x) + 0.7 * np.sin(
            2 * np.pi * take.between(8, 18) * take.time
        )
    hz = take.octaves(200, 450) * 2 ** (semitones / 12)
    tone = low_pass(square(phase_of(hz, count), take.between(0.25, 0.5)), 6000, 1)
    return tone * np.clip((1 - x) / 0.25, 0, 1)


def jump(take: Take) -> Samples:
    """A square or sine that leaps up an octave or more within a quarter of a second."""
    count = take.num_samples
    x = take.time / take.duration_s
    start = take.pick("pitch", {"low": (110, 200), "high": (350, 600)})
    hz = start * 2 ** (take.between(1.0, 2.0) * x ** take.between(0.5, 1.2))
    phase = phase_of(hz, count)
    wave = square(phase, take.between(0.25, 0.5)) if take.has("retro") else np.sin(phase)
    return low_pass(wave, 6500, 1) * np.clip((1 - x) / 0.35, 0, 1)


def robot(take: Take) -> Samples:
    """Syllables of a monotone pulse through jumping formants, ring-modulated."""
    rng, count = take.rng, take.num_samples
    base = take.pick("pitch", {"low": (70, 110), "high": (180, 300)})
    total = np.zeros(count)
    moment = 0.0
    while moment < take.duration_s - 0.05:
        size = seconds(take.between(0.07, 0.2))
        phase = phase_of(base * 2 ** (int(rng.integers(0, 5)) / 12), size)
        voice = harmonics(phase, [1 / k**0.5 for k in range(1, 30)], 1.3 * base)
        first, second = take.octaves(280, 850), take.octaves(900, 2400)
        spoken = formants(
            voice, [(first, 80, 1), (second, 120, 0.8), (2900, 200, 0.5), (4800, 900, 0.4)]
        )
        spoken += 0.05 * low_pass(noise(rng, size), 6500) * pulses(phase, 5)
        spoken *= np.sin(np.pi * np.linspace(0, 1, size)) ** 0.3
        add_at(total, spoken, seconds(moment))
        moment += size / 16000 + take.between(0.01, 0.06)
    ring = np.sin(phase_of(take.between(45, 90), count))
    return total * (0.6 + 0.4 * ring)


def zap(take: Take) -> Samples:
    """A spark gap: bursts of clicks at mains frequency, bright, irregular; one, or an arc."""
    rng, count = take.rng, take.num_samples
    arc = take.has("a long electric arc")
    carrier = np.maximum(0, np.sin(phase_of(take.between(90, 125), count))) ** 2
    gate = choice(drift(rng, count, 18) > (-0.2 if arc else -0.6), 1.0, 0.0)
    sparks = noise(rng, count) * (rng.random(count) < 0.25) * carrier * low_pass(gate, 150, 1)
    buzz = formants(sparks, [(1800, 900, 1.0), (4200, 1800, 1.0)])
    hum = harmonics(phase_of(100.0, count), [0.2, 1, 0.2, 0.6, 0.1, 0.4], 100) * gate
    total = unit_rms(buzz) + 0.1 * low_pass(hum, 2000)
    if arc:
        return total
    snap = unit_peak(band_pass(noise(rng, count), 1500, 7000) * decay(count, 0.03))
    return total * decay(count, 1.3 * take.duration_s) + 3 * snap


def magic(take: Take) -> Samples:
    """A shimmer: many small bells, scattered over rising or falling pitches."""
    rng, count = take.rng, take.num_samples
    up = take.has("rising")
    total = np.zeros(count)
    for _ in range(int(rng.integers(25, 50))):
        x = float(rng.random()) ** 0.9
        place = x if up else 1 - x
        hz = 900 * 2 ** (2.4 * place) * take.between(0.97, 1.03)
        size = seconds(min(0.7, max(0.1, 0.9 * (1 - x) * take.duration_s)))
        ring = modes(strike(rng, size, 0.0004), [hz, 2.76 * hz], [0.6, 0.3], [1, 0.3])
        add_at(total, unit_peak(ring), seconds(0.75 * x * take.duration_s), take.octaves(0.2, 1))
    return room(rng, total, 1.2, 0.35, 6000)


KINDS = (
    Kind(
        name="siren",
        category="alarm",
        render=siren,
        traits={"manner": ("wailing", "yelping", "two-tone"), "distance": ("near|close",
                "distant|far away")},
        captions=("{distance} {manner} siren", "{manner} police siren, {distance}",
                  "{distance} siren"),
        tags=("siren", "police", "emergency"),
        duration_s={"": (3, 7)},
        level_db={"distant": -9},
        fade_s=(0.02, 0.1),
    ),
    Kind(
        name="alarm",
        category="alarm",
        render=alarm,
        traits={"pace": ("slow", "fast|quick"), "pitch": ("low|low pitched",
                "high|high pitched")},
        captions=("{pace} alarm beeping, {pitch}", "{pace} alarm, {pitch} tone",
                  "{pace} {pitch} alarm beeps"),
        tags=("alarm", "beep", "warning"),
        duration_s={"slow": (2, 5), "fast": (1, 4)},
        fade_s=(0.003, 0.02),
    ),
    Kind(
        name="telephone",
        category="beep",
        render=telephone,
        traits={"age": ("an old|a vintage", "an electronic|a modern")},
        captions=("{age} telephone ringing", "{age} phone rings", "ring of {age} telephone"),
        tags=("telephone", "phone", "ring"),
        duration_s={"": (1.5, 5)},
        fade_s=(0.002, 0.08),
    ),
    Kind(
        name="laser",
        category="laser",
        render=laser,
        traits={"style": ("retro|8-bit", "sci-fi|futuristic"), "pitch": ("low|deep",
                "high|high pitched")},
        captions=("{pitch} {style} laser shot", "{style} laser, {pitch}",
                  "{style} {pitch} zap of a laser gun"),
        tags=("laser", "shot"),
        duration_s={"": (0.15, 0.6)},
        fade_s=(0.001, 0.02),
    ),
    Kind(
        name="drone",
        category="synth",
        render=drone,
        traits={"brightness": ("dark|low|ominous", "bright")},
        captions=("a {brightness} synth drone", "{brightness} drone",
                  "{brightness} humming ambience"),
        tags=("drone", "synth", "ambience"),
        duration_s={"": (5, 10)},
        fade_s=(0.2, 0.3),
    ),
    Kind(
        name="power",
        category="powerup",
        render=power,
        traits={"direction": ("power-up|rising", "power-down|falling"), "manner": ("arpeggio",
                "sweep")},
        captions=("retro {direction} {manner}", "8-bit {direction} {manner}",
                  "chiptune {direction} sound"),
        tags=("retro", "8-bit", "game"),
        duration_s={"": (0.3, 1.0)},
        fade_s=(0.001, 0.02),
    ),
    Kind(
        name="jump",
        category="jump",
        render=jump,
        traits={"pitch": ("low|deep", "high"), "style": ("retro|8-bit", "soft|smooth")},
        captions=("{style} {pitch} jump", "{style} game jump, {pitch}",
                  "{pitch} {style} jumping sound"),
        tags=("jump", "game"),
        duration_s={"": (0.12, 0.35)},
        fade_s=(0.001, 0.02),
    ),
    Kind(
        name="robot",
        category="robot",
        render=robot,
        traits={"pitch": ("low|deep", "high|high pitched")},
        captions=("{pitch} robot talking", "a {pitch} robot voice", "{pitch} android speech"),
        tags=("robot", "voice", "sci-fi"),
        duration_s={"": (0.6, 2.2)},
        fade_s=(0.003, 0.03),
    ),
    Kind(
        name="zap",
        category="magic",
        render=zap,
        traits={"length": ("a short electric zap|an electric spark",
                "a long electric arc|electricity arcing")},
        captions=("{length}", "{length}, crackling", "sound of {length}"),
        tags=("electric", "spark", "zap"),
        duration_s={"a short electric zap": (0.2, 0.5), "a long electric arc": (1.2, 3)},
        fade_s=(0.001, 0.03),
    ),
    Kind(
        name="shimmer",
        category="magic",
        render=magic,
        traits={"direction": ("rising|upward", "falling|downward")},
        captions=("{direction} magic shimmer", "{direction} magical chimes",
                  "{direction} sparkle, magic spell"),
        tags=("magic", "shimmer", "chimes"),
        duration_s={"": (1.0, 2.2)},
        fade_s=(0.001, 0.2),
    ),
)  # fmt: skip
