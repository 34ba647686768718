"""Which file is written for which input, settled before anything is read."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from soundgen.errors import InputError, OutputError, UsageError
from soundgen.pipelines.batch import FileJob, FileKinds, open_output, plan_files

KINDS = FileKinds(name="notes", sources=frozenset({".txt", ".md"}), output=".out")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("in/a.txt", "in/sub/b.MD", "in/sub/c.pdf", "in/.hidden/d.txt", "in/.e.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "x.txt").write_text("x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(*inputs: str, output: str | None = None, force: bool = False) -> dict[str, str]:
    jobs, failures = plan_files(inputs, output, KINDS, force=force)
    assert not failures
    return {job.name: job.output_name for job in jobs}


def test_results_go_beside_their_inputs(tree: Path) -> None:
    assert plan("x.txt", "in") == {
        "x.txt": "x.out",
        "in/a.txt": "in/a.out",
        "in/sub/b.MD": "in/sub/b.out",
    }
    assert plan("in/sub/c.pdf") == {"in/sub/c.pdf": "in/sub/c.out"}  # named: not searched for


def test_results_go_where_the_output_says(tree: Path) -> None:
    (tree / "there").mkdir()
    assert plan("x.txt", output="y.out") == {"x.txt": "y.out"}
    assert plan("x.txt", output="there") == {"x.txt": "there/x.out"}
    assert plan("x.txt", output="new/") == {"x.txt": "new/x.out"}
    assert plan("in", output="new") == {"in/a.txt": "new/a.out", "in/sub/b.MD": "new/sub/b.out"}
    assert plan("x.txt", output="-") == {"x.txt": "-"}
    assert plan("-") == {"<stdin>": "-"}
    assert plan("-", output="y.out") == {"<stdin>": "y.out"}
    assert not (tree / "new").exists()


@pytest.mark.parametrize(
    ("inputs", "output", "message"),
    [
        (["-", "x.txt"], None, "must be the only input"),
        (["-"], "new/", "no name"),
        (["in"], "-", "takes one input file"),
        (["x.txt", "in/a.txt"], "-", "takes one input file"),
        (["x.txt"], "y.wav", r"must end in \.out"),
        (["x.txt", "./x.txt"], None, "written for both x.txt and x.txt"),
        (["in/a.txt", "a/a.md"], "new", "written for both in/a.txt and a/a.md"),
    ],
)
def test_what_does_not_fit_is_refused(
    tree: Path, inputs: list[str], output: str | None, message: str
) -> None:
    (tree / "a").mkdir()
    (tree / "a" / "a.md").touch()
    with pytest.raises(UsageError, match=message):
        plan(*inputs, output=output)


def test_an_output_that_is_an_input_is_refused(tree: Path) -> None:
    (tree / "same.out").touch()
    (tree / "link.txt").symlink_to("same.out")
    for name in ("same.out", "link.txt"):
        with pytest.raises(UsageError, match="is the input itself"):
            plan(name, output="same.out", force=True)


def test_outputs_that_cannot_be_written_are_refused(tree: Path) -> None:
    (tree / "x.out").touch()
    (tree / "in" / "sub" / "b.out").touch()
    for inputs in (["x.txt"], ["in"], ["x.txt", "in"]):
        with pytest.raises(OutputError, match="exists already"):
            plan(*inputs)
        assert plan(*inputs, force=True)
    with pytest.raises(OutputError, match="does not exist"):
        plan("x.txt", output="nowhere/y.out")
    with pytest.raises(OutputError, match="does not exist"):
        plan("in", output="nowhere/new")
    with pytest.raises(OutputError, match="exists already"):
        plan("in", output="x.out")
    (tree / "folder.out").mkdir()
    assert plan("x.txt", output="folder.out") == {"x.txt": "folder.out/x.out"}


def test_inputs_that_are_not_there_fail_one_by_one(tree: Path) -> None:
    (tree / "gone.txt").symlink_to("nowhere")
    (tree / "empty").mkdir()
    inputs = ["nothing.txt", "gone.txt", "empty", "", "x.txt"]
    jobs, failures = plan_files(inputs, None, KINDS, force=False)
    assert [job.name for job in jobs] == ["x.txt"]
    assert [failure.source for failure in failures] == inputs[:4]
    assert all(isinstance(failure.error, InputError) for failure in failures)
    messages = [failure.error.message for failure in failures]
    assert messages[0] == "nothing.txt: no such file"
    assert messages[1] == "gone.txt: a link to a file that does not exist"
    assert messages[2] == "empty: holds no notes"
    assert messages[3] == "the name of the file is empty"


def test_a_folder_that_links_to_itself_ends(tree: Path) -> None:
    (tree / "in" / "loop").symlink_to(tree / "in")
    assert len(plan("in")) == 2


def test_outputs_appear_when_they_are_whole(tree: Path) -> None:
    job = FileJob(tree / "x.txt", tree / "new" / "deep" / "x.out")
    with pytest.raises(TypeError), open_output(job, None) as stream:
        stream.writelines([b"half", "no bytes"])  # type: ignore[list-item]
    assert os.listdir(tree / "new" / "deep") == []
    with open_output(job, None) as stream:
        stream.write(b"whole")
    assert (tree / "new" / "deep" / "x.out").read_bytes() == b"whole"
    stdout = io.BytesIO()
    with open_output(FileJob(None, None), stdout) as stream:
        stream.write(b"x")
    assert stdout.getvalue() == b"x"
    with pytest.raises(UsageError, match="standard output"), open_output(FileJob(None, None), None):
        pass
    (tree / "file").touch()
    with (
        pytest.raises(OutputError, match="cannot be made"),
        open_output(FileJob(None, tree / "file" / "x.out"), None),
    ):
        pass
