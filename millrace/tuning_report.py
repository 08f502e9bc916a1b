"""What tuning found, as a table with advice for a person, or as JSON."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from consumers.tuning.tuning import WITHIN, Measured
from millrace.tuning import Tuned

if TYPE_CHECKING:
    from consumers.tuning.tuning_run import Advice

MEBIBYTE = 2**20


def advice_json(found: Tuned) -> str:
    """Return everything as one JSON object; bytes and tokens per second are numbers."""
    dtypes = [
        asdict(one)
        | {"best": one.best.micro_batch if one.best else None}
        | {"measured": [asdict(size) | {"rate": size.rate} for size in one.measured]}
        for one in found.advice
    ]
    return json.dumps(asdict(found) | {"within": WITHIN, "advice": dtypes}, indent=2)


def print_advice(found: Tuned) -> None:
    """Print the table and what to take from it."""
    first = found.advice[0]
    click.echo(
        f"{found.model} on {first.device}, {first.threads} threads; batches of {found.rows} rows "
        f"of {found.context} tokens ({found.sample})"
    )
    table = Table(title="Micro-batches", title_justify="left")
    for name in ("dtype", "rows", "tokens/s", "spread", "peak MiB", ""):
        table.add_column(name, justify="left" if name in ("dtype", "") else "right")
    for one in found.advice:
        for size in one.measured:
            table.add_row(one.dtype, str(size.micro_batch), *_cells(size, one.best))
    Console().print(table)
    for one in found.advice:
        click.echo(_line(one, first))
    if len(found.advice) > 1:
        click.echo("another dtype changes results: millrace diff compares two runs that differ")
    click.echo(f"best: the smallest micro-batch within {WITHIN:.0%} of the fastest")


def _cells(size: Measured, best: Measured | None) -> tuple[str, str, str, str]:
    peak = "" if size.peak is None else f"{size.peak / MEBIBYTE:,.0f}"
    if not size.rates:
        return "", "", peak, "does not fit"
    spread = f"{min(size.rates):,.0f}-{max(size.rates):,.0f}"
    return f"{size.rate:,.0f}", spread, peak, "best" if size == best else ""


def _line(one: "Advice", first: "Advice") -> str:
    if one.best is None:
        return f"{one.dtype}: not usable: {one.refused or 'not one row fits the memory'}"
    gain = ""
    if first.best and one is not first:
        gain = f", {one.best.rate / first.best.rate:.2f} x {first.dtype}"
    return f"{one.dtype}: micro_batch = {one.best.micro_batch}, {one.best.rate:,.0f} tokens/s{gain}"
