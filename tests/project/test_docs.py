"""The documents say what the program and the tree say."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from types import ModuleType

from tests.conftest import REPOSITORY


def _load(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("loaded", REPOSITORY / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_cli_page_is_fresh() -> None:
    shown = (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8")
    assert shown == _load("docs/make_cli.py").render(), "run: python docs/make_cli.py"


def test_every_command_has_an_example() -> None:
    page = (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8")
    sections = page.split("\n## soundgen ")[1:]
    assert len(sections) >= 16
    for section in sections:
        assert re.search(r"Examples?: `soundgen ", section), section


def test_architecture_names_every_module() -> None:
    text = (REPOSITORY / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert text == _load("docs/make_modules.py").render(), "run: python docs/make_modules.py"
    named = set(re.findall(r"^- `(soundgen/[\w/.]+\.py)`: .{10,}$", text, re.MULTILINE))
    there = {
        str(path.relative_to(REPOSITORY))
        for path in (REPOSITORY / "soundgen").rglob("*.py")
        if path.stat().st_size and "checkpoints" not in path.parts
    }
    assert named == there


def test_page_of_synthetic_sounds_is_fresh() -> None:
    from soundgen.data.synth.catalogue import FAMILIES

    shown = (REPOSITORY / "docs" / "synth.md").read_text(encoding="utf-8")
    assert shown == _load("docs/make_synth.py").page(), "run: python docs/make_synth.py"
    pictures = [REPOSITORY / "docs" / "synth" / f"{family}.png" for family in FAMILIES]
    assert sum(picture.stat().st_size for picture in pictures) < 1_000_000


def test_links_between_documents_lead_somewhere() -> None:
    pages = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")]
    assert len(pages) >= 5
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_readme_commands_exist() -> None:
    page = (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8")
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(?:sh)?\n(.*?)```", readme, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("soundgen")]
    assert len(lines) >= 11
    for line in lines:
        words = line.split()
        names = {f"## {' '.join(words[:2])}\n", f"## {' '.join(words[:3])}\n"}
        assert any(name in page for name in names), line
        section = page[max(page.find(name) for name in names) :].split("\n## ")[0]
        for option in re.findall(r" (-{1,2}[a-z-]+)", line):
            assert re.search(rf"^- `.*{option}\b", section, re.MULTILINE), f"{line}: {option}"


def test_ci_runs_the_readme_command() -> None:
    script = REPOSITORY / ".ci" / "run"
    shown = subprocess.run(
        [script, "--print"], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert shown.stdout.strip() in readme.splitlines()
    assert shown.stdout.startswith("python3 -m venv .venv && ")
    assert shown.stdout.strip().endswith("/pytest")
