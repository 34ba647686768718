"""Made the files beside it, once: `python tests/golden/make.py`.

Two codecs as small as they come, one of each autoencoder; in the folder of each an `example.sgc`
and what that holds and decodes to. `tests/pipelines/test_golden.py` decodes them for ever.
It refuses to overwrite: a change that makes these files unreadable needs another decoder beside the
old one, not other files.

The codecs are untrained. What they make of a sound is a sound of their own; but every part of a
codec and of the format has its say in it.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from soundgen.checkpoint import save_model_folder
from soundgen.codec.bitstream import Chunk, SgcReader
from soundgen.codec.config import CodecConfig, SeanetConfig, SpectralConfig
from soundgen.codec.model import Codec
from soundgen.config import to_dict
from soundgen.errors import OutputError
from soundgen.pipelines.compress import compress
from soundgen.pipelines.decompress import decompress

HERE = Path(__file__).parent
SHARED = {"latent_dim": 4, "num_codebooks": 4, "codebook_size": 16}
CONFIGS = {
    "spectral": CodecConfig(
        autoencoder="spectral",
        spectral=SpectralConfig(encoder_dim=6, encoder_layers=2, decoder_dim=6, decoder_layers=2),
        **SHARED,
    ),
    "seanet": CodecConfig(
        autoencoder="seanet", seanet=SeanetConfig(num_filters=2, num_lstm_layers=1), **SHARED
    ),
}
# Two chunks, the second one short, and a last frame that is cut off.
DURATION_S = (75 * 320 + 7 * 320 - 123) / 16_000
RATE = 48_000  # of the original


def main() -> None:
    """Write the files."""
    torch.set_num_threads(1)
    for name, config in CONFIGS.items():
        folder = HERE / name
        if folder.exists():
            raise OutputError(f"{folder}: exists already, and is to stay as it is")
        torch.manual_seed(1)
        codec = Codec(config).eval()
        with torch.no_grad():
            # All codes are used: k-means over what the encoder makes of the sound.
            latents = codec.encoder(torch.from_numpy(make_sound(16_000)[: 80 * 320])[None, None])
            codec.quantizer.initialise(latents[0].t() + 0.01 * torch.randn(80, 4))
        tensors = {key: value.half() for key, value in codec.state_dict().items()}
        save_model_folder(folder, {"codec": to_dict(config)}, {"codec": tensors})
        write_example(folder)


def write_example(folder: Path) -> None:
    """Write `example.sgc`, its codes and its sound, of the codec in `folder`."""
    source, packed, back = (folder / name for name in ("in.wav", "example.sgc", "out.wav"))
    soundfile.write(source, make_sound(RATE), RATE)
    list(compress([str(source)], output=str(packed), model=str(folder), device="cpu"))
    list(decompress([str(packed)], output=str(back), model=str(folder), device="cpu"))
    with packed.open("rb") as stream:
        reader = SgcReader(stream, str(packed))
        codes = reader.codes([one for one in reader.records() if isinstance(one, Chunk)])
    rows = np.concatenate(codes, axis=1).tolist()
    (folder / "codes.json").write_text(json.dumps(rows) + "\n", encoding="utf-8")
    wav, rate = soundfile.read(back, dtype="int16")
    soundfile.write(folder / "expected.flac", wav, rate, subtype="PCM_16")
    source.unlink()
    back.unlink()


def make_sound(sample_rate: int) -> NDArray[np.float32]:
    """Return partials that fall, a click and noise: float32 `[T]`."""
    rng = np.random.default_rng(1)
    time = np.arange(round(DURATION_S * sample_rate)) / sample_rate
    partials = [np.sin(2 * np.pi * f * time * (1 - 0.1 * time)) for f in (220, 331, 1_700)]
    wave = 0.1 * sum(partials) * np.exp(-time) + 0.03 * rng.standard_normal(len(time))
    wave[len(wave) // 3 :][:20] += 0.5
    return np.asarray(wave, dtype=np.float32)


if __name__ == "__main__":
    main()
