"""Addresses of pages. Labels may hold anything: slashes, dots, nothing at all.

``/runs/<run>/<clustering>/`` is a clustering, ``/runs/<run>/<clustering>/<label>`` a cluster; the
parts of a clustering's name stay parts of the path. What browsers would fold away (an empty part,
``.`` and ``..``) gets a ``~`` before it, and so does a part that begins with one.
"""

from urllib.parse import quote, unquote, urlencode

RUNS, MAPS = "/runs/", "/maps/"


def home_address() -> str:
    """Return the address of the first page."""
    return "/"


def run_address(run: str) -> str:
    """Return the address of a run's page."""
    return f"{RUNS}{_part(run)}/"


def clustering_address(run: str, clustering: str, iteration: int = 0, **query: object) -> str:
    """Return the address of a clustering's list."""
    return f"{run_address(run)}{_parts(clustering)}/{_query(iteration, query)}"


def map_address(run: str, clustering: str, iteration: int = 0, **query: object) -> str:
    """Return the address of a clustering's maps."""
    return f"{MAPS}{_part(run)}/{_parts(clustering)}/{_query(iteration, query)}"


def cluster_address(run: str, clustering: str, iteration: int, label: str, **query: object) -> str:
    """Return the address of a cluster's page."""
    plain = clustering_address(run, clustering)
    return f"{plain}{_part(label)}{_query(iteration, query)}"


def components_address(run: str, source: str, **query: object) -> str:
    """Return the address of a source's dead or dropped components."""
    return f"/components/{quote(run, safe='')}/{quote(source, safe='')}{_query(0, query)}"


def parse(raw_path: str, under: str = RUNS) -> tuple[str, str, str | None]:
    """Return run, clustering and label of a path under ``/runs/``, before any decoding.

    The clustering is empty for a run's page; the label is None for a clustering's list.
    """
    run, *parts = raw_path.removeprefix(under).split("/")
    label = parts.pop() if parts else ""
    clustering = "/".join(_plain(part) for part in parts)
    return _plain(run), clustering, _plain(label) if label else None


def _parts(clustering: str) -> str:
    return "/".join(_part(part) for part in clustering.split("/"))


def _part(text: str) -> str:
    folded = text in ("", ".", "..") or text.startswith("~")
    return quote(f"~{text}" if folded else text, safe="")


def _plain(part: str) -> str:
    text = unquote(part, errors="replace")
    return text[1:] if text.startswith("~") else text


def _query(iteration: int, query: dict[str, object]) -> str:
    values = {key: value for key, value in query.items() if value not in ("", None)}
    if iteration:
        values["iteration"] = iteration
    return f"?{urlencode(values)}" if values else ""
