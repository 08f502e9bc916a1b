"""An answer for people: the strongest features of each text, and those at each token, as lines."""

from collections.abc import Iterator

from streams.asking.answer import ActiveFeature, Answer, TextAnswer

_WIDTH = 18
_MANY = 8


def page(answer: Answer) -> Iterator[str]:
    """Yield the lines of an answer; with several texts, what is most active over all comes first.

    Tokens are listed for up to eight texts.
    """
    if len(answer.texts) > 1:
        yield f"over all {len(answer.texts):,} texts, by {answer.by}"
        yield from _features(answer, answer.totals)
    for number, text in enumerate(answer.texts):
        tokens = f"{sum(text.counted):,} of {len(text.ids):,} tokens count"
        rows = f", in {len(text.rows)} rows" if len(text.rows) > 1 else ""
        yield ""
        yield f"text {number + 1}: {_short(text.text, 60)} ({tokens}{rows}), by {answer.by}"
        yield from _features(answer, text.features)
        if len(answer.texts) <= _MANY:
            yield from _tokens(text)


def _features(answer: Answer, features: tuple[ActiveFeature, ...]) -> Iterator[str]:
    for source in answer.sources:
        own = [one for one in features if one.source == source.name]
        yield f"  {source.name} at {source.hook}{'' if own else ': nothing is active'}"
        if own:
            yield (
                f"    {'feature':<{_WIDTH}} {'total':>10} {'maximum':>10} {'tokens':>7} "
                f"{'last':>10}  peak at"
            )
        for one in own:
            peak = answer.texts[one.text].tokens[one.peak]
            where = f"text {one.text + 1}, " if len(answer.texts) > 1 else ""
            yield (
                f"    {one.label:<{_WIDTH}} {one.total:>10.4g} {one.maximum:>10.4g} "
                f"{one.tokens:>7,} {one.last:>10.4g}  {where}{one.peak} {_short(peak, 20)}"
            )


def _tokens(text: TextAnswer) -> Iterator[str]:
    for at, shown in enumerate(text.tokens):
        found = "  ".join(
            f"{one.source}:{one.index} {one.activation:.4g}" for one in text.at_tokens[at]
        )
        values = "  ".join(
            f"[{one.source}:{one.index} {value:.4g}]"
            for one in text.values
            if (value := one.values[at]) is not None
        )
        said = "(does not count)" if not text.counted[at] else f"{values}  {found}".strip()
        yield f"    {at:>5} {_short(shown, 20):<22} {said}".rstrip()


def _short(text: str, most: int) -> str:
    shown = repr(text)
    return shown if len(shown) <= most else f"{shown[: most - 4]}...{shown[-1]}"
