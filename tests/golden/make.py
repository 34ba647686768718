"""Made the files beside it, once: `python tests/golden/make.py`.

Codecs as small as they come, one of each autoencoder, and one with an entropy model; in the folder
of each an `example.sgc` and what that holds and decodes to. `tests/pipelines/test_golden.py`
decodes them for ever. What is there already is left as it is: a change that makes these files
unreadable needs another decoder beside the old one, not other files.

The codecs are untrained. What they make of a sound is a sound of their own; but every part of a
codec and of the format has its say in it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from soundgen.checkpoint import save_model_folder
from soundgen.codec.bitstream import Chunk, SgcReader
from soundgen.codec.config import CodecConfig, MagnitudeConfig, SeanetConfig, SpectralConfig
from soundgen.codec.magnitude import MagnitudeDecoder, MagnitudeEncoder, principal_components
from soundgen.codec.model import Codec
from soundgen.config import to_dict
from soundgen.data.manifest import MANIFEST_NAME, Clip, pcm16_digest, write_manifest
from soundgen.pipelines.compress import compress
from soundgen.pipelines.decompress import decompress
from soundgen.pipelines.model import load_codec
from soundgen.pipelines.recipes import EntropyTrainingConfig
from soundgen.pipelines.train_entropy import add_entropy

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
    "spectral_entropy": CodecConfig(
        autoencoder="spectral",
        spectral=SpectralConfig(encoder_dim=6, encoder_layers=1, decoder_dim=6, decoder_layers=1),
        **SHARED,
    ),
    "magnitude": CodecConfig(
        autoencoder="magnitude",
        magnitude=MagnitudeConfig(
            encoder_dim=6, encoder_layers=1, decoder_dim=6, decoder_layers=1, rounds=2
        ),
        **SHARED,
    ),
}
ENTROPY = EntropyTrainingConfig(
    seconds=10, steps=300, batch_size=4, context_frames=4, hidden_size=8
)
# Two chunks, the second one short, and a last frame that is cut off.
DURATION_S = (75 * 320 + 7 * 320 - 123) / 16_000
RATE = 48_000  # of the original


def main() -> None:
    """Write the files."""
    torch.set_num_threads(1)
    for name, config in CONFIGS.items():
        folder = HERE / name
        if folder.exists():
            continue
        torch.manual_seed(1)
        codec = Codec(config).eval()
        with torch.no_grad():
            wav = torch.from_numpy(make_sound(16_000)[: 80 * 320])[None, None]
            find_components(codec, wav)
            # All codes are used: k-means over what the encoder makes of the sound.
            latents = codec.encoder(wav)
            codec.quantizer.initialise(latents[0].t() + 0.01 * torch.randn(80, 4))
        tensors = {key: value.half() for key, value in codec.state_dict().items()}
        save_model_folder(folder, {"codec": to_dict(config)}, {"codec": tensors})
        if name == "spectral_entropy":
            fit_entropy_model(folder)
        write_example(folder, make_gated_sound if name == "spectral_entropy" else make_sound)


def find_components(codec: Codec, wav: torch.Tensor) -> None:
    """Give a `magnitude` codec the principal components of the sound itself."""
    encoder, decoder = codec.encoder, codec.decoder
    if isinstance(encoder, MagnitudeEncoder) and isinstance(decoder, MagnitudeDecoder):
        spectra = encoder.spectra(wav[:, 0])[0]
        found = principal_components(spectra, encoder.spectra.weights(16_000), 4)
        encoder.set_components(found)
        decoder.set_components(found)


def fit_entropy_model(folder: Path) -> None:
    """Fit an entropy model on the very sound of the example, so that it has something to save."""
    with tempfile.TemporaryDirectory() as name:
        data = Path(name)
        wav = make_gated_sound(16_000)
        soundfile.write(data / "a.flac", wav, 16_000)
        clip = Clip(
            path="a.flac",
            captions=("partials",),
            tags=(),
            category="partials",
            duration=len(wav) / 16_000,
            split="train",
            recording="a",
            sha1_pcm16=pcm16_digest(wav),
        )
        write_manifest(data / MANIFEST_NAME, [clip])
        add_entropy(folder, data, ENTROPY)


def write_example(folder: Path, make: Callable[[int], NDArray[np.float32]]) -> None:
    """Write `example.sgc`, its codes and its sound, of the codec in `folder`."""
    source, packed, back = (folder / name for name in ("in.wav", "example.sgc", "out.wav"))
    soundfile.write(source, make(RATE), RATE)
    list(compress([str(source)], output=str(packed), model=str(folder), device="cpu"))
    list(decompress([str(packed)], output=str(back), model=str(folder), device="cpu"))
    with packed.open("rb") as stream:
        reader = SgcReader(stream, str(packed))
        chunks = [one for one in reader.records() if isinstance(one, Chunk)]
        codes = reader.codes(chunks, load_codec(str(folder)).coder(reader.header.n_q))
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


def make_gated_sound(sample_rate: int) -> NDArray[np.float32]:
    """Return `make_sound` with silence in its middle, which an entropy model foresees."""
    wav = make_sound(sample_rate)
    wav[round(0.4 * sample_rate) : round(1.3 * sample_rate)] = 0.0
    return wav


if __name__ == "__main__":
    main()
