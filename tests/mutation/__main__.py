"""``make mutate``: a seeded sample of one-line mutants, and those that no fast test notices.

Ends with status 1 if one survives that is not among ``equivalent.toml``, the mutants that were
judged to change nothing.
"""

import argparse
import multiprocessing
import os
import queue
import random
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console

from millrace.local_kafka import NativeKafka, cache_folder
from streams.errors import BrokerError
from tests.mutation.fast_tests import CHECKOUT, PACKAGES, Suite, suites
from tests.mutation.mutants import Mutant, mutants
from tests.mutation.trying import Outcome, Tree, Trial, copied

EQUIVALENT = Path(__file__).with_name("equivalent.toml")
# Sessions are forked from a process that holds these: importing them takes longer than most tests.
# None of them has a plugin of pytest, which pytest imports itself.
LIBRARIES = (
    "torch", "numba", "scipy.sparse", "kafka", "faust", "aiokafka", "aiohttp", "pydantic", "duckdb",
    "pyarrow.parquet", "pyarrow.dataset", "pyarrow.compute", "cryptography.x509", "fsspec",
    "prometheus_client", "tokenizers",
)  # fmt: skip
console = Console(highlight=False, soft_wrap=True)


def main(arguments: Sequence[str]) -> int:
    """Try a sample and print what became of it; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--number", type=int, default=60, help="How many mutants to try.")
    parser.add_argument("--seed", type=int, default=0, help="Which sample.")
    parser.add_argument("--parallel", type=int, default=2, help="How many at a time.")
    parser.add_argument("--list", action="store_true", help="Print the sample and try nothing.")
    parser.add_argument("paths", nargs="*", default=PACKAGES, help="Packages or modules.")
    given = parser.parse_args(arguments)
    known = sorted(all_mutants(given.paths), key=lambda one: (one.file, one.number, one.after))
    chosen = random.Random(given.seed).sample(known, min(given.number, len(known)))
    console.print(f"{len(chosen)} of {len(known)} mutants, seed {given.seed}", markup=False)
    if given.list:
        for mutant in chosen:
            console.print(str(mutant), markup=False)
        return 0
    multiprocessing.set_forkserver_preload(list(LIBRARIES))
    with shared_broker(any(needs_broker(one) for one in chosen)) as environment:
        if environment is None:
            console.print("no Kafka here: what only tests on one would notice survives")
        trials = try_all(chosen, max(1, given.parallel), environment)
    return report(trials)


def all_mutants(paths: Sequence[str]) -> Iterator[Mutant]:
    """Yield every mutant of packages or modules of the checkout."""
    for path in paths:
        found = CHECKOUT / path
        for module in [found] if found.is_file() else sorted(found.rglob("*.py")):
            file = module.relative_to(CHECKOUT).as_posix()
            yield from mutants(file, module.read_text(encoding="utf-8"))


def needs_broker(mutant: Mutant) -> bool:
    """Return whether some of the tests of a mutant need a Kafka."""
    return any(suite.broker for suite in suites(mutant.file))


@contextmanager
def shared_broker(wanted: bool) -> Iterator[Mapping[str, str] | None]:
    """Yield the variable that names a broker for the tests; None if it is wanted and cannot be."""
    name = "KAFKA_BOOTSTRAP_SERVERS"
    if not wanted or name in os.environ:
        yield {}
        return
    with ExitStack() as stack:
        try:
            own = stack.enter_context(NativeKafka(cache_folder(os.environ), heap_megabytes=384))
        except BrokerError as error:
            console.print(f"no Kafka: {error}", markup=False)
            yield None
            return
        yield {name: own.url.removeprefix("kafka://")}


def try_all(
    chosen: Sequence[Mutant], parallel: int, environment: Mapping[str, str] | None
) -> list[Trial]:
    """Try mutants in copies of the checkout, a few at a time; print each outcome as it comes.

    environment: more variables for the tests; None without a Kafka.
    """
    with tempfile.TemporaryDirectory(prefix="millrace-mutants-") as folder:
        trees: queue.SimpleQueue[Tree] = queue.SimpleQueue()
        for number in range(parallel):
            trees.put(copied(CHECKOUT, Path(folder) / str(number), environment or {}))

        usual: dict[Suite, float] = {}

        def attempt(mutant: Mutant) -> Trial:
            seconds = 0.0
            outcome: Outcome = "survived"
            with taken(trees) as tree:
                for suite in suites(mutant.file):
                    if suite.broker and environment is None:
                        continue
                    if suite not in usual:
                        usual[suite] = tree.baseline(suite)
                        console.print(f"{usual[suite]:6.1f} s  {' '.join(suite.paths)}")
                    trial = tree.attempt(mutant, suite, usual[suite])
                    seconds, outcome = seconds + trial.seconds, trial.outcome
                    if outcome != "survived":
                        break
            console.print(f"{outcome:8}  {seconds:6.1f} s  {mutant}", markup=False)
            return Trial(mutant, outcome, seconds)

        with ThreadPoolExecutor(parallel) as threads:
            return list(threads.map(attempt, chosen))


@contextmanager
def taken(trees: "queue.SimpleQueue[Tree]") -> Iterator[Tree]:
    """Yield a tree that nobody else uses meanwhile."""
    tree = trees.get()
    try:
        yield tree
    finally:
        trees.put(tree)


def report(trials: Sequence[Trial]) -> int:
    """Print the survivors and the sums; return 1 if one of them was not judged."""
    judged = equivalents()
    survivors = [trial.mutant for trial in trials if trial.outcome == "survived"]
    unjudged = [one for one in survivors if (one.file, one.before, one.after) not in judged]
    for title, ones in (
        ("judged to change nothing", [one for one in survivors if one not in unjudged]),
        ("SURVIVED", unjudged),
    ):
        for one in ones:
            console.print(f"{title}: {one}", markup=False)
            if reason := judged.get((one.file, one.before, one.after)):
                console.print(f"    {reason}", markup=False)
    caught, real = len(trials) - len(survivors), len(trials) - len(survivors) + len(unjudged)
    slow = sum(trial.outcome == "too slow" for trial in trials)
    console.print(
        f"{caught} of {len(trials)} mutants caught, {slow} of them by a time-out; without those "
        f"judged to change nothing {caught} of {real}, {caught / max(1, real):.1%}",
        markup=False,
    )
    return 1 if unjudged else 0


def equivalents() -> dict[tuple[str, str, str], str]:
    """Return why mutants change nothing that anybody relies on, by file and line."""
    found = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8")).get("mutant", [])
    return {(one["file"], one["before"], one["after"]): one["why"] for one in found}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
