"""What the fields of records, manifests and settings may hold, declared beside their types.

``shards: Shards`` or ``Annotated[int, Interval(ge=1, le=4096)]`` says it once: ``codec.decode``,
pydantic (for manifests and settings) and ``check_fields`` (for a record made in this process) all
refuse what is outside, before anything is allocated for it.
"""

import dataclasses
import functools
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Interval, MaxLen

from streams.errors import ShapeError

MAX_CLUSTERS = 2**22
"""Clusters of a run, all clusterings together; as many components of all its sources."""

MAX_LABEL = 1000
PAIRS_LIMIT = 2**17
"""Pairs of members of one cluster whose co-activation is counted; beyond, none are."""

MAX_VOCABULARY = 2**22
MAX_EDGES = 4096
MAX_CONTEXT = 2**20
MAX_BATCH_TOKENS = 2**24
"""Rows times context of a token batch: more would not fit the largest record."""

_SHOWN = 80


@dataclass(frozen=True, slots=True)
class FieldRule:
    """A rule for a value that no annotated type says. what: the rest of "... is"."""

    holds: Callable[[Any], bool]
    what: str

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """Let pydantic check the rule, too."""
        from pydantic_core import core_schema  # noqa: PLC0415 - only where pydantic is used

        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def _checked(self, value: Any) -> Any:
        if not self.holds(value):
            raise ValueError(f"{shown(value)} is {self.what}")
        return value


Shards = Annotated[int, Interval(ge=1, le=4096)]
Partitions = Annotated[int, Interval(ge=1, le=4096)]
Context = Annotated[int, Interval(ge=1, le=MAX_CONTEXT)]
Position = Annotated[int, Interval(ge=0, lt=MAX_CONTEXT)]
BatchRows = Annotated[int, Interval(ge=1, le=2**16)]
MicroBatch = Annotated[int, Interval(ge=1, le=2**16)]
Threads = Annotated[int, Interval(ge=0, le=4096)]
Vocabulary = Annotated[int, Interval(ge=1, le=MAX_VOCABULARY)]
TokenId = Annotated[int, Interval(ge=0, lt=MAX_VOCABULARY)]
Components = Annotated[int, Interval(ge=0, le=MAX_CLUSTERS)]
Component = Annotated[int, Interval(ge=0, lt=MAX_CLUSTERS)]
K = Annotated[int, Interval(ge=1, le=2**17)]
SumBits = Annotated[int, Interval(ge=0, le=40)]
BucketBytes = Annotated[int, Interval(ge=1, le=2**30)]
RecordBytes = Annotated[int, Interval(ge=1, le=2**30)]
Iteration = Annotated[int, Interval(ge=0, lt=2**31)]
Count = Annotated[int, Interval(ge=0, lt=2**63)]
Text = Annotated[str, MaxLen(4096)]
Label = Annotated[str, MaxLen(MAX_LABEL)]


def shown(value: Any) -> str:
    """Return how a value reads in a message, cut where it is long."""
    if type(value) is int and value.bit_length() > 256:
        return f"a number of {value.bit_length():,} bits"
    text = repr(value if not isinstance(value, str | bytes) else value[:_SHOWN])
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def fault(value: Any, rules: tuple[Any, ...]) -> str | None:
    """Return what is wrong with a value, as the end of "the field ...", None if it is allowed."""
    for rule in rules:
        if isinstance(rule, FieldRule) and not rule.holds(value):
            return f"is {shown(value)}, {rule.what}"
        if isinstance(rule, Interval) and not _inside(value, rule):
            return f"is {shown(value)}: it takes {_span(rule)}"
        if isinstance(rule, MaxLen) and len(value) > rule.max_length:
            return f"has a length of {len(value):,}: it takes up to {rule.max_length:,}"
    return None


def _inside(value: Any, rule: Interval) -> bool:
    return bool(
        (rule.ge is None or value >= rule.ge)
        and (rule.gt is None or value > rule.gt)
        and (rule.le is None or value <= rule.le)
        and (rule.lt is None or value < rule.lt)
    )


def _span(rule: Interval) -> str:
    ends = ((rule.ge, "from {:,}"), (rule.gt, "above {:,}"), (rule.le, "up to {:,}"))
    return ", ".join(
        said.format(end) for end, said in (*ends, (rule.lt, "below {:,}")) if end is not None
    )


def check_fields(record: Any) -> None:
    """Raise ShapeError unless every field of a record made here holds what it may hold."""
    kind: Any = type(record)
    _check(kind)(record, kind.__name__)


_Check = Callable[[Any, str], None]


@functools.cache
def _check(kind: Any) -> _Check:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        inner = _check(arguments[0])
        return lambda value, where: _expect(value, arguments[1:], where, inner)
    if origin is tuple:
        item = _check(arguments[0])
        return lambda value, where: _each(value, item, where)
    if origin in (typing.Union, types.UnionType):
        some = _check(next(one for one in arguments if one is not type(None)))
        return lambda value, where: None if value is None else some(value, where)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind, include_extras=True)
        checks = [(f.name, _check(hints[f.name])) for f in dataclasses.fields(kind)]
        return lambda value, where: _fields(value, checks, where)
    return lambda value, where: None


def _expect(value: Any, rules: tuple[Any, ...], where: str, inner: _Check) -> None:
    if (wrong := fault(value, rules)) is not None:
        raise ShapeError(f"{where} {wrong}")
    inner(value, where)


def _each(values: Any, check: _Check, where: str) -> None:
    for value in values:
        check(value, where)


def _fields(value: Any, checks: list[tuple[str, _Check]], where: str) -> None:
    for name, check in checks:
        check(getattr(value, name), f"{where}.{name}")
