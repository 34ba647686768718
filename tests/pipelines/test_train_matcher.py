"""A matcher learns what sounds are called, survives Ctrl-C, and stands in a whole model folder."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
import safetensors.torch
import torch

from soundgen.checkpoint import open_model_folder, save_model_folder
from soundgen.errors import CheckpointError, ConfigError, OutputError
from soundgen.pipelines.model import load_matcher, load_model
from soundgen.pipelines.recipes import load_recipe
from soundgen.pipelines.train_lm import train_lm
from soundgen.pipelines.train_matcher import train_matcher
from soundgen.progress import SilentProgress
from tests.fixtures_audio import KINDS, make_sound
from tests.fixtures_model import make_tiny_model

SHORT = ("training.steps=8", "training.checkpoint_every=4", "matcher.dropout=0.1")

pytestmark = pytest.mark.usefixtures("one_thread")


class Interrupting(SilentProgress):
    """Presses Ctrl-C once the training has taken `steps` steps."""

    def __init__(self, steps: int) -> None:
        self._left, self._training = steps, False

    def start(self, what: str, total: int | None) -> None:
        self._training = False
        self._begins = what == "training the matcher"

    def advance(self, n: int = 1) -> None:
        if self._training:
            self._left -= n
            if self._left == 0:
                signal.raise_signal(signal.SIGINT)
        # The first call says how far the run has come before.
        self._training = self._begins


def weights(run: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(run / "matcher.safetensors")


def test_it_hears_what_new_sounds_are_called(matcher_model: Path) -> None:
    loaded = load_matcher(str(matcher_model))
    names = torch.cat([loaded.embed_prompt(f"the sound of a {kind}") for kind in KINDS])
    right = 0
    for number, kind in enumerate(KINDS):
        sounds = [torch.from_numpy(make_sound(kind, 5000 + seed, 1.0)) for seed in range(5)]
        similarity = loaded.matcher.similarity(loaded.matcher.embed_audio(sounds), names)
        right += int((similarity.argmax(dim=1) == number).sum())
    assert right >= 14  # of 20; chance is 5
    rows = [json.loads(line) for line in (matcher_model / "metrics.jsonl").read_text().splitlines()]
    valid = [row for row in rows if row["kind"] == "valid"]
    assert [row["step"] for row in valid] == [20, 40, 60]
    assert valid[-1]["similarity"] > valid[-1]["similarity_shuffled"] + 0.2
    assert {"recall_at_1", "recall_at_10", "class_accuracy"} <= valid[-1].keys()


def test_the_run_folder_is_the_whole_model_and_makes_the_same_sounds(matcher_model: Path) -> None:
    folder = open_model_folder(matcher_model)
    folder.verify()
    assert all(folder.has(part) for part in ("codec", "lm", "matcher"))
    before = open_model_folder(matcher_model.parent / "tiny")
    assert folder.model_digest == before.model_digest
    assert folder.config["training"]["matcher"]["recipe"]["training"]["steps"] == 60
    assert load_model(str(matcher_model), device="cpu").matcher is not None
    assert load_model(str(before.path), device="cpu").matcher is None
    with pytest.raises(CheckpointError, match="has no matcher") as caught:
        load_matcher(str(before.path))
    assert "soundgen train matcher" in caught.value.hint


def test_interrupted_and_resumed_it_ends_where_an_unbroken_run_does(
    dataset: Path, tmp_path: Path
) -> None:
    recipe = load_recipe("matcher", "tiny", SHORT)
    train_matcher(recipe, data=dataset, out=tmp_path / "whole", device="cpu")
    for steps in (3, 3):  # before the first checkpoint, and behind it
        with pytest.raises(KeyboardInterrupt):
            train_matcher(
                recipe,
                data=dataset,
                out=tmp_path / "broken",
                device="cpu",
                resume=(tmp_path / "broken").exists(),
                progress=Interrupting(steps),
            )
    report = train_matcher(
        recipe, data=dataset / "manifest.jsonl", out=tmp_path / "broken", device="cpu", resume=True
    )
    assert report.finished and report.step == 8
    ours, theirs = weights(tmp_path / "broken"), weights(tmp_path / "whole")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    with pytest.raises(OutputError, match="holds a training run already"):
        train_matcher(recipe, data=dataset, out=tmp_path / "whole", device="cpu")
    other = load_recipe("matcher", "tiny", (*SHORT, "training.seed=1"))
    with pytest.raises(CheckpointError, match="was started with another recipe"):
        train_matcher(other, data=dataset, out=tmp_path / "whole", device="cpu", resume=True)


def test_a_dry_run_and_what_does_not_fit_write_nothing(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train_matcher(load_recipe("matcher", "tiny"), data=dataset, out=out, device="cpu", dry_run=True)
    with pytest.raises(ConfigError, match=r"matcher\.text_dim is 100") as caught:
        train_matcher(
            load_recipe("matcher", "tiny", ["matcher.text_dim=100"]), data=dataset, out=out
        )
    assert caught.value.hint == "use --set matcher.text_dim=384"
    assert not out.exists()


def test_a_matcher_of_another_text_encoder_is_refused(matcher_model: Path, tmp_path: Path) -> None:
    whole = open_model_folder(matcher_model)
    make_tiny_model(tmp_path / "mixed")
    sections = {key: value for key, value in whole.config.items() if key in ("codec", "lm")}
    save_model_folder(
        tmp_path / "mixed",
        {
            **sections,
            "text_encoder": whole.config["text_encoder"],
            "matcher": {**whole.config["matcher"], "text_encoder_sha256": "0" * 64},
        },
        {"matcher": weights(matcher_model)},
    )
    with pytest.raises(CheckpointError, match="was trained with another text encoder"):
        load_model(str(tmp_path / "mixed"), device="cpu")


@pytest.mark.parametrize("fits", [True, False])
def test_a_language_model_trained_beside_a_matcher_keeps_it_if_it_fits(
    matcher_model: Path, tiny_codec: Path, token_cache: Path, tmp_path: Path, fits: bool
) -> None:
    codec, whole = open_model_folder(tiny_codec), open_model_folder(matcher_model)
    digest = whole.config["matcher"]["text_encoder_sha256"]
    beside = save_model_folder(
        tmp_path / "beside",
        {
            "codec": codec.section("codec"),
            "matcher": {
                **whole.section("matcher"),
                "text_encoder_sha256": digest if fits else "0" * 64,
            },
        },
        {"codec": codec.tensors("codec"), "matcher": weights(matcher_model)},
    )
    recipe = load_recipe("lm", "tiny", ["training.steps=1"])
    train_lm(recipe, data=token_cache, codec=str(beside.path), out=tmp_path / "lm", device="cpu")
    made = open_model_folder(tmp_path / "lm")
    made.verify()
    assert made.has("matcher") == fits
    if fits:
        assert made.matcher_digest == whole.matcher_digest
        assert load_model(str(tmp_path / "lm"), device="cpu").matcher is not None
