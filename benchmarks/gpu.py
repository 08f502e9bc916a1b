"""``python -m benchmarks.gpu [--device cuda]``: the service on a device against the bare model.

The floor is transformer-lens' forward to the hook and SAELens' encode at their best batch size, by
number type. Measured against it, over the same text: the service on the embedded transport with
selection on the device (and on the host: both must end with the same content), with all numbers
that a run has by default, on Kafka with broker and aggregators in processes of their own, with a
dictionary at every layer, and with a wide one, these two also against their own arithmetic. Then
what the original's storing and extraction cost. What the time does not hold, or this machine lacks,
is left out and named. ``--device cpu --tiny`` takes the same path within seconds, so that it never
rots; nothing is fetched from anywhere.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.bare import Bare
from benchmarks.gpu_kafka import aggregators, broker
from benchmarks.gpu_original import extraction, storing
from benchmarks.gpu_runs import FULL, LITTLE, NUMBERS, Bench, Numbers
from benchmarks.report import RESULTS, markdown_table, write_report
from benchmarks.shapes import FOLDER, build, token_rows
from consumers.models.devices import device_name, pick_device, this_machine
from consumers.models.tf32 import set_tf32


def main(arguments: Sequence[str]) -> int:
    """Measure, print the ratios and write the report; return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu")
    parser.add_argument("--tiny", action="store_true", help="tiny; its report is thrown away")
    parser.add_argument("--out", type=Path, help="folder of the report")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as aside:
        sizes = LITTLE if given.tiny else FULL
        parts = Path(aside) if given.tiny else FOLDER
        bench = Bench(given.device, sizes, build(sizes.shape, parts), Path(aside))
        _measure(bench, parts, given.tiny)
        tables = {"Ratios": bench.ratios}
        with bench.optional("storing"):
            tables["Storing a batch from the device"] = storing(given.device, given.tiny)
        with bench.optional("extraction"):
            name = "Extraction of 100,000 samples of 512 tokens, extrapolated"
            tables[name] = _extraction(bench, given.tiny)
        folder = given.out or (Path(aside) if given.tiny else RESULTS)
        notes = _notes(bench)
        path = write_report("gpu", bench.rows, notes=notes, tables=tables, folder=folder)
        print(path.with_suffix(".md").read_text(), file=sys.stderr)
        print(markdown_table(bench.ratios))
    return 0


def _measure(bench: Bench, parts: Path, tiny: bool) -> None:
    sizes, rates = bench.sizes, dict[str, float]()
    for numbers in NUMBERS:
        if bench.has_time(f"the floor in {numbers.name}", 10):
            bench.floors[numbers.name] = _floor(bench, numbers)
    for numbers in NUMBERS:
        if numbers.name in bench.floors and bench.has_time(f"the service in {numbers.name}", 45):
            rows = min(numbers.rows, sizes.most_rows)
            rates[numbers.name], served = bench.serve("service", numbers, rows)
            floor, without = bench.floors[numbers.name], bench.rows[-1]["tokens/s without the tail"]
            bench.ratio(f"{numbers.name}: service / bare model", without / floor, numbers.goal)
            bench.ratio(f"{numbers.name}: the same with its tail", rates[numbers.name] / floor)
            if numbers is NUMBERS[0]:
                bench.ratio("2 s / tail of the final snapshot", 2 / max(served.tail, 1e-9), 1)
    fast = NUMBERS[0]
    if bench.has_time("selection on the host", 30):
        here, there = (
            bench.serve(f"selection on the {where}", fast, sizes.check_rows, on_device=device)
            for where, device in (("device", True), ("host", False))
        )
        if here[1].manifest.content != there[1].manifest.content:
            raise ValueError("selection on the device and on the host end with different contents")
        bench.ratio("device / host selection, short text", here[0] / there[0], 1)
    if fast.name in bench.floors and bench.has_time("what a run has by default", 45):
        name = "what a run has by default"
        with bench.optional(name):
            bench.serve(name, fast, sizes.many_rows, by_default=True)
            without = bench.rows[-1]["tokens/s without the tail"]
            bench.ratio(f"{name} / bare model", without / bench.floors[fast.name])
    if bench.has_time("a dictionary at every layer", 60):
        hooks = [f"blocks.{layer}.hook_resid_pre" for layer in range(sizes.shape.layers)]
        name = f"{len(hooks)} hooks"
        with bench.optional(name):
            bench.serve(name, fast, sizes.many_rows, hooks=hooks, k=20, arithmetic=True)
    with bench.optional("Kafka"):
        _on_kafka(bench, fast, rates, tiny)
    if bench.has_time("a wide dictionary", 60):
        name = f"{sizes.wide.features:,} features"
        with bench.optional(name):
            wide = build(sizes.wide, parts)
            bench.serve(name, fast, sizes.many_rows, built=wide, arithmetic=True)


def _on_kafka(bench: Bench, numbers: Numbers, rates: dict[str, float], tiny: bool) -> None:
    if tiny:
        bench.left_out.append("Kafka: not in the tiny form")
        return
    if numbers.name not in rates or not bench.has_time("Kafka", 60):
        return
    embedded = next(r for r in bench.rows if (r["what"], r["numbers"]) == ("service", numbers.name))
    with broker(bench.aside / "kafka") as kafka:
        if isinstance(kafka, str):
            bench.left_out.append(f"Kafka: {kafka}")
            return
        rate, _ = bench.serve(
            "on Kafka",
            numbers,
            bench.sizes.kafka_rows,
            url=kafka.url,
            beside=aggregators(kafka),
        )
    without = "tokens/s without the tail"
    bench.ratio("Kafka / embedded", bench.rows[-1][without] / embedded[without], 0.8)
    bench.ratio("Kafka / embedded, with their tails", rate / rates[numbers.name])


def _extraction(bench: Bench, tiny: bool) -> list[dict[str, Any]]:
    served = [(r["numbers"], r["tokens/s"]) for r in bench.rows if r["what"] == "service"]
    return extraction(bench.device, served, tiny)


def _floor(bench: Bench, numbers: Numbers) -> float:
    """Return the most tokens per second of the bare model and dictionary, over batch sizes."""
    dtype = {"bfloat16": torch.bfloat16, "float32": torch.float32}[numbers.dtype]
    bare = Bare(bench.built, bench.device, dtype)
    ids = token_rows(bench.built.shape, bench.sizes.floor_rows, 1)
    set_tf32(numbers.tf32)
    best = 0.0
    for rows in bench.sizes.floor_batches:
        bare.run(ids[:rows], rows)
        seconds = []
        for _ in range(3):
            _settle(bench.device)
            begun = time.perf_counter()
            bare.run(ids, rows)
            _settle(bench.device)
            seconds.append(time.perf_counter() - begun)
        best = max(best, float(ids.size) / statistics.median(seconds))
    set_tf32(False)
    return best


def _notes(bench: Bench) -> list[str]:
    machine, device = this_machine(), pick_device(bench.device)
    name = device.type if device.type == "cpu" else device_name(device, machine)
    floors = ", ".join(f"{name} {rate:,.0f}" for name, rate in bench.floors.items())
    return [
        f"device: {name}",
        f"the bare model at its best batch size, tokens/s: {floors}",
        "tokens/s of the service: from the first record at the engine's door to the final "
        "manifest; the tail is what of that follows the last batch",
        "ratios are without the tail unless they say so; a run's own arithmetic is its forward and "
        "the product of each dictionary, written and forgotten",
        "many hooks have the dictionary of one layer at each, and k is 20 there",
        "two GPUs were not measured: workers share nothing but the broker, so that each of them "
        "adds its own rate as long as the aggregators keep up",
        *(f"left out: {each}" for each in bench.left_out),
    ]


def _settle(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
