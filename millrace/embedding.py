"""Vectors of labels and contexts, attached at the command line."""

from collections.abc import Iterator
from pathlib import Path

from downstream.derived.attach import write_derived
from downstream.labelling.cluster_embeddings import SentenceEmbedder, cluster_embeddings
from downstream.reading.embeddings import EMBEDDINGS, KIND
from millrace.labelling import final_snapshot, now
from millrace.progress_bars import bars, spinner
from streams.names import check_name


def embed_clusters(
    address: str, run: str | None, *, name: str, sentence_model: Path | None, contexts: int
) -> Iterator[str]:
    """Attach vectors to a finished snapshot; yield what was done.

    Raises SnapshotError, SettingsError for a name that is none, or ModelError if there is no
    sentence model.
    """
    from consumers.sentences.embedder import Embedder

    name = check_name(name, "attachment")
    snapshot = final_snapshot(address, run)
    with spinner("loading the sentence model"):
        model = Embedder(sentence_model).model
    embedder = SentenceEmbedder(model.name, model.content, model.embed)
    with bars() as progress:
        bar = progress.add_task("vectors", total=len(snapshot.clusters), unit="clusters")
        progress.start()
        made = cluster_embeddings(
            snapshot,
            embedder,
            contexts=contexts,
            advance=lambda clusters: progress.advance(bar, clusters),
        )
    write_derived(KIND, snapshot, made, created=now(), name=name)
    labels = made.provenance["labels"]
    yield f"{KIND}/{name}: {len(made.tables[EMBEDDINGS]):,} clusters, by {model.name}"
    yield f"  labels: {labels['people']:,} by people, {labels['made']:,} made"
    if not sum(labels.values()):
        yield "  there are no labels yet: millrace label makes some; then embed again"
    yield "  to search by concept: millrace serve-model, and millrace dashboard --model-service"
