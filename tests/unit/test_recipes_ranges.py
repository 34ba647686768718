"""Recipe values that cannot work are refused in one line that names them."""

from __future__ import annotations

import pytest

from soundgen.errors import ConfigError
from soundgen.pipelines.recipes import load_recipe


@pytest.mark.parametrize(
    "override",
    [
        "optimiser.betas=[1.5, 0.9]",
        "optimiser.learning_rate=nan",
        "optimiser.weight_decay=-1.0",
        "optimiser.max_grad_norm=0.0",
        "training.seed=-1",
        "training.steps=0",
        "training.ema_decay=2.0",
        "training.quantizer_start=-0.5",
        "training.n_q_choices=[]",
        "training.n_q_choices=[1, 5]",
        "losses.mel_windows=[]",
        "losses.mel_windows=[2]",
        "losses.mel=-1.0",
        "discriminator.windows=[]",
        "discriminator.update_probability=1.5",
        "codec.spectral.encoder_dim=0",
        "codec.spectral.analysis_n_fft=641",
        "codec.seanet.compress=0",
        "codec.codebook_size=1",
        "codec.strides=[]",
        "segments.gain_db=[nan, nan]",
        "segments.gain_db=[3.0]",
        "segments.segment_s=nan",
        "segments.mix_probability=2.0",
    ],
)
def test_codec(override: str) -> None:
    name = override.partition("=")[0].rpartition(".")[2]
    with pytest.raises(ConfigError, match=name) as caught:
        load_recipe("codec", "tiny", [override])
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "override",
    [
        "lm.num_heads=5",
        "lm.dropout=1.0",
        "lm.n_q=0",
        "lm.frame_rate=0.0",
        "training.codebook_weights=[1.0]",
        "training.codebook_weights=[0.0, 0.0]",
        "training.condition_dropout=1.5",
        "training.max_s=0.5",
        "training.seed=-1",
        "text_encoder.max_tokens=1",
    ],
)
def test_lm(override: str) -> None:
    name = override.partition("=")[0].rpartition(".")[2]
    with pytest.raises(ConfigError, match=name):
        load_recipe("lm", "tiny", [override])
