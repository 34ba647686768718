"""The documents say what the program and the tree say."""

from __future__ import annotations

import re
import shlex
import subprocess

from tests.conftest import REPOSITORY, load_script


def test_cli_page_is_fresh() -> None:
    shown = (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8")
    assert shown == load_script("docs/make_cli.py").render(), "run: python docs/make_cli.py"


def test_every_command_has_an_example() -> None:
    page = (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8")
    sections = page.split("\n## soundgen ")[1:]
    assert len(sections) >= 16
    for section in sections:
        assert re.search(r"Examples?: `soundgen ", section), section


def test_architecture_names_every_module() -> None:
    text = (REPOSITORY / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert text == load_script("docs/make_modules.py").render(), "run: python docs/make_modules.py"
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
    assert shown == load_script("docs/make_synth.py").page(), "run: python docs/make_synth.py"
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


def test_every_test_that_the_comparison_names_exists() -> None:
    page = (REPOSITORY / "docs" / "comparison.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/.]+\.py)::(\w+)`", page)
    assert len(named) >= 30 and page.count("::") == len(named)
    for path, name in named:
        text = (REPOSITORY / path).read_text(encoding="utf-8")
        assert re.search(rf"^def {name}\(", text, re.MULTILINE), f"{path}::{name}"
    # Each line has as many cells as its head, and each of ours that says yes has its proof.
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("|")]
    assert {len(cells) for cells in rows if not cells[0].startswith("|---")} == {7}
    ours = [cells[1] for cells in rows if len(cells) == 7 and cells[1] != "soundgen"]
    assert all("::" in cell or cell == "no" for cell in ours)


def test_commands_of_the_recipes_exist() -> None:
    page = (REPOSITORY / "docs" / "recipes-for-sound-designers.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    commands = [line for line in lines if line.startswith("soundgen ")]
    assert len(commands) >= 12
    reference = (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8")
    for line in commands:
        words = shlex.split(line, comments=True)
        section = reference.split(f"\n## soundgen {words[1]}\n")[1].split("\n## ")[0]
        known = set(
            re.findall(
                r"(?<![\w-])--?[a-z][a-z-]*",
                "\n".join(
                    row.split(": ")[0] for row in section.splitlines() if row.startswith("- `")
                ),
            )
        )
        assert {word for word in words if re.match(r"--?[a-z]", word)} <= known, line
