"""Non-zeros of one source at a batch's valid tokens, sorted by component and then by token."""

from dataclasses import dataclass

from consumers.compiled import compiled
from streams.arrays import F32, I32, I64


@dataclass(frozen=True, slots=True, eq=False)
class NonZeros:
    """Values of one source that are not 0, sorted by component and then by token.

    count [component]: values of each component. token and value: of each non-zero; tokens are
    numbered through the valid tokens of a batch.
    """

    count: I64
    token: I32
    value: F32


@compiled
def place(
    count: I64,
    token: I32,
    row_of: I32,
    position_of: I32,
    first: int,
    component: I64,
    row: I32,
    position: I32,
) -> None:
    """Write component (counted from ``first``), row and position of each non-zero."""
    at = 0
    for number in range(len(count)):
        for _ in range(count[number]):
            component[at] = first + number
            row[at] = row_of[token[at]]
            position[at] = position_of[token[at]]
            at += 1


@compiled
def by_component(
    component: I32, token: I32, value: F32, first: I64, sorted_token: I32, sorted_value: F32
) -> None:
    """Sort entries by component, equal ones as they come. first [component]: changed on the way."""
    for at in range(len(component)):
        to = first[component[at]]
        first[component[at]] = to + 1
        sorted_token[to] = token[at]
        sorted_value[to] = value[at]
