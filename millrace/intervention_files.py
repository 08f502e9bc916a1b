"""The answer to an intervention in the form that is asked for: a page, JSON, CSV or Parquet."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from consumers.interventions.record import InterventionRecord, to_plain
from millrace.answer_files import Form, json_bytes, lines_bytes, table_bytes
from streams.asking.effects import Ablated, Effect, Steered

STRENGTHS = pa.schema(
    [
        pa.field("alpha", pa.float64()),
        pa.field("prompt", pa.int32()),
        pa.field("continuation", pa.string()),
        pa.field("concept", pa.float64()),
        pa.field("fluency", pa.float64()),
        pa.field("score", pa.float64()),
    ]
)
EFFECTS = pa.schema(
    [
        pa.field("source", pa.string()),
        pa.field("index", pa.int32()),
        pa.field("kl", pa.float64()),
        pa.field("loss", pa.float64()),
        pa.field("tokens", pa.int64()),
        pa.field("predicted", pa.int64()),
    ]
)


def written(answer: Steered | Ablated, record: InterventionRecord, form: Form) -> bytes:
    """Return an answer as bytes: JSON with all of it, tables with STRENGTHS or EFFECTS."""
    plain = to_plain(record)
    if form == "json":
        whole = {"record": plain, "answer": asdict(answer)}
        return json_bytes(whole)
    steered = isinstance(answer, Steered)
    if form == "table":
        lines = _steered_page(answer) if isinstance(answer, Steered) else _ablated_page(answer)
        return lines_bytes(lines)
    rows = list(_strengths(answer) if isinstance(answer, Steered) else _effects(answer))
    found = pa.Table.from_pylist(rows, schema=STRENGTHS if steered else EFFECTS)
    return table_bytes(found, json.dumps(plain).encode(), form)


def _strengths(answer: Steered) -> Iterator[dict[str, Any]]:
    for one in answer.strengths:
        for number, text in enumerate(one.texts):
            yield asdict(one) | {"prompt": number, "continuation": text}


def _effects(answer: Ablated) -> Iterator[dict[str, Any]]:
    for one in answer.effects:
        yield asdict(one)


def _steered_page(answer: Steered) -> Iterator[str]:
    """Yield the lines that show continuations side by side."""
    yield f"{answer.feature}, strengths of {answer.scale:.4g} times alpha"
    yield f"{'alpha':>8} {'concept':>8} {'fluency':>8} {'score':>8}"
    for one in answer.strengths:
        mark = "  best" if one.alpha == answer.best else ""
        scores = f"{one.concept:>8.3f} {one.fluency:>8.3f} {one.score:>8.3f}"
        yield f"{one.alpha:>8.4g} {scores}{mark}"
    for number in range(len(answer.strengths[0].texts)):
        yield f"prompt {number + 1}"
        for one in answer.strengths:
            yield f"{one.alpha:>8.4g}  {one.texts[number]!r}"
    for one, effect in zip(answer.strengths[1:], answer.effects, strict=True):
        yield f"alpha {one.alpha:.4g}: KL {effect.kl:.4g}, next {_shifts(effect)}"


def _ablated_page(answer: Ablated) -> Iterator[str]:
    """Yield the lines that show the effect of each feature."""
    tokens = answer.effects[0].tokens if answer.effects else 0
    yield f"activation replaced by {answer.by}, over {tokens:,} tokens"
    yield f"{'feature':<18} {'KL':>10} {'loss':>10}  next token"
    for one in answer.effects:
        name = f"{one.source}:{one.index}"
        yield f"{name:<18} {one.kl:>10.4g} {one.loss:>+10.4g}  {_shifts(one)}"


def _shifts(effect: Effect) -> str:
    half = len(effect.shifts) // 2
    shown = (*effect.shifts[:3], *effect.shifts[half : half + 3])
    return ", ".join(f"{one.token!r} {one.probability:+.3f}" for one in shown)
