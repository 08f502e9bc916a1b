"""Dictionaries by a hub's name: those that SAELens does not list, fetched as files."""

from pathlib import Path
from typing import Any

from consumers.sources.formats.registry import find_format

# SAELens' converters that differ from the publisher's own code: sparsify's b_dec is subtracted
# whatever ``normalize_decoder`` is, and its W_dec is [component, width] already.
_READ_HERE = ("sparsify",)
_CONFIGURATIONS = ("config.json", "config.yaml")


def fetched(release: str, number: str) -> Path | None:
    """Return where the files of a dictionary lie; None if SAELens is to load it.

    release: a name in SAELens' list, or a repository such as ``EleutherAI/sae-llama-3-8b-32x``;
    number: the folder or file in it. Only these files and configurations are fetched.
    """
    from sae_lens.loading.pretrained_saes_directory import (
        get_pretrained_saes_directory,
        get_repo_id_and_folder_name,
    )

    listed: dict[str, Any] = get_pretrained_saes_directory()
    if release in listed:
        if listed[release].conversion_func not in _READ_HERE:
            return None
        if number not in listed[release].saes_map:
            return None  # SAELens says which there are
        release, number = get_repo_id_and_folder_name(release, number)
    elif "/" not in release:
        return None
    from huggingface_hub import snapshot_download

    inner = number.strip("/")
    beside = [f"{inner.rpartition('/')[0]}/{n}".lstrip("/") for n in _CONFIGURATIONS]
    wanted = [inner, f"{inner}/*", *beside, *_CONFIGURATIONS]
    place = Path(snapshot_download(release, allow_patterns=wanted)) / inner
    return place if find_format(place) is not None else None
