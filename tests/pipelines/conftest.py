"""A tiny model, trained for real once a session on sounds that the tests make."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from soundgen.pipelines.recipes import load_recipe
from soundgen.pipelines.tokenize import tokenize
from soundgen.pipelines.train_codec import train_codec
from soundgen.pipelines.train_lm import train_lm
from tests.fixtures_audio import make_dataset


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared dataset of 28 synthetic clips."""
    return make_dataset(tmp_path_factory.mktemp("data") / "set")


@pytest.fixture(scope="session")
def tiny_codec(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A codec trained with the shipped `tiny` recipe, discriminator and all."""
    out = tmp_path_factory.mktemp("runs") / "codec"
    train_codec(load_recipe("codec", "tiny"), data=dataset, out=out)
    return out


@pytest.fixture(scope="session")
def token_cache(dataset: Path, tiny_codec: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset's codes, two variants."""
    cache = tmp_path_factory.mktemp("cache") / "tokens"
    tokenize(data=dataset, cache=cache, model=str(tiny_codec), variants=2)
    return cache


@pytest.fixture(scope="session")
def tiny_model(
    tiny_codec: Path, token_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A whole model, its language model trained with the shipped `tiny` recipe."""
    out = tmp_path_factory.mktemp("runs") / "model"
    train_lm(load_recipe("lm", "tiny"), data=token_cache, codec=str(tiny_codec), out=out)
    return out


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """For models so small that a second thread only waits for the first."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
