"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PACKAGE = REPOSITORY / "soundgen"
MODULES = sorted(PACKAGE.rglob("*.py"))
MAX_CLI_LINES = 150

# `[B, D, L]`, `[B, n_q, ceil(T / hop)]`, or the words that say it does not matter.
SHAPE = re.compile(r"\[[A-Za-z0-9_ *+/()-]+(, ?[A-Za-z0-9_ *+/()-]+)*\]|any shape")


def _tracked() -> list[Path]:
    """Files that git tracks or would track; all of them where git is not to be had."""
    try:
        shown = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=REPOSITORY,
            capture_output=True,
            check=True,
        )
        names = [name.decode() for name in shown.stdout.split(b"\0") if name]
    except (OSError, subprocess.CalledProcessError):
        names = [str(path.relative_to(REPOSITORY)) for path in [*MODULES, *REPOSITORY.glob("*.*")]]
    return [REPOSITORY / name for name in names if (REPOSITORY / name).is_file()]


def _trees() -> list[tuple[Path, ast.Module]]:
    return [(path, ast.parse(path.read_text(encoding="utf-8"))) for path in MODULES]


def test_every_forward_states_its_shapes_and_types() -> None:
    found, bad = 0, []
    for path, tree in _trees():
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef) or node.name != "forward":
                continue
            found += 1
            where = f"{path.relative_to(REPOSITORY)}:{node.lineno}"
            if not SHAPE.search(ast.get_docstring(node) or ""):
                bad.append(f"{where}: no shape such as [B, D, L] in the docstring")
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            if any(arg.annotation is None for arg in arguments if arg.arg != "self"):
                bad.append(f"{where}: an argument without a type")
            if node.returns is None:
                bad.append(f"{where}: no return type")
    assert not bad, "\n".join(bad)
    assert found >= 10


def test_nothing_prints_exits_or_pickles_below_the_command_line() -> None:
    bad = []
    for path, tree in _trees():
        for node in ast.walk(tree):
            where = f"{path.relative_to(REPOSITORY)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                allowed = path.name == "cli.py"
                if called in ("print", "exit", "quit") or (called == "sys.exit" and not allowed):
                    bad.append(f"{where}: {called}")
                if called == "torch.load" and "weights_only=True" not in ast.unparse(node):
                    bad.append(f"{where}: torch.load without weights_only=True")
                if called.partition(".")[0] in ("pickle", "marshal", "shelve"):
                    bad.append(f"{where}: {called}")
            if isinstance(node, ast.ExceptHandler) and path.name != "cli.py":
                caught = ast.unparse(node.type) if node.type else "everything"
                if caught in ("Exception", "BaseException", "everything"):
                    bad.append(f"{where}: except {caught}")
    assert not bad, "\n".join(bad)


def test_init_files_are_empty_but_for_the_api() -> None:
    found = [path for path in MODULES if path.name == "__init__.py"]
    assert len(found) >= 12
    filled = [path.parent.name for path in found if path.read_text().strip()]
    assert filled == ["soundgen"]


def test_no_catch_all_modules_and_a_short_cli() -> None:
    banned = {"utils", "util", "common", "helpers", "misc"}
    assert not [path for path in MODULES if path.stem in banned]
    assert len((PACKAGE / "cli.py").read_text().splitlines()) < MAX_CLI_LINES


def test_no_machine_paths_or_hosts_in_tracked_files() -> None:
    # Spelt in pieces so that this file does not find itself.
    banned = ["/opt" + "/sg", "/work" + "/main", "/work" + "/shared", "/root" + "/", "pypi" + "."]
    bad = []
    files = _tracked()
    assert len(files) > 40
    for path in files:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        bad += [f"{path.relative_to(REPOSITORY)}: {word}" for word in banned if word in text]
    assert not bad, "\n".join(bad)


@pytest.mark.parametrize(
    "name", ["sr", "samplerate", "num_quantizers", "n_codebooks", "cardinality"]
)
def test_one_name_for_one_idea(name: str) -> None:
    """STYLE's glossary: `sample_rate`, `num_codebooks`, `codebook_size` and no other."""
    bad = []
    for path, tree in _trees():
        for node in ast.walk(tree):
            given = getattr(node, "arg", None) or getattr(node, "id", None)
            if given == name:
                bad.append(f"{path.relative_to(REPOSITORY)}:{getattr(node, 'lineno', 0)}")
    assert not bad, "\n".join(bad)
