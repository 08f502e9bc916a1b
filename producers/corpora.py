"""Deleting corpora; ``streams.catalog.corpora`` lists and shows them."""

from streams import topics
from streams.catalog.corpora import corpus_key, get_corpus, vocabulary_key
from streams.errors import BrokerError
from streams.transport.client import Client


def delete_corpus(client: Client, name: str) -> None:
    """Delete a corpus: first its record and vocabulary, then its topic.

    A deletion that broke off in between is finished by deleting again. Raises CorpusError if
    nothing of that name is there.
    """
    topic = topics.tokens(name, 1).name
    if topic not in client.topics():
        get_corpus(client, name)
    if topics.CORPORA.name in client.topics():
        with client.sender() as sender:
            for key in (corpus_key(name), vocabulary_key(name)):
                _expect(sender.send(topics.CORPORA.name, 0, None, key=key).exception(), name)
            sender.flush()
    client.delete_topics([topic])


def _expect(error: BaseException | None, name: str) -> None:
    if error is not None:
        raise BrokerError(f"cannot delete corpus {name}: {error}") from error
