"""Trainings learn, survive SIGKILL at any step, and save on Ctrl-C. Real runs of tiny recipes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from soundgen.audio.io import read_mono
from soundgen.checkpoint import open_model_folder
from soundgen.data.manifest import read_manifest
from soundgen.data.tokens import TokenBatch, TokenCache, TokenSampler, TokenSamplerConfig
from soundgen.errors import CheckpointError, ConfigError, InputError, OutputError
from soundgen.lm.model import LanguageModel
from soundgen.pipelines.lm_examples import example_losses, make_example
from soundgen.pipelines.model import load_codec, load_model
from soundgen.pipelines.recipes import load_recipe
from soundgen.pipelines.tokenize import tokenize
from soundgen.pipelines.train_codec import train_codec
from soundgen.pipelines.train_lm import train_lm
from soundgen.training.seeding import sample_rng
from tests.fixtures_audio import KINDS as KINDS_OF_SOUND
from tests.fixtures_audio import make_dataset
from tests.fixtures_codec import make_tiny_codec
from tests.fixtures_train import assert_same_weights, command, weights

TOKENS = TokenSamplerConfig(
    n_q=2, batch_frames=800, max_s=2.0, duration_power=0.5, category_power=0.5, longest_s=4.0
)


def rows(run: Path, kind: str) -> list[dict[str, Any]]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["kind"] == kind]


def signalled(arguments: list[str], run: Path, *, lines: int, number: int) -> tuple[int, str]:
    """Start a training, signal it once it has logged `lines` lines; return exit code and stderr."""
    process = subprocess.Popen(
        arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 240
    metrics = run / "metrics.jsonl"
    while time.monotonic() < deadline and process.poll() is None:
        if metrics.exists() and len(metrics.read_text().splitlines()) >= lines:
            process.send_signal(number)
            break
        time.sleep(0.01)
    _, err = process.communicate(timeout=240)
    return process.returncode, err


def test_the_codec_learns_with_all_five_losses(tiny_codec: Path) -> None:
    train = rows(tiny_codec, "train")
    assert {"l_t", "l_s", "l_w", "l_g", "l_feat"} <= train[-1].keys()
    assert any("l_d" in row for row in train)
    assert all(value is not None for row in train for value in row.values())
    assert {"mel_distance_4", "mel_distance_2", "capacity_used"} <= rows(tiny_codec, "valid")[
        -1
    ].keys()
    assert train[-1]["l_s"] < 0.8 * train[0]["l_s"]
    assert list((tiny_codec / "tensorboard").iterdir())


def test_the_language_model_learns_its_prompts(tiny_model: Path, token_cache: Path) -> None:
    valid = rows(tiny_model, "valid")
    assert valid[-1]["loss"] < valid[0]["loss"]
    cache = TokenCache(token_cache)
    model = load_model(str(tiny_model), device="cpu").language_model
    clips = {
        kind: [c for c in cache.split("train") if c.category == kind] for kind in KINDS_OF_SOUND
    }
    sampler = TokenSampler(cache, cache.split("train"), TOKENS, seed=0)
    right, wrong = [], []
    for kind, other in zip(KINDS_OF_SOUND, KINDS_OF_SOUND[1:] + KINDS_OF_SOUND[:1], strict=True):
        for clip in clips[kind][:4]:
            batch = sampler.assemble([clip], sample_rng(0, 0))
            text = sampler.assemble([clips[other][0]], sample_rng(0, 0))
            swapped = batch._replace(
                text_states=text.text_states,
                text_mask=text.text_mask,
                text_pooled=text.text_pooled,
            )
            right.append(loss_of(model, batch))
            wrong.append(loss_of(model, swapped))
    assert sum(right) / len(right) < sum(wrong) / len(wrong) - 0.1


def loss_of(model: LanguageModel, batch: TokenBatch) -> float:
    yes = torch.ones(1, dtype=torch.bool)
    with torch.no_grad():
        example = make_example(
            model.config, batch, torch.device("cpu"), has_text=yes, has_duration=yes
        )
        losses = example_losses(model, example)
    return float(losses.mean())


def test_the_run_folder_is_a_whole_model_folder(tiny_model: Path) -> None:
    folder = open_model_folder(tiny_model)
    folder.verify()
    assert folder.has("codec") and folder.has("lm")
    assert folder.config["training"]["codec"]["recipe"]["training"]["steps"] == 120
    assert folder.config["training"]["lm"]["recipe"]["lm"]["n_q"] == 2


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_training_saves_and_says_how_to_go_on(
    tiny_codec: Path,
    token_cache: Path,
    whole_lm: Path,
    tmp_path: Path,
    number: int,
    expected: int,
) -> None:
    broken = tmp_path / "broken"
    options = ("--data", token_cache, "--codec", tiny_codec)
    code, message = signalled(command("lm", broken, *options), broken, lines=1, number=number)
    assert code == expected
    assert "--resume" in message and "Traceback" not in message
    assert (broken / "state.pt").exists()
    subprocess.run([*command("lm", broken, *options), "--resume"], check=True, capture_output=True)
    assert_same_weights(whole_lm, broken, "lm")


def test_seanet_trains_and_round_trips(dataset: Path, tmp_path: Path) -> None:
    recipe = load_recipe(
        "codec",
        "seanet",
        [
            "codec.seanet.num_filters=4",
            "codec.seanet.num_lstm_layers=1",
            "codec.latent_dim=16",
            "codec.num_codebooks=2",
            "codec.codebook_size=64",
            "training.steps=60",
            "training.batch_size=4",
            "training.kmeans_batches=8",
            "training.n_q_choices=[1, 2]",
            "training.checkpoint_every=30",
            "training.log_every=5",
            "optimiser.warmup_steps=5",
            "discriminator.num_filters=4",
            "discriminator.start=0.8",
            "losses.mel_windows=[128, 512]",
            "segments.segment_s=0.5",
            "entropy.seconds=10",
            "entropy.steps=10",
            "entropy.hidden_size=32",
        ],
    )
    report = train_codec(recipe, data=dataset, out=tmp_path / "seanet")
    assert report.finished
    train = rows(tmp_path / "seanet", "train")
    assert train[-1]["l_s"] < train[0]["l_s"]
    from soundgen.pipelines.model import load_codec

    codec = load_codec(str(tmp_path / "seanet")).codec
    wav = 0.3 * torch.sin(torch.arange(16_000) * 0.2)[None, None]
    decoded = codec.decode(codec.encode(wav))
    assert decoded.shape == (1, 1, 16_000)
    assert torch.isfinite(decoded).all()


MAGNITUDE = [
    "codec.latent_dim=32",
    "codec.num_codebooks=4",
    "codec.codebook_size=64",
    "codec.magnitude.encoder_dim=32",
    "codec.magnitude.encoder_layers=1",
    "codec.magnitude.decoder_dim=32",
    "codec.magnitude.decoder_layers=1",
    "training.steps=80",
    "training.batch_size=4",
    "training.kmeans_batches=8",
    "training.component_batches=16",
    "training.n_q_choices=[4]",
    "training.ema_decay=0.9",
    "training.checkpoint_every=20",
    "training.log_every=5",
    "training.valid_s=10.0",
    "optimiser.warmup_steps=5",
    "segments.segment_s=0.5",
    "entropy.seconds=0",
]


def test_a_magnitude_codec_starts_from_its_data_and_learns_beyond(
    dataset: Path, tmp_path: Path
) -> None:
    recipe = load_recipe("codec", "small", MAGNITUDE)
    assert recipe.codec.autoencoder == "magnitude"
    train_codec(recipe, data=dataset, out=tmp_path / "a")
    train, valid = rows(tmp_path / "a", "train"), rows(tmp_path / "a", "valid")
    # The principal components alone: a network's first guess would be some nats off.
    assert train[0]["l_s"] < 1.5
    distances = [row["mel_distance_4"] for row in valid]
    assert distances[0] == max(distances)
    assert distances[-1] < 0.95 * distances[0]
    assert distances[-1] < valid[-1]["mel_distance_2"] < 1.2
    train_codec(recipe, data=dataset, out=tmp_path / "b")
    assert_same_weights(tmp_path / "a", tmp_path / "b", "codec")


def test_a_magnitude_codec_has_no_discriminator(dataset: Path, tmp_path: Path) -> None:
    # A dry run takes the most demanding kind of step: with it, where there is one.
    recipe = load_recipe("codec", "small", MAGNITUDE)
    report = train_codec(recipe, data=dataset, out=tmp_path / "dry", dry_run=True)
    assert "l_d" not in report.metrics
    tiny = load_recipe("codec", "tiny")
    report = train_codec(tiny, data=dataset, out=tmp_path / "dry", dry_run=True)
    assert "l_d" in report.metrics
    with pytest.raises(ConfigError, match="magnitude autoencoder has no discriminator"):
        load_recipe("codec", "small", ["discriminator.start=0.5"])


def test_warm_start_takes_the_weights(dataset: Path, tiny_codec: Path, tmp_path: Path) -> None:
    recipe = load_recipe("codec", "tiny", ["training.steps=1", "optimiser.learning_rate=1e-12"])
    train_codec(recipe, data=dataset, out=tmp_path / "warm", init=str(tiny_codec))
    before, after = weights(tiny_codec, "codec"), weights(tmp_path / "warm", "codec")
    for name, value in before.items():
        if not name.startswith("quantizer"):
            torch.testing.assert_close(after[name], value, rtol=0, atol=1e-3)
    codebooks = before["quantizer.embedding_sum"].float(), after["quantizer.embedding_sum"].float()
    torch.testing.assert_close(*codebooks, rtol=0, atol=0.2)


def test_a_run_killed_after_the_discriminator_joined_had_saved_it(whole_codec: Path) -> None:
    state = torch.load(whole_codec / "state.pt", weights_only=True)
    assert state["discriminator_optimiser"]["state"]
    assert set(state["balancer"]["averages"]) == {"time", "mel", "adversarial", "feature"}


def test_stopped_before_its_first_checkpoint_a_run_keeps_what_it_learned(
    tiny_codec: Path, token_cache: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options = ("--data", token_cache, "--codec", tiny_codec)
    arguments = [*command("lm", out, *options), "--set", "training.checkpoint_every=1000"]
    code, _ = signalled(arguments, out, lines=2, number=signal.SIGINT)
    assert code == 130
    state = torch.load(out / "state.pt", weights_only=True)
    assert state["best_step"] == 0
    saved, average = weights(out, "lm"), state["average"]["shadow"]
    for name, value in saved.items():
        assert torch.equal(value, average[name].half()), name


def test_a_collapsed_codebook_is_seen_and_ends_the_run(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from soundgen.pipelines import train_codec as module

    recipe = load_recipe("codec", "tiny", ["codec.codebook_size=512", "training.steps=2000"])
    monkeypatch.setattr(module, "_MAX_COLLAPSED_STEPS", 5)
    run = module._new_run(recipe, torch.device("cpu"), None, "")
    one_code = torch.full((8, 4, 25), 7)
    for _ in range(4):
        module._watch_codebooks(run, one_code)
    with pytest.raises(ConfigError, match="codebook 0 has used fewer than 5% of its codes"):
        module._watch_codebooks(run, one_code)
    run.num_collapsed = 0
    for step in range(10):
        codes = torch.randint(512, (8, 4, 25), generator=torch.Generator().manual_seed(step))
        measured = module._watch_codebooks(run, codes)
    assert run.num_collapsed == 0
    assert measured["perplexity_min"] > 0.05 * 512


def test_a_dry_run_takes_one_step_and_writes_nothing(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "dry"
    report = train_codec(load_recipe("codec", "tiny"), data=dataset, out=out, dry_run=True)
    assert report.step == 0
    assert report.metrics["l_s"] > 0
    assert not out.exists()


def test_what_does_not_belong_together_is_refused(
    dataset: Path, tiny_codec: Path, token_cache: Path, tmp_path: Path
) -> None:
    make_tiny_codec(tmp_path / "other")
    tiny = load_recipe("lm", "tiny")
    with pytest.raises(CheckpointError, match="another codec"):
        train_lm(tiny, data=token_cache, codec=str(tmp_path / "other"), out=tmp_path / "a")
    wide = load_recipe("lm", "tiny", ["lm.text_dim=32"])
    with pytest.raises(ConfigError, match="text_dim"):
        train_lm(wide, data=token_cache, codec=str(tiny_codec), out=tmp_path / "b")
    many = load_recipe("lm", "tiny", ["lm.n_q=5"])
    with pytest.raises(ConfigError, match="n_q"):
        train_lm(many, data=token_cache, codec=str(tiny_codec), out=tmp_path / "c")
    with pytest.raises(CheckpointError, match="not a token cache"):
        train_lm(tiny, data=dataset, codec=str(tiny_codec), out=tmp_path / "d")
    with pytest.raises(InputError):
        train_codec(load_recipe("codec", "tiny"), data=tmp_path, out=tmp_path / "e")
    assert not any((tmp_path / name).exists() for name in "abcde")


def test_a_damaged_valid_clip_is_named_before_the_run_begins(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "set", per_kind=1)
    clip = next(data.glob("audio/noise-1.flac"))
    clip.write_bytes(clip.read_bytes()[:100])
    with pytest.raises(InputError, match=r"noise-1\.flac: cannot be read"):
        train_codec(load_recipe("codec", "tiny"), data=data, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_run_does_not_go_on_with_other_data(
    dataset: Path, tiny_codec: Path, token_cache: Path, tiny_model: Path, tmp_path: Path
) -> None:
    other = make_dataset(tmp_path / "set", per_kind=2)
    with pytest.raises(CheckpointError, match="another dataset"):
        train_codec(load_recipe("codec", "tiny"), data=other, out=tiny_codec, resume=True)
    cache = tmp_path / "cache"
    tokenize(data=other, cache=cache, model=str(tiny_codec))
    with pytest.raises(CheckpointError, match="another token cache"):
        train_lm(
            load_recipe("lm", "tiny"),
            data=cache,
            codec=str(tiny_codec),
            out=tiny_model,
            resume=True,
        )
    with pytest.raises(OutputError, match="holds a token cache already"):
        tokenize(data=other, cache=cache, model=str(tiny_codec))


def test_a_run_is_neither_overwritten_nor_resumed_with_another_recipe(
    dataset: Path, tiny_codec: Path
) -> None:
    with pytest.raises(OutputError, match="holds a training run already"):
        train_codec(load_recipe("codec", "tiny"), data=dataset, out=tiny_codec)
    other = load_recipe("codec", "tiny", ["optimiser.learning_rate=1e-4"])
    with pytest.raises(CheckpointError, match="another recipe"):
        train_codec(other, data=dataset, out=tiny_codec, resume=True)


def test_a_cache_that_was_not_finished_or_is_damaged_is_named(
    token_cache: Path, tiny_codec: Path, tmp_path: Path
) -> None:
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(token_cache, broken)
    os.truncate(broken / "codes.u16", 400)
    tiny = load_recipe("lm", "tiny")
    with pytest.raises(CheckpointError, match=r"shorter than|damaged"):
        train_lm(tiny, data=broken, codec=str(tiny_codec), out=tmp_path / "out")
    (broken / "cache.json").unlink()
    with pytest.raises(CheckpointError, match=r"cache\.json is missing"):
        train_lm(tiny, data=broken, codec=str(tiny_codec), out=tmp_path / "out")


def test_tokenizing_repeats_itself(
    dataset: Path, tiny_codec: Path, token_cache: Path, tmp_path: Path
) -> None:
    tokenize(data=dataset, cache=tmp_path / "again", model=str(tiny_codec), variants=2)
    for name in ("codes.u16", "clips.jsonl", "cache.json", "texts.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (token_cache / name).read_bytes()


def test_fewer_codebooks_are_encoded_as_well_as_they_can_be(
    dataset: Path, tiny_codec: Path, tmp_path: Path
) -> None:
    tokenize(data=dataset, cache=tmp_path / "two", model=str(tiny_codec), n_q=2)
    cache = TokenCache(tmp_path / "two")
    assert cache.info.n_q == 2
    clip = next(clip for clip in read_manifest(dataset) if clip.split != "test")
    codec = load_codec(str(tiny_codec)).codec
    samples = read_mono(dataset / clip.path, codec.config.sample_rate)[0].samples
    codes = codec.encode(torch.from_numpy(samples)[None], 2)[0]
    written = torch.from_numpy(cache.codes[: codes.shape[1]].astype("int64")).T
    assert torch.equal(written, codes)
    with pytest.raises(InputError, match=r"n_q must be in 1\.\.\d+ with this codec, got 99"):
        tokenize(data=dataset, cache=tmp_path / "many", model=str(tiny_codec), n_q=99)
