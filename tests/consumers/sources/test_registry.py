"""A kind of source and an encoder of one's own: a file and a line each, and the run is exact."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from consumers.encoders import registry as encoders
from consumers.health.progress import Progress
from consumers.plan import make_plan
from consumers.runs.loading import load_engine
from consumers.runs.specs import Coactivation, DictionarySpec, RunSpec
from consumers.selection.selection import valid_tokens
from consumers.sources import registry as sources
from streams.errors import ModelError
from streams.records.corpus import CorpusRecord
from streams.records.runs import Sign
from streams.snapshots.table_reading import read_table
from streams.transport.connect import connect
from tests import factories, published
from tests.consumers.created import create_run
from tests.consumers.sources.squares import ENCODER, CpuSquares, Squares
from tests.service import Service

HOOK = "blocks.1.hook_resid_post"


@dataclass(frozen=True)
class SquaresSpec:
    """What the settings of a run would say of it."""

    name: str = "squares"
    hook: str = HOOK
    sign: Sign | None = None
    threshold: float = 0.0
    dropped: tuple[int, ...] = (3,)
    clusters_of_one: bool = True
    coactivation: Coactivation = "auto"
    kind: ClassVar[str] = "squares"
    location: ClassVar[str] = ""


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "KINDS", (*sources.KINDS, Squares()))
    monkeypatch.setattr(encoders, "ENCODERS", (*encoders.ENCODERS, ENCODER))


def small(corpus: CorpusRecord) -> CorpusRecord:
    return replace(corpus, name="squares-text", context=6, batch_rows=4)


def test_a_source_and_an_encoder_of_ones_own_run_to_the_oracles_content(
    registered: None, spec: RunSpec, corpus: CorpusRecord, tmp_path: Path
) -> None:
    dictionary = replace(spec.sources[0], clusters_of_one=False)  # type: ignore[type-var]
    wanted = replace(spec, sources=(dictionary, SquaresSpec()), store=str(tmp_path / "store"))
    plan = make_plan(create_run(wanted, small(corpus)))
    engine = load_engine(plan, "cpu")
    assert isinstance(engine._encoders[1], CpuSquares)
    batches = tuple(
        replace(batch, corpus="squares-text") for batch in factories.batches(partitions=2)
    )
    client = connect("memory://squares")
    published.publish(client, plan.run, batches)
    service = Service("memory://squares", client, plan, batches, engine, Progress())
    service.serve(1, 1)
    manifest = service.manifest()
    assert manifest is not None
    assert manifest.content == service.expected()
    best = np.zeros(32)
    for batch in batches:
        values = engine.model.run(torch.from_numpy(batch.ids.astype(np.int64)), [HOOK])[HOOK]
        best = np.maximum(best, values.square().numpy()[valid_tokens(plan, batch)].max(axis=0))
    found = read_table(manifest, "clusters").sort_by("cluster")["max_activation"].to_numpy()
    best[3] = 0  # dropped
    np.testing.assert_allclose(found, best, rtol=1e-4)


def test_a_form_without_an_encoder_is_computed_by_the_sources_own_function(
    registered: None, spec: RunSpec, corpus: CorpusRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = replace(spec, sources=(SquaresSpec(),))
    plan = make_plan(create_run(wanted, small(corpus)))
    (batch, *_), found = factories.batches(), []
    for known in (encoders.ENCODERS, encoders.ENCODERS[:-1]):
        monkeypatch.setattr(encoders, "ENCODERS", known)
        found.append(load_engine(plan, "cpu").compute(batch, batch.mask))
    for name in ("component", "row", "position", "value"):
        assert getattr(found[0], name).tobytes() == getattr(found[1], name).tobytes()
    assert len(found[0].value) > 100


def test_a_kind_that_nobody_registered_is_named(spec: RunSpec, corpus: CorpusRecord) -> None:
    with pytest.raises(ModelError, match="kind 'squares', which this worker does not know: it kn"):
        create_run(replace(spec, sources=(SquaresSpec(),)), small(corpus))
    assert isinstance(spec.sources[0], DictionarySpec)


def test_the_documented_example_is_the_one_that_runs() -> None:
    root = Path(__file__).parents[3]
    example = (root / "tests/consumers/sources/squares.py").read_text()
    assert f"```python\n{example}```" in (root / "docs/adding-an-encoder.md").read_text()
