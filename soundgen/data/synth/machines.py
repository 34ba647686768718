"""Machines: engine, helicopter, clock, fan, steam train, drill, horn, typewriter-like relays."""

from __future__ import annotations

import numpy as np

from soundgen.data.synth.impacts import blow
from soundgen.data.synth.kind import Kind, Samples, Take
from soundgen.data.synth.signals import (
    add_at,
    band_pass,
    coloured,
    decay,
    drift,
    far_away,
    formants,
    harmonics,
    high_pass,
    low_pass,
    noise,
    phase_of,
    pulses,
    resonate,
    room,
    seconds,
    sloped,
    unit_peak,
    unit_rms,
)


def engine(take: Take) -> Samples:
    """Four cylinders fire one after the other, never quite alike, into a pipe that resonates.

    Farnell 2010, chapter on cars.
    """
    rng, count = take.rng, take.num_samples
    idle_hz = take.octaves(11, 16) if take.has("a truck") else take.octaves(20, 30)
    x = np.linspace(0, 1, count)
    if take.has("idling"):
        hz = idle_hz * np.exp(0.03 * drift(rng, count, 2))
    elif take.has("revving"):
        rev = np.maximum(0, np.sin(np.pi * x * take.between(1.6, 3.2))) ** 1.3
        hz = idle_hz * (1 + take.between(2.0, 3.2) * rev)
    else:
        hz = idle_hz * take.between(2.4, 3.6) * np.exp(0.02 * drift(rng, count, 1))
    phase = phase_of(hz, count)
    total = np.zeros(count)
    for cylinder in range(4):
        # One power stroke every two turns; each cylinder a little off its place and its level.
        shift = 2 * np.pi * (cylinder / 4 + take.between(-0.02, 0.02))
        stroke = pulses(phase + shift, take.octaves(90, 300))
        total += take.between(0.75, 1.1) * stroke * np.exp(0.12 * drift(rng, count, 12))
    load = hz / idle_hz
    explosion = total * (1 + 0.3 * noise(rng, count))
    pipe = take.octaves(60, 90) if take.has("a truck") else take.octaves(90, 150)
    exhaust = formants(
        explosion - explosion.mean(),
        [(pipe, 60, 1.0), (2.2 * pipe, 90, 0.8), (4.1 * pipe, 200, 0.6), (1100, 500, 0.35)],
    )
    valves = high_pass(total * noise(rng, count), 1500) * load**0.5
    intake = low_pass(noise(rng, count), 900) * total
    chassis = unit_rms(low_pass(total - total.mean(), 120))
    return unit_rms(exhaust) + 0.05 * unit_rms(valves) + 0.15 * unit_rms(intake) + 0.3 * chassis


def helicopter(take: Take) -> Samples:
    """Blade slaps: low pulses with a burst of noise each, over the whine of a turbine."""
    rng, count = take.rng, take.num_samples
    hz = take.between(10, 17)
    phase = phase_of(hz * np.exp(0.01 * drift(rng, count, 1)), count)
    slap = pulses(phase, 6)
    thump = formants(slap - slap.mean(), [(60, 40, 1.0), (140, 80, 0.7), (300, 200, 0.4)])
    swish = band_pass(noise(rng, count), 250, 2500) * pulses(phase + 0.4, 4)
    turbine_hz = take.octaves(700, 1400)
    turbine = np.sin(phase_of(turbine_hz * np.exp(0.004 * drift(rng, count, 3)), count))
    total = unit_rms(thump) + 0.7 * unit_rms(swish)
    if take.has("distant"):
        return low_pass(total, 450) + 0.05 * unit_rms(low_pass(noise(rng, count), 300))
    return total + 0.05 * turbine + 0.25 * sloped(rng, count, -2, 200, 5000)


def clock(take: Take) -> Samples:
    """An escapement: tick and tock, each a few tiny hits on metal in a wooden case."""
    rng, count = take.rng, take.num_samples
    gap_s = take.pick("pace", {"slow": (0.8, 1.05), "fast": (0.2, 0.26)})
    total = np.zeros(count)
    tick = [take.octaves(2200, 3800), take.octaves(1600, 2800)]
    case = take.octaves(350, 900)
    size = seconds(0.06)
    hits = []
    for pitch in tick:
        hit = np.zeros(seconds(0.1))
        for later, level in ((0.0, 0.6), (0.006, 1.0), (0.013, 0.3)):
            metal = blow(take, size, "metal", pitch, 0.6) * decay(size, 0.035)
            add_at(hit, metal, seconds(later), level)
        hits.append(hit + 0.8 * resonate(hit, case, 120))
    for number, moment in enumerate(np.arange(0.01, take.duration_s - 0.05, gap_s)):
        add_at(
            total, hits[number % 2], seconds(moment + rng.normal(0, 0.001)), take.between(0.9, 1)
        )
    return room(rng, total, 0.4, take.between(0.05, 0.2), 4500)


def fan(take: Take) -> Samples:
    """A motor's hum with its harmonics, air past blades, and the beat of the blades."""
    rng, count = take.rng, take.num_samples
    base = take.pick("pitch", {"low": (48, 62), "high": (180, 320)})
    hz = base * np.exp(0.003 * drift(rng, count, 1))
    gains = [1.0, 0.8, 0.3, 0.5, 0.15, 0.3, 0.1, 0.15, 0.05, 0.1]
    hum = harmonics(phase_of(hz, count), gains, base * 1.02)
    blades = 1 + 0.25 * np.sin(phase_of(hz / take.between(2.5, 5), count))
    high = take.has("high")
    air = sloped(rng, count, -2, 120, 4500 if high else 1800) * blades
    return unit_rms(hum) * take.between(0.5, 0.9) + take.between(0.5, 1.0) * air


def steam_train(take: Take) -> Samples:
    """Four puffs a turn, the first accented, over the rumble of wheels."""
    rng, count = take.rng, take.num_samples
    per_s = take.pick("pace", {"slow": (1.8, 2.8), "fast": (5.5, 8)})
    beat = take.time * per_s
    part = beat % 1.0
    accent = np.where((beat.astype(int) % 4) == 0, 1.0, 0.6)
    puff = np.exp(-part * 5) * np.clip(part / 0.06, 0, 1) * accent
    steam = sloped(rng, count, -1, 300, 5500) * puff
    chest = low_pass(noise(rng, count), 300) * puff
    rumble = sloped(rng, count, -5, 30, 500)
    clack = np.zeros(count)
    for moment in np.arange(0.3, take.duration_s, 4.0 / per_s + 0.4):
        for later in (0.0, 0.11):
            hit = blow(take, seconds(0.2), "metal", 320, 0.5)
            add_at(clack, hit * decay(len(hit), 0.15), seconds(moment + later), 0.5)
    return 0.7 * unit_rms(steam) + 1.1 * unit_rms(chest) + 0.7 * rumble + 0.25 * clack


def drill(take: Take) -> Samples:
    """A commutator motor: a buzz with all harmonics that starts, strains and stops."""
    rng, count = take.rng, take.num_samples
    top = take.pick("pitch", {"low": (160, 260), "high": (420, 700)})
    ramp = np.clip(take.time / 0.18, 0, 1) ** 0.6
    ramp *= np.clip((take.duration_s - take.time) / 0.3, 0, 1) ** 0.7
    hz = top * (0.15 + 0.85 * ramp) * np.exp(0.015 * drift(rng, count, 8))
    phase = phase_of(hz, count)
    buzz = pulses(phase, 25) + 0.5 * pulses(0.5 * phase, 40)
    body = formants(buzz - buzz.mean(), [(900, 400, 1.0), (2400, 700, 0.9), (4300, 1200, 0.7)])
    grind = band_pass(noise(rng, count), 1500, 6500) * (0.5 + pulses(phase, 4))
    return (unit_rms(body) + 0.4 * unit_rms(grind)) * np.minimum(1, 1.2 * ramp)


def horn(take: Take) -> Samples:
    """Two reeds a third apart, rich in harmonics, that speak within 20 ms."""
    rng, count = take.rng, take.num_samples
    base = take.octaves(120, 180) if take.has("a truck horn") else take.octaves(330, 440)
    tones = np.zeros(count)
    for ratio in (1.0, take.between(1.18, 1.27)):
        hz = base * ratio * np.exp(0.002 * drift(rng, count, 4))
        gains = [1 / k**0.6 * (1.3 if 3 <= k <= 7 else 1) for k in range(1, 19)]
        tones += harmonics(phase_of(hz, count, rng), gains, base * ratio * 1.01)
    gate = np.ones(count)
    if take.has("twice"):
        middle = take.between(0.36, 0.44) * count
        gate[int(middle) : int(middle + 0.14 * count)] = 0
    gate = low_pass(gate, 18, 1)
    return room(rng, tones * gate, 0.6, take.between(0.1, 0.3), 3500)


def static(take: Take) -> Samples:
    """A radio between stations: hiss that fades, crackle, the whistle of two carriers."""
    rng, count = take.rng, take.num_samples
    strong = take.has("strong")
    fading = np.exp((0.2 if strong else 0.5) * drift(rng, count, 1.5))
    hiss = coloured(rng, count, lambda f: 1 / np.sqrt(1 + (f / 4000) ** 6)) * fading
    spikes = np.zeros(count)
    number = rng.poisson((60 if strong else 15) * take.duration_s)
    spikes[rng.integers(0, count, number)] = rng.pareto(1.5, number).clip(0, 15)
    spikes = band_pass(spikes * rng.choice((-1, 1), count), 500, 6500, 1)
    whistle = np.sin(
        phase_of(take.octaves(500, 2500) * np.exp(0.1 * drift(rng, count, 0.8)), count)
    )
    tune = 0.12 * whistle * (drift(rng, count, 0.7) > 0.3)
    return (1.0 if strong else 0.35) * hiss + 2.5 * unit_peak(spikes) + low_pass(tune, 4000)


def projector(take: Take) -> Samples:
    """A ratchet: a train of clicks on metal and plastic, as of a film, a winch or a zip."""
    rng, count = take.rng, take.num_samples
    per_s = take.pick("pace", {"slow": (7, 12), "fast": (18, 26)})
    size = seconds(0.08)
    clicks = [
        blow(take, size, material, take.octaves(700, 2600), 0.7) * decay(size, 0.06)
        for material in ("metal", "plastic", "metal")
    ]
    total = np.zeros(count)
    for number, moment in enumerate(np.arange(0.005, take.duration_s - 0.03, 1 / per_s)):
        level = take.between(0.6, 1)
        add_at(total, clicks[number % 3], seconds(moment + abs(rng.normal(0, 0.002))), level)
    return room(rng, total + 0.02 * low_pass(noise(rng, count), 1500), 0.25, 0.15, 4500)


def jet(take: Take) -> Samples:
    """A plane that passes: roar and whine, low-passed and shifted by its approach (Doppler)."""
    rng, count = take.rng, take.num_samples
    speed = take.between(0.9, 1.6)
    along = (take.time - take.between(0.42, 0.58) * take.duration_s) * speed
    high_up = take.has("distant")
    near = 1 / (1 + (along / (1.6 if high_up else 0.8)) ** 2)
    doppler = 1 - 0.22 * along / np.sqrt(along**2 + 0.5)
    roar = sloped(rng, count, -2, 60, 1000 if high_up else 3000)
    bright = sloped(rng, count, -1, 500, 1200 if high_up else 6000) * near
    whine = np.sin(phase_of(take.octaves(1500, 2600) * doppler, count)) * near
    total = (0.2 + near) * roar + 0.8 * bright + (0.02 if high_up else 0.12) * whine
    return total * near**0.5 if not high_up else far_away(rng, total, 900) * (0.4 + near)


KINDS = (
    Kind(
        name="engine",
        category="engine",
        render=engine,
        traits={"vehicle": ("a car", "a truck|a big diesel"),
                "manner": ("idling", "revving", "driving|running fast")},
        captions=("engine of {vehicle} {manner}", "{vehicle} {manner}",
                  "motor of {vehicle}, {manner}"),
        tags=("engine", "motor", "vehicle"),
        duration_s={"": (3, 7)},
        level_db={"idling": -4},
        fade_s=(0.05, 0.1),
    ),
    Kind(
        name="helicopter",
        category="plane",
        render=helicopter,
        traits={"distance": ("near|close|low", "distant|far away")},
        captions=("a {distance} helicopter", "{distance} helicopter flying",
                  "rotor of a {distance} helicopter"),
        tags=("helicopter", "rotor"),
        duration_s={"": (3, 8)},
        level_db={"distant": -9},
        fade_s=(0.1, 0.1),
    ),
    Kind(
        name="jet",
        category="plane",
        render=jet,
        traits={"distance": ("near|low", "distant|high up")},
        captions=("a {distance} jet plane passes", "{distance} jet flying by",
                  "{distance} airplane passing"),
        tags=("plane", "jet", "passing"),
        duration_s={"": (5, 9)},
        level_db={"distant": -8},
        fade_s=(0.2, 0.3),
    ),
    Kind(
        name="clock",
        category="clock",
        render=clock,
        traits={"pace": ("slow", "fast|quick")},
        captions=("{pace} ticking clock", "{pace} ticking of a clock",
                  "{pace} tick tock of a clock"),
        tags=("clock", "tick"),
        duration_s={"slow": (3, 6), "fast": (1.5, 5)},
        fade_s=(0.001, 0.03),
    ),
    Kind(
        name="fan",
        category="machine",
        render=fan,
        traits={"pitch": ("low|deep", "high|high pitched")},
        captions=("{pitch} fan running", "a {pitch} ventilator", "{pitch} hum of a fan"),
        tags=("fan", "motor", "hum"),
        duration_s={"": (3, 8)},
        fade_s=(0.1, 0.1),
    ),
    Kind(
        name="steam-train",
        category="train",
        render=steam_train,
        traits={"pace": ("slow", "fast|quick")},
        captions=("{pace} steam train", "{pace} puffing of a steam locomotive",
                  "a {pace} steam engine chuffing"),
        tags=("train", "steam"),
        duration_s={"": (4, 8)},
        fade_s=(0.1, 0.15),
    ),
    Kind(
        name="drill",
        category="tool",
        render=drill,
        traits={"pitch": ("low", "high")},
        captions=("electric drill, {pitch} speed", "{pitch} pitched drill",
                  "a drill running at {pitch} speed"),
        tags=("drill", "tool", "motor"),
        duration_s={"": (1.0, 3)},
        fade_s=(0.01, 0.05),
    ),
    Kind(
        name="horn",
        category="car",
        render=horn,
        traits={"horn": ("a car horn", "a truck horn"), "times": ("once", "twice")},
        captions=("{horn} honks {times}", "{horn} honking {times}", "honk of {horn}"),
        tags=("horn", "honk", "vehicle"),
        duration_s={"once": (0.4, 1.3), "twice": (0.8, 1.6)},
        fade_s=(0.008, 0.06),
    ),
    Kind(
        name="static",
        category="machine",
        render=static,
        traits={"strength": ("weak|light", "strong|loud")},
        captions=("{strength} radio static", "{strength} static noise",
                  "{strength} static between radio stations"),
        tags=("radio", "static", "noise"),
        duration_s={"": (2, 6)},
        level_db={"weak": -8},
        fade_s=(0.02, 0.05),
    ),
    Kind(
        name="ratchet",
        category="machine",
        render=projector,
        traits={"pace": ("slow", "fast|quick")},
        captions=("{pace} mechanical ratchet", "{pace} clicking of a machine",
                  "{pace} clicking gears"),
        tags=("machine", "clicking", "gears"),
        duration_s={"": (1.0, 3.5)},
        fade_s=(0.001, 0.05),
    ),
)  # fmt: skip
