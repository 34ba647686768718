"""File names of sounds: words of the prompt and numbers, in a form that every file system takes."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path

from soundgen.errors import UsageError

_MAX_SLUG = 60
# Bytes in UTF-8 of one name, suffix included: ext4 and APFS take 255, NTFS 255 of its own units,
# an encrypted home folder (eCryptfs) 143.
MAX_NAME_BYTES = 143
# What a template may not spell: Windows refuses these, and the folder separator of one system is
# a letter of another.
_FORBIDDEN = re.compile(r'[<>:"|?*\\\x00-\x1f\x7f]')
# Windows refuses a file of these names, in any case and with any suffix.
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])", re.IGNORECASE)
# Leading zeros and a width, such as 03d: nothing that could make a name of a gigabyte.
_NUMBER_SPEC = re.compile(r"0?\d?\d?d?")

NAME_FIELDS = ("prompt", "seed", "row", "variation", "duration")


def prompt_slug(prompt: str) -> str:
    """Return a file name for a prompt that every file system takes: letters, digits, hyphens."""
    plain = unicodedata.normalize("NFKC", prompt).lower()
    # Marks belong to the letter before them: without, Hindi or Thai would fall to pieces.
    kept = [char if _is_word(char) else " " for char in plain]
    slug = "-".join("".join(kept).split())[:_MAX_SLUG].strip("-_")
    return f"sound-{slug}" if _RESERVED.fullmatch(slug) else slug or "sound"


def _is_word(char: str) -> bool:
    return char == "_" or unicodedata.category(char)[0] in "LMN"


class NameTemplate:
    """How files are called: text with fields in braces, such as `{prompt}_{seed}`.

    `{prompt}` is the prompt's slug; `{seed}`, `{row}` and `{variation}` are numbers and take a
    width, such as `{row:03d}`; `{duration}` is a number of seconds, or auto. A `/` makes folders.

    Args:
        text: The template.
        where: What to call it in messages.

    Raises:
        UsageError: An unknown field, a sign that not every file system takes, or a part that is
            empty.
    """

    def __init__(self, text: str, where: str = "--name") -> None:
        self.text, self.where = text, f"{where} {text}"
        if unprintable := [char for char in text if not char.isprintable()]:
            raise UsageError(f"{self.where}: holds the sign {unprintable[0]!r}")
        try:
            self._parts = list(string.Formatter().parse(text))
        except ValueError as error:
            raise UsageError(
                f"{self.where}: {str(error).lower()}", hint="a brace itself is {{ or }}"
            ) from error
        for literal, field, spec, conversion in self._parts:
            self._check(literal, field, spec or "", conversion)
        for part in text.split("/"):
            if part.strip(" .") == "" or part != part.strip(" ") or part.endswith("."):
                raise UsageError(f"{self.where}: '{part}' is no name that every file system takes")

    @property
    def fields(self) -> set[str]:
        """The fields that it names."""
        return {field for _, field, _, _ in self._parts if field is not None}

    def path(self, values: Mapping[str, str | int], suffix: str) -> Path:
        """Return the path for one sound; a long prompt is cut so that each name fits.

        Args:
            values: Of all fields.
            suffix: Of the file, such as `.wav`.

        Raises:
            UsageError: It is too long without any prompt.
        """
        slug = str(values["prompt"])
        while True:
            path = "/".join(self._names({**values, "prompt": slug}, suffix))
            longest = max(len(name.encode()) for name in path.split("/"))
            if longest <= MAX_NAME_BYTES:
                return Path(path)
            if "prompt" not in self.fields or len(slug) == 1:
                raise UsageError(
                    f"{self.where}: makes a name of {longest} bytes; every file system takes "
                    f"{MAX_NAME_BYTES}"
                )
            slug = slug[:-1].rstrip("-_") or slug[:1]

    def _names(self, values: Mapping[str, str | int], suffix: str) -> Iterator[str]:
        text = unicodedata.normalize("NFC", self.text.format_map(values)) + suffix
        for name in text.split("/"):
            stem = name.split(".", 1)[0].rstrip(" ")
            yield f"sound-{name}" if _RESERVED.fullmatch(stem) else name

    def _check(self, literal: str, field: str | None, spec: str, conversion: str | None) -> None:
        if found := _FORBIDDEN.search(literal):
            raise UsageError(
                f"{self.where}: '{found[0]}' is not for the names of every file system"
            )
        if field is None:
            return
        if field not in NAME_FIELDS:
            raise UsageError(
                f"{self.where}: unknown field '{field}'",
                hint=f"known: {', '.join(f'{{{name}}}' for name in NAME_FIELDS)}",
            )
        is_number = field in ("seed", "row", "variation")
        if conversion or (spec and not (is_number and _NUMBER_SPEC.fullmatch(spec))):
            raise UsageError(
                f"{self.where}: {{{field}}} takes no such form",
                hint="numbers take a width: {row:03d}",
            )


def name_key(path: Path) -> str:
    """Return what two names share where a file system tells neither case nor accents' spelling."""
    return unicodedata.normalize("NFC", str(path).casefold())
