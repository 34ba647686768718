"""Packages that only some options need: whether they are there, asked before anything is made."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal

from soundgen.errors import UsageError

_PACKAGES = {"plot": "matplotlib", "play": "sounddevice"}


def has_extra(extra: Literal["plot", "play"]) -> bool:
    """Tell whether an extra of soundgen is installed."""
    return find_spec(_PACKAGES[extra]) is not None


def require_extra(extra: Literal["plot", "play"], what: str, otherwise: str) -> None:
    """Refuse what needs an extra of soundgen that is not installed.

    Args:
        extra: As `pip install 'soundgen[EXTRA]'` names it.
        what: Needs it, for the message.
        otherwise: What to do without it, for the hint.

    Raises:
        UsageError: It is not installed.
    """
    package = _PACKAGES[extra]
    if not has_extra(extra):
        raise UsageError(
            f"{what} needs {package}, which is not installed",
            hint=f"pip install 'soundgen[{extra}]', or {otherwise}",
        )
