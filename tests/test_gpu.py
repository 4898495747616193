import pytest
import torch

import h2p_hf
from h2p_hf.data import load

pytestmark = pytest.mark.gpu


def test_the_gpu_reads_what_the_cpu_reads(tiny_checkpoint):
    assert torch.cuda.is_available()
    texts = list(load("bundled@test")["text"])
    readings = [list(h2p_hf.pipeline(tiny_checkpoint, device=d).readings(texts)) for d in ("cpu", "cuda:0")]
    pairs = [(a, b) for left, right in zip(*readings, strict=True) for a, b in zip(left, right, strict=True)]
    assert sum(a == b for a, b in pairs) / len(pairs) > 0.999
