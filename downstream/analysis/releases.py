"""Published dictionaries: which repository a release is, its page at Neuronpedia, its local files.

The list is SAELens' own, read as a file; importing SAELens takes seconds. Of the Hugging Face cache
only the folder of the repository is looked at.
"""

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

_NEURONPEDIA = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.=-]{0,99}/[A-Za-z0-9_][A-Za-z0-9_.=-]{0,99}")
_REPOSITORY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}/[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True, slots=True)
class Release:
    """A published dictionary. repository and folder in it, at the hub; neuronpedia: its id there.

    Empty where it is not known.
    """

    repository: str
    folder: str
    neuronpedia: str = ""


def release_of(location: str) -> Release | None:
    """Return the release that a source's location, ``RELEASE#ID``, names; None for a file."""
    release, mark, number = location.partition("#")
    if not mark or not release or Path(location).expanduser().exists():
        return None
    listed = _listed(release)
    if listed is None:
        return Release(release, number.strip("/")) if _REPOSITORY.fullmatch(release) else None
    for each in listed.get("saes", ()):
        if str(each.get("id")) == number:
            said = str(each.get("neuronpedia") or "")
            known = said if _NEURONPEDIA.fullmatch(said) else ""
            return Release(str(listed.get("repo_id", "")), str(each.get("path", "")), known)
    return None


def neuronpedia_address(identity: str, index: int | None = None) -> str:
    """Return the address of a dictionary at Neuronpedia, or of a feature; "" for no such id."""
    if not _NEURONPEDIA.fullmatch(identity):
        return ""
    return "/".join(
        ("https://www.neuronpedia.org", identity, *([str(index)] * (index is not None)))
    )


def cached_at(release: Release, cache: Path | None = None) -> Path | None:
    """Return where a release lies in the local cache of the hub; None if it is not there.

    cache: else the one that the environment names. Whether all of its files came is not looked at.
    """
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    if not _REPOSITORY.fullmatch(release.repository) or ".." in release.folder.split("/"):
        return None
    name = repo_folder_name(repo_id=release.repository, repo_type="model")
    folder = (cache or Path(constants.HF_HUB_CACHE)) / name
    try:
        commit = (folder / "refs" / "main").read_text()[:40]
    except OSError:
        return None
    place = folder / "snapshots" / commit / release.folder.lstrip("/")
    return place if re.fullmatch("[0-9a-f]{40}", commit) and place.exists() else None


@lru_cache(maxsize=64)
def _listed(release: str) -> Mapping[str, Any] | None:
    """Return what SAELens' list says of a release: its lines alone are parsed."""
    import yaml

    package = importlib.util.find_spec("sae_lens")
    if package is None or not package.submodule_search_locations:
        return None
    path = Path(package.submodule_search_locations[0]) / "pretrained_saes.yaml"
    own: list[str] = []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith(f"{release}:"):
                own.append(line)
            elif own and not line.startswith((" ", "#", "\n")):
                break
            elif own:
                own.append(line)
    found = yaml.safe_load("".join(own)) if own else None
    listed = found.get(release) if isinstance(found, dict) else None
    return listed if isinstance(listed, dict) else None
