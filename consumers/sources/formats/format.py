"""What a format of dictionaries is: recognised by its files, read into SAELens' terms."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from streams.bounds import MAX_CLUSTERS
from streams.errors import ModelError

_PER_COMPONENT = ("b_enc", "threshold", "b_gate", "b_mag", "r_mag")


@dataclass(frozen=True, slots=True, eq=False)
class Converted:
    """A dictionary in SAELens' terms.

    architecture: SAELens' name for it. weights: what that architecture takes, float32, such as
    W_enc [width, component], b_enc [component], W_dec [component, width], b_dec [width]. subtracts:
    b_dec is subtracted before encoding. options: other fields of SAELens' configuration. rebuilds:
    decoding gives the values of the hook that it is for. skip: [written, read], times the values
    that were read it is added to what decoding gives. warnings: what has to be said of it, a line
    each.
    """

    architecture: str
    weights: Mapping[str, Tensor]
    subtracts: bool
    options: Mapping[str, Any] = field(default_factory=dict)
    rebuilds: bool = True
    skip: Tensor | None = None
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        width, components = self.weights["W_enc"].shape
        if not 0 < components <= MAX_CLUSTERS or not width:
            raise ModelError(f"it has {components:,} features of {width:,} values")
        expected: dict[str, tuple[int, ...]] = {"b_dec": (width,), "W_dec": (components, width)}
        expected |= dict.fromkeys(_PER_COMPONENT, (components,))
        for name, weight in self.weights.items():
            if name in expected and tuple(weight.shape) != expected[name]:
                raise ModelError(
                    f"its {name} has the shape {list(weight.shape)}, and W_enc that of {width} "
                    f"values and {components} features"
                )


class Format(Protocol):
    """A way in which dictionaries are published. Errors are ModelErrors without the place."""

    name: str

    def recognises(self, place: Path) -> bool:
        """Return whether what lies at a place, a file or a folder, has this form."""

    def metadata(self, place: Path) -> dict[str, Any]:
        """Return what names and configuration files there say, in SAELens' words."""

    def read(self, place: Path) -> Converted:
        """Return the dictionary; raises ModelError for what cannot be supported."""


def taken(weights: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    """Return weights in float32 by the names of SAELens; names: SAELens' -> the file's.

    Raises ModelError if one is missing or holds no numbers, or the encoder is no matrix.
    """
    found = {}
    for name, there in names.items():
        weight = weights.get(there)
        if not isinstance(weight, Tensor) or not weight.is_floating_point():
            listed = ", ".join(sorted(map(str, weights))[:8])
            raise ModelError(f"it has no weights {there!r}, only {listed or 'nothing'}")
        if name == "W_enc" and weight.ndim != 2:
            raise ModelError(
                f"its encoder has the shape {list(weight.shape)}: a crosscoder, or another "
                "dictionary that reads several hooks at once, which is not supported"
            )
        found[name] = weight.float().contiguous()
    return found


def skip_of(weights: Mapping[str, Tensor]) -> Tensor | None:
    """Return the weight of a skip connection, float32 [written, read]; None if there is none.

    Raises ModelError if it is no square matrix: a transcoder's hooks are equally wide here.
    """
    if (weight := weights.get("W_skip")) is None:
        return None
    width = weights["b_dec"].shape[-1]
    if tuple(weight.shape) != (width, width):
        raise ModelError(f"its skip connection has the shape {list(weight.shape)}, not {width}^2")
    return weight.float().contiguous()
