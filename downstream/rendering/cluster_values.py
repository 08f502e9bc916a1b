"""What the template of a cluster's page is given."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from downstream.rendering.attached import attachments_of
from downstream.rendering.cluster import ClusterPage
from downstream.rendering.data import LoadedSnapshot
from downstream.rendering.made_labels import made_labels_of
from downstream.rendering.panels.panel import panels_of
from downstream.rendering.panels.registry import PANELS
from downstream.rendering.peaks import peak_text, peaks_of
from downstream.rendering.published import published_address
from streams.snapshots.annotations import Annotations, ClusterAnnotations


def cluster_values(
    snapshot: LoadedSnapshot,
    run: str,
    page: ClusterPage,
    written: ClusterAnnotations,
    annotations: Annotations,
    order: Mapping[str, object],
) -> dict[str, Any]:
    """Return the values by name.

    run: as addresses name it. written: what people wrote of the cluster, annotations: of all.
    order: the parameters of an address by which a page knows the list that it was opened from.
    """
    number, here = page.number, page.clustering
    made = made_labels_of(snapshot).of(number)
    called = written.label or (made.text if made else peak_text(snapshot, number))
    names = (page.label, called, here.name, snapshot.manifest.run)
    return {
        "title": " · ".join(filter(None, names)),
        "snapshot": snapshot,
        "run": run,
        "page": page,
        "written": written,
        "made": made,
        "names": annotations.now,
        "peaks": peaks_of(snapshot, number),
        "examples": int(np.diff(snapshot.examples.first[number : number + 2])[0]),
        "order": order,
        "panels": panels_of(PANELS, snapshot, attachments_of(snapshot).now(), number),
        "called": called,
        "published": published_address(snapshot, number),
    }
