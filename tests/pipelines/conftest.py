"""A tiny model, trained for real once a run of pytest on sounds that the tests make."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest
import torch

from soundgen.pipelines.recipes import load_recipe
from soundgen.pipelines.tokenize import tokenize
from soundgen.pipelines.train_codec import train_codec
from soundgen.pipelines.train_lm import train_lm
from tests.fixtures_audio import make_dataset
from tests.fixtures_train import OPTIONS


class MakeOnce(Protocol):
    """Makes a folder that all of pytest's processes share."""

    def __call__(self, name: str, make: Callable[[Path], object]) -> Path:
        """Return the folder `name`; whoever asks first makes it, the others wait."""


@pytest.fixture(scope="session")
def make_once(tmp_path_factory: pytest.TempPathFactory) -> MakeOnce:
    """For what takes long to make and is only read."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder = root / name
        with (root / f"{name}.made").open("a+") as mark:
            fcntl.flock(mark, fcntl.LOCK_EX)
            mark.seek(0)
            if not mark.read():
                shutil.rmtree(folder, ignore_errors=True)
                make(folder)
                mark.write("yes")
        return folder

    return made


@pytest.fixture(scope="session")
def dataset(make_once: MakeOnce) -> Path:
    """A prepared dataset of 28 synthetic clips."""
    return make_once("dataset", make_dataset)


@pytest.fixture(scope="session")
def tiny_codec(make_once: MakeOnce, dataset: Path) -> Path:
    """A codec trained with the shipped `tiny` recipe, discriminator and all."""
    recipe = load_recipe("codec", "tiny")
    return make_once("codec", lambda out: train_codec(recipe, data=dataset, out=out))


@pytest.fixture(scope="session")
def token_cache(make_once: MakeOnce, dataset: Path, tiny_codec: Path) -> Path:
    """The dataset's codes, two variants."""
    return make_once(
        "tokens",
        lambda cache: tokenize(data=dataset, cache=cache, model=str(tiny_codec), variants=2),
    )


@pytest.fixture(scope="session")
def tiny_model(make_once: MakeOnce, tiny_codec: Path, token_cache: Path) -> Path:
    """A whole model, its language model trained with the shipped `tiny` recipe."""
    recipe = load_recipe("lm", "tiny")
    return make_once(
        "model", lambda out: train_lm(recipe, data=token_cache, codec=str(tiny_codec), out=out)
    )


@pytest.fixture(scope="session")
def whole_codec(make_once: MakeOnce, dataset: Path) -> Path:
    """A short codec training that nothing interrupted."""
    recipe = load_recipe("codec", "tiny", OPTIONS["codec"])
    return make_once(
        "whole-codec", lambda out: train_codec(recipe, data=dataset, out=out, device="cpu")
    )


@pytest.fixture(scope="session")
def whole_lm(make_once: MakeOnce, tiny_codec: Path, token_cache: Path) -> Path:
    """A short language-model training that nothing interrupted."""
    recipe = load_recipe("lm", "tiny", OPTIONS["lm"])
    return make_once(
        "whole-lm",
        lambda out: train_lm(
            recipe, data=token_cache, codec=str(tiny_codec), out=out, device="cpu"
        ),
    )


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """For models so small that a second thread only waits for the first; `generate` sets more."""
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(1)
