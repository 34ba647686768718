"""All kinds of synthetic sounds, by family; in this order a corpus takes one of each in turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from soundgen.data.synth import (
    birds,
    bursts,
    creatures,
    electronic,
    impacts,
    instruments,
    interface,
    machines,
    objects,
    steps,
    water,
    weather,
)
from soundgen.data.synth.kind import Kind
from soundgen.errors import UsageError

FAMILIES: Mapping[str, tuple[Kind, ...]] = {
    "weather": weather.KINDS,
    "water": water.KINDS,
    "impacts": impacts.KINDS,
    "objects": objects.KINDS,
    "steps": steps.KINDS,
    "birds": birds.KINDS,
    "creatures": creatures.KINDS,
    "machines": machines.KINDS,
    "bursts": bursts.KINDS,
    "electronic": electronic.KINDS,
    "interface": interface.KINDS,
    "instruments": instruments.KINDS,
}
KINDS: Mapping[str, Kind] = {kind.name: kind for family in FAMILIES.values() for kind in family}


def choose_kinds(names: Sequence[str]) -> tuple[Kind, ...]:
    """Return the kinds or families of these names, in the catalogue's order; all if none is named.

    Raises:
        UsageError: There is no such kind or family.
    """
    wanted: set[str] = set()
    for name in names:
        if name in FAMILIES:
            wanted |= {kind.name for kind in FAMILIES[name]}
        elif name in KINDS:
            wanted.add(name)
        else:
            raise UsageError(
                f"--kinds: no kind '{name}'",
                hint=f"families: {', '.join(FAMILIES)}; kinds: {', '.join(KINDS)}",
            )
    return tuple(kind for kind in KINDS.values() if not names or kind.name in wanted)
