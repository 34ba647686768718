"""Small real text encoders, made offline, in the layout that the Hugging Face hub serves."""

from __future__ import annotations

import json
import string
from pathlib import Path

TINY_T5_DIM = 32


def make_tiny_t5(folder: Path, *, seed: int = 0) -> Path:
    """Save a random T5 (`d_model` 32, two layers, decoder included) with a tokenizer of its own.

    Use it as `TextEncoderConfig(name=str(folder), dim=TINY_T5_DIM)`.
    """
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    folder.mkdir(parents=True, exist_ok=True)
    vocab_size = save_unigram_tokenizer(folder)
    config = T5Config(
        vocab_size=vocab_size,
        d_model=TINY_T5_DIM,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = T5ForConditionalGeneration(config)
        # The stock initialisation of so small a T5 maps all prompts to nearly one vector.
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim == 2:
                    parameter.normal_(0.0, 0.3)
        model.save_pretrained(folder)
    return folder


def make_tiny_bert(folder: Path) -> Path:
    """Save a random BERT, 32 wide, with the same tokenizer."""
    import torch
    from transformers import BertConfig, BertModel

    folder.mkdir(parents=True, exist_ok=True)
    config = BertConfig(
        vocab_size=save_unigram_tokenizer(folder),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)
    return folder


def make_tiny_gpt2(folder: Path) -> Path:
    """Save a random GPT-2: a decoder-only model, which is no text encoder."""
    from transformers import GPT2Config, GPT2LMHeadModel

    folder.mkdir(parents=True, exist_ok=True)
    config = GPT2Config(
        vocab_size=save_unigram_tokenizer(folder), n_embd=32, n_layer=1, n_head=4, n_positions=64
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def save_unigram_tokenizer(folder: Path) -> int:
    """Write a tokenizer that knows a few words and every ASCII character; return its size."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ("rain", "thunder", "wind", "bell", "drum", "step", "door", "bird", "fire", "click")
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    pieces += [(f"▁{word}", -1.0) for word in words]
    pieces += [(mark, -5.0) for mark in string.ascii_letters + string.digits + string.punctuation]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": "<pad>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "model_max_length": 512,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return len(pieces)
