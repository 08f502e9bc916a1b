"""From hook values to records: a device's encoders and selection against the host's, equal bits.

Hook values and weights are small whole numbers, so that both multiply to the same products, in
whatever order and chunks.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from consumers.activations.torch_engine import TorchEngine
from consumers.encoders.forms import LinearForm, TopKForm
from consumers.encoders.gpu import importance, linear, topk
from consumers.encoders.importance_form import GateLayer, ImportanceForm, SharedGates, pre_sigmoid
from consumers.encoders.rules import Rule
from consumers.models.model import Intervention
from consumers.plan import Plan
from consumers.selection.device import slabs
from consumers.selection.worker import ActivationWorker, Outcome
from consumers.sources.source import LoadedSource
from consumers.statistics.registry import OPTIONAL, optional_statistics
from streams import topics
from streams.errors import NotFiniteError
from streams.records.corpus import TokenBatch
from streams.records.runs import Source
from streams.wire import codec
from tests import factories
from tests.consumers.selection.device.test_selection import EVERYTHING
from tests.streams.same import bits

WIDTH, POSITIONS, HOOK = 4, 5, "h"
CPU = torch.device("cpu")


def whole(seed: int, *shape: int) -> Tensor:
    """Return whole numbers from -3 to 3 as float32."""
    numbers = torch.randint(-3, 4, shape, generator=torch.Generator().manual_seed(seed))
    return numbers.float()


@dataclass(frozen=True)
class Text:
    """A model whose hook has a vector for each token id, the first of which is zero."""

    values: Tensor
    location: str = "nowhere"
    device: torch.device = CPU

    def run(self, ids: Tensor, hooks: Sequence[str]) -> dict[str, Tensor]:
        return dict.fromkeys(hooks, self.values[ids])

    def logits(self, ids: Tensor, interventions: Sequence[Intervention] = ()) -> Tensor:
        raise NotImplementedError

    def extend(self, ids: Tensor, interventions: Any = (), past: Any = None) -> tuple[Tensor, Any]:
        raise NotImplementedError


def ruled(weight: Tensor, cut: float = 0.0, gated: bool = False) -> LinearForm:
    shift = whole(5, len(weight)) / 4
    scale = torch.full_like(shift, 0.5 if gated else 1.0)
    gate = whole(6, len(weight)) / 2 if gated else shift
    rule = Rule(scale, shift, gate, torch.full_like(shift, cut))
    return LinearForm(lambda values: values.float(), weight, rule)


def cumulative(weight: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda values: (values.cumsum(1) @ weight.T).relu()


FORMS: dict[str, Callable[[Tensor], Any]] = {
    "standard": ruled,
    "jumprelu": lambda weight: ruled(weight, cut=1.5),
    "gated": lambda weight: ruled(weight, gated=True),
    "topk": lambda weight: TopKForm(
        LinearForm(lambda values: values.float(), weight),
        whole(7, len(weight)) / 4,
        torch.full((len(weight),), 0.5),
        2,
    ),
    "weights": lambda weight: LinearForm(lambda values: values.float(), weight),
    "neurons": lambda _: LinearForm(lambda values: values),
    "importances": lambda weight: ImportanceForm(
        SharedGates((GateLayer(weight.T, whole(8, len(weight)) / 4),)), pre_sigmoid, len(weight)
    ),
    "own": lambda weight: lambda values: (values @ weight.T).relu(),
    "whole-rows": cumulative,
}
COMPONENTS = {name: WIDTH if name == "neurons" else 3 + n for n, name in enumerate(FORMS)}
DROPPED = {"standard": (1,), "topk": (0, 4), "weights": (6,), "neurons": (3,), "whole-rows": (2,)}
SIGNS = {"neurons": ("absolute", 1.0), "weights": ("negative", 0.0), "importances": ("value", 0.25)}


def source_of(name: str) -> Source:
    sign, threshold = SIGNS.get(name, ("value", 0.0))
    return factories.source(
        name,
        components=COMPONENTS[name],
        hook=HOOK,
        sign=sign,
        threshold=threshold,
        dropped=DROPPED.get(name, ()),
        singles=name != "neurons",
        coactivation=name == "topk",
    )


MEASURED = {"health", "hook_values", "noise_robustness"}
"""They read more than activations, and have tests of their own."""

BASE = factories.run_record()
PLAN = factories.plan(
    sources=tuple(map(source_of, FORMS)),
    clusterings=(
        factories.clustering(
            {
                "far": [(0, 0), (3, 1), (5, 2), (8, 0)],
                "overlapping": [(3, 1), (3, 2), (0, 1), (5, 2), (5, 3)],
                "signed": [(4, 0), (4, 6), (6, 1)],
                "dropped": [(0, 1), (3, 0)],
                "one": [(7, 2)],
            }
        ),
    ),
    rankings=tuple(f"{name}={1 + number % 3}" for number, name in enumerate(EVERYTHING)),
    statistics=(
        *BASE.statistics,
        *optional_statistics(
            [each for each in OPTIONAL if each not in MEASURED], {"tokens": {"one_in": 2}}
        ),
    ),
    context=POSITIONS,
    masked_ids=np.array([2]),
    bucket_bytes=10**6,
)


def loaded(name: str, weight: Tensor) -> LoadedSource:
    made = FORMS[name](weight)
    is_form = hasattr(made, "values")
    return LoadedSource(
        name, "dictionary", "nowhere", "0", HOOK, WIDTH, COMPONENTS[name],
        encode=made.values if is_form else made,
        whole_rows=name == "whole-rows",
        form=made if is_form else None,
    )  # fmt: skip


@contextmanager
def chunks_of(products: int, values: int) -> Iterator[None]:
    """Let a device hold so many products at a time and select from so many values."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear, "PRODUCTS", products)
        patch.setattr(topk, "KEYS", products)
        patch.setattr(importance, "NUMBERS", products)
        patch.setattr(slabs, "_LEAST", values)
        yield


def outcomes(plan: Plan, engine: TorchEngine, batches: Sequence[TokenBatch]) -> list[Outcome]:
    """Return what one worker makes of batches, one after the other."""
    worker = ActivationWorker(plan, engine, clock=lambda: 0.0)
    return [
        worker.handle(
            each.partition,
            codec.encode(each),
            {topics.KIND: topics.BATCH, topics.SEQUENCE: str(each.sequence).encode()},
        )
        for each in batches
    ]


def assert_same(
    batches: Sequence[TokenBatch], values: Tensor, weights: dict[str, Tensor], *sizes: int
) -> list[Outcome]:
    """Compare all that two workers send; return what they sent."""
    sources = [loaded(name, weights[name]) for name in FORMS]
    here = TorchEngine(PLAN, Text(values), sources)
    there = TorchEngine(PLAN, Text(values), sources, on_device=True)
    assert there.selects_on_device
    expected = outcomes(PLAN, here, batches)
    with chunks_of(*sizes):
        found = outcomes(PLAN, there, batches)
    for ours, host in zip(found, expected, strict=True):
        assert repr(ours.error) == repr(host.error)
        assert bits(ours.records) == bits(host.records)
    return expected


def weights_of(seed: int) -> dict[str, Tensor]:
    return {name: whole(seed + n, COMPONENTS[name], WIDTH) for n, name in enumerate(FORMS)}


def values_of(seed: int) -> Tensor:
    return torch.cat([torch.zeros(1, WIDTH), whole(seed, factories.VOCABULARY - 1, WIDTH)])


@st.composite
def texts(draw: st.DrawFn) -> list[TokenBatch]:
    """Return two batches of rows over few ids: contexts repeat, and rows are short or empty."""
    row = st.tuples(
        st.lists(st.integers(0, 4), min_size=POSITIONS, max_size=POSITIONS),
        st.integers(0, POSITIONS),
    )
    made = []
    for sequence in range(2):
        ids, lengths = zip(*draw(st.lists(row, min_size=1, max_size=6)), strict=True)
        domains = draw(st.lists(st.sampled_from(["", "a", "b"]), min_size=6, max_size=6))
        batch = factories.batch(ids, lengths, sequence=sequence)
        made.append(replace(batch, domains=tuple(domains[: len(ids)])))
    return made


SIZES = st.tuples(st.sampled_from([1, 7, 40, 100, 2**20]), st.sampled_from([1, 5, 30, 2**20]))


@settings(max_examples=25)
@given(texts(), st.integers(0, 2**16), SIZES)
def test_every_kind_of_source_sends_what_the_host_sends(
    batches: list[TokenBatch], seed: int, sizes: tuple[int, int]
) -> None:
    sent = assert_same(batches, values_of(seed), weights_of(seed), *sizes)
    assert all(each.error is None for each in sent)


def test_much_text_leaves_nothing_out() -> None:
    batches = factories.batches(partitions=1, per_partition=3, rows=40, context=POSITIONS)
    batches = [replace(b, domains=("a", "", "b", "a") * 10) for b in batches]
    for sizes in ((333, 777), (2**20, 2**20)):
        sent = assert_same(batches, values_of(1), weights_of(1), *sizes)
        assert sum(each.hits for each in sent) > 1000


BAD = st.sampled_from([float("nan"), float("inf"), -float("inf")])


@settings(max_examples=40)
@given(texts(), st.integers(0, 2**16), SIZES, BAD, st.sampled_from(["hook", *FORMS]), st.data())
def test_what_is_not_finite_is_refused_as_on_the_host_and_never_dropped(
    batches: list[TokenBatch],
    seed: int,
    sizes: tuple[int, int],
    bad: float,
    where: str,
    data: st.DataObject,
) -> None:
    values, weights = values_of(seed), weights_of(seed)
    if where in ("hook", "neurons"):
        values[1, 2] = bad
        wrong = [bool((valid_ids(each) == 1).any()) for each in batches]
    else:
        component = data.draw(st.integers(0, COMPONENTS[where] - 1))
        weights[where][component, 1] = bad
        is_kept = component not in DROPPED.get(where, ())
        # NaN times anything is NaN; infinite ones may come to minus infinity, which is silent.
        wrong = [is_kept and len(valid_ids(each)) > 0 for each in batches]
    sent = assert_same(batches, values, weights, *sizes)
    errors = [isinstance(each.error, NotFiniteError) for each in sent]
    if np.isnan(bad) or where in ("hook", "neurons"):
        assert errors == wrong
    else:
        assert all(refused <= may for refused, may in zip(errors, wrong, strict=True))


def valid_ids(batch: TokenBatch) -> Any:
    return batch.ids[batch.mask & (batch.ids != 2)]
