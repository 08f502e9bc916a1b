"""In a process of its own: what another test has loaded is loaded."""

import subprocess
import sys

import pytest

WARMED = """
import gc
from numba.core.dispatcher import Dispatcher
from consumers.activations.standin import StandInEngine
from consumers.aggregation.overlay import Overlay, partial
from consumers.selection.worker import ActivationWorker
from consumers.service.kernel_warmup import warm_up
from streams import topics
from streams.wire import codec
from tests import factories

def loaded():
    loops = [one for one in gc.get_objects() if isinstance(one, Dispatcher)]
    ours = [one for one in loops if one.py_func.__module__.startswith("consumers.")]
    return {one.py_func.__qualname__: len(one.signatures) for one in ours}

plan = factories.plan(**%s)
if %s:
    warm_up(plan)
before = loaded()
worker = ActivationWorker(plan, StandInEngine(plan))
overlay, offset = Overlay(plan), 0
for shard in range(plan.run.shards):
    overlay.load(shard, ())
for batch in factories.batches():
    headers = {topics.KIND: topics.BATCH, topics.SEQUENCE: str(batch.sequence).encode()}
    outcome = worker.handle(batch.partition, codec.encode(batch), headers)
    assert outcome.error is None
    for record in outcome.records:
        found = partial(plan, record.shard, record.kind, record.value)
        overlay.apply(record.shard, offset, found)
        offset += 1
for shard in range(plan.run.shards):
    overlay.states(shard)
print(*(name for name, forms in loaded().items() if forms > before.get(name, 0)))
"""


def loaded_by_work(changes: str, *, warm: bool) -> list[str]:
    """Return the loops that the first batches themselves load, be it another form of one."""
    said = subprocess.run(
        [sys.executable, "-c", WARMED % (changes, warm)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return said.stdout.split()


@pytest.mark.parametrize("changes", ["{}", "{'rankings': ('maximum',), 'clusterings': ()}"])
def test_the_first_batches_find_every_loop_loaded(changes: str):
    assert loaded_by_work(changes, warm=True) == []


def test_without_it_they_load_them():
    assert len(loaded_by_work("{}", warm=False)) > 5
