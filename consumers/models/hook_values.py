"""The hook values of one batch, gathered from micro-batches in the order of its tokens."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from streams.arrays import Bool
from streams.errors import NotFiniteError


class HookValues:
    """Hook values at the valid tokens of a batch, all of them at once.

    tokens: per hook [token, width], valid tokens row by row. rows: [row, position, width] for the
    hooks in ``whole``, whose readers look back; 0 in rows that were not computed. Both are filled
    by ``add``, in the dtype of the model. valid: [row, position], on the device.
    """

    def __init__(self, valid: Bool, whole: Sequence[str], device: torch.device) -> None:
        self.valid = torch.from_numpy(np.ascontiguousarray(valid)).to(device)
        # Sent once: to ask the device where tokens are valid would be to wait for it each time.
        self._valid_at = torch.from_numpy(np.flatnonzero(valid)).to(device)
        self.tokens: dict[str, Tensor] = {}
        self.rows: dict[str, Tensor] = {}
        self._whole = whole
        self._first = np.r_[0, np.cumsum(valid.sum(axis=1))]
        self._sums = list[Tensor]()

    def add(self, rows: slice, hooked: Mapping[str, Tensor]) -> None:
        """Take the values of some rows, [row, position, ...]; rows may be added again."""
        part = slice(int(self._first[rows.start]), int(self._first[rows.stop]))
        index = self._valid_at[part] - rows.start * self.valid.shape[1]
        for name, tensor in hooked.items():
            values = tensor.flatten(2)
            width = values.shape[2]
            if name not in self.tokens:
                self.tokens[name] = values.new_empty((int(self._first[-1]), width))
            found = self.tokens[name][part]
            torch.index_select(values.flatten(0, 1), 0, index, out=found)
            self._sums.append(found.sum())
            if name in self._whole:
                if name not in self.rows:
                    self.rows[name] = values.new_zeros((*self.valid.shape, width))
                self.rows[name][rows] = values

    def expect_finite(self) -> None:
        """Raise NotFiniteError if a value at a valid token is NaN or infinite.

        The device is asked once for all that was added.
        """
        if self._sums and not torch.stack(self._sums).isfinite().all().item():
            for name, values in self.tokens.items():
                _check(values, name)


def _check(values: Tensor, hook: str) -> None:
    """Raise NotFiniteError if the values of a hook are not finite.

    Float16 ends at 65,504, which the outliers of many models pass, most often those of the first
    token; one that is infinite inside makes NaN of all that attend to it.
    """
    try:
        check_finite(values, hook)
    except NotFiniteError as error:
        if values.dtype != torch.float16:
            raise
        raise NotFiniteError(
            hook,
            f"float16 cannot hold this model's values at {hook}: take bfloat16 or float32",
        ) from error


def check_finite(values: Tensor, where: str) -> None:
    """Raise NotFiniteError if ``values`` hold NaN or infinity; one pass when they do not."""
    if not torch.isfinite(values.sum()).item() and not torch.isfinite(values).all().item():
        raise NotFiniteError(where)
