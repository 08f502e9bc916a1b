"""Where a feature is published: the page of its dictionary's release at Neuronpedia."""

import re

from downstream.rendering.attached import attachments_of
from downstream.rendering.data import LoadedSnapshot
from downstream.rendering.panels.panel import feature_of

_ID = re.compile(r"[A-Za-z0-9_.=-]{1,100}/[A-Za-z0-9_.=-]{1,100}")


def published_address(snapshot: LoadedSnapshot, cluster: int) -> str:
    """Return the address of a feature at Neuronpedia, "" where its release is not known.

    The release is what the dictionary's own configuration says, as attachments made from its
    weights note it (``neuronpedia_id``).
    """
    feature = feature_of(snapshot, cluster)
    if feature is None:
        return ""
    for attached in attachments_of(snapshot).now():
        listed = attached.provenance.get("dictionaries", ())
        for said in listed if isinstance(listed, list) else ():
            if not isinstance(said, dict) or said.get("source") != feature.source:
                continue
            release = said.get("neuronpedia_id")
            if isinstance(release, str) and _ID.fullmatch(release):
                return f"https://www.neuronpedia.org/{release}/{feature.index}"
    return ""
