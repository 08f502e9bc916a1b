"""What a check found, as one page for a person, a few lines, or JSON."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from streams.records.corpus import CorpusRecord
from streams.records.runs import RunRecord

if TYPE_CHECKING:
    from consumers.runs.checking import Checked, SourceChecked
    from consumers.runs.number_costs import NumberCost

_MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True)
class Report:
    """A run that was checked. sample: what was read, "text" or "random token ids".

    bos: the text of the token before every row, "" for none.
    """

    run: RunRecord
    corpus: CorpusRecord
    bos: str
    sample: str
    device: str
    found: "Checked"


def page(report: Report) -> Iterator[str]:
    """Yield the lines of the page."""
    run, corpus, found = report.run, report.corpus, report.found
    begins = (
        f"every row begins with {report.bos!r} (id {corpus.bos_id})" if report.bos else "no BOS"
    )
    yield f"tokenizer  {corpus.tokenizer}: {corpus.vocabulary:,} ids, {begins}"
    packing = "documents packed" if corpus.pack else "one document a row, padded"
    total = f"{corpus.rows:,} rows, {corpus.tokens:,} tokens" if corpus.sealed else "not made yet"
    yield f"corpus     {corpus.name}: rows of {corpus.context} tokens, {packing}; {total}"
    yield f"model      {run.model.location}: {run.model.dtype} on {report.device}"
    yield f"forward    {forward(report)}"
    for source in found.sources:
        yield f"source     {_source(source)}"
    yield (
        f"micro-batch {run.model.micro_batch}: off micro-batch 1 by {found.micro_batch_gap:.1e} of "
        "the largest activation"
    )
    yield f"measured   on {found.rows} rows, {found.tokens:,} tokens ({report.sample})"
    yield f"memory     {found.memory / _MEBIBYTE:,.0f} MiB; k = {run.k}, {run.shards} shards"
    yield (
        f"state      about {found.state / _MEBIBYTE:,.0f} MiB, of all aggregators together when "
        "their tables are full"
    )
    yield from (f"of it      {_cost(each)}" for each in found.costs)
    yield f"time       {found.rate:,.0f} tokens/s on these rows{_foreseen(report)}"
    yield from (f"warning    {line}" for line in run.warnings)
    if not run.warnings:
        yield "no warnings"


def short(report: Report) -> Iterator[str]:
    """Yield the few lines that matter when a run is created; its warnings are in the log."""
    yield f"forward: {forward(report)}"
    yield from (_source(source) for source in report.found.sources)
    yield f"{report.found.rate:,.0f} tokens/s on {report.found.rows} rows{_foreseen(report)}"
    yield from (f"costs {_cost(each)}" for each in report.found.costs)


def as_json(report: Report) -> str:
    """Return everything as one JSON object."""
    run, corpus = report.run, report.corpus
    about = {
        "model": run.model.location,
        "dtype": run.model.dtype,
        "device": report.device,
        "forward": run.model.forward,
        "reason": run.model.reason,
        "micro_batch": run.model.micro_batch,
        "tokenizer": corpus.tokenizer,
        "vocabulary": corpus.vocabulary,
        "bos_id": corpus.bos_id,
        "context": corpus.context,
        "corpus_tokens": corpus.tokens if corpus.sealed else None,
        "sample": report.sample,
        "warnings": list(run.warnings),
    }
    return json.dumps(about | asdict(report.found), indent=2)


def forward(report: Report) -> str:
    """Return whose code computes the model, and how far it is from the published code."""
    gap, name = report.found.forward_gap, report.run.model.forward
    if gap is None:
        return f"{name}, not compared with the published code"
    return f"{name}, off the published code by {gap[0]:.1e} at {gap[1]}"


def _cost(cost: "NumberCost") -> str:
    bus = "" if cost.bus is None else f", on the bus about {cost.bus:,.3g} bytes a token"
    return f"{cost.name}: at most {cost.state / _MEBIBYTE:,.1f} MiB{bus}"


def _source(one: "SourceChecked") -> str:
    parts = [f"{one.name}: {one.components:,} components at {one.hook} ({one.width} wide)"]
    if one.writes:
        parts.append(f"for {one.writes}")
    if one.kind == "dictionary":
        parts.append(f"off sae.encode by {one.encode_gap:.1e}")
    said = "" if one.published is None else f" (published with {one.published:,.1f})"
    parts.append(f"L0 {one.per_token:,.1f}{said}")
    if one.explained is not None:
        of = f" of {one.writes}" if one.writes else ""
        parts.append(
            f"{one.explained:.1%} of the variance{of} explained"
            if one.explained >= 0
            else f"none of the variance{of} explained (the mean would be nearer than what it "
            "rebuilds)"
        )
    if one.dataset:
        parts.append(f"trained on {one.dataset}")
    return ", ".join(parts)


def _foreseen(report: Report) -> str:
    if not report.corpus.sealed:
        return ""
    seconds = report.corpus.tokens / report.found.rate
    return f": about {seconds / 60:,.1f} minutes for the corpus with one such worker"
