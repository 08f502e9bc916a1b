"""One shape and one number of rows: the floor and every candidate, in turn, over the same text."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from benchmarks.bare import Bare
from benchmarks.candidates import MICRO_BATCH, Candidate
from benchmarks.service import Served, prepared, serve_whole
from benchmarks.shapes import Built, Shape, publish, token_rows
from benchmarks.timing import Spread, interleaved, total
from consumers.activations.torch_engine import TorchEngine
from consumers.plan import make_plan
from producers.corpora import delete_corpus
from streams.records.corpus import CorpusRecord
from streams.transport.connect import connect

BATCH_ROWS = 64
SEED = 1
_TEXT, _FIRST = "text", "first"
Brokers = Mapping[bool, Callable[[], AbstractContextManager[str]]]
"""By ``kafka``: opens a broker that keeps what it holds from block to block; yields its address."""


@dataclass(frozen=True, slots=True)
class Measured:
    """floor: seconds of the bare model, by round. served: what the service took, by candidate and
    round. engines: as they were loaded, so that it is known which forward each uses."""

    shape: Shape
    rows: int
    floor: Spread
    served: Mapping[str, Sequence[Served]]
    engines: Mapping[str, TorchEngine]

    def seconds(self, candidate: Candidate) -> Spread:
        """Return the seconds of a candidate, from the first record to the final manifest."""
        return Spread(tuple(served.seconds for served in self.served[candidate.name]))

    def content(self, candidate: Candidate) -> str:
        """Return the content hash of a candidate's snapshots.

        Raises ValueError unless every round gave the same.
        """
        found = {served.manifest.content for served in self.served[candidate.name]}
        if len(found) != 1:
            raise ValueError(f"{candidate.name}: {len(found)} different contents in its rounds")
        return found.pop()


@dataclass(slots=True)
class _Service:
    """A candidate with its engine; each run leaves its snapshot in ``store``, the last one stays.

    Before a run the service computes a corpus of one batch, so that neither side of a connection
    is new to its work.
    """

    engine: TorchEngine
    broker: Callable[[], AbstractContextManager[str]]
    store: Path
    served: list[Served] = field(default_factory=list)

    def run(self) -> None:
        """Run the service once."""
        shutil.rmtree(self.store, ignore_errors=True)
        with self.broker() as url:
            serve_whole(_over(self.engine, _FIRST), url, "first", self.store / "first")
            self.served.append(serve_whole(self.engine, url, "whole", self.store))


def measure(
    built: Built,
    rows: int,
    rounds: int,
    candidates: Sequence[Candidate],
    brokers: Brokers,
    folder: Path,
    say: Callable[[str], None] = lambda line: None,
    advance: Callable[[], None] = lambda: None,
) -> Measured:
    """Measure the candidates against the floor on ``rows`` rows of text.

    In each round the floor computes every row once, a part of them before each candidate, so that
    both see the same machine. folder: for snapshots. advance: called 2 * len(candidates) times a
    round.
    """
    bare, ids = Bare(built), token_rows(built.shape, rows, SEED)
    bare.run(ids[:BATCH_ROWS], MICRO_BATCH)
    records = {kafka: _publish(brokers, kafka, built, rows) for kafka in _kinds(candidates)}
    services, turns = dict[str, _Service](), dict[str, Callable[[], object]]()
    for number, candidate in enumerate(candidates):
        engine = prepared(candidate.spec(built, folder), records[candidate.kafka])
        service = _Service(engine, brokers[candidate.kafka], folder / str(number))
        services[candidate.name] = service
        start, stop = (rows * (number + more) // len(candidates) for more in (0, 1))
        turns[f"floor {number}"] = partial(bare.run, ids[start:stop], MICRO_BATCH)
        turns[candidate.name] = service.run

    def after(name: str, round_number: int) -> None:
        if name in services:
            seconds = services[name].served[-1].seconds
            where = f"{built.shape.name}, {rows} rows, round {round_number + 1}"
            say(f"{where}: {name} {seconds:.2f} s")
        advance()

    seconds = interleaved(turns, rounds, warm_up=0, after=after)
    for kafka in records:
        _delete(brokers, kafka)
    return Measured(
        built.shape,
        rows,
        total(*(spread for name, spread in seconds.items() if name not in services)),
        {name: tuple(service.served) for name, service in services.items()},
        {name: service.engine for name, service in services.items()},
    )


def _kinds(candidates: Sequence[Candidate]) -> set[bool]:
    return {candidate.kafka for candidate in candidates}


def _publish(brokers: Brokers, kafka: bool, built: Built, rows: int) -> CorpusRecord:
    """Put the text and a text of one batch on a broker; return the record of the first."""
    with brokers[kafka]() as url:
        client = connect(url)
        publish(client, built.shape, BATCH_ROWS, BATCH_ROWS, corpus=_FIRST, seed=SEED + 1)
        record = publish(client, built.shape, rows, BATCH_ROWS, corpus=_TEXT, seed=SEED)
        client.close()
    return record


def _delete(brokers: Brokers, kafka: bool) -> None:
    with brokers[kafka]() as url:
        client = connect(url)
        for corpus in (_FIRST, _TEXT):
            delete_corpus(client, corpus)
        client.close()


def _over(engine: TorchEngine, corpus: str) -> TorchEngine:
    """Return the engine of the same run over another corpus."""
    plan = make_plan(replace(engine.plan.run, corpus=corpus))
    return TorchEngine(plan, engine.model, engine.sources)
