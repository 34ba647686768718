"""Two processes never write one folder: whoever comes second is told so, and nothing is lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from soundgen.errors import OutputError
from soundgen.pipelines.recipes import load_recipe
from soundgen.pipelines.tokenize import tokenize
from soundgen.pipelines.train_codec import train_codec
from soundgen.pipelines.train_lm import train_lm
from soundgen.pipelines.train_matcher import train_matcher

HOLD = """
import sys
from pathlib import Path
from soundgen.files import folder_lock
with folder_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_by_another(folder: Path) -> Iterator[None]:
    """Let another process work in `folder`, as a training does, until the block ends."""
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdin is not None and other.stdout is not None
    assert other.stdout.readline() == b"held\n"
    yield
    other.stdin.close()
    assert other.wait(30) == 0


@pytest.mark.parametrize("kind", ["codec", "lm", "matcher", "tokens"])
def test_a_second_process_is_refused(
    kind: str, dataset: Path, tiny_codec: Path, token_cache: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    steps = ["training.steps=1"]
    run: Callable[[], object] = {
        "codec": lambda: train_codec(load_recipe("codec", "tiny", steps), data=dataset, out=out),
        "lm": lambda: train_lm(
            load_recipe("lm", "tiny", steps), data=token_cache, codec=str(tiny_codec), out=out
        ),
        "matcher": lambda: train_matcher(
            load_recipe("matcher", "tiny", steps), data=dataset, out=out
        ),
        "tokens": lambda: tokenize(data=dataset, cache=out, model=str(tiny_codec)),
    }[kind]
    with held_by_another(out):
        with pytest.raises(OutputError, match="another soundgen process is writing there"):
            run()
        assert [path.name for path in out.iterdir()] == [".lock"]
    if kind == "lm":  # and free again, however the other one ended
        run()
        assert (out / "lm.safetensors").is_file()
