"""The JSON forms of pages as an OpenAPI document, for programs that read it."""

from typing import Any

Json = dict[str, Any]

_NULLABLE_TEXT = {"type": ["string", "null"]}
_NUMBER, _COUNT, _TEXT, _FLAG = (
    {"type": "number"}, {"type": "integer"}, {"type": "string"}, {"type": "boolean"},
)  # fmt: skip


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
        "components": {"schemas": _SCHEMAS},
    }


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _list_of(items: Json) -> Json:
    return {"type": "array", "items": items}


def _object(**properties: Json) -> Json:
    """Return the schema of an object that has all of some properties, and may have more."""
    return {"type": "object", "properties": properties, "required": [*properties]}


def _map_of(values: Json) -> Json:
    return {"type": "object", "additionalProperties": values}


def _or_null(schema: Json) -> Json:
    return {"anyOf": [schema, {"type": "null"}]}


def _operation(summary: str, schema: str, in_path: str, queries: dict[str, Json]) -> Json:
    path = [
        {"name": name, "in": "path", "required": True, "schema": _TEXT} for name in in_path.split()
    ]
    query = [{"name": name, "in": "query", "schema": kind} for name, kind in queries.items()]
    content = {"application/json": {"schema": _ref(schema)}}
    problem = {"application/json": {"schema": _ref("Problem")}}
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
    "iteration": _COUNT,
    "q": _TEXT,
    "sort": {**_TEXT, "description": "order, label, members, domain, or the name of a column"},
    "down": {"const": "1"},
    "show": {"enum": ["all", "live", "dead"]},
    "marked": {"enum": ["labelled", "starred"]},
    "domain": _TEXT,
    **{f"{name}_{end}": _NUMBER for name in ("density", "max", "mean") for end in ("from", "to")},
    "columns": {
        **_TEXT,
        "description": "names of columns to show, with commas between; each "
        "column bounds a list by NAME_from and NAME_to, too",
    },
    "page": _COUNT,
    "limit": {"type": "integer", "minimum": 1, "maximum": 500},
    "cursor": _TEXT,
}
_CLUSTER_QUERY: Json = {
    **_FORM, "iteration": _COUNT, "ranking": _TEXT, "limit": _COUNT, "fold": {"enum": ["0", "1"]},
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
        {**_FORM, "show": {"enum": ["dead", "dropped"]}, "page": _COUNT},
    ),
    "/maps/{run}/{clustering}/": (
        "Features by decoder direction, clusters by co-activation", "Maps", "run clustering",
        {**_FORM, "iteration": _COUNT, "colour": _TEXT},
    ),
    "/compare/": (
        "Two clusterings, of one run or snapshot or of two", "Comparison", "",
        {
            **_FORM, "a": _TEXT, "b": _TEXT, "from": _TEXT, "to": _TEXT,
            "by": {"enum": ["examples", "label", "decoder", "coactivation"]}, "least": _NUMBER,
            "show": {"enum": ["matched", "only_a", "only_b"]},
            "sort": {"enum": ["score", "change"]}, "up": {"const": "1"}, "page": _COUNT,
            "left": _COUNT, "right": _COUNT,
        },
    ),
    "/try/{run}": (
        "Active features of a text, from a model service", "Tried", "run",
        {**_FORM, "text": _TEXT, "feature": _TEXT},
    ),
    "/start/": (
        "What a run can be made of, and how", "Start", "",
        {
            **_FORM, **dict.fromkeys(("name", "corpus", "model", "dictionary", "k"), _TEXT),
            **dict.fromkeys(("ranking", "micro_batch", "statistic"), _TEXT),
        },
    ),
    "/steer/{run}": (
        "A prompt continued with a feature's direction added, from a model service", "SteeredPage",
        "run", {**_FORM, "prompt": _TEXT, "feature": _TEXT, "alphas": _TEXT},
    ),
    "/healthz": ("Whether pages can be served", "Health", "", {}),
    "/state": ("The open snapshot of each run", "State", "", {}),
}  # fmt: skip

_CONTEXT: dict[str, Json] = {
    "rank": _COUNT,
    "score": _NUMBER,
    "peak": _COUNT,
    "sample": _TEXT,
    "document": _TEXT,
    "domain": _TEXT,
    "place": _list_of(_COUNT),
    "first": _COUNT,
    "stop": _COUNT,
    "length": _COUNT,
    "duplicates": _COUNT,
    "activations": _map_of(_NUMBER),
    "members": _map_of(_map_of(_NUMBER)),
}

_SCHEMAS: Json = {
    "Problem": _object(error=_TEXT),
    "SteeredPage": _object(
        run=_TEXT, feature=_TEXT, prompt=_TEXT, problem=_TEXT, answer={"type": ["object", "null"]}
    ),
    "Tried": _object(run=_TEXT, text=_TEXT, problem=_TEXT, answer={"type": ["object", "null"]}),
    "Health": _object(
        status={"enum": ["ok", "degraded", "waiting", "starting", "failing"]},
        runs=_COUNT,
        problems=_map_of(_TEXT),
    ),
    "State": _map_of(_TEXT),
    "Runs": _object(
        runs=_list_of(_ref("Provenance")),
        snapshots=_list_of(
            _object(run=_TEXT, snapshot=_TEXT, final=_FLAG, created=_TEXT, content=_TEXT)
        ),
        problems=_map_of(_TEXT),
    ),
    "Provenance": _object(
        run=_TEXT,
        run_id=_TEXT,
        identity=_TEXT,
        snapshot=_TEXT,
        final=_FLAG,
        content=_TEXT,
        created=_TEXT,
        absent=_list_of(_TEXT),
        tokens=_COUNT,
        rows=_COUNT,
        refused=_COUNT,
        warnings=_list_of(_TEXT),
        about={"type": "object"},
    ),
    "Text": {
        "description": "a token's string, or its bytes where it is no whole character",
        "anyOf": [_TEXT, _object(bytes=_TEXT)],
    },
    "Written": _object(label=_TEXT, stars=_list_of(_TEXT), notes=_list_of({"type": "object"})),
    "List": _object(
        snapshot=_ref("Provenance"),
        geometry=_object(
            directions=_list_of(_ref("Spread")), hooks=_list_of(_ref("Spread")), problem=_TEXT
        ),
        listing=_object(
            clustering=_object(name=_TEXT, iteration=_COUNT),
            query={"type": "object"},
            searchable=_FLAG,
            total=_COUNT,
            dead=_COUNT,
            found=_COUNT,
            columns=_list_of(
                _object(name=_TEXT, title=_TEXT, note=_TEXT, unit=_TEXT, meaning=_TEXT)
            ),
            rows=_list_of(_ref("Row")),
            next=_NULLABLE_TEXT,
        ),
    ),
    "Spread": _object(
        of=_TEXT,
        domain=_TEXT,
        dimensions=_COUNT,
        participation_ratio=_NUMBER,
        effective_rank=_NUMBER,
        anisotropy=_NUMBER,
    ),
    "Row": _object(
        number=_COUNT,
        label=_TEXT,
        members=_list_of(_TEXT),
        size=_COUNT,
        status={"enum": ["fires", "dead", "empty"]},
        density=_NUMBER,
        firing_tokens=_COUNT,
        mean={"type": ["number", "null"]},
        high=_NUMBER,
        more=_map_of({"type": ["number", "null"]}),
        peaks=_list_of(_object(text=_TEXT, count=_COUNT)),
        examples=_COUNT,
        matches=_object(peaks=_COUNT, texts=_COUNT, active=_COUNT),
        written=_or_null(_ref("Written")),
        best=_or_null(_object(**_CONTEXT, tokens=_list_of(_ref("Text")))),
    ),
    "ClusterPage": _object(snapshot=_ref("Provenance"), cluster=_ref("Cluster")),
    "Cluster": _object(
        number=_COUNT,
        label=_TEXT,
        status={"enum": ["fires", "dead", "empty"]},
        members=_list_of(_TEXT),
        dropped=_list_of(_TEXT),
        ranking=_TEXT,
        rankings=_list_of(_TEXT),
        k=_COUNT,
        folded=_FLAG,
        sampled=_FLAG,
        previous=_NULLABLE_TEXT,
        next=_NULLABLE_TEXT,
        clustering=_object(name=_TEXT, iteration=_COUNT),
        written=_ref("Written"),
        numbers=_list_of(_object(name=_TEXT, value=_NUMBER, text=_TEXT, kind=_TEXT, note=_TEXT)),
        bins=_list_of(_object(left=_NUMBER, right=_NUMBER, count=_COUNT)),
        contexts=_list_of(_object(**_CONTEXT, tokens=_list_of(_ref("Token")))),
        neighbours=_or_null(_list_of(_ref("Neighbour"))),
        matrix=_or_null({"type": "object"}),
        sharing=_list_of(_ref("Neighbour")),
        sharing_total=_COUNT,
    ),
    "Token": _object(
        id=_COUNT, text=_ref("Text"), display=_list_of({"type": "array", "items": _TEXT})
    ),
    "Neighbour": _object(
        clustering=_TEXT, iteration=_COUNT, label=_TEXT, members=_COUNT, both=_COUNT,
        jaccard=_NUMBER, jaccard_error=_NUMBER, tokens=_TEXT,
    ),
    "Maps": _object(
        snapshot=_ref("Provenance"),
        points=_or_null(
            _object(
                number=_list_of(_COUNT), x=_list_of(_COUNT), y=_list_of(_COUNT),
                span_x=_list_of(_NUMBER), span_y=_list_of(_NUMBER), level=_list_of(_COUNT),
                token=_list_of(_COUNT), texts=_list_of(_TEXT), names=_map_of(_TEXT), colour=_TEXT,
                low=_NUMBER, high=_NUMBER, logarithmic=_FLAG, labels=_or_null(_list_of(_TEXT)),
            )
        ),
        pairs=_or_null(
            _object(
                labels=_list_of(_TEXT), tokens=_list_of(_TEXT), links=_list_of(_TEXT),
                a=_list_of(_COUNT), b=_list_of(_COUNT), score=_list_of(_NUMBER), of=_COUNT,
                sampled=_FLAG,
            )
        ),
    ),
    "Start": _object(
        offered=_object(
            corpora=_list_of(_TEXT), models=_list_of(_TEXT),
            dictionaries=_list_of(_list_of(_TEXT)), rankings=_list_of(_TEXT),
            statistics=_list_of(_TEXT),
        ),
        jobs=_list_of(_object(name=_TEXT, state=_TEXT, said=_TEXT)),
        settings=_TEXT,
        commands=_list_of(_TEXT),
        problem=_TEXT,
    ),
    "Sided": _object(number=_COUNT, link=_ref("Neighbour"), density=_NUMBER, high=_NUMBER),
    "Comparison": _object(
        asked={"type": "object"},
        snapshots=_list_of(_object(run=_TEXT, snapshot=_TEXT, content=_TEXT)),
        matched=_COUNT,
        mutual=_COUNT,
        only_a=_COUNT,
        only_b=_COUNT,
        pages=_COUNT,
        notes=_list_of(_TEXT),
        problem=_TEXT,
        rows=_list_of(
            _object(
                a=_or_null(_ref("Sided")), b=_or_null(_ref("Sided")),
                score={"type": ["number", "null"]}, mutual=_FLAG,
            )
        ),
        sides=_list_of({"type": "object"}),
    ),
    "ComponentsPage": _object(
        snapshot=_ref("Provenance"),
        page=_object(
            source={"type": "object"}, show=_TEXT, indices=_list_of(_COUNT), found=_COUNT,
            page=_COUNT, pages=_COUNT,
        ),
    ),
}  # fmt: skip
