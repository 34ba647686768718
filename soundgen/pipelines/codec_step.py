"""One step of a codec's training: the parts of its batch, forward, backward, and what each needs.

A batch is cut into equal parts, which processes and `training.accumulate` share. Whatever the cut,
the gradient is that of the whole batch: what the losses divide by is counted over all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from soundgen.codec.balancer import Balancer, send_back
from soundgen.codec.discriminator import MultiScaleSTFTDiscriminator
from soundgen.codec.losses import discriminator_loss, feature_sizes
from soundgen.codec.magnitude import MagnitudeDecoder
from soundgen.codec.model import Codec, CodecOutput
from soundgen.pipelines.codec_losses import magnitude_losses, waveform_losses
from soundgen.pipelines.recipes import CodecRecipe
from soundgen.training.device import wants_bfloat16
from soundgen.training.distributed import average_gradients, batch_parts, mean_over_processes
from soundgen.training.launch import num_processes


@dataclass(frozen=True)
class Part:
    """A part of a batch: items, and how many codebooks each of them uses.

    Attributes:
        wav: float32 `[B, 1, T]`.
        n_q: int64 `[B]`.
        num_items: How many items use each stage, on average over all parts, `[K]`.
        half: Whether the autoencoder computes in bfloat16.
    """

    wav: Tensor
    n_q: Tensor
    num_items: Tensor
    half: bool

    def run(self, codec: Codec, *, quantize: bool) -> CodecOutput:
        """Send the part through the codec."""
        with torch.autocast(self.wav.device.type, dtype=torch.bfloat16, enabled=self.half):
            output: CodecOutput = codec(self.wav, self.n_q, self.num_items, quantize=quantize)
        return output


@dataclass(frozen=True)
class PartResult:
    """What is left of a part when its gradients are taken.

    Attributes:
        decoded: `[B, 1, T]`, cut off from the graph.
        codes: int64 `[B, K, L]`.
        losses: By name, scalars cut off from the graph, `commitment` among them.
    """

    decoded: Tensor
    codes: Tensor
    losses: dict[str, Tensor]


def make_parts(wavs: Sequence[Tensor], recipe: CodecRecipe, device: torch.device) -> list[Part]:
    """Draw how many codebooks each item uses, for the whole batch, and keep this process's.

    Args:
        wavs: float32 `[B, 1, T]`, this process's parts.
        recipe: From which numbers to draw.
        device: Where the parts go.
    """
    choices = torch.tensor(recipe.training.n_q_choices)
    cut, size = batch_parts(recipe.training.accumulate), len(wavs[0])
    n_q = choices[torch.randint(len(choices), (cut.total * size,))].to(device)
    stages = torch.arange(recipe.codec.num_codebooks, device=device)
    half = _computes_in_half(recipe, device)
    num_items = (n_q[:, None] > stages).sum(dim=0).clamp(min=1) / cut.total
    return [
        Part(wav.to(device), n_q[cut.rows(part, size)], num_items, half)
        for part, wav in zip(cut.mine, wavs, strict=True)
    ]


def _computes_in_half(recipe: CodecRecipe, device: torch.device) -> bool:
    precision = recipe.training.precision
    if precision == "auto" and device.type == "cpu" and recipe.codec.autoencoder != "magnitude":
        # Their convolutions and spectra take as long in bfloat16.
        return False
    return wants_bfloat16(precision, device)


def descend_magnitudes(
    codec: Codec, parts: Sequence[Part], recipe: CodecRecipe, *, quantize: bool
) -> list[PartResult]:
    """Add up the gradients of a `magnitude` codec; no balancer, as all its losses are in nats."""
    results = []
    for part in parts:
        output = part.run(codec, quantize=quantize)
        if not isinstance(codec.decoder, MagnitudeDecoder):
            raise TypeError("not a magnitude codec")
        losses = magnitude_losses(codec.decoder, output.decoded, part.wav, recipe)
        weighted = [getattr(recipe.losses, name) * loss for name, loss in losses.items()]
        total = torch.stack(weighted).sum() + recipe.losses.commitment * output.commitment
        (total / len(parts)).backward()
        results.append(_result(output, losses))
    return results


def descend_balanced(
    codec: Codec,
    balancer: Balancer,
    parts: Sequence[Part],
    recipe: CodecRecipe,
    discriminator: MultiScaleSTFTDiscriminator | None,
    *,
    quantize: bool,
) -> list[PartResult]:
    """Add up the balanced gradients of the losses on the waveform.

    The balancer's scales depend on every part. So with several, each part is first decoded without
    a graph, for the gradients at the decoder's output, and then once more with one (as Gao et al.
    2021 do for contrastive losses): a third more work, and the memory of a single part.
    """
    if len(parts) == 1:
        sizes, outputs = None, [parts[0].run(codec, quantize=quantize)]
        ends = [outputs[0].decoded]
    else:
        sizes = None if discriminator is None else _sizes(discriminator, parts, recipe)
        outputs = []
        ends = [_decode(codec, part, quantize=quantize) for part in parts]
    losses, gradients = [], []
    for part, decoded in zip(parts, ends, strict=True):
        found = waveform_losses(decoded, part.wav, recipe, discriminator, sizes)
        gradients.append(balancer.gradients(found, decoded))
        losses.append({name: loss.detach() for name, loss in found.items()})
    results = []
    totals = balancer.combine(gradients)
    for number, (part, total) in enumerate(zip(parts, totals, strict=True)):
        output = outputs[number] if outputs else part.run(codec, quantize=quantize)
        commitment = recipe.losses.commitment * output.commitment / len(parts)
        # Gradients are averaged over the processes; balanced ones are to be added.
        send_back(total * num_processes(), output.decoded, commitment)
        results.append(_result(output, losses[number]))
    return results


def descend_discriminator(
    discriminator: MultiScaleSTFTDiscriminator,
    optimiser: torch.optim.Optimizer,
    parts: Sequence[Part],
    results: Sequence[PartResult],
    *,
    batch_size: int,
) -> float:
    """Take the discriminator's step on the first items of each part; return l_d."""
    optimiser.zero_grad()
    losses = []
    for part, result in zip(parts, results, strict=True):
        fake, real = result.decoded[:batch_size], part.wav[:batch_size]
        loss = discriminator_loss(discriminator(fake), discriminator(real))
        (loss / len(parts)).backward()
        losses.append(loss.detach())
    average_gradients(discriminator.parameters())
    mean = mean_over_processes(torch.stack(losses).mean())
    if torch.isfinite(mean):
        optimiser.step()
    return float(mean)


@torch.no_grad()
def _decode(codec: Codec, part: Part, *, quantize: bool) -> Tensor:
    # In evaluation the quantizer takes no notes: the second pass will.
    codec.eval()
    decoded = part.run(codec, quantize=quantize).decoded
    codec.train()
    return decoded.requires_grad_()


@torch.no_grad()
def _sizes(
    discriminator: MultiScaleSTFTDiscriminator, parts: Sequence[Part], recipe: CodecRecipe
) -> Tensor:
    size = recipe.discriminator.batch_size
    found = [feature_sizes(discriminator(part.wav[:size])) for part in parts]
    return torch.stack(found).mean(dim=0)


def _result(output: CodecOutput, losses: dict[str, Tensor]) -> PartResult:
    kept = {name: loss.detach() for name, loss in losses.items()}
    return PartResult(
        output.decoded.detach(), output.codes, kept | {"commitment": output.commitment.detach()}
    )
