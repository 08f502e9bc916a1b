"""All encoders, one to a form and a kind of device; a new one is a file and a line here."""

from typing import Any

from consumers.encoders.cpu import dense as cpu_dense
from consumers.encoders.cpu import importance as cpu_importance
from consumers.encoders.cpu import linear as cpu_linear
from consumers.encoders.cpu import topk as cpu_topk
from consumers.encoders.encoder import Device, EncoderKind
from consumers.encoders.forms import Form
from consumers.encoders.gpu import dense as gpu_dense
from consumers.encoders.gpu import importance as gpu_importance
from consumers.encoders.gpu import linear as gpu_linear
from consumers.encoders.gpu import topk as gpu_topk

ENCODERS: tuple[EncoderKind[Any], ...] = (
    cpu_linear.KIND,
    cpu_topk.KIND,
    cpu_importance.KIND,
    cpu_dense.KIND,
    gpu_linear.KIND,
    gpu_topk.KIND,
    gpu_importance.KIND,
    gpu_dense.KIND,
)


def find_encoder(form: Form, device: Device) -> EncoderKind[Any] | None:
    """Return the encoder of a form on a kind of device; None if there is none."""
    fitting = (kind for kind in ENCODERS if (kind.form, kind.device) == (type(form), device))
    return next(fitting, None)
