"""The pages on attachments: tables as in their forms, and an example that runs."""

import pytest

from downstream.derived.differences import CLUSTER_DIFFERENCES, EXAMPLE_CHANGES
from downstream.derived.registry import DERIVATIONS
from downstream.labelling.local_labels import EVIDENCE
from downstream.labelling.model_labels import LABEL_REQUESTS
from downstream.labelling.scores import embedding, intruder
from downstream.labelling.scores.judged import FORMS as JUDGED
from downstream.reading.embeddings import EMBEDDINGS
from downstream.reading.made_labels import LABELS
from streams.snapshots.attachments import make_attachment
from streams.snapshots.column_types import type_name
from tests.test_docs import ROOT, blocks

FORMS = [form for each in DERIVATIONS for form in each.forms]
FORMS += [CLUSTER_DIFFERENCES, EXAMPLE_CHANGES, LABELS, EVIDENCE, LABEL_REQUESTS, EMBEDDINGS]
FORMS += [intruder.FORM, embedding.FORM, *JUDGED.values()]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_tables_are_described_on_the_page_as_in_their_forms(form):
    expected = [f"### {form.name}", "", form.description, ""]
    expected += ["| column | type | unit | meaning | is |", "|---|---|---|---|---|"]
    for column in form.columns:
        meaning = column.meaning + (f": {column.error}" if column.error else "")
        kind = f"`{type_name(column.type)}`"
        cells = (f"`{column.name}`", kind, column.unit, meaning, column.description)
        expected.append(f"| {' | '.join(cells)} |")
    assert "\n".join(expected) in (ROOT / "docs" / "attachments.md").read_text()


def test_the_example_of_a_new_kind_runs(world):
    (example,) = blocks(ROOT / "docs" / "adding-an-attachment.md", "python")
    names = {"__name__": "example"}
    exec(example, names)
    kind = names["DocumentSpread"]()  # type: ignore[operator]
    derived = kind.derive(world.given, None)
    made = make_attachment(
        world.manifest, kind.kind, derived.tables, created="now", provenance=derived.provenance
    )
    assert [entry.rows for entry in made.tables] == [
        len(world.given.snapshot.table("hits")["cluster"].unique())
    ]
    (table,) = derived.tables.values()
    opened = world.given.snapshot
    for cluster, share in zip(*table.to_pydict().values(), strict=True):
        label, clustering = (
            opened.clusters[name][cluster].as_py() for name in ("label", "clustering")
        )
        documents = [e.document for e in opened.cluster(label, clustering).examples(k=100)]
        assert share == max(map(documents.count, documents)) / len(documents)
