"""What a device can do, against what the system says of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from soundgen.training.device import computes_bfloat16


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/cpuinfo")
def test_bfloat16_is_used_where_the_processor_has_instructions_for_it() -> None:
    flags = Path("/proc/cpuinfo").read_text().split()
    assert computes_bfloat16(torch.device("cpu")) == bool({"avx512_bf16", "amx_bf16"} & set(flags))


def test_bfloat16_is_used_on_cuda_and_not_on_apples() -> None:
    assert computes_bfloat16(torch.device("cuda"))
    assert not computes_bfloat16(torch.device("mps"))
