"""The JSON forms of pages as an OpenAPI document, for programs that read it."""

from downstream.dashboard.ablating import REPLACEMENTS
from downstream.dashboard.concept_page import HELD_BACK, SCORES
from downstream.dashboard.openapi_schemas import COUNT, NUMBER, SCHEMAS, TEXT, Json, ref


def document() -> Json:
    """Return the document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Millrace dashboard",
            "version": "1",
            "description": "Pages as JSON, at their addresses: with `Accept: application/json` or "
            "`?format=json`. Parts of addresses are escaped; one that is empty, `.` or `..`, or "
            "begins with `~`, has a `~` before it.",
        },
        "paths": {path: {"get": _operation(*said)} for path, said in _PATHS.items()},
        "components": {"schemas": SCHEMAS},
    }


def _operation(summary: str, schema: str, in_path: str, queries: dict[str, Json]) -> Json:
    path = [
        {"name": name, "in": "path", "required": True, "schema": TEXT} for name in in_path.split()
    ]
    query = [{"name": name, "in": "query", "schema": kind} for name, kind in queries.items()]
    content = {"application/json": {"schema": ref(schema)}}
    problem = {"application/json": {"schema": ref("Problem")}}
    return {
        "summary": summary,
        "parameters": [*path, *query],
        "responses": {
            "200": {"description": summary, "content": content},
            "304": {"description": "what If-None-Match names is still so"},
            "default": {"description": "what is wrong", "content": problem},
        },
    }


_FORM: Json = {"format": {"const": "json"}}
_LIST_QUERY: Json = {
    **_FORM,
    "iteration": COUNT,
    "q": {
        **TEXT,
        "description": "words, or token:, text:, label: and what to find there; concept: and words "
        "finds by their meaning, and rows have the number similarity",
    },
    "sort": {**TEXT, "description": "order, label, members, domain, or the name of a column"},
    "down": {"const": "1"},
    "show": {"enum": ["all", "live", "dead"]},
    "marked": {"enum": ["labelled", "starred"]},
    "domain": TEXT,
    **{f"{name}_{end}": NUMBER for name in ("density", "max", "mean") for end in ("from", "to")},
    "columns": {
        **TEXT,
        "description": "names of columns to show, with commas between; each "
        "column bounds a list by NAME_from and NAME_to, too",
    },
    "page": COUNT,
    "limit": {"type": "integer", "minimum": 1, "maximum": 500},
    "cursor": TEXT,
}
_CLUSTER_QUERY: Json = {
    **_FORM, "iteration": COUNT, "ranking": TEXT, "limit": COUNT, "fold": {"enum": ["0", "1"]},
}  # fmt: skip

_PATHS: dict[str, tuple[str, str, str, dict[str, Json]]] = {
    "/runs/": ("All runs and snapshots", "Runs", "", _FORM),
    "/runs/{run}/": ("The first clustering of a run", "List", "run", _LIST_QUERY),
    "/runs/{run}/{clustering}/": ("A list of clusters", "List", "run clustering", _LIST_QUERY),
    "/runs/{run}/{clustering}/{label}": (
        "A feature or cluster", "ClusterPage", "run clustering label", _CLUSTER_QUERY,
    ),
    "/components/{run}/{source}": (
        "Dead or dropped features", "ComponentsPage", "run source",
        {**_FORM, "show": {"enum": ["dead", "dropped"]}, "page": COUNT},
    ),
    "/maps/{run}/{clustering}/": (
        "Features by decoder direction, clusters by co-activation", "Maps", "run clustering",
        {**_FORM, "iteration": COUNT, "colour": TEXT},
    ),
    "/compare/": (
        "Two clusterings, of one run or snapshot or of two", "Comparison", "",
        {
            **_FORM, "a": TEXT, "b": TEXT, "from": TEXT, "to": TEXT,
            "by": {"enum": ["examples", "label", "decoder", "coactivation"]}, "least": NUMBER,
            "show": {"enum": ["matched", "only_a", "only_b"]},
            "sort": {"enum": ["score", "change"]}, "up": {"const": "1"}, "page": COUNT,
            "left": COUNT, "right": COUNT,
        },
    ),
    "/dictionaries/{run}": (
        "A run's dictionaries side by side, and features of a domain", "Dictionaries", "run",
        {**_FORM, "domain": TEXT, "against": TEXT},
    ),
    "/try/{run}": (
        "Active features of a text, from a model service", "Tried", "run",
        {**_FORM, "text": TEXT, "feature": TEXT},
    ),
    "/start/": (
        "What a run can be made of, and how", "Start", "",
        {
            **_FORM, **dict.fromkeys(("name", "corpus", "model", "dictionary", "k"), TEXT),
            **dict.fromkeys(("ranking", "micro_batch", "statistic"), TEXT),
        },
    ),
    "/steer/{run}": (
        "A prompt continued with a feature's direction added, from a model service", "SteeredPage",
        "run", {**_FORM, "prompt": TEXT, "feature": TEXT, "alphas": TEXT},
    ),
    "/ablate/{run}": (
        "What replacing the activation of features does to a text, from a model service",
        "AblatedPage", "run",
        {
            **_FORM, "text": TEXT, "features": TEXT, "value": TEXT,
            "by": {"enum": list(REPLACEMENTS)},
        },
    ),
    "/concept/{run}": (
        "Features that tell texts with a concept from texts without, from a model service",
        "ConceptFeatures", "run",
        {
            **_FORM, "present": TEXT, "absent": TEXT,
            "by": {"enum": list(SCORES)}, "check": {"enum": list(HELD_BACK)},
        },
    ),
    "/healthz": ("Whether pages can be served", "Health", "", {}),
    "/state": ("The open snapshot of each run", "State", "", {}),
}  # fmt: skip
