"""One name for each licence, and what is allowed."""

from __future__ import annotations

import pytest

from soundgen.data.licenses import is_allowed, is_known_license, normalize_license


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        ("CC0-1.0", "CC0-1.0"),
        ("cc0", "CC0-1.0"),
        ("CC0 1.0 Universal", "CC0-1.0"),
        ("Creative Commons 0", "CC0-1.0"),
        ("Creative Commons Zero", "CC0-1.0"),
        ("http://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("https://creativecommons.org/licenses/by/4.0/", "CC-BY-4.0"),
        ("https://creativecommons.org/licenses/by-nc-sa/3.0/", "CC-BY-NC-SA-3.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "public-domain"),
        ("cc by 4.0", "CC-BY-4.0"),
        ("CC-BY-NC", "CC-BY-NC"),
        ("Creative Commons Attribution NonCommercial 3.0", "CC-BY-NC-3.0"),
        ("Creative Commons Attribution-ShareAlike 4.0", "CC-BY-SA-4.0"),
        ("Public Domain", "public-domain"),
        ("PD", "public-domain"),
        ("  All rights   reserved ", "All rights reserved"),
    ],
)
def test_names(spelled: str, name: str) -> None:
    assert normalize_license(spelled) == name
    assert normalize_license(name) == name


def test_allowed() -> None:
    assert is_allowed(None, [])
    assert is_allowed("anything", [])
    assert is_allowed("cc0", ["CC0-1.0"])
    assert is_allowed("CC-BY-4.0", ["CC0", "cc by 4.0"])
    assert is_allowed("CC-BY-3.0", ["CC-BY"])
    assert not is_allowed("CC-BY-NC-4.0", ["CC-BY"])
    assert not is_allowed("CC-BY-3.0", ["CC-BY-4.0"])
    assert not is_allowed(None, ["CC0-1.0"])
    assert not is_allowed("", ["CC0-1.0"])


def test_known() -> None:
    assert is_known_license("cc-zero")
    assert not is_known_license("2024 by Somebody")
    assert not is_known_license("")
