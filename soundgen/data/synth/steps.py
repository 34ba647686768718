"""Footsteps, and what else people do with hands and feet: typing, digging, punches."""

from __future__ import annotations

import numpy as np

from soundgen.data.synth.impacts import blow
from soundgen.data.synth.kind import Kind, Samples, Take
from soundgen.data.synth.signals import (
    add_at,
    arrivals,
    band_pass,
    decay,
    formants,
    high_pass,
    low_pass,
    modes,
    noise,
    resonate,
    room,
    seconds,
    sloped,
    strike,
    unit_peak,
)

# Ground of loose grains: lowest and highest Hz of a grain, grains a step, sharpness of a grain.
_LOOSE = {
    "gravel": (900, 5500, 60, 1.6),
    "snow": (700, 3200, 260, 0.5),
    "grass": (1500, 6500, 130, 0.6),
    "leaves": (1800, 7000, 110, 1.3),
}

# Time from one step to the next, s.
_PACES = {
    "slow footsteps": (0.65, 0.85),
    "fast footsteps": (0.27, 0.36),
    "a single footstep": (9, 10),
}


def _loose_step(take: Take, surface: str, length_s: float) -> Samples:
    """Make a step on grains: collisions that the pressure of the foot sets off (Cook 1997)."""
    rng = take.rng
    count = seconds(length_s)
    x = np.linspace(0, 1, count)
    low, high, grains, sharp = _LOOSE[surface]
    # Heel, then ball and toe (Farnell 2010): two pushes, grains sound while the pressure changes.
    push = np.exp(-(((x - 0.15) / 0.1) ** 2)) + 0.8 * np.exp(-(((x - 0.6) / 0.16) ** 2))
    onsets = arrivals(rng, count, grains * push / push.mean() / length_s)
    hits = np.zeros(count)
    np.add.at(
        hits, onsets, rng.exponential(1, len(onsets)) ** sharp * rng.choice((-1, 1), len(onsets))
    )
    ground = formants(
        hits, [(take.octaves(low, high), take.octaves(500, 1400), 1.0) for _ in range(4)]
    )
    ground = unit_peak(band_pass(ground + 0.1 * hits, low * 0.7, 7200, 1))
    thud = unit_peak(low_pass(noise(rng, count), 160) * push)
    return ground + (0.7 if surface == "snow" else 0.45) * thud


def _hard_step(take: Take, surface: str, length_s: float) -> Samples:
    """Make a step on a floor: heel and toe excite its modes."""
    rng = take.rng
    total = np.zeros(seconds(length_s + 0.25))
    toe = take.between(0.06, 0.11)
    for moment, level in ((0.002, 1.0), (toe, take.between(0.25, 0.55))):
        size = seconds(0.3)
        if surface == "wood":
            base = take.octaves(90, 150)
            floor = base * np.array([1, 1.9, 3.1, 4.6, 6.9, 10.0, 14.0])
            hit = strike(rng, size, 0.0022, 0.5)
            step = modes(
                hit, floor.tolist(), (22 / (100 + floor)).tolist(), (base / floor).tolist()
            )
            step = unit_peak(step) + 0.2 * unit_peak(
                band_pass(noise(rng, size), 700, 4000) * decay(size, 0.03)
            )
        elif surface == "metal":
            step = blow(take, size, "metal", take.octaves(230, 420), 0.7) * decay(size, 0.25)
            step = unit_peak(step) + 0.3 * unit_peak(
                low_pass(noise(rng, size), 200) * decay(size, 0.1)
            )
        elif surface == "mud":
            size = seconds(0.22)
            hz = take.octaves(300, 600) * (1 + 1.2 * np.linspace(0, 1, size))
            wet = sloped(rng, size, -2, 200, 3500) * decay(size, 0.2, 0.02)
            suck = np.sin(2 * np.pi * np.cumsum(hz) / 16000) * decay(size, 0.12, 0.03)
            step = unit_peak(wet) + 0.5 * suck
        else:
            # Shoe on stone: a click of the heel, a short slap, hardly any ring.
            slap = sloped(rng, size, -1, 250, 4500) * decay(size, 0.07, 0.0015)
            heel = resonate(strike(rng, size, 0.0006, 0.3), take.octaves(900, 1700), 350)
            step = (
                unit_peak(slap)
                + unit_peak(heel)
                + 0.4 * unit_peak(low_pass(noise(rng, size), 180) * decay(size, 0.09))
            )
        # The sole rubs and rolls: a softer, longer noise than the contact.
        sole = sloped(rng, len(step), -4, 60, 4500) * decay(
            len(step), take.between(0.1, 0.22), 0.01
        )
        add_at(total, unit_peak(step) + 0.6 * unit_peak(sole), seconds(moment), level)
    return total


def footsteps(take: Take) -> Samples:
    """Heel and toe on grains (PhISEM, Cook 1997) or on a floor that rings (Farnell 2010)."""
    rng, count = take.rng, take.num_samples
    surface = take.traits["surface"]
    gap_s = take.pick("pace", _PACES)
    length_s = min(0.32, 0.62 * gap_s)
    total = np.zeros(count)
    moment = 0.005
    while moment < take.duration_s - 0.12:
        make = _loose_step if surface in _LOOSE else _hard_step
        step = make(take, surface, length_s * take.between(0.9, 1.1))
        add_at(total, unit_peak(step), seconds(moment), take.octaves(0.65, 1))
        moment += gap_s * take.between(0.94, 1.06)
    outside = surface in _LOOSE or surface == "mud"
    return room(
        rng, total, 0.3 if outside else take.between(0.3, 0.9), 0.05 if outside else 0.2, 3500
    )


def typing(take: Take) -> Samples:
    """Keys: a click of plastic going down, another coming up, the desk below them."""
    rng, count = take.rng, take.num_samples
    gap_s = take.pick("pace", {"slow": (0.22, 0.4), "fast": (0.075, 0.12)})
    total = np.zeros(count)
    moment = 0.01
    case = take.octaves(250, 450)
    while moment < take.duration_s - 0.1:
        size = seconds(0.06)
        level = take.octaves(0.4, 1)
        for later, share in ((0.0, 1.0), (take.between(0.05, 0.09), 0.4)):
            click = blow(take, size, "plastic", take.octaves(1300, 2100), 0.7)
            desk = resonate(strike(rng, size, 0.002, 0.5), case, 120)
            key = unit_peak(click) * decay(size, 0.04) + 0.5 * unit_peak(desk)
            add_at(total, key, seconds(moment + later), share * level)
        moment += gap_s * float(rng.gamma(4, 0.25)) + 0.02
    return room(rng, total, 0.25, 0.12, 4000)


def dig(take: Take) -> Samples:
    """A blade into soil: a thud, then grains that it pushes aside (Cook 1997)."""
    rng, count = take.rng, take.num_samples
    ground = "gravel" if take.has("gravel") else "leaves" if take.has("sand") else "snow"
    total = np.zeros(count)
    moment = 0.003
    many = take.has("several times")
    while moment < take.duration_s - 0.25:
        scoop = unit_peak(high_pass(_loose_step(take, ground, take.between(0.22, 0.4)), 600))
        thud = low_pass(noise(rng, seconds(0.2)), 280) * decay(seconds(0.2), 0.15, 0.002)
        add_at(total, scoop, seconds(moment), take.between(0.7, 1))
        add_at(total, unit_peak(thud), seconds(moment), 0.2)
        if not many:
            break
        moment += take.between(0.55, 0.9)
    return total


def punch(take: Take) -> Samples:
    """A body that gives way: a falling thump, a slap of skin on top of it."""
    rng, count = take.rng, take.num_samples
    hard = take.has("hard")
    x = take.time
    hz = take.octaves(70, 110) * (1 + 1.5 * np.exp(-x / 0.02))
    thump = np.sin(2 * np.pi * np.cumsum(hz) / 16000) * decay(
        count, take.between(0.15, 0.25), 0.002
    )
    slap = sloped(rng, count, -2, 300, 5000 if hard else 1200) * decay(
        count, take.between(0.08, 0.2), 0.001
    )
    crack = sloped(rng, count, 0, 1200, 6500) * decay(count, 0.03, 0.0005)
    total = 0.8 * thump + (1.0 if hard else 0.5) * unit_peak(slap)
    if hard:
        total += 0.45 * unit_peak(crack)
    return total


KINDS = (
    Kind(
        name="footsteps",
        category="footsteps",
        render=footsteps,
        traits={
            "pace": ("slow footsteps|walking|slow steps", "fast footsteps|running|fast steps",
                     "a single footstep|one step"),
            "surface": ("gravel", "snow", "grass", "leaves|dry leaves", "wood|a wooden floor",
                        "stone|concrete|pavement", "metal|a metal grate", "mud|wet mud"),
        },
        captions=("{pace} on {surface}", "{pace} of someone on {surface}",
                  "{pace} heard on {surface}"),
        tags=("footsteps",),
        duration_s={"slow footsteps": (2, 4.5), "fast footsteps": (1.5, 3.5),
                    "a single footstep": (0.4, 0.55)},
        fade_s=(0.001, 0.04),
    ),
    Kind(
        name="typing",
        category="keys",
        render=typing,
        traits={"pace": ("slow", "fast|quick")},
        captions=("{pace} typing on a keyboard", "{pace} keyboard typing", "{pace} typing"),
        tags=("keyboard", "typing"),
        duration_s={"": (1.5, 4)},
        fade_s=(0.001, 0.03),
    ),
    Kind(
        name="dig",
        category="dig",
        render=dig,
        traits={"ground": ("dirt|soil", "gravel", "sand"), "times": ("once", "several times")},
        captions=("digging in {ground} {times}", "shovel in {ground}",
                  "a spade hits {ground} {times}"),
        tags=("digging", "shovel"),
        duration_s={"once": (0.35, 0.6), "several times": (1.6, 3)},
        fade_s=(0.001, 0.05),
    ),
    Kind(
        name="punch",
        category="punch",
        render=punch,
        traits={"strength": ("soft|light|weak", "hard|heavy|strong")},
        captions=("a {strength} punch", "{strength} punch to the body",
                  "{strength} blow of a fist"),
        tags=("punch", "hit", "fight"),
        duration_s={"": (0.18, 0.35)},
        level_db={"soft": -8},
        fade_s=(0.0005, 0.04),
    ),
)  # fmt: skip
