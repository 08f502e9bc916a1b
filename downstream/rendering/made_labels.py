"""Labels that programs made of an open snapshot's clusters, read again when others are attached."""

from downstream.reading.made_labels import KIND, MadeLabels, read_made_labels
from downstream.rendering.attached import attachments_of
from downstream.rendering.data import LoadedSnapshot


def made_labels_of(snapshot: LoadedSnapshot) -> MadeLabels:
    """Return the labels that programs made, as they are attached now."""
    attached = tuple(one for one in attachments_of(snapshot).now() if one.kind == KIND)
    key = ("made labels", tuple((one.name, one.hash, one.created) for one in attached))
    return snapshot.once(key, lambda: read_made_labels(attached, len(snapshot.labels)))
