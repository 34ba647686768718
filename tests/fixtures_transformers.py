"""EnCodec and MusicGen of `transformers` with random weights, saved as the hub serves them.

The architecture is the real one, in the sizes that a test can bear; latents and
codebooks are spread alike, so that codes vary, and matrices are large enough that logits differ.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tests.fixtures_text import save_unigram_tokenizer

CODEBOOK_SIZE = 64


def make_encodec(seed: int = 0, **settings: Any) -> Any:
    """Return a random `EncodecModel`; `settings` are of `EncodecConfig`."""
    from transformers import EncodecConfig, EncodecModel

    small = {"num_filters": 4, "hidden_size": 16, "codebook_size": CODEBOOK_SIZE}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = EncodecModel(EncodecConfig(**{**small, **settings})).eval()
        _draw_codebooks(model)
    return model


def make_musicgen(folder: Path, seed: int = 0, **encodec: Any) -> Any:
    """Save a random `MusicgenForConditionalGeneration`, its T5 and a tokenizer; return it."""
    import transformers

    folder.mkdir(parents=True)
    text_encoder = transformers.T5Config(
        vocab_size=save_unigram_tokenizer(folder), d_model=24, d_kv=8, d_ff=32, num_layers=1,
        num_heads=2, pad_token_id=0, eos_token_id=1, tie_word_embeddings=True,
    )  # fmt: skip
    # As MusicGen's own codec of 32 kHz: it looks ahead, and its shortcuts are no convolutions.
    small = {
        "num_filters": 2, "hidden_size": 8, "codebook_size": CODEBOOK_SIZE, "sampling_rate": 16_000,
        "target_bandwidths": [1.2], "use_causal_conv": False, "use_conv_shortcut": False,
    }  # fmt: skip
    config = transformers.MusicgenConfig(
        text_encoder=text_encoder,
        audio_encoder=transformers.EncodecConfig(**{**small, **encodec}),
        decoder=_decoder_config(),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = transformers.MusicgenForConditionalGeneration(config).eval()
        _draw_matrices(model)
        _draw_codebooks(model.audio_encoder)
    for name in ("pad_token_id", "decoder_start_token_id", "bos_token_id"):
        setattr(model.generation_config, name, CODEBOOK_SIZE)
    model.save_pretrained(folder)
    return model


def make_musicgen_decoder(folder: Path) -> Any:
    """Save a random `MusicgenForCausalLM`; return it."""
    from transformers import MusicgenForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = MusicgenForCausalLM(_decoder_config()).eval()
        _draw_matrices(model)
    model.save_pretrained(folder)
    return model


def make_noise(length: int, seed: int = 0) -> torch.Tensor:
    """Return noise whose level jumps, `[1, 1, length]`: codes of an even one hardly vary."""
    generator = torch.Generator().manual_seed(seed)
    levels = torch.rand(length // 400 + 1, generator=generator) ** 2
    noise = torch.randn(length, generator=generator)
    return (noise * levels.repeat_interleave(400)[:length])[None, None]


def _decoder_config() -> Any:
    from transformers import MusicgenDecoderConfig

    return MusicgenDecoderConfig(
        vocab_size=CODEBOOK_SIZE, num_hidden_layers=2, ffn_dim=50, num_attention_heads=2,
        hidden_size=32, num_codebooks=4, pad_token_id=CODEBOOK_SIZE, bos_token_id=CODEBOOK_SIZE,
        max_position_embeddings=128,
    )  # fmt: skip


@torch.no_grad()
def _draw_matrices(model: torch.nn.Module) -> None:
    for name, parameter in model.named_parameters():
        if "audio_encoder" not in name and parameter.ndim == 2:
            parameter.normal_(0.0, 0.25)
        elif "norm" in name and parameter.ndim == 1:
            parameter.add_(torch.randn_like(parameter) * 0.1)


@torch.no_grad()
def _draw_codebooks(model: Any) -> None:
    """Spread latents and entries evenly around zero; else rounding would choose between codes."""
    latents = model.encoder(make_noise(32_000))[0]
    latents = latents[:, latents.shape[1] // 10 :]  # how it begins is another matter
    means = latents.mean(dim=1, keepdim=True)
    spread = (latents - means).std()
    last = model.encoder.layers[-1].conv
    last.bias.sub_(means[:, 0]).div_(spread)
    last.parametrizations.weight.original0.div_(spread)
    for layer in model.quantizer.layers:
        layer.codebook.embed.normal_()
