"""Topics, consumer groups and headers: every name that Millrace uses on a broker."""

from streams.transport.client import TopicSpec

CORPORA = TopicSpec("corpora", partitions=1, compacted=True)
RUNS = TopicSpec("runs", partitions=1, compacted=True)
SNAPSHOTS = TopicSpec("snapshots", partitions=1, compacted=True)
# A dead letter is the original record, which may be as large as one can be, and its headers.
DEAD_LETTERS = TopicSpec("dead-letters", partitions=1, max_record_bytes=64 * 2**20)
SHARED = (CORPORA, RUNS, SNAPSHOTS, DEAD_LETTERS)

TOKENS, PARTIALS = "tokens.", "partials."

KIND = "kind"
SEQUENCE = "sequence"
SCHEMA_VERSION = "schema-version"

BATCH = b"token-batch"
END = b"partition-end"
HITS = b"hits"
STATISTICS = b"statistics"
SOURCE_END = b"source-end"
SNAPSHOT_REQUEST = b"snapshot-request"


def tokens(corpus: str, partitions: int) -> TopicSpec:
    """Return the topic of a corpus's token batches."""
    return TopicSpec(f"{TOKENS}{corpus}", partitions)


def partials(run: str, shards: int, max_record_bytes: int) -> TopicSpec:
    """Return the topic between a run's activation and aggregator agents, a partition per shard."""
    return TopicSpec(f"{PARTIALS}{run}", shards, max_record_bytes=max_record_bytes)


def activations_app(run: str) -> str:
    """Return the Faust app id, and so the consumer group, of a run's activation side."""
    return f"activations.{run}"


def aggregates_app(run: str) -> str:
    """Return the Faust app id, and so the consumer group, of a run's aggregate side."""
    return f"aggregates.{run}"


def changelog(run: str, shards: int, max_record_bytes: int) -> TopicSpec:
    """Return the changelog of a run's table of buckets, as Faust names it."""
    name = f"{aggregates_app(run)}-buckets-changelog"
    return TopicSpec(name, shards, compacted=True, max_record_bytes=max_record_bytes)
