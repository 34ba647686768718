"""Licences by one name each, however a file or a table spells them."""

from __future__ import annotations

import re
from collections.abc import Collection

_URL = re.compile(r"creativecommons\.org/(?:licenses|publicdomain)/([a-z+-]+)(?:/(\d\.\d))?")
_ZERO = re.compile(r"\b(?:cc|creative commons)[\s_-]*(?:0|zero)\b|\bcc[\s_-]?zero\b")
_PUBLIC_DOMAIN = re.compile(r"\bpublic[\s_-]*domain\b|^pd$|\bunlicense\b")
_BY = re.compile(
    r"\b(?:cc|creative commons)[\s_-]*((?:by|attribution)(?:[\s_-]*(?:nc|sa|nd|non[\s_-]?commercial"
    r"|share[\s_-]?alike|no[\s_-]?deriv\w*))*)(?:[\s_-]*(?:v|version)?[\s_-]*(\d\.\d))?"
)
_VERSION = re.compile(r"-\d\.\d$")


def normalize_license(text: str) -> str:
    """Return the SPDX name of a licence, or `text` itself where it is not one that we know.

    "CC0", "Creative Commons 0" and its address become "CC0-1.0"; "cc by 4.0" becomes "CC-BY-4.0";
    "PD" becomes "public-domain".
    """
    cleaned = " ".join(text.split())
    lower = cleaned.lower()
    url = _URL.search(lower)
    if url:
        kind, version = url.groups()
        if kind == "zero":
            return "CC0-1.0"
        if kind == "mark":
            return "public-domain"
        return _creative_commons(kind, version)
    if _ZERO.search(lower):
        return "CC0-1.0"
    named = _BY.search(lower)
    if named:
        return _creative_commons(*named.groups())
    if _PUBLIC_DOMAIN.search(lower):
        return "public-domain"
    return cleaned


def is_known_license(text: str) -> bool:
    """Tell whether `text` names a licence of the families that `normalize_license` knows."""
    return normalize_license(text).startswith(("CC0-", "CC-BY", "public-domain"))


def is_allowed(license_name: str | None, allowed: Collection[str]) -> bool:
    """Tell whether a clip's licence is among `allowed`; an unknown one never is.

    A name without a version, such as "CC-BY", allows every version of it. Nothing in `allowed`
    allows all.
    """
    if not allowed:
        return True
    if not license_name:
        return False
    name = normalize_license(license_name).lower()
    names = {normalize_license(item).lower() for item in allowed}
    return name in names or _VERSION.sub("", name) in names


def _creative_commons(kind: str, version: str | None) -> str:
    parts = ["CC", "BY"]
    for part, marks in (("NC", ("nc", "commercial")), ("ND", ("nd", "deriv")),
                        ("SA", ("sa", "alike"))):  # fmt: skip
        if any(mark in kind for mark in marks):
            parts.append(part)
    return "-".join([*parts, version] if version else parts)
