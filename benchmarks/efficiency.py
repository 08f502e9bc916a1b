"""Pipeline efficiency: the bare model on some text, against the whole service on the same text.

``python -m benchmarks.efficiency``; ``--quick`` for a tiny shape without Kafka.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from rich.console import Console
from rich.progress import Progress

from benchmarks.bare import Bare
from benchmarks.candidates import EMBEDDED, EVERY
from benchmarks.efficiency_point import SEED, Brokers, measure
from benchmarks.efficiency_report import Report
from benchmarks.floors import floors
from benchmarks.machine import cores
from benchmarks.report import RESULTS
from benchmarks.shapes import FOLDER, GPT2, SMALL, Built, Shape, build, token_rows
from benchmarks.timing import Spread
from streams.errors import BrokerError

TINY = Shape("tiny", 2, 64, 4, 512, 1, 512)
SHAPES = {shape.name: shape for shape in (SMALL, GPT2)}


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure. rows: of 128 tokens. rounds and floor_rows: of each shape."""

    shapes: Sequence[Shape] = (SMALL, GPT2)
    rows: Sequence[int] = (512, 2048)
    rounds: int | None = None
    kafka: bool = True
    l0: float = 56.5

    def rounds_of(self, shape: Shape) -> int:
        """Return how many rounds a shape gets: fewer where one takes a quarter of an hour."""
        if shape.width < GPT2.width:
            return self.rounds or 3
        return self.rounds or 1

    def floor_rows(self, shape: Shape) -> int:
        """Return how many rows the floors are compared on."""
        return min(64 if shape.width >= GPT2.width else 256, *self.rows)


QUICK = Options((TINY,), (256,), 2, kafka=False, l0=20.0)


def main(options: Options = Options(), folder: Path = RESULTS, parts: Path = FOLDER) -> None:
    """Measure, print the report and write it to ``folder``; models are kept in ``parts``.

    The report is written anew after each shape and number of rows.
    """
    torch.set_num_threads(cores())
    candidates = EVERY if options.kafka and _kafka_runs_here() else EMBEDDED
    report = Report()
    parts.mkdir(parents=True, exist_ok=True)
    with (
        TemporaryDirectory(prefix="run-", dir=parts) as place,
        Progress(console=Console(stderr=True)) as bars,
    ):
        rounds = len(options.rows) * sum(map(options.rounds_of, options.shapes))
        bar = bars.add_task("efficiency", total=2 * len(candidates) * rounds)
        for shape in options.shapes:
            built = build(shape, parts, l0=options.l0)
            report.add_floors(shape, _floors(built, options))
            for rows in options.rows:
                point = measure(
                    built,
                    rows,
                    options.rounds_of(shape),
                    candidates,
                    _brokers(Path(place)),
                    Path(place) / "store",
                    bars.console.print,
                    lambda: bars.advance(bar),
                )
                report.add(point)
                written = report.write(folder)
    print(written.with_suffix(".md").read_text())


def _floors(built: Built, options: Options) -> dict[str, Spread]:
    ids = token_rows(built.shape, options.floor_rows(built.shape), SEED)
    return floors(built, Bare(built), ids, rounds=3)


def _kafka_runs_here() -> bool:
    """Return whether Kafka can be started, and say why not: the rest is measured all the same."""
    from millrace.local_kafka import cache_folder, jars, java

    try:
        java()
        jars(cache_folder(os.environ))
    except BrokerError as error:
        print(f"measured without Kafka: {error}", file=sys.stderr)
        return False
    return True


def _brokers(place: Path) -> Brokers:
    return {
        False: lambda: nullcontext("memory://efficiency"),
        True: lambda: _kafka(place / "kafka"),
    }


@contextmanager
def _kafka(data: Path) -> Iterator[str]:
    """Serve Apache Kafka, as ``millrace broker`` does, from a folder that it finds again."""
    from millrace.local_kafka import SERVING_HEAP_MEGABYTES, NativeKafka, cache_folder

    cache = cache_folder(os.environ)
    with NativeKafka(cache, data, heap_megabytes=SERVING_HEAP_MEGABYTES) as broker:
        yield broker.url


def _options(arguments: argparse.Namespace) -> Options:
    return Options(
        [SHAPES[name] for name in arguments.shapes],
        arguments.rows,
        arguments.rounds,
        arguments.kafka,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.efficiency", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tiny shape, its report thrown away")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--rows", nargs="+", type=int, default=[512, 2048])
    parser.add_argument("--rounds", type=int, help="by default 3 small, 1 gpt2")
    parser.add_argument("--kafka", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--folder", type=Path, default=RESULTS, help="for the report")
    return parser


if __name__ == "__main__":
    given = _parser().parse_args()
    if given.quick:
        with TemporaryDirectory() as temporary:
            main(QUICK, Path(temporary))
    else:
        main(_options(given), given.folder)
