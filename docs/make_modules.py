"""Write ARCHITECTURE.md's list of modules from their docstrings: `python docs/make_modules.py`."""

from __future__ import annotations

import ast
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = REPOSITORY / "ARCHITECTURE.md"
HEADING = "## Modules\n"


def render() -> str:
    """Return the whole page, its last section made anew."""
    above = PAGE.read_text(encoding="utf-8").partition(HEADING)[0]
    lines = []
    folder = ""
    modules = (REPOSITORY / "soundgen").rglob("*.py")
    for path in sorted(modules, key=lambda path: (path.parent.parts, path.name)):
        text = path.read_text(encoding="utf-8")
        if not text or "checkpoints" in path.parts:
            continue
        name = path.relative_to(REPOSITORY)
        if str(name.parent) != folder:
            folder = str(name.parent)
            lines.append(f"\n### {folder}\n")
        docstring = ast.get_docstring(ast.parse(text)) or "says nothing of itself."
        first = " ".join(docstring.split("\n\n")[0].split())
        lines.append(f"- `{name}`: {first}")
    intro = "The first sentence of each module, by `python docs/make_modules.py`.\n"
    return f"{above}{HEADING}\n{intro}" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
