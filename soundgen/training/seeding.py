"""Random draws as functions of (seed, step), so that a resumed run repeats an unbroken one."""

from __future__ import annotations

import numpy as np
import torch

INITIAL, KMEANS, ENTROPY = 2**62, 2**62 + 1, 2**62 + 2
"""Stand-ins for a step: of a model's first weights, the codebooks' start, the entropy model."""


def seed_step(seed: int, step: int, *stream: int) -> None:
    """Seed torch's global generators for one training step (dropout, restarts, draws).

    Args:
        seed: Of the whole run.
        step: Of the run.
        stream: Tells apart draws of one step that must differ: of the parts of its batch.
    """
    entropy = np.random.SeedSequence([seed, step, *stream])
    torch.manual_seed(int(entropy.generate_state(1, np.uint64)[0]))


def sample_rng(seed: int, index: int) -> np.random.Generator:
    """Return the generator of training sample number `index`, counted over the whole run."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, index, 0x5A])))
