"""What a model is to everything else: values at hooks, logits, and interventions at hooks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Intervention:
    """What takes the place of a hook's values while a model reads text.

    change: values [row, position, ...] -> others of the same shape and dtype; it may not change
    what it is given. To leave a row alone it hands on the row's own bits.
    """

    hook: str
    change: Callable[[Tensor], Tensor]


class Model(Protocol):
    """A causal model on its device; ids are int64 [row, position], padded on the right.

    Rows do not see each other, so that one batch may hold a row for each intervention; whether a
    row keeps its last bits in batches of other sizes is up to the device's products.
    """

    @property
    def location(self) -> str:
        """Where it was loaded from, for messages."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    def run(self, ids: Tensor, hooks: Sequence[str]) -> dict[str, Tensor]:
        """Return the value of each hook, [row, position, ...]; nothing behind them is computed.

        Raises ModelError for a hook that does not fire.
        """

    def logits(self, ids: Tensor, interventions: Sequence[Intervention] = ()) -> Tensor:
        """Return the logits [row, position, vocabulary] of the tokens that come next.

        interventions: applied in the order of the forward pass, and at one hook as they are given.
        Raises ModelError for a hook that does not exist or does not fire, for a change of shape or
        dtype, and where the forward is known to be off the published code.
        """

    def extend(
        self, ids: Tensor, interventions: Sequence[Intervention] = (), past: Any = None
    ) -> tuple[Tensor, Any]:
        """Return the logits [row, vocabulary] after the last of ``ids``, and what to go on with.

        past: what an earlier call gave for the tokens before these, None for none; it is used up.
        Rows are not padded. Only where ``consumers.models.key_values`` finds no fault with it.
        """


def steering(hook: str, vectors: dict[int, Tensor]) -> Intervention:
    """Return what adds a vector at all positions of some rows; other rows keep their bits.

    vectors: row -> [width of the hook's last axes, flattened].
    """

    def change(values: Tensor) -> Tensor:
        changed = values.clone()
        for row, vector in vectors.items():
            changed[row] += vector.to(values).view(values.shape[2:])
        return changed

    return Intervention(hook, change)


def ablation(hook: str, directions: dict[int, Tensor]) -> Intervention:
    """Return what takes a direction out at all positions of some rows; others keep their bits.

    directions: row -> [width of the hook's last axes, flattened], not 0; the values' projection on
    it is subtracted, computed in float32.
    """

    def change(values: Tensor) -> Tensor:
        changed = values.clone()
        for row, direction in directions.items():
            unit = torch.nn.functional.normalize(direction.to(values.device).float(), dim=0)
            flat = values[row].float().flatten(1)
            without = flat - (flat @ unit)[:, None] * unit
            changed[row] = without.to(values).view(values[row].shape)
        return changed

    return Intervention(hook, change)
