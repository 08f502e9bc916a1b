"""What the settings say of a layer of a decomposed model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from consumers.runs.specs import OF_SETTINGS, Coactivation, Dropped, Threshold
from streams.records.runs import Sign

Values = Literal["lower_leaky", "upper_leaky", "sigmoid", "pre_sigmoid", "component_activation"]


@dataclass(frozen=True, slots=True)
class DecomposedSpec:
    """Components of a layer that SPD decomposed, from its state as a safetensors file.

    module: the layer, as the decomposed model names it. hook: one that holds what the layer reads.
    values: a formula of causal importance, or the components' activations ``x @ V``. sign: None for
    "value", or "absolute" for activations.
    """

    name: str
    path: str
    module: str
    hook: str
    values: Values = "lower_leaky"
    sign: Sign | None = None
    threshold: Threshold = 0.0
    dropped: Dropped = ()
    clusters_of_one: bool = True
    coactivation: Coactivation = "auto"
    kind: ClassVar[str] = "decomposed"
    __pydantic_config__: ClassVar[Mapping[str, Any]] = OF_SETTINGS

    @property
    def location(self) -> str:
        """Where it lies, as records say it."""
        return f"{self.path}#{self.module}#{self.values}"
