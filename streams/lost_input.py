"""Input that is needed and was deleted: what to say, which is the same wherever it is noticed."""

from streams.errors import CorpusError, LostInputError
from streams.topics import PARTIALS, TOKENS, tokens
from streams.transport.client import Client


def deleted(topic: str, partition: int, what: str, start: int) -> LostInputError:
    """Return the error about records that are needed and that a log no longer holds.

    what: the first of them. start: where the log begins now. Nothing brings them back, so whoever
    needs them ends, and so does the run.
    """
    return LostInputError(
        f"{topic}, partition {partition}: {what} is needed, but the log begins at offset "
        f"{start}, what came before was deleted: {_advice(topic)}",
        for_good=True,
    )


def expect_whole(client: Client, corpus: str) -> None:
    """Raise CorpusError if records of a corpus were deleted: no run over it could end."""
    topic = tokens(corpus, 1).name
    for partition, start in client.starts(topic).items():
        if start > 0:
            raise CorpusError(
                f"{topic}, partition {partition}: the log begins at offset {start}, what came "
                f"before was deleted: {_advice(topic)}"
            )


def corpus_advice(corpus: str) -> str:
    """Return what to do about a corpus of which something was deleted."""
    return f"delete corpus {corpus}, produce it again, and start a new run over it"


def _advice(topic: str) -> str:
    _, is_corpus, corpus = topic.partition(TOKENS)
    if is_corpus:
        return corpus_advice(corpus)
    _, is_run, run = topic.partition(PARTIALS)
    return f"delete run {run} and create it anew" if is_run else "start a new run"
