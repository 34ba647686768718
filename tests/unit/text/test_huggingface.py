"""Other encoders through transformers: T5 and BERT work, what is no text encoder is refused."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from soundgen.errors import CheckpointError, ConfigError
from soundgen.text.config import TextEncoderConfig
from soundgen.text.encoder import load_text_encoder
from soundgen.text.weights import text_encoder_status
from tests.fixtures_text import TINY_T5_DIM, make_tiny_bert, make_tiny_gpt2, make_tiny_t5

PROMPTS = ("rain", "", "thunder and a bell, far away", "step")


@pytest.fixture(scope="module")
def t5_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_t5(tmp_path_factory.mktemp("text") / "t5")


def t5_config(folder: Path, **changes: int) -> TextEncoderConfig:
    return TextEncoderConfig(name=str(folder), **{"dim": TINY_T5_DIM, **changes})


def test_t5_states_equal_the_whole_model_with_padding(t5_folder: Path) -> None:
    from transformers import PreTrainedTokenizerFast, T5ForConditionalGeneration

    tokenizer = PreTrainedTokenizerFast.from_pretrained(t5_folder)
    model = T5ForConditionalGeneration.from_pretrained(t5_folder).eval()
    batch = tokenizer(list(PROMPTS), padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = model.get_encoder()(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
        ).last_hidden_state

    result = load_text_encoder(t5_config(t5_folder)).encode(PROMPTS)

    mask = batch["attention_mask"].bool()
    assert torch.equal(result.mask, mask)
    assert (result.states - expected)[mask].abs().max() < 1e-5
    assert torch.count_nonzero(result.states[~mask]) == 0
    assert torch.allclose(result.pooled.norm(dim=1), torch.ones(len(PROMPTS)), atol=1e-5)


def test_t5_prompt_is_bit_equal_alone_and_in_a_batch(t5_folder: Path) -> None:
    encoder = load_text_encoder(t5_config(t5_folder))
    batch = encoder.encode(PROMPTS)
    for row, prompt in enumerate(PROMPTS):
        alone = encoder.encode([prompt])
        assert torch.equal(batch.states[row, : alone.states.shape[1]], alone.states[0])
        assert torch.equal(batch.pooled[row], alone.pooled[0])
    assert not torch.allclose(batch.pooled[0], batch.pooled[3], atol=0.1)


def test_t5_is_cut_to_max_tokens_and_keeps_its_closing_token(t5_folder: Path) -> None:
    encoder = load_text_encoder(t5_config(t5_folder, max_tokens=4))
    assert encoder.encode(["rain wind bell drum door"]).states.shape == (1, 4, TINY_T5_DIM)
    assert torch.equal(
        encoder.encode(["rain wind bell drum door"]).states,
        encoder.encode(["rain wind bell"]).states,
    )
    assert encoder.is_cut("rain wind bell drum door")
    assert not encoder.is_cut("rain wind bell")


def test_digest_is_the_weight_files_hash(t5_folder: Path) -> None:
    expected = hashlib.sha256((t5_folder / "model.safetensors").read_bytes()).hexdigest()
    encoder = load_text_encoder(t5_config(t5_folder), digest=expected)
    assert encoder.digest == expected == text_encoder_status(t5_config(t5_folder)).digest


def test_other_weights_than_recorded_are_refused(t5_folder: Path, tmp_path: Path) -> None:
    recorded = load_text_encoder(t5_config(t5_folder)).digest
    other = make_tiny_t5(tmp_path / "other", seed=1)
    with pytest.raises(CheckpointError, match="other weights"):
        load_text_encoder(t5_config(other), digest=recorded)


def test_bert_loads(tmp_path: Path) -> None:
    encoder = load_text_encoder(t5_config(make_tiny_bert(tmp_path / "bert")))
    assert encoder.encode(PROMPTS).states.shape[2] == TINY_T5_DIM


def test_decoder_only_model_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gpt2.*decoder-only"):
        load_text_encoder(t5_config(make_tiny_gpt2(tmp_path / "gpt2")))


def test_wrong_width_names_the_right_one(t5_folder: Path) -> None:
    with pytest.raises(ConfigError, match="is 32 wide, not 48") as caught:
        load_text_encoder(t5_config(t5_folder, dim=48))
    assert caught.value.hint == "set text_encoder.dim = 32"


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", None),
        ("config.json", b"{"),
        ("config.json", b'{"model_type": "no-such-model"}'),
        ("model.safetensors", None),
        ("model.safetensors", b"not safetensors at all"),
        ("tokenizer.json", b"{}"),
    ],
)
def test_damaged_folder_is_a_one_line_checkpoint_error(
    tmp_path: Path, t5_folder: Path, file: str, content: bytes | None
) -> None:
    for path in t5_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        load_text_encoder(t5_config(tmp_path))
    assert "\n" not in caught.value.message
    assert tmp_path.name in caught.value.message


@pytest.mark.parametrize("name", ["./no/such/folder", "nobody/no-such-model"])
def test_unknown_name_is_a_checkpoint_error(name: str, tmp_path: Path) -> None:
    program = f"""
from soundgen.errors import CheckpointError
from soundgen.text.config import TextEncoderConfig
from soundgen.text.encoder import load_text_encoder
try:
    load_text_encoder(TextEncoderConfig(name={name!r}))
except CheckpointError as error:
    print(int(error.exit_code), {name!r} in error.message, bool(error.hint))
"""
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(tmp_path),
            "PYTHONPATH": str(Path(__file__).parents[3]),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.split() == ["4", "True", "True"]


def test_loading_is_silent_and_leaves_settings_alone(t5_folder: Path) -> None:
    program = f"""
from transformers.utils import logging
logging.set_verbosity_info(); logging.enable_progress_bar()
before = logging.get_verbosity()
from soundgen.text.config import TextEncoderConfig
from soundgen.text.encoder import load_text_encoder
load_text_encoder(TextEncoderConfig(name={str(t5_folder)!r}, dim={TINY_T5_DIM}))
print(logging.get_verbosity() == before, logging.is_progress_bar_enabled())
"""
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.split() == ["True", "True"]
    assert result.stderr == ""


def test_impossible_configs_are_refused() -> None:
    for changes in ({"name": " "}, {"dim": 0}, {"max_tokens": 2}):
        with pytest.raises(ValueError, match=next(iter(changes))):
            TextEncoderConfig(**changes)  # type: ignore[arg-type]
