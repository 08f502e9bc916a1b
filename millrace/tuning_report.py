"""What tuning found, as a table with advice for a person, or as JSON."""

import json
from collections.abc import Iterator
from statistics import quantiles
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from consumers.tuning.tuning import WITHIN, Measured
from millrace.tuning import Tuned

if TYPE_CHECKING:
    from consumers.tuning.tuning_run import Advice

MEBIBYTE = 2**20
# Figures of one size that lie further apart than this share of their median are no measurement.
UNSTEADY = 0.25


def advice_json(found: Tuned) -> str:
    """Return everything as one JSON object; bytes and tokens per second are numbers."""
    rows = [
        {
            "dtype": one.dtype,
            "micro_batch": size.micro_batch,
            "fits": size.fits,
            "tokens_per_second": size.rate,
            "rates": size.rates,
            "peak_bytes": size.peak,
            "to_micro_batch_1": _ratio(size, one),
            "best": size == one.best,
        }
        for one in found.advice
        for size in one.measured
    ]
    dtypes = {
        one.dtype: {
            "device": one.device,
            "threads": one.threads,
            "micro_batch": one.best.micro_batch if one.best else None,
            "to_first_dtype": _gain(one, found.advice[0]),
            "refused": one.refused or None,
        }
        for one in found.advice
    }
    about = {
        "model": found.model,
        "sample": found.sample,
        "batch_rows": found.rows,
        "context": found.context,
        "within": WITHIN,
    }
    return json.dumps(about | {"dtypes": dtypes, "rows": rows}, indent=2)


def print_advice(found: Tuned) -> None:
    """Print the table and what to take from it."""
    first = found.advice[0]
    click.echo(
        f"{found.model} on {first.device}, {first.threads} threads; batches of {found.rows} rows "
        f"of {found.context} tokens ({found.sample})"
    )
    Console().print(_table(found))
    for one in found.advice:
        for line in _lines(one, first):
            click.echo(line)
    if any(_unsteady(size) for one in found.advice for size in one.measured):
        click.echo("the figures vary: other programs were busy; measure again when it is quiet")
    click.echo(f"best: the smallest micro-batch within {WITHIN:.0%} of the fastest")


def _table(found: Tuned) -> Table:
    table = Table(title="Micro-batches", title_justify="left")
    for name in ("dtype", "rows", "tokens/s", "spread", "peak MiB", "ratio to 1", ""):
        table.add_column(name, justify="left" if name in ("dtype", "") else "right")
    for one in found.advice:
        for size in one.measured:
            table.add_row(one.dtype, str(size.micro_batch), *_cells(size, one))
    return table


def _cells(size: Measured, one: "Advice") -> tuple[str, ...]:
    peak = "" if size.peak is None else f"{size.peak / MEBIBYTE:,.0f}"
    ratio = _ratio(size, one)
    if not size.rates:
        return "", "", peak, "", "does not fit"
    spread = f"{min(size.rates):,.0f}-{max(size.rates):,.0f}"
    mark = "best" if size == one.best else ""
    return f"{size.rate:,.0f}", spread, peak, f"{ratio:.2f}" if ratio else "", mark


def _lines(one: "Advice", first: "Advice") -> Iterator[str]:
    if one.best is None:
        yield f"{one.dtype}: not usable: {one.refused or 'not one row fits the memory'}"
        return
    gain = _gain(one, first)
    faster = f", {gain:.2f} x {first.dtype}" if gain and one is not first else ""
    rate = f"{one.best.rate:,.0f} tokens/s"
    yield f"{one.dtype}: micro_batch = {one.best.micro_batch}, {rate}{faster}"
    if one is not first:
        yield f"{one.dtype} changes results: millrace diff compares two runs that differ in it"


def _unsteady(size: Measured) -> bool:
    """Return whether the middle half of a size's figures is too wide; few figures say nothing."""
    if len(size.rates) < 3:
        return False
    low, _, high = quantiles(size.rates, n=4, method="inclusive")
    return high - low > UNSTEADY * size.rate


def _ratio(size: Measured, one: "Advice") -> float | None:
    alone = one.measured[0].rate if one.measured else 0.0
    return size.rate / alone if size.rates and alone else None


def _gain(one: "Advice", first: "Advice") -> float | None:
    if one.best is None or first.best is None:
        return None
    return one.best.rate / first.best.rate
