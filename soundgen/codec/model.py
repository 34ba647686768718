"""The codec: an autoencoder around a residual vector quantizer."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from soundgen.codec.config import CodecConfig
from soundgen.codec.magnitude import MagnitudeDecoder, MagnitudeEncoder
from soundgen.codec.quantizer import ResidualVectorQuantizer
from soundgen.codec.seanet import SeanetDecoder, SeanetEncoder
from soundgen.codec.spectral import SpectralDecoder, SpectralEncoder
from soundgen.codec.streaming import decode_chunks, encode_chunks
from soundgen.errors import ShapeError


class CodecOutput(NamedTuple):
    """What training needs of one pass."""

    decoded: Tensor
    """What the losses compare: `wav` float32 `[B, 1, T]`, of `magnitude` its log-magnitudes
    `[B, L, F]`."""
    codes: Tensor
    """int64 `[B, K, L]`, empty while the quantizer is left out."""
    commitment: Tensor
    """Scalar."""


class Codec(nn.Module):
    """Waveform to codes and back (EnCodec, Defossez et al. 2022, arXiv 2210.13438).

    Args:
        config: The architecture.
        training_form: Keep weight norm as separate direction and magnitude. Released weights
            have it folded, which is what `False` builds.
    """

    def __init__(self, config: CodecConfig, *, training_form: bool = False) -> None:
        super().__init__()
        self.config = config
        self.encoder: SeanetEncoder | SpectralEncoder | MagnitudeEncoder
        self.decoder: SeanetDecoder | SpectralDecoder | MagnitudeDecoder
        if config.autoencoder == "seanet":
            self.encoder = SeanetEncoder(config, use_weight_norm=training_form)
            self.decoder = SeanetDecoder(config, use_weight_norm=training_form)
        elif config.autoencoder == "magnitude":
            self.encoder = MagnitudeEncoder(config)
            self.decoder = MagnitudeDecoder(config)
        else:
            self.encoder = SpectralEncoder(config)
            self.decoder = SpectralDecoder(config)
        self.quantizer = ResidualVectorQuantizer(
            config.num_codebooks,
            config.codebook_size,
            config.latent_dim,
            num_paths=config.num_paths,
        )

    def forward(
        self,
        wav: Tensor,
        n_q: Tensor | None = None,
        num_items: Tensor | None = None,
        *,
        quantize: bool = True,
    ) -> CodecOutput:
        """Reconstruct `wav` for training.

        Args:
            wav: float32 `[B, 1, T]`, T a multiple of the hop.
            n_q: int64 `[B]`, codebooks that each item uses; all if `None`.
            num_items: As `ResidualVectorQuantizer` takes it.
            quantize: `False` leaves the quantizer out, for the first steps of a training.
        """
        # Under autocast only the autoencoder is in bfloat16: codebooks are averages over steps.
        latents = self.encoder(wav).float()
        if not quantize:
            empty = torch.zeros(len(wav), 0, latents.shape[2], dtype=torch.int64)
            return CodecOutput(self._decoded(latents), empty, latents.new_zeros(()))
        with torch.autocast(latents.device.type, enabled=False):
            quantized = self.quantizer(latents, n_q, num_items)
        return CodecOutput(self._decoded(quantized.latents), quantized.codes, quantized.commitment)

    def _decoded(self, latents: Tensor) -> Tensor:
        """Return what is compared with the target, in float32."""
        if isinstance(self.decoder, MagnitudeDecoder):
            return self.decoder.predict(latents).float()
        decoded: Tensor = self.decoder(latents)
        return decoded.float()

    @torch.no_grad()
    def encode(self, wav: Tensor, n_q: int | None = None) -> Tensor:
        """Quantize audio into codes, each item on its own, so that codes never depend on a batch.

        Args:
            wav: float32 `[B, 1, T]` at `config.sample_rate`; padded right with zeros to a frame.
            n_q: Codebooks to use, coarsest first; all if `None`.

        Returns:
            int64 `[B, n_q, L]` with L = ceil(T / hop_length).

        Raises:
            ShapeError: `wav` is not `[B, 1, T]` or empty, or `n_q` is not in 1..num_codebooks.
        """
        if wav.ndim != 3 or wav.shape[1] != 1 or not wav.numel():
            raise ShapeError(f"wav must be [B, 1, T] and not empty, got {list(wav.shape)}")
        rows = [torch.cat(list(encode_chunks(self, [item[0]], n_q)), dim=1) for item in wav]
        return torch.stack(rows)

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Turn codes int64 `[B, n_q, L]` into `wav` float32 `[B, 1, L * hop_length]`.

        Raises:
            ShapeError: `codes` is not `[B, n_q, L]` or empty, or a code is out of range.
        """
        if codes.ndim != 3 or not codes.numel():
            raise ShapeError(f"codes must be [B, n_q, L] and not empty, got {list(codes.shape)}")
        rows = [torch.cat(list(decode_chunks(self, [item]))) for item in codes]
        return torch.stack(rows).unsqueeze(1)
