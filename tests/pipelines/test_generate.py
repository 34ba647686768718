"""`soundgen generate` on a tiny model trained for real: files, seeds, batches, refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundgen.audio.finish import FinishSettings, finish
from soundgen.audio.io import probe
from soundgen.audio.waveform import Waveform
from soundgen.errors import CheckpointError, InputError, OutputError, UsageError
from soundgen.lm.sampling import SamplingSettings
from soundgen.pipelines.generate import generate
from soundgen.pipelines.model import load_model
from soundgen.pipelines.recipes import load_recipe
from soundgen.pipelines.sound_request import GenerateResult, GenerateSettings, SoundRequest
from soundgen.pipelines.tokenize import tokenize
from soundgen.pipelines.train_lm import train_lm
from tests.conftest import RunSoundgen
from tests.fixtures_text import TINY_T5_DIM, make_tiny_t5

HALF_SECOND = GenerateSettings(duration_s=0.5)


def request(
    output: Path, *, prompt: str = "a tone", seed: int = 1, settings: GenerateSettings = HALF_SECOND
) -> SoundRequest:
    return SoundRequest(prompt=prompt, seed=seed, output=output, settings=settings)


def samples(path: Path) -> np.ndarray:  # type: ignore[type-arg]
    audio, rate = soundfile.read(path, dtype="int16")
    assert rate == 16_000
    return audio


def test_a_sound_is_what_was_asked_for(
    soundgen: RunSoundgen, tiny_model: Path, tmp_path: Path
) -> None:
    arguments = ("generate", "a tone", "-d", "1.23", "--seed", "1", "--model", tiny_model)
    for name in ("first.wav", "second.wav"):
        done = soundgen(*arguments, "-o", name)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{name}\n"
    info = probe(tmp_path / "first.wav")
    assert (info.sample_rate, info.channels, info.num_samples) == (16_000, 1, 19_680)
    first = samples(tmp_path / "first.wav")
    assert np.abs(first).max() < 32_767
    assert np.array_equal(first, samples(tmp_path / "second.wav"))
    soundgen(*arguments[:4], "--seed", "2", "--model", tiny_model, "-o", "other.wav")
    assert not np.array_equal(first, samples(tmp_path / "other.wav"))


def test_a_sound_says_how_it_was_made(tiny_model: Path, tmp_path: Path) -> None:
    output = tmp_path / "a.wav"
    (result,) = generate([request(output)], model=str(tiny_model))
    making = json.loads(probe(output).tags["comment"])
    assert making["prompt"] == "a tone" and making["seed"] == 1
    assert making["duration_s"] == 0.5
    assert making["model_digest"] == result.model_digest
    assert result.duration_s == 0.5


def test_a_prompt_in_a_batch_of_eight_sounds_as_it_does_alone(
    tiny_model: Path, tmp_path: Path
) -> None:
    list(generate([request(tmp_path / "alone.wav", seed=5)], model=str(tiny_model)))
    longer = "a very long prompt with many words about noise and clicks and sweeps number "
    batch = [request(tmp_path / f"{i}.wav", prompt=longer + str(i), seed=i) for i in range(3)] + [
        request(tmp_path / "among.wav", seed=5)
    ]
    batch += [request(tmp_path / f"{i}.wav", prompt=longer * 2, seed=i) for i in range(4, 8)]
    assert len(list(generate(batch, model=str(tiny_model)))) == 8
    assert np.array_equal(samples(tmp_path / "alone.wav"), samples(tmp_path / "among.wav"))


def test_a_sound_that_is_there_already_is_skipped_and_any_other_file_refused(
    tiny_model: Path, tmp_path: Path
) -> None:
    output = tmp_path / "a.wav"
    list(generate([request(output)], model=str(tiny_model)))
    before = output.stat().st_mtime_ns
    (again,) = generate([request(output)], model=str(tiny_model))
    assert again.skipped and output.stat().st_mtime_ns == before
    with pytest.raises(OutputError, match="exists already"):
        list(generate([request(output, seed=9)], model=str(tiny_model)))
    assert output.stat().st_mtime_ns == before
    (forced,) = generate([request(output, seed=9)], model=str(tiny_model), force=True)
    assert not forced.skipped


def test_a_sound_of_open_length_ends_by_itself(tiny_model: Path) -> None:
    model = load_model(str(tiny_model), device="cpu")
    sounds = model.generate(["a click"] * 4, duration_s=None, seed=3)
    assert all(0.1 <= sound.duration_s <= 10.0 for sound in sounds)
    assert np.median([sound.duration_s for sound in sounds]) < 5.0


def test_generation_past_the_training_window(tiny_model: Path) -> None:
    model = load_model(str(tiny_model), device="cpu")
    (sound,) = model.generate("noise", duration_s=5.0, seed=1)
    assert len(sound.samples) == 80_000
    assert np.isfinite(sound.samples).all()


def test_a_model_with_t5_trains_loads_and_generates(
    dataset: Path, tiny_codec: Path, tmp_path: Path
) -> None:
    encoder = make_tiny_t5(tmp_path / "t5")
    cache = tmp_path / "cache"
    tokenize(data=dataset, cache=cache, model=str(tiny_codec), text_encoder=str(encoder))
    recipe = load_recipe(
        "lm",
        "tiny",
        [
            f"lm.text_dim={TINY_T5_DIM}",
            f"text_encoder.dim={TINY_T5_DIM}",
            f'text_encoder.name="{encoder}"',
            "training.steps=10",
            "training.checkpoint_every=10",
        ],
    )
    train_lm(recipe, data=cache, codec=str(tiny_codec), out=tmp_path / "model")
    model = load_model(str(tmp_path / "model"), device="cpu")
    # Ten steps teach the text next to nothing; strong guidance shows that it is heard at all.
    strong = SamplingSettings(cfg_scale=50.0)
    tone, noise = model.generate(["a tone", "noise"], duration_s=0.4, seed=[1, 1], settings=strong)
    assert len(tone.samples) == 6400
    assert not np.array_equal(tone.samples, noise.samples)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["-d", "0"], 2, "0.1 to 300"),
        (["-d", "nan"], 2, "0.1 to 300"),
        (["--temperature", "-1"], 2, "temperature"),
        (["--cfg-scale", "nan"], 2, "cfg"),
        (["-o", "a.xyz"], 2, ".wav"),
        (["-o", "missing/a.wav"], 5, "does not exist"),
        (["--model", "nonexistent"], 4, "no such model"),
        (["--device", "cuda"], 6, "CUDA"),
    ],
)
def test_what_cannot_be_is_one_line_and_its_exit_code(
    soundgen: RunSoundgen,
    tiny_model: Path,
    tmp_path: Path,
    options: list[str],
    code: int,
    words: str,
) -> None:
    if options[-1] == "cuda":
        import torch

        if torch.cuda.is_available():
            pytest.skip("there is a CUDA device here")
    given = ["generate", "rain", "--model", str(tiny_model), *options]
    done = soundgen(*given)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not list(tmp_path.glob("*.wav"))


def test_a_damaged_model_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(tiny_model, copy)
    weights = copy / "lm.safetensors"
    data = bytearray(weights.read_bytes())
    data[-10] ^= 0xFF
    weights.write_bytes(data)
    with pytest.raises(CheckpointError, match="does not match its recorded digest"):
        load_model(str(copy))
    weights.write_bytes(data[:1000])
    with pytest.raises(CheckpointError, match="damaged"):
        load_model(str(copy))
    weights.unlink()
    with pytest.raises(CheckpointError):
        load_model(str(copy))


def test_a_format_that_cannot_be_written_is_refused_before_the_model_loads(tmp_path: Path) -> None:
    with pytest.raises((UsageError, CheckpointError)):
        list(generate([request(tmp_path / "a.xyz")], model="nonexistent"))


def test_seeds_and_prompts_must_match(tiny_model: Path) -> None:
    model = load_model(str(tiny_model), device="cpu")
    with pytest.raises(InputError, match="2 prompts, but 1 seeds"):
        model.generate(["a", "b"], seed=[1])
    assert model.generate([]) == []


@pytest.mark.usefixtures("one_thread")
def test_the_best_of_several_is_the_one_that_the_matcher_finds_nearest(
    matcher_model: Path, tmp_path: Path
) -> None:
    wanted = SoundRequest(
        prompt="a click", seed=5, output=tmp_path / "a.wav", settings=HALF_SECOND, best_of=11
    )
    model = str(matcher_model)
    (made,) = generate([wanted], model=model, device="cpu", threads=1)
    loaded = load_model(model, device="cpu")
    sounds = loaded.generate(["a click"] * 11, duration_s=0.5, seed=list(range(5, 16)))
    matches = loaded.match("a click", sounds)
    best = int(np.argmax(matches))
    assert isinstance(made, GenerateResult)
    assert (made.seed, made.best_of) == (5 + best, 11)
    assert made.match == pytest.approx(matches[best], abs=1e-4)
    faded = finish(Waveform(sounds[best].samples[None], 16_000), FinishSettings()).waveform
    expected = np.rint(faded.samples[0] * 2.0**15)
    np.testing.assert_allclose(samples(tmp_path / "a.wav"), expected, atol=1)

    # Asked again it is skipped; the chosen seed alone makes the very same file.
    (again,) = generate([wanted], model=model, device="cpu", threads=1)
    assert isinstance(again, GenerateResult)
    assert again.skipped and (again.seed, again.match) == (made.seed, made.match)
    alone = request(tmp_path / "b.wav", prompt="a click", seed=made.seed)
    (one,) = generate([alone], model=model, device="cpu", threads=1)
    assert isinstance(one, GenerateResult) and one.match is None
    assert np.array_equal(samples(tmp_path / "a.wav"), samples(tmp_path / "b.wav"))
    same = request(tmp_path / "a.wav", prompt="a click", seed=made.seed)
    (skipped,) = generate([same], model=model, device="cpu", threads=1)
    assert isinstance(skipped, GenerateResult) and skipped.skipped
    with pytest.raises(OutputError, match="exists already"):
        list(generate([replace(wanted, best_of=12)], model=model, device="cpu", threads=1))


def test_without_a_matcher_there_is_no_best(tiny_model: Path, tmp_path: Path) -> None:
    requests = [request(tmp_path / "a.wav"), replace(request(tmp_path / "b.wav"), best_of=2)]
    with pytest.raises(CheckpointError, match="has no matcher") as caught:
        list(generate(requests, model=str(tiny_model), device="cpu"))
    assert "--best-of" in caught.value.hint
    assert list(tmp_path.iterdir()) == []
