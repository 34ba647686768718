"""A small real codec, untrained: its codes mean little, but they are codes."""

from __future__ import annotations

from pathlib import Path

from soundgen.checkpoint import ModelFolder, save_model_folder
from soundgen.codec.config import CodecConfig, SeanetConfig, SpectralConfig
from soundgen.config import to_dict

TINY_CODEC = CodecConfig(
    autoencoder="spectral",
    latent_dim=8,
    num_codebooks=4,
    codebook_size=64,
    seanet=SeanetConfig(num_filters=2, num_lstm_layers=1),
    spectral=SpectralConfig(encoder_dim=16, encoder_layers=1, decoder_dim=16, decoder_layers=1),
)


def make_tiny_codec(
    folder: Path, *, seed: int = 0, config: CodecConfig = TINY_CODEC
) -> ModelFolder:
    """Save a random codec: 50 Hz, 4 codebooks of 64, so 0.3 kbit/s each; 1.2 in all."""
    import torch

    from soundgen.codec.model import Codec

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        codec = Codec(config).eval()
    return save_model_folder(folder, {"codec": to_dict(config)}, {"codec": codec.state_dict()})
