"""A small real text-to-sound model, untrained: it hums, but by the same path as a good one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from soundgen.checkpoint import ModelFolder, save_model_folder
from soundgen.config import to_dict
from soundgen.lm.config import LMConfig
from soundgen.text.config import TextEncoderConfig
from soundgen.text.weights import MINILM_DIGEST
from tests.fixtures_codec import TINY_CODEC, make_tiny_codec

TINY_LM = LMConfig(
    n_q=TINY_CODEC.num_codebooks,
    codebook_size=TINY_CODEC.codebook_size,
    frame_rate=TINY_CODEC.frame_rate,
    dim=16,
    num_layers=1,
    num_heads=2,
    context_s=2.0,
)


def make_tiny_model(folder: Path, *, seed: int = 0, lm: LMConfig = TINY_LM) -> ModelFolder:
    """Save a random model with the default text encoder and a licence in its card."""
    import torch

    from soundgen.lm.model import LanguageModel

    codec = make_tiny_codec(folder, seed=seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        language_model = LanguageModel(lm).eval()
    sections: dict[str, Any] = {
        "codec": codec.config["codec"],
        "lm": {**to_dict(lm), "codec_digest": codec.codec_digest},
        "text_encoder": {**to_dict(TextEncoderConfig()), "sha256": MINILM_DIGEST},
    }
    (folder / "README.md").write_text("---\nlicense: cc0-1.0\n---\n# A tiny model\n")
    return save_model_folder(folder, sections, {"lm": language_model.state_dict()})
