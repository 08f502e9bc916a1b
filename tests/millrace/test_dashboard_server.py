"""What the dashboard is told of runs on a broker."""

from contextlib import closing

from millrace.dashboard_server import LetterCounts
from streams import topics
from streams.deadletters import Origin, Refusal, headers
from streams.transport.client import Client, TopicSpec
from streams.transport.connect import connect
from streams.transport.memory.broker import forget

BROKER = "letter-counts"


def refuse(client: Client, run: str, offset: int) -> None:
    origin = Origin("tokens.text", 0, offset, 0)
    refusal = Refusal(origin, "RecordError", "junk", "activations", f"app-{run}", run, "ab")
    with client.sender() as sender:
        sender.send(topics.DEAD_LETTERS.name, 0, b"junk", headers=headers(refusal))


def test_refused_records_are_counted_once_and_as_they_come() -> None:
    with closing(connect(f"memory://{BROKER}")) as client:
        counts = LetterCounts(client)
        assert counts.now() == {}
        client.create_topics([TopicSpec(topics.DEAD_LETTERS.name, 1)])
        for run, offset in (("a", 1), ("a", 1), ("a", 2), ("b", 1)):
            refuse(client, run, offset)
        assert counts.now() == {"a": 2, "b": 1}
        refuse(client, "b", 2)
        refuse(client, "a", 2)  # the same one, refused by another worker
        assert counts.now() == {"a": 2, "b": 2}
    forget(BROKER)
