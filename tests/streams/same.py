"""Equality of records that hold arrays, which compare by type, shape and every bit."""

import dataclasses
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


def bits(value: Any) -> Any:
    """Return a value in plain Python that is equal for records that are the same to the last bit.

    Arrays give their type, shape and bytes; a float its own bytes, so NaN is itself and -0.0 is
    not 0.0.
    """
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return type(value).__name__, [(f.name, bits(getattr(value, f.name))) for f in fields]
    if isinstance(value, tuple | list):
        return [bits(item) for item in value]
    if isinstance(value, float):
        return np.float64(value).tobytes()
    return value


def there(found: T | None) -> T:
    """Return what is there; fails for None."""
    assert found is not None
    return found
