"""Imported models compute what `transformers` computes, on random weights of its own classes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from soundgen.checkpoint import open_model_folder
from soundgen.codec.model import Codec
from soundgen.codec.streaming import StreamDecoder, StreamEncoder
from soundgen.errors import ExitCode, SoundgenError
from soundgen.lm.conditioning import TextCondition, TimeCondition
from soundgen.lm.sampling import SamplingSettings
from soundgen.pipelines.import_codec import import_codec
from soundgen.pipelines.import_model import import_model
from soundgen.pipelines.model import Model, load_codec, load_model
from tests.fixtures_transformers import (
    CODEBOOK_SIZE,
    make_encodec,
    make_musicgen,
    make_musicgen_decoder,
    make_noise,
)

KINDS: dict[str, dict[str, Any]] = {
    # EnCodec's 24 kHz model as it is: 32 filters, 128 wide, 32 codebooks of 1024.
    "24 kHz": {"num_filters": 32, "hidden_size": 128, "codebook_size": 1024},
    "zeros at the edges": {"pad_mode": "constant", "use_conv_shortcut": False},
    "32 kHz": {
        "use_causal_conv": False, "use_conv_shortcut": False, "sampling_rate": 32_000,
        "upsampling_ratios": [8, 5, 4, 4], "target_bandwidths": [2.2],
    },
    "surplus cut on both sides": {"trim_right_ratio": 0.5},
    "other sizes": {
        "last_kernel_size": 3, "num_residual_layers": 2, "num_lstm_layers": 1,
        "upsampling_ratios": [4, 5, 2], "target_bandwidths": [21.6],
    },
}  # fmt: skip
# A sample, less and more than a frame, and around the pieces that a causal codec is computed in.
LENGTHS = (1, 200, 3_000, 16_001, 33_000)
PROMPTS = ("rain on a door", "bell")


def imported(model: Any) -> Codec:
    config, weights = import_codec(model.config.to_dict(), model.state_dict(), "source")
    codec = Codec(config).eval()
    codec.load_state_dict(weights)
    return codec


@pytest.mark.parametrize("kind", KINDS)
def test_codes_and_audio_are_those_of_encodec(kind: str) -> None:
    model = make_encodec(**KINDS[kind])
    codec = imported(model)
    bandwidth = 6.0 if 6.0 in model.config.target_bandwidths else None
    seen = set()
    for length in LENGTHS if kind != "24 kHz" else LENGTHS[2:4]:
        wav = make_noise(length, seed=length)
        with torch.no_grad():
            codes = model.encode(wav, bandwidth=bandwidth).audio_codes
            audio = model.decode(codes, [None]).audio_values
        assert torch.equal(codec.encode(wav, codes.shape[2]), codes[0])
        torch.testing.assert_close(codec.decode(codes[0]), audio, rtol=0, atol=1e-4)
        seen |= set(codes.unique().tolist())
        assert audio.shape[2] >= length
    assert len(seen) > 40, "codes that never change would show nothing"


def test_fewer_codebooks_are_the_first_ones_as_with_encodec() -> None:
    model = make_encodec()
    wav = make_noise(9_000)
    codes = model.encode(wav, bandwidth=1.5).audio_codes[0]
    assert codes.shape[1] == 3
    assert torch.equal(imported(model).encode(wav, 3), codes)


@pytest.mark.parametrize("step_frames", [None, 1])
def test_a_causal_codec_streams_to_the_same_bits(step_frames: int | None) -> None:
    model = make_encodec(num_residual_layers=2)
    codec = imported(model)
    wav = make_noise(30_123)[0, 0]
    encoder = StreamEncoder(codec, 8, step_frames=step_frames)
    codes = torch.cat([*map(encoder.push, wav.split(777)), encoder.flush()], dim=1)
    decoder = StreamDecoder(codec, step_frames=step_frames)
    audio = torch.cat([*map(decoder.push, codes.split(3, dim=1)), decoder.flush()])
    assert torch.equal(codes, codec.encode(wav[None, None], 8)[0])
    torch.testing.assert_close(audio, codec.decode(codes[None])[0, 0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("spelling", ["weight_g", "original0", "folded"])
def test_every_spelling_of_weight_norm_is_read(spelling: str) -> None:
    model = make_encodec()
    tensors = model.state_dict()
    if spelling == "folded":
        names = {name for name in tensors if "parametrizations" in name}
        plain = {name: value for name, value in tensors.items() if name not in names}
        for name, module in model.named_modules():
            if hasattr(module, "parametrizations"):
                plain[f"{name}.weight"] = module.weight.detach()
        tensors = plain
    elif spelling == "weight_g":
        for old, new in (("original0", "weight_g"), ("original1", "weight_v")):
            ending = f"parametrizations.weight.{old}"
            tensors = {name.replace(ending, new): value for name, value in tensors.items()}
    assert any(spelling in name for name in tensors) or spelling == "folded"
    _, weights = import_codec(model.config.to_dict(), tensors, "source")
    _, expected = import_codec(model.config.to_dict(), model.state_dict(), "source")
    assert weights.keys() == expected.keys()
    for name, value in weights.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-6, atol=1e-7)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A MusicGen folder, with its model."""
    folder = tmp_path_factory.mktemp("import") / "musicgen"
    return folder, make_musicgen(folder)


@pytest.fixture(scope="module")
def model(source: tuple[Path, Any]) -> Model:
    """The same, imported."""
    report = import_model(source[0], source[0].parent / "out", license_name="CC BY-NC 4.0")
    assert (report.kind, report.parts, report.license) == (
        "musicgen", ("codec", "lm"), "cc-by-nc-4.0",
    )  # fmt: skip
    return load_model(str(report.path), device="cpu")


def tokens(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)(list(PROMPTS), padding=True, return_tensors="pt")


def condition(model: Model, *, present: bool = True) -> TextCondition:
    embedded = model.text_encoder.encode(PROMPTS)
    there = torch.full((len(PROMPTS),), present)
    return TextCondition(embedded.states, embedded.mask, embedded.pooled, there)


def test_logits_are_those_of_musicgen(source: tuple[Path, Any], model: Model) -> None:
    folder, theirs = source
    text = tokens(folder)
    inputs = torch.randint(
        CODEBOOK_SIZE + 1, (2, 4, 60), generator=torch.Generator().manual_seed(0)
    )
    time = TimeCondition(torch.zeros(2), torch.full((2,), torch.nan))
    with torch.no_grad():
        expected = theirs(**text, decoder_input_ids=inputs.view(8, 60)).logits.view(2, 4, 60, -1)
        ours = model.language_model(inputs, condition(model), time)
        # No prompt: guidance in transformers puts zeros in place of the states, masked or not.
        without = theirs.decoder(
            inputs.view(8, 60), encoder_hidden_states=torch.zeros(2, 3, 32)
        ).logits.view(2, 4, 60, -1)
        null = model.language_model(inputs, condition(model, present=False), time)
        # The engine, step by step from its caches.
        rows = [condition(model), condition(model, present=False)]
        engine = model.engine
        window, pooled = engine.prepare_window([TextCondition(*(part[:1] for part in row))
                                                for row in rows])  # fmt: skip
        x = model.language_model.embed(inputs[:1]) + engine.times(0.0, 1.2)[None, :60]
        x = x.expand(2, -1, -1) + pooled[:, None]
        x = torch.cat([x] * engine.row_tile)
        window = window.of_rows(torch.tensor([0, 1] * engine.row_tile))
        steps = [engine.logits(engine.run_layers(x[:, s : s + 1], window, s)) for s in range(60)]
        stepped = torch.stack(steps, dim=2)[:2]
    assert expected.std() > 0.5 and (expected[0] - expected[1]).abs().max() > 0.1
    torch.testing.assert_close(ours[..., :CODEBOOK_SIZE], expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(null[..., :CODEBOOK_SIZE], without, rtol=0, atol=1e-4)
    torch.testing.assert_close(stepped[0, ..., :CODEBOOK_SIZE], expected[0], rtol=0, atol=1e-4)
    torch.testing.assert_close(stepped[1, ..., :CODEBOOK_SIZE], without[0], rtol=0, atol=1e-4)


def test_a_sound_is_the_one_that_transformers_generates(
    source: tuple[Path, Any], model: Model
) -> None:
    """Text encoder, guidance, delay, caches and codec in one: the likeliest codes, no draw."""
    folder, theirs = source
    expected = theirs.generate(
        **tokens(folder), do_sample=False, guidance_scale=3.0, max_new_tokens=40
    )
    sounds = model.generate(
        PROMPTS,
        duration_s=expected.shape[2] / model.sample_rate,
        settings=SamplingSettings(temperature=0.0, cfg_scale=3.0),
    )
    assert expected.shape[2] == 37 * 320
    for sound, wav in zip(sounds, expected, strict=True):
        torch.testing.assert_close(torch.from_numpy(sound.samples), wav[0], rtol=0, atol=1e-4)


def test_it_goes_on_beyond_its_window_and_ends_where_it_must(model: Model) -> None:
    assert model.language_model.config.context_s == pytest.approx((128 - 4) / 50)
    # Left to itself it never ends, so it is cut; "the end" is never drawn.
    (sound,) = model.generate("rain", seed=1)
    assert len(sound.samples) == 160_000


def test_a_decoder_alone_speaks_to_a_codec_that_is_named(
    source: tuple[Path, Any], model: Model, tmp_path: Path
) -> None:
    from tests.fixtures_text import TINY_T5_DIM, make_tiny_t5

    theirs = make_musicgen_decoder(tmp_path / "decoder")
    encoder = make_tiny_t5(tmp_path / "t5")
    import_model(
        tmp_path / "decoder",
        tmp_path / "out",
        license_name="mit",
        codec=str(model.folder.path),
        text_encoder=str(encoder),
    )
    made = load_model(str(tmp_path / "out"), device="cpu")
    assert made.folder.codec_digest == model.folder.codec_digest
    assert made.folder.licenses == {"codec": "cc-by-nc-4.0", "lm": "mit"}
    # The codec's terms hold for the whole.
    assert made.folder.license == "cc-by-nc-4.0" and made.folder.is_non_commercial
    assert made.language_model.config.text_dim == TINY_T5_DIM
    inputs = torch.randint(CODEBOOK_SIZE, (2, 4, 9), generator=torch.Generator().manual_seed(3))
    text = condition(made)
    with torch.no_grad():
        expected = theirs(
            inputs.view(8, 9),
            encoder_hidden_states=text.states,
            encoder_attention_mask=text.mask.long(),
        ).logits.view(2, 4, 9, -1)
        ours = made.language_model(inputs, text, TimeCondition(torch.zeros(2), torch.zeros(2)))
    torch.testing.assert_close(ours[..., :CODEBOOK_SIZE], expected, rtol=0, atol=1e-4)


def test_shards_are_read_and_the_codec_is_found_by_its_folder(
    source: tuple[Path, Any], tmp_path: Path
) -> None:
    model = make_encodec()
    model.save_pretrained(tmp_path / "encodec", max_shard_size="40KB")
    assert len(list((tmp_path / "encodec").glob("*.safetensors"))) > 1
    report = import_model(tmp_path / "encodec", tmp_path / "out", license_name="mit")
    assert (report.parts, report.non_commercial) == (("codec",), False)
    wav = make_noise(5_000)
    codec = load_codec(str(tmp_path / "out")).codec
    codes = model.encode(wav, bandwidth=3.0).audio_codes[0]
    assert torch.equal(codec.encode(wav, codes.shape[1]), codes)


def test_the_licence_goes_into_what_is_trained_from_it(
    tiny_codec: Path, token_cache: Path, tmp_path: Path
) -> None:
    from soundgen.checkpoint import save_model_folder
    from soundgen.pipelines.recipes import load_recipe
    from soundgen.pipelines.train_lm import train_lm

    opened = open_model_folder(tiny_codec)
    sections = {"codec": opened.section("codec"), "licenses": {"codec": "cc-by-nc-4.0"}}
    foreign = save_model_folder(tmp_path / "codec", sections, {"codec": opened.tensors("codec")})
    recipe = load_recipe("lm", "tiny", overrides=["training.steps=1"])
    out = tmp_path / "lm"
    train_lm(recipe, data=token_cache, codec=str(foreign.path), out=out)
    made = open_model_folder(out)
    assert made.license == "cc-by-nc-4.0" and made.is_non_commercial
    again = {name: made.config[name] for name in ("codec", "lm", "text_encoder")}
    assert save_model_folder(out, again, {}).licenses == {"codec": "cc-by-nc-4.0"}


def damage(folder: Path, how: str) -> None:
    config = folder / "config.json"
    settings = json.loads(config.read_text())
    if how == "no config":
        config.unlink()
    elif how == "not JSON":
        config.write_text("{")
    elif how == "truncated":
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-100])
    elif how == "pickled":
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    elif how == "a weight less":
        path = folder / "model.safetensors"
        tensors = safetensors.torch.load_file(path)
        del tensors["decoder.layers.0.conv.bias"]
        safetensors.torch.save_file(tensors, path)
    else:
        key, _, value = how.partition("=")
        config.write_text(json.dumps({**settings, key: json.loads(value)}))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("no config", "has no config.json"),
        ("not JSON", "cannot be read"),
        ("truncated", "weights are damaged"),
        ("pickled", "has no model.safetensors"),
        ("a weight less", "do not fit its config.json"),
        ("num_filters=8", "do not fit its config.json"),
        ("hidden_size=true", "hidden_size: expected int"),
        ("audio_channels=2", "audio_channels = 2 cannot be imported"),
        ("normalize=true", "normalize = True cannot be imported"),
        ('norm_type="time_group_norm"', "norm_type = time_group_norm cannot be imported"),
        ('pad_mode="circular"', "pad_mode = circular cannot be imported"),
        ('model_type="mimi"', "is a mimi model"),
        ("format_version=1", "is a model folder of soundgen already"),
    ],
)
def test_what_is_no_such_model_is_refused_in_one_line(
    how: str, words: str, tmp_path: Path, make_once: Any
) -> None:
    original = make_once("encodec", lambda folder: make_encodec().save_pretrained(folder))
    source = tmp_path / "source"
    shutil.copytree(original, source)
    damage(source, how)
    with pytest.raises(SoundgenError) as caught:
        import_model(source, tmp_path / "out", license_name="mit")
    assert words in caught.value.message and "\n" not in caught.value.message
    assert caught.value.exit_code == ExitCode.MODEL
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize(
    ("source", "options", "code", "words"),
    [
        ("missing", {"license_name": "mit"}, 3, "missing: no such folder"),
        ("encodec", {}, 2, "has no card that says what its weights may be used for"),
        ("musicgen", {"license_name": "mit"}, 2, "says cc-by-nc-4.0"),
        ("decoder", {"license_name": "mit"}, 2, "--codec is missing"),
        ("decoder", {"license_name": "mit", "codec": "none"}, 4, "none: no such model"),
        ("bare", {"license_name": "mit"}, 2, "brings no text encoder with a tokenizer"),
    ],
)
def test_what_is_not_said_is_asked_for(
    source: str,
    options: dict[str, str],
    code: int,
    words: str,
    make_once: Any,
    tmp_path: Path,
) -> None:
    sources = make_once("sources", make_sources)
    with pytest.raises(SoundgenError) as caught:
        import_model(sources / source, tmp_path / "out", **options)
    assert words in caught.value.message and "\n" not in caught.value.message
    assert caught.value.exit_code == code and caught.value.hint
    assert list(tmp_path.iterdir()) == []


def make_sources(folder: Path) -> None:
    make_encodec().save_pretrained(folder / "encodec")
    make_musicgen_decoder(folder / "decoder")
    make_musicgen(folder / "musicgen")
    shutil.copytree(folder / "musicgen", folder / "bare")
    (folder / "bare" / "tokenizer.json").unlink()
    (folder / "musicgen" / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n# MusicGen\n")
