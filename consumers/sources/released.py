"""The metadata of dictionaries that SAELens knows by release and id, without their weights."""

import logging
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from consumers.sources.formats.hub import fetched
from consumers.sources.formats.registry import foreign_metadata
from streams.no_installs import no_installs

log = logging.getLogger(__name__)


@lru_cache
def released_metadata(release: str, number: str) -> Mapping[str, Any]:
    """Return what a release's configuration says about training; empty if it cannot be had.

    Then loading the dictionary says why.
    """
    try:
        with no_installs(f"reading dictionary {release}#{number}"):
            from sae_lens.loading.pretrained_sae_loaders import load_sae_config_from_huggingface

            config = load_sae_config_from_huggingface(release, number)
    except Exception as error:  # whatever the libraries raise: it is raised again on loading
        if (other := _in_another_format(release, number)) is not None:
            return other
        log.info("The configuration of %s#%s cannot be read: %s", release, number, error)
        return {}
    found = config.get("metadata")
    return found if isinstance(found, dict) else {}


def _in_another_format(release: str, number: str) -> Mapping[str, Any] | None:
    try:
        with no_installs(f"reading dictionary {release}#{number}"):
            inside = Path(release).expanduser()
            place = inside / number if inside.is_dir() else fetched(release, number)
            return None if place is None else foreign_metadata(place)
    except Exception:  # as above
        return None
