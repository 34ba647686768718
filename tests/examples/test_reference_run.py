"""The reference run's prompts for one's own sounds, and its row of the leaderboard."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from soundgen.data.manifest import read_manifest
from soundgen.data.prompt_list import read_prompts
from soundgen.errors import ExitCode, InputError
from tests.conftest import REPOSITORY
from tests.fixtures_audio import KINDS, make_dataset


@pytest.fixture(scope="module")
def program() -> ModuleType:
    path = REPOSITORY / "examples" / "reference_run.py"
    spec = importlib.util.spec_from_file_location("reference_run", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["reference_run"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "set", per_kind=2)


def test_prompts_are_names_and_captions_of_train_clips(
    program: ModuleType, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "prompts.txt"
    assert program.main(["prompts", str(data), "--out", str(out)]) == 0
    chosen = read_prompts(out)
    assert {prompt.category for prompt in chosen} == set(KINDS)
    captions = {
        (caption, clip.category)
        for clip in read_manifest(data)
        if clip.split == "train"
        for caption in clip.captions
    }
    captions |= {(kind, kind) for kind in KINDS}
    assert all((prompt.prompt, prompt.category) in captions for prompt in chosen)
    assert {prompt.prompt for prompt in chosen} >= set(KINDS)
    assert len(chosen) <= 2 * len(KINDS)


def test_categories_that_cannot_be_judged_are_left_out(program: ModuleType, data: Path) -> None:
    clips = read_manifest(data)
    untested = [c for c in clips if c.category != "tone" or c.split != "test"]
    assert "tone" not in {category for _, category in program.choose_prompts(untested)}
    with pytest.raises(InputError, match="too few sounds"):
        program.choose_prompts([clip for clip in clips if clip.split != "test"])
    with pytest.raises(InputError, match="too few sounds"):
        program.choose_prompts([clip for clip in clips if clip.split != "valid"])


def write_run(folder: Path, times: str) -> None:
    (folder / "measured").mkdir()
    (folder / "times.tsv").write_text(times)

    def source(name: str, accuracy: float) -> dict[str, object]:
        return {"name": name, "class_accuracy": accuracy, "text_match": 0.3456, "frechet": None}

    report = {
        "sources": [
            source("generated", 0.5),  # of the prompts that have test clips to compare with
            source("codec round trip", 0.9),
            source("real clips", 1.0),
        ],
        "confusion": {"classes": ["bell", "rain"], "counts": [[3, 0, 1], [1, 3, 0]]},
    }
    (folder / "measured" / "report.json").write_text(json.dumps(report))


def test_a_row_says_what_the_report_says(
    program: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(
        tmp_path, "data\tbegin\t100\ndata\tend\t160\nlm\tbegin\t200\nlm\tbegin\t300\nlm\tend\t420\n"
    )
    assert program.main(["row", str(tmp_path), "--name", "small | big"]) == 0
    assert capsys.readouterr().out == (
        "75% of 8 sounds are heard as what was asked for; chance 50%, codec round trips 90%, "
        "held-out clips 100%; 3 minutes\n"
    )
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["minutes"], result["stopped"], result["frechet"]) == (3.0, 1, None)
    cells = (tmp_path / "row.md").read_text().strip().strip("|").split("|")
    shown = dict(zip(program.COLUMNS, (cell.strip() for cell in cells), strict=True))
    assert shown["run"] == "small / big"
    assert shown["minutes"] == "3 (stopped 1x)"
    assert (shown["class accuracy"], shown["chance"]) == ("75% of 8", "50%")
    assert (shown["text match"], shown["Fréchet"]) == ("0.346", "")


def test_a_damaged_run_is_one_line(
    program: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(["row", str(tmp_path)]) == ExitCode.INPUT
    write_run(tmp_path, "data\tbegin\n")
    assert program.main(["row", str(tmp_path)]) == ExitCode.INPUT
    (tmp_path / "measured" / "report.json").write_text("[]")
    assert program.main(["row", str(tmp_path)]) == ExitCode.INPUT
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 6
    assert all(line.startswith(("error: ", "hint: ")) for line in lines)
    assert not (tmp_path / "row.md").exists()


def test_the_leaderboard_has_the_columns(program: ModuleType) -> None:
    page = (REPOSITORY / "docs" / "leaderboard.md").read_text(encoding="utf-8")
    table = page.split("## The reference run")[1].split("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert rows[0] == f"| {' | '.join(program.COLUMNS)} |"
    assert {row.count("|") for row in rows} == {len(program.COLUMNS) + 1}
