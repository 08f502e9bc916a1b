"""Labels by a language model: one question per cluster, and the attachment of the answers."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import pyarrow as pa

from downstream.derived.derivation import Derived
from downstream.labelling.answer_log import Answered
from downstream.labelling.asking import Question
from downstream.labelling.contexts import ContextCounts, choose_contexts
from downstream.labelling.held_out import RULE
from downstream.labelling.label_prompt import VERSION, label_prompt, read_label
from downstream.labelling.limits import Prices
from downstream.reading.cluster import Cluster
from downstream.reading.made_labels import LABELS
from downstream.reading.snapshot import Snapshot
from streams.errors import SnapshotError
from streams.snapshots.tables import Column, TableForm

TASK = "label"

LABEL_REQUESTS = TableForm(
    "label_requests",
    "What a language model was asked for the label of a cluster, what it said, and what that cost.",
    ("cluster", "model"),
    (
        Column("cluster", pa.int32(), "cluster"),
        Column("model", pa.string(), "name of the model"),
        Column("prompt", pa.string(), "messages, as JSON"),
        Column("answer", pa.string(), "what it said, as it came"),
        Column("samples", pa.list_(pa.string()), "sample keys of the contexts in the prompt"),
        Column("prompt_tokens", pa.int64(), "as the service counted, or estimated", "tokens"),
        Column("completion_tokens", pa.int64(), "likewise", "tokens"),
        Column("counted", pa.bool_(), "the service said how many tokens were used"),
        Column("cost", pa.float64(), "by the prices given, else 0", "money"),
        Column("attempts", pa.int32(), "how often it was asked until it answered"),
        Column("seconds", pa.float64(), "from the first attempt to the answer", "s"),
        Column("answered", pa.string(), "when, ISO 8601, UTC"),
    ),
)


def chosen_clusters(
    snapshot: Snapshot, clustering: str | None, features: Sequence[str], sample: int | None
) -> list[int]:
    """Return the clusters that were active, of a clustering or of a list of features, by number.

    clustering: by default the first of the run. sample: so many of them, chosen by a hash of their
    number: a larger sample holds a smaller one. Raises SnapshotError for an unknown one.
    """
    numbers = snapshot.clusters.arrow.select(["clustering", "firing_tokens"]).to_pylist()
    if features:
        found = [snapshot.feature(each).number for each in features]
    else:
        wanted = clustering if clustering is not None else str(numbers[0]["clustering"])
        found = [at for at, row in enumerate(numbers) if row["clustering"] == wanted]
        if not found:
            known = ", ".join(dict.fromkeys(str(row["clustering"]) for row in numbers))
            raise SnapshotError(f"there is no clustering {wanted!r} (there are: {known})")
    found = [at for at in dict.fromkeys(found) if numbers[at]["firing_tokens"]]
    return sorted(sorted(found, key=_order)[:sample])


def label_questions(
    snapshot: Snapshot, clusters: Iterable[int], counts: ContextCounts = ContextCounts()
) -> Iterator[Question]:
    """Yield the question for each cluster; errors are those of ``choose_contexts``."""
    rankings = snapshot.rankings
    for number in clusters:
        contexts = choose_contexts(cluster_numbered(snapshot, number), rankings, counts)
        note = {"samples": list(contexts.shown)}
        yield Question(TASK, number, label_prompt(contexts), note)


def cluster_numbered(snapshot: Snapshot, number: int) -> Cluster:
    """Return a cluster by its number in the run."""
    (row,) = snapshot.clusters.arrow.slice(number, 1).to_pylist()
    return Cluster(snapshot, row)


def label_tables(answers: Mapping[int, Answered], prices: Prices) -> Derived:
    """Return the attachment of answers, by cluster: labels, and what was asked for them.

    An answer without a label has a row among the requests alone.
    """
    ordered = [answers[cluster] for cluster in sorted(answers)]
    labelled = [(one, text) for one in ordered if (text := read_label(one.answer))]
    labels = {
        "cluster": [one.cluster for one, _ in labelled],
        "label": [text for _, text in labelled],
        "author": [
            f"{one.model[:200]}, asked by millrace, prompt {VERSION}" for one, _ in labelled
        ],
    }
    requests = [_request(one, prices) for one in ordered]
    return Derived(
        {
            LABELS: LABELS.table(labels),
            LABEL_REQUESTS: pa.Table.from_pylist(requests, LABEL_REQUESTS.schema),
        },
        {
            "prompt_version": VERSION,
            "models": sorted({one.model for one in ordered}),
            "held_out": RULE,
            "price_prompt": prices.prompt,
            "price_completion": prices.completion,
        },
        [
            f"cluster {o.cluster}: the answer has no label"
            for o in ordered
            if not read_label(o.answer)
        ],
    )


def _request(one: Answered, prices: Prices) -> dict[str, Any]:
    named = (
        "cluster", "model", "answer", "prompt_tokens", "completion_tokens", "counted", "attempts",
        "seconds",
    )  # fmt: skip
    return {
        **{name: getattr(one, name) for name in named},
        "prompt": json.dumps(list(one.messages), ensure_ascii=False),
        "samples": list(one.note.get("samples", ())),
        "cost": prices.cost(one.prompt_tokens, one.completion_tokens),
        "answered": one.at,
    }


def _order(cluster: int) -> bytes:
    return blake2b(cluster.to_bytes(8, "big"), digest_size=8, person=b"sample").digest()
