"""Dense forms on a GPU: what is not 0 is found there, and nothing else leaves it."""

import numpy as np
import torch
from torch import Tensor

from consumers.encoders.dense import DenseEncoder
from consumers.encoders.encoder import EncoderKind
from consumers.encoders.forms import DenseForm
from consumers.encoders.gpu.transfer import to_host
from consumers.encoders.timings import Timings
from streams.arrays import F32, I32


def _found(values: Tensor, timings: Timings) -> tuple[I32, I32, F32]:
    token, component = values.nonzero(as_tuple=True)
    bits = values[token, component].float().view(torch.int32)
    out = to_host(torch.stack([token.int(), component.int(), bits]), timings)
    return out[0], out[1], out[2].view(np.float32)


KIND = EncoderKind(
    DenseForm,
    "gpu",
    lambda job, form: DenseEncoder(job.source, form, job.kept, job.at_once, _found),
)
