"""An answer as tables: features of all texts, of each, at each token, and values asked for."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from streams.asking.answer import ActiveFeature, Answer

Row = dict[str, Any]

_FEATURE = [
    pa.field("source", pa.string()),
    pa.field("index", pa.int32()),
    pa.field("total", pa.float64()),
    pa.field("maximum", pa.float32()),
    pa.field("tokens", pa.int64()),
    pa.field("last", pa.float64()),
    pa.field("peak_text", pa.int32()),
    pa.field("peak_token", pa.int32()),
]
_PLACE = [
    pa.field("text", pa.int32()),
    pa.field("token", pa.int32()),
    pa.field("id", pa.int32()),
    pa.field("shown", pa.string()),
]
_OF_TOKEN = [pa.field("source", pa.string()), pa.field("index", pa.int32())]
SCHEMAS: Mapping[str, pa.Schema] = {
    "totals": pa.schema([pa.field("rank", pa.int32()), *_FEATURE]),
    "features": pa.schema([pa.field("text", pa.int32()), pa.field("rank", pa.int32()), *_FEATURE]),
    "tokens": pa.schema([*_PLACE, *_OF_TOKEN, pa.field("activation", pa.float32())]),
    "values": pa.schema([*_PLACE, *_OF_TOKEN, pa.field("value", pa.float32())]),
}


def answer_table(answer: Answer, name: str) -> pa.Table:
    """Return one of the tables of an answer; texts and tokens count from 0.

    A rank counts within its text and source, from 1 on. ``values`` has a row for each feature that
    was asked for and each token, null where that does not count.
    """
    rows: Mapping[str, Callable[[Answer], Iterator[Row]]] = {
        "totals": _totals,
        "features": _features,
        "tokens": _tokens,
        "values": _values,
    }
    return pa.Table.from_pylist(list(rows[name](answer)), schema=SCHEMAS[name])


def _totals(answer: Answer) -> Iterator[Row]:
    yield from _ranked(answer.totals)


def _features(answer: Answer) -> Iterator[Row]:
    for number, text in enumerate(answer.texts):
        for row in _ranked(text.features):
            yield {"text": number, **row}


def _tokens(answer: Answer) -> Iterator[Row]:
    for place, number, at in _places(answer):
        for one in answer.texts[number].at_tokens[at]:
            yield {
                **place,
                "source": one.source,
                "index": one.index,
                "activation": one.activation,
            }


def _values(answer: Answer) -> Iterator[Row]:
    for place, number, at in _places(answer):
        for one in answer.texts[number].values:
            yield {**place, "source": one.source, "index": one.index, "value": one.values[at]}


def _places(answer: Answer) -> Iterator[tuple[Row, int, int]]:
    """Yield what is said of each token, and its text and number."""
    for number, text in enumerate(answer.texts):
        for at, (token, shown) in enumerate(zip(text.ids, text.tokens, strict=True)):
            yield {"text": number, "token": at, "id": token, "shown": shown}, number, at


def _ranked(features: tuple[ActiveFeature, ...]) -> Iterator[Row]:
    rank: dict[str, int] = {}
    for one in features:
        rank[one.source] = rank.get(one.source, 0) + 1
        yield {
            "rank": rank[one.source],
            "source": one.source,
            "index": one.index,
            "total": one.total,
            "maximum": one.maximum,
            "tokens": one.tokens,
            "last": one.last,
            "peak_text": one.text,
            "peak_token": one.peak,
        }
