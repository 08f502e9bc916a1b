"""Every metric of workers and producers, in one list.

The page ``docs/operations.md`` and the Grafana dashboard ``docs/grafana/millrace.json`` are
compared with it. ``streams.monitoring.endpoint.family`` makes one Prometheus' own.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "summary"]
Process = Literal["activations", "aggregates", "producer"]

_WORKERS: tuple[Process, ...] = ("activations", "aggregates")
_ALL: tuple[Process, ...] = (*_WORKERS, "producer")
_ACTIVATIONS: tuple[Process, ...] = ("activations",)
_AGGREGATES: tuple[Process, ...] = ("aggregates",)
_PRODUCER: tuple[Process, ...] = ("producer",)


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric. name: without what its kind appends. on: the processes that have it."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    on: tuple[Process, ...] = _ALL

    @property
    def series(self) -> tuple[str, ...]:
        """The names under which it is exposed."""
        if self.kind == "counter":
            return (f"{self.name}_total",)
        if self.kind == "summary":
            return f"{self.name}_count", f"{self.name}_sum"
        return (self.name,)


LIVE = Metric("millrace_live", "gauge", "1 while /live says yes.")
READY = Metric("millrace_ready", "gauge", "1 while /ready says yes.")
RECORDS = Metric("millrace_records", "counter", "Records processed.", ("side",), _WORKERS)
BATCH_SECONDS = Metric(
    "millrace_batch_seconds", "summary", "Time that a record took to process.", ("side",), _WORKERS
)
LAST_PROGRESS = Metric(
    "millrace_last_progress_timestamp_seconds",
    "gauge",
    "Time of the last record, in seconds since 1970.",
    ("side",),
    _WORKERS,
)
DEAD_LETTERS = Metric(
    "millrace_dead_letters", "counter", "Records or documents refused.", ("side",)
)
STAGE_SECONDS = Metric(
    "millrace_stage_seconds",
    "counter",
    "Time of one thread in each stage: forward, encode, select, aggregate, flush, snapshot.",
    ("stage",),
    _WORKERS,
)
TOKENS_PER_SECOND = Metric(
    "millrace_tokens_per_second", "gauge", "Tokens in a second of the last minute.", ("side",)
)
ROWS_PER_SECOND = Metric(
    "millrace_rows_per_second", "gauge", "Rows in a second of the last minute.", ("side",)
)
LAG = Metric(
    "kafka_consumergroup_lag",
    "gauge",
    "Records to acknowledge in assigned partitions.",
    ("consumergroup", "topic", "partition"),
    _WORKERS,
)
LAG_SECONDS = Metric(
    "millrace_lag_seconds",
    "gauge",
    "Age of the last processed record of an assigned partition that has lag; 0 without lag.",
    ("side", "partition"),
    _WORKERS,
)
ETA = Metric(
    "millrace_eta_seconds",
    "gauge",
    "Time to close: until what this process was assigned, or was told to produce, is done.",
    ("side",),
)
INPUT_RECORDS = Metric(
    "millrace_input_records", "gauge", "Records in the input of a side.", ("side",), _WORKERS
)
INPUT_ACKNOWLEDGED = Metric(
    "millrace_input_acknowledged_records",
    "gauge",
    "Of these, those that all workers of the run have acknowledged.",
    ("side",),
    _WORKERS,
)
RETENTION_USED = Metric(
    "millrace_retention_used_ratio",
    "gauge",
    "Records left over records that the log holds: at 1 the next one it deletes is needed.",
    ("side", "partition"),
    _WORKERS,
)
ASSIGNED = Metric(
    "millrace_assigned_partitions", "gauge", "Partitions assigned now.", ("side",), _WORKERS
)
REBALANCES = Metric("millrace_rebalances", "counter", "Assignments received.", ("side",), _WORKERS)
TOKENS = Metric("millrace_tokens", "counter", "Valid tokens computed.", on=_ACTIVATIONS)
ROWS = Metric("millrace_rows", "counter", "Rows computed.", on=_ACTIVATIONS)
HITS = Metric("millrace_hits", "counter", "Hits sent to the aggregate side.", on=_ACTIVATIONS)
DEVICE_UTILISATION = Metric(
    "millrace_device_utilisation_ratio",
    "gauge",
    "Share of the last minute in which the thread of the device computed.",
    ("device",),
    _ACTIVATIONS,
)
DEVICE_MEMORY = Metric(
    "millrace_device_memory_bytes",
    "gauge",
    "Memory of the device: allocated, reserved (by torch) and total; of a CPU the process' own.",
    ("device", "kind"),
    _ACTIVATIONS,
)
PROCESSOR_UTILISATION = Metric(
    "millrace_processor_utilisation_ratio",
    "gauge",
    "Processor time of this process in the last minute, over that of all cores it may use.",
)
DUPLICATES = Metric(
    "millrace_duplicates_skipped", "counter", "Statistics applied before.", on=_AGGREGATES
)
FLUSH_SECONDS = Metric(
    "millrace_flush_seconds",
    "summary",
    "Time until a group of states was durable.",
    on=_AGGREGATES,
)
FLUSH_BYTES = Metric("millrace_flush_bytes", "counter", "Bytes of these states.", on=_AGGREGATES)
FLUSH_INTERVAL = Metric(
    "millrace_flush_interval_seconds",
    "gauge",
    "Time from the last group of states to the next.",
    on=_AGGREGATES,
)
STATE_BYTES = Metric(
    "millrace_state_bytes",
    "gauge",
    "Size of the state of an owned shard, as last written.",
    ("shard",),
    _AGGREGATES,
)
CHAIN = Metric(
    "millrace_chain",
    "gauge",
    "Last sequence of a corpus partition that all buckets of a shard applied.",
    ("shard", "partition"),
    _AGGREGATES,
)
SNAPSHOT_PARTS = Metric(
    "millrace_snapshot_parts", "counter", "Parts and manifests of snapshots.", on=_AGGREGATES
)
PRODUCED_BATCHES = Metric(
    "millrace_produced_batches", "counter", "Token batches sent or found sent.", on=_PRODUCER
)
PRODUCED_ROWS = Metric("millrace_produced_rows", "counter", "Rows in these.", on=_PRODUCER)
PRODUCED_TOKENS = Metric("millrace_produced_tokens", "counter", "Tokens in these.", on=_PRODUCER)

METRICS = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
"""All of them, in the order of this module."""

PROCESS_SERIES = (
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_virtual_memory_bytes",
    "process_start_time_seconds",
    "process_open_fds",
    "process_max_fds",
)
"""What Prometheus' client adds about the process itself, on Linux."""
