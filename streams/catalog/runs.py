"""Catalogue of runs: created once, never changed, deleted as a whole."""

from streams import topics
from streams.catalog.corpora import read_compacted, read_latest
from streams.errors import RecordError, RunError, UnreadableRunError
from streams.records.run_identity import differences
from streams.records.runs import RunRecord
from streams.transport.client import Client
from streams.wire import codec


def list_runs(client: Client) -> list[RunRecord]:
    """Return the records of all runs, by name."""
    found = read_latest(client, topics.RUNS.name, RunRecord)
    return [found[key] for key in sorted(found) if found[key].name.encode() == key]


def get_run(client: Client, name: str) -> RunRecord:
    """Return a run's record; raise RunError if it is missing, UnreadableRunError if unusable."""
    value = read_compacted(client, topics.RUNS.name).get(name.encode())
    if value is not None:
        try:
            found = codec.decode(RunRecord, value)
        except RecordError as error:
            raise _unreadable(name, str(error)) from error
        if found.name != name:
            raise _unreadable(name, f"it is that of run {found.name!r}")
        return found
    known = ", ".join(record.name for record in list_runs(client)) or "none"
    raise RunError(f"there is no run {name!r} (known: {known}); make one with runs create")


def _unreadable(name: str, why: str) -> UnreadableRunError:
    return UnreadableRunError(
        f"the record of run {name!r} cannot be used: {why}; runs delete {name} removes it"
    )


def expect_new(client: Client, record: RunRecord) -> RunRecord:
    """Return the record, or the one of the same settings that is there already.

    Raises RunError if another run has the name.
    """
    known = next((run for run in list_runs(client) if run.name == record.name), record)
    if apart := differences(known, record):
        raise RunError(
            f"a run {record.name!r} with other settings exists ({', '.join(apart)}): "
            "take another name or delete it"
        )
    return known


def expect_corpus(client: Client, run: RunRecord) -> None:
    """Raise RunError if the token batches that an unfinished run needs were deleted."""
    if topics.tokens(run.corpus, run.partitions).name not in client.topics():
        raise RunError(
            f"corpus {run.corpus} of run {run.name} is not on the broker any more, so nothing can "
            "be computed for it: produce it again and create a new run"
        )


def expect_partials(client: Client, run: RunRecord) -> None:
    """Raise RunError if the topic between the sides of a run is not there, or not for us."""
    topic = topics.partials(run.name, run.shards, 0).name
    if topic not in client.topics():
        raise RunError(
            f"topic {topic} is not on the broker, or a right to the topic is missing "
            f"(docs/kafka-rights.md): is run {run.name} being deleted?"
        )


def put_run(client: Client, record: RunRecord) -> RunRecord:
    """Write a run's record and create its topics; the same settings again change nothing.

    Returns the record as it is on the broker. Raises RunError if another run has the name.
    """
    known = expect_new(client, record)
    size = record.record_bytes * 2
    client.create_topics(
        [
            *topics.SHARED,
            topics.partials(record.name, record.shards, size),
            topics.changelog(record.name, record.shards, size),
        ]
    )
    with client.sender() as sender:
        sender.send(topics.RUNS.name, 0, codec.encode(known), key=record.name.encode())
        sender.flush()
    return known


def delete_run(client: Client, name: str) -> None:
    """Delete a run by its name: its groups, topics, published manifests and record; its files stay.

    The groups go first: a broker refuses that while workers are members, and the run is then still
    whole. A group that is gone costs a worker time and no results.
    """
    manifests = [
        key for key in _keys(client, topics.SNAPSHOTS.name) if key.split(b"/")[0] == name.encode()
    ]
    delete_groups(client, name)
    client.delete_topics(topics_of(name))
    with client.sender() as sender:
        for key in manifests:
            sender.send(topics.SNAPSHOTS.name, 0, None, key=key)
        sender.send(topics.RUNS.name, 0, None, key=name.encode())
        sender.flush()


def topics_of(name: str) -> list[str]:
    """Return the topics of a run, whether they exist or not."""
    return [topics.partials(name, 1, 0).name, topics.changelog(name, 1, 0).name]


def groups_of(name: str) -> tuple[str, str]:
    """Return the consumer groups of a run."""
    return topics.activations_app(name), topics.aggregates_app(name)


def delete_groups(client: Client, name: str) -> None:
    """Delete a run's consumer groups; raise BrokerError while workers are members of one."""
    for group in groups_of(name):
        client.delete_group(group)


def _keys(client: Client, topic: str) -> set[bytes]:
    if topic not in client.topics():
        return set()
    return {r.key for r in client.read(topic, 0) if r.key is not None}
