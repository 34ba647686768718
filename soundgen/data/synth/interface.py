"""Sounds of user interfaces and games: clicks, switches, beeps, notes that tell good from bad."""

from __future__ import annotations

import numpy as np

from soundgen.data.synth.electronic import square
from soundgen.data.synth.impacts import blow
from soundgen.data.synth.kind import Kind, Samples, Take
from soundgen.data.synth.signals import (
    add_at,
    band_pass,
    decay,
    harmonics,
    low_pass,
    noise,
    phase_of,
    resonate,
    room,
    seconds,
    strike,
    unit_peak,
)


def click(take: Take) -> Samples:
    """A resonance of a millisecond or two: dull for a soft button, bright for a hard one."""
    rng, count = take.rng, take.num_samples
    hz = take.pick("manner", {"soft": (500, 1100), "sharp": (2200, 4200)})
    body = resonate(strike(rng, count, 0.0012 if take.has("soft") else 0.0003, 0.3), hz, 0.25 * hz)
    total = unit_peak(body) + 0.3 * unit_peak(
        band_pass(noise(rng, count), hz, 7000, 1) * decay(count, 0.006)
    )
    return total * decay(count, 0.045, 0.0004)


def switch(take: Take) -> Samples:
    """Two clicks of plastic and spring: it gives, then it lands."""
    count = take.num_samples
    total = np.zeros(count)
    low = take.has("heavy")
    base = take.octaves(500, 900) if low else take.octaves(1400, 2400)
    gap = take.between(0.015, 0.045)
    for moment, level, ratio in ((0.001, take.between(0.4, 0.7), 1.25), (gap, 1.0, 1.0)):
        size = count - seconds(moment)
        hit = blow(take, size, "plastic", base * ratio, 0.9)
        if low:
            hit = hit + 0.5 * blow(take, size, "metal", 0.6 * base, 0.5) * decay(size, 0.08)
        add_at(total, unit_peak(hit), seconds(moment), level)
    return total * decay(count, 0.25)


def beep(take: Take) -> Samples:
    """A sine, or nearly a square, with edges of a few milliseconds; one, two or three."""
    count = take.num_samples
    hz = take.pick("pitch", {"low": (280, 560), "high": (1500, 2800)})
    times = {"one": 1, "double": 2, "triple": 3}[take.traits["number"]]
    part = count // times
    drive = take.octaves(0.3, 4)
    total = np.zeros(count)
    sounding = part if times == 1 else int(0.62 * part)
    for number in range(times):
        tone = np.tanh(drive * np.sin(phase_of(hz, sounding)))
        edge = seconds(0.004)
        ramp = np.minimum(1, np.minimum(np.arange(sounding), np.arange(sounding)[::-1]) / edge)
        add_at(total, tone * ramp, number * part)
    return low_pass(total, 7200)


def notification(take: Take) -> Samples:
    """Two or three notes of a chord, up or down, on small bells made by FM (Chowning 1973)."""
    rng, count = take.rng, take.num_samples
    base = take.octaves(520, 1050)
    chord = [[0, 4, 7], [0, 5, 9], [0, 7, 12], [0, 3, 7]][int(rng.integers(4))]
    number = 3 if take.has("three-note") else 2
    notes = sorted(chord[:1] + list(rng.permutation(chord[1:]))[: number - 1])
    if take.has("falling"):
        notes = notes[::-1]
    gap = take.between(0.09, 0.16)
    total = np.zeros(count)
    ratio = float(rng.choice((1.0, 2.0, 3.5)))
    for place, note in enumerate(notes):
        at = seconds(place * gap)
        size = count - at
        if size < 200:
            break
        phase = phase_of(base * 2 ** (note / 12), size)
        fade = decay(size, take.between(0.5, 0.9), 0.003)
        total[at:] += np.sin(phase + 1.3 * fade * np.sin(ratio * phase)) * fade
    return room(rng, total, 0.6, 0.1, 5000)


def error(take: Take) -> Samples:
    """A low buzz, once or twice, falling: two near notes that grate."""
    count = take.num_samples
    base = take.octaves(100, 210)
    times = 2 if take.has("double") else 1
    part = count // times
    total = np.zeros(count)
    for number in range(times):
        size = int((0.75 if times == 2 else 0.97) * part)
        hz = base * (0.84 if number else 1.0) * (1 - 0.08 * np.linspace(0, 1, size))
        tone = square(phase_of(hz, size), 0.4) + 0.6 * square(phase_of(1.06 * hz, size), 0.5)
        x = np.linspace(0, 1, size)
        add_at(
            total,
            low_pass(tone, take.octaves(3000, 7000)) * np.clip(np.minimum(x, 1 - x) / 0.06, 0, 1),
            number * part,
        )
    return total


def coin_pickup(take: Take) -> Samples:
    """Two square notes, the second a fourth or more above and ringing on: the arcade's coin."""
    count = take.num_samples
    base = take.pick("pitch", {"low": (450, 700), "high": (900, 1350)})
    first = seconds(take.between(0.05, 0.09))
    interval = 2 ** (float(take.rng.choice((5, 7, 12))) / 12)
    hz = np.where(np.arange(count) < first, base, base * interval)
    tone = low_pass(square(phase_of(hz, count), take.between(0.25, 0.5)), 6500, 1)
    fade = np.where(np.arange(count) < first, 1.0, decay(count, 1.1 * take.duration_s))
    return tone * fade


def pop(take: Take) -> Samples:
    """A sine that leaps up within 50 ms: a bubble of an interface, a cork, a message."""
    count = take.num_samples
    base = take.pick("pitch", {"low": (180, 330), "high": (600, 1100)})
    x = take.time / take.duration_s
    hz = base * 2 ** (take.between(0.6, 1.5) * x)
    tone = harmonics(phase_of(hz, count), [1, 0.15, 0.05], 3 * base)
    return tone * np.sin(np.pi * x**0.4) ** 1.5


def jingle(take: Take) -> Samples:
    """A short tune of a game: scale degrees on a square wave or a bell, won or lost."""
    rng, count = take.rng, take.num_samples
    won = take.has("winning")
    notes = [0, 4, 7, 12, 7, 12] if won else [7, 6, 5, 4, 0, -5]
    notes = notes[: int(rng.integers(4, 7))]
    base = take.octaves(330, 620)
    step = take.duration_s / (len(notes) + 2)
    total = np.zeros(count)
    for place, note in enumerate(notes):
        length = step * (3 if place == len(notes) - 1 else 1)
        size = min(seconds(length), count - seconds(place * step))
        if size < 100:
            break
        phase = phase_of(base * 2 ** (note / 12), size)
        tone = square(phase, 0.25) if take.has("8-bit") else np.sin(phase + 1.2 * np.sin(2 * phase))
        add_at(total, tone * decay(size, 2.2 * length, 0.003), seconds(place * step))
    return low_pass(total, 6000, 1)


KINDS = (
    Kind(
        name="click",
        category="ui click",
        render=click,
        traits={"manner": ("soft|dull", "sharp|hard|bright")},
        captions=("a {manner} click", "{manner} button click", "{manner} interface click",
                  "{manner} UI click"),
        tags=("click", "button", "ui"),
        duration_s={"": (0.05, 0.12)},
        level_db={"soft": -4},
        fade_s=(0.0003, 0.01),
    ),
    Kind(
        name="switch",
        category="switch",
        render=switch,
        traits={"weight": ("light|small", "heavy|big")},
        captions=("a {weight} switch", "{weight} switch flipped", "{weight} toggle switch click"),
        tags=("switch", "toggle", "click"),
        duration_s={"": (0.1, 0.25)},
        fade_s=(0.0003, 0.02),
    ),
    Kind(
        name="beep",
        category="beep",
        render=beep,
        traits={"number": ("one|a single", "double", "triple"),
                "pitch": ("low|low pitched", "high|high pitched")},
        captions=("{number} {pitch} beep", "{number} beep, {pitch}",
                  "{number} {pitch} electronic beep"),
        tags=("beep", "ui"),
        duration_s={"one": (0.08, 0.4), "double": (0.25, 0.6), "triple": (0.4, 0.9)},
        fade_s=(0.003, 0.01),
    ),
    Kind(
        name="notification",
        category="notification",
        render=notification,
        traits={"notes": ("two-note", "three-note"), "direction": ("rising|upward",
                "falling|downward")},
        captions=("{direction} {notes} notification", "{notes} {direction} chime",
                  "{direction} {notes} message alert"),
        tags=("notification", "chime", "ui"),
        duration_s={"": (0.5, 1.2)},
        fade_s=(0.001, 0.08),
    ),
    Kind(
        name="error",
        category="error",
        render=error,
        traits={"times": ("single|short", "double|two-tone")},
        captions=("a {times} error buzz", "{times} UI error sound", "{times} wrong answer buzzer"),
        tags=("error", "buzz", "ui"),
        duration_s={"single": (0.2, 0.45), "double": (0.35, 0.7)},
        fade_s=(0.003, 0.02),
    ),
    Kind(
        name="coin",
        category="coin",
        render=coin_pickup,
        traits={"pitch": ("low", "high|bright")},
        captions=("retro {pitch} coin pickup", "8-bit {pitch} coin",
                  "{pitch} video game coin collected"),
        tags=("coin", "retro", "8-bit", "game"),
        duration_s={"": (0.3, 0.8)},
        fade_s=(0.001, 0.03),
    ),
    Kind(
        name="pop",
        category="ui click",
        render=pop,
        traits={"pitch": ("low|deep", "high|bright")},
        captions=("a {pitch} pop", "{pitch} UI pop", "{pitch} bubble pop of an interface"),
        tags=("pop", "ui"),
        duration_s={"": (0.05, 0.14)},
        fade_s=(0.002, 0.01),
    ),
    Kind(
        name="jingle",
        category="jingle",
        render=jingle,
        traits={"result": ("winning|success", "losing|failure|game over"), "style": ("8-bit|retro",
                "bell|mallet")},
        captions=("{style} {result} jingle", "{result} jingle, {style}",
                  "short {style} game tune, {result}"),
        tags=("jingle", "game", "tune"),
        duration_s={"": (0.8, 1.8)},
        fade_s=(0.001, 0.05),
    ),
)  # fmt: skip
