"""What the fields of recipes are held to; each raises a `ValueError` that names the field."""

from __future__ import annotations


def check_counts(config: object, *names: str) -> None:
    """Refuse fields that are below 1."""
    for name in names:
        if getattr(config, name) < 1:
            raise ValueError(f"{name} must be at least 1, got {getattr(config, name)}")


def check_not_negative(config: object, *names: str) -> None:
    """Refuse fields that are below 0."""
    for name in names:
        if getattr(config, name) < 0:
            raise ValueError(f"{name} must be 0 or more, got {getattr(config, name)}")


def check_share(config: object, *names: str) -> None:
    """Refuse fields that are no share, in [0, 1]."""
    for name in names:
        if not 0 <= getattr(config, name) <= 1:
            raise ValueError(f"{name} must be in [0, 1], got {getattr(config, name)}")


def check_betas(betas: tuple[float, ...]) -> None:
    """Refuse what are not the two betas of Adam."""
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise ValueError(f"betas must be two numbers in [0, 1), got {betas}")


def check_windows(name: str, windows: tuple[int, ...]) -> None:
    """Refuse STFT windows that cannot be cut into four hops."""
    if not windows or any(window < 16 or window % 4 for window in windows):
        raise ValueError(f"{name} must be multiples of 4 from 16 on, got {windows}")
