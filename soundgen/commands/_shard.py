"""`--shard I/N`: a part of the work, for several processes or machines."""

from __future__ import annotations

import re

from soundgen.errors import UsageError


def parse_shard(text: str | None) -> tuple[int, int] | None:
    """Return the numbers of `1/4`; None for None.

    Raises:
        UsageError: `text` is not of that form.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if match is None:
        raise UsageError(f"--shard {text}: not of the form i/n", hint="for example --shard 1/4")
    return int(match[1]), int(match[2])
