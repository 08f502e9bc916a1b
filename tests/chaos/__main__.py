"""``python -m tests.chaos``: the long versions, minutes settable, with a native broker of theirs.

``chaos`` hurts workers and broker in random order until the corpus is through; ``soak`` leaves
them alone and watches their memory. Both end by comparing with the oracle.
"""

import os
import random
import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from consumers.health.group_lag import lag
from consumers.plan import Plan, make_plan
from millrace.local_kafka import NativeKafka, cache_folder
from streams import topics
from streams.transport.connect import connect
from tests.chaos.corpus import chaos_run, write
from tests.chaos.harness import EVERY_FAULT, Chaos, assert_exact, chaos, run_until_final

console = Console()
LATENCY = 0.1
SETTLED_SECONDS = 60.0


class Memory:
    """Resident memory of every worker, looked at every few seconds."""

    def __init__(self, hurt: Chaos, seconds: float = 5.0) -> None:
        self._hurt = hurt
        self._seconds = seconds
        self._next = 0.0
        self.seen: dict[str, list[tuple[float, int]]] = {}

    def __call__(self, now: float) -> None:
        """Look, if it is time."""
        if now < self._next:
            return
        self._next = now + self._seconds
        for number, worker in enumerate(self._hurt.workers):
            found = self.seen.setdefault(f"{worker.side} {number}", [])
            found.append((now, worker.resident()))

    def table(self) -> Table:
        """Return what was seen: megabytes when settled, at most and at the end."""
        table = Table(title="Resident memory, MB")
        for column in ("worker", "after 1 min", "half-way", "highest", "at the end"):
            table.add_column(column, justify="right")
        for name, seen in self.seen.items():
            settled = [size for at, size in seen if at >= SETTLED_SECONDS and size] or [0]
            figures = (settled[0], settled[len(settled) // 2], max(settled), settled[-1])
            table.add_row(name, *(f"{size / 2**20:.1f}" for size in figures))
        return table


@click.command()
@click.argument("kind", type=click.Choice(["chaos", "soak"]))
@click.option("--minutes", type=float, default=10.0, show_default=True)
@click.option("--seed", type=int, default=None, help="By default a new one, which is printed.")
@click.option("--workers", type=int, default=2, show_default=True, help="Of each side.")
def main(kind: str, minutes: float, seed: int | None, workers: int) -> None:
    """Run chaos or a soak for about so many minutes."""
    seed = seed if seed is not None else random.SystemRandom().randrange(10**6)
    console.print(f"{kind}, seed {seed}, about {minutes:g} minutes")
    batches = int(minutes * 60 / LATENCY * workers)
    store = tempfile.mkdtemp(prefix="millrace-chaos-")
    with NativeKafka(cache_folder(os.environ)) as broker:
        plan = make_plan(chaos_run(f"{kind}-{seed}", store))
        client = connect(broker.url)
        written = write(client, plan.run, batches, seed)
        client.close()
        faults = _faults(seed, minutes) if kind == "chaos" else ()
        with chaos(broker, plan, seed) as hurt:
            hurt.hire("aggregates", workers)
            hurt.hire("activations", workers, LATENCY)
            memory = Memory(hurt)
            patience = minutes * 60 * 4 + 600
            manifest = run_until_final(hurt, faults, (2.0, 8.0), patience, memory)
            console.print(f"final snapshot: content {manifest.content}, {written}")
            console.print(f"faults {dict(hurt.faults)}, starts {[w.starts for w in hurt.workers]}")
            console.print(memory.table())
            _print_lag(broker, plan)
        client = connect(broker.url)
        assert_exact(client, plan, manifest, written)
        client.close()
    console.print("exact: the oracle has the same content")


def _faults(seed: int, minutes: float) -> tuple[str, ...]:
    chance = random.Random(seed)
    return tuple(chance.choice(EVERY_FAULT) for _ in range(int(minutes * 60 / 8)))


def _print_lag(broker: NativeKafka, plan: Plan) -> None:
    client = connect(broker.url)
    run = plan.run
    for group, topic in (
        (topics.activations_app(run.name), topics.tokens(run.corpus, 1).name),
        (topics.aggregates_app(run.name), topics.partials(run.name, 1, 0).name),
    ):
        done, total = lag(client, group, topic)
        console.print(f"{group}: {done:,} of {total:,} records acknowledged")
    client.close()


if __name__ == "__main__":
    os.chdir(Path(__file__).parents[2])
    sys.exit(main())
