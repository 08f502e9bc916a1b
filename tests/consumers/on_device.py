"""Any engine as one whose activations workers select as tensors, as they do on a GPU."""

from dataclasses import dataclass

from consumers.activations.device_activations import DeviceActivations, from_host
from consumers.activations.engine import Activations, Engine
from streams.arrays import Bool
from streams.records.corpus import TokenBatch


@dataclass(frozen=True)
class OnDevice:
    """See the module; ``engine`` computes, and has a plan."""

    engine: Engine
    selects_on_device: bool = True

    def compute(self, batch: TokenBatch, valid: Bool) -> Activations:
        return self.engine.compute(batch, valid)

    def compute_on_device(self, batch: TokenBatch, valid: Bool) -> DeviceActivations:
        found = self.engine.compute(batch, valid)
        plan = self.engine.plan  # type: ignore[attr-defined]
        return from_host(found, plan.components, valid.shape[1])
