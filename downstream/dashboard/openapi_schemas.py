"""The schemas of the JSON forms, for the OpenAPI document."""

from typing import Any

Json = dict[str, Any]

_NULLABLE_TEXT = {"type": ["string", "null"]}
NUMBER, COUNT, TEXT, FLAG = (
    {"type": "number"}, {"type": "integer"}, {"type": "string"}, {"type": "boolean"},
)  # fmt: skip


def ref(name: str) -> Json:
    """Return a reference to a schema of the document."""
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


_CONTEXT: dict[str, Json] = {
    "rank": COUNT,
    "score": NUMBER,
    "peak": COUNT,
    "sample": TEXT,
    "document": TEXT,
    "domain": TEXT,
    "place": _list_of(COUNT),
    "first": COUNT,
    "stop": COUNT,
    "length": COUNT,
    "duplicates": COUNT,
    "activations": _map_of(NUMBER),
    "members": _map_of(_map_of(NUMBER)),
}

_MADE = _object(text=TEXT, author=TEXT)

SCHEMAS: Json = {
    "Problem": _object(error=TEXT),
    "SteeredPage": _object(
        run=TEXT, feature=TEXT, prompt=TEXT, problem=TEXT, answer={"type": ["object", "null"]}
    ),
    "AblatedPage": _object(
        run=TEXT,
        text=TEXT,
        features=_list_of(TEXT),
        by=TEXT,
        problem=TEXT,
        answer={"type": ["object", "null"]},
    ),
    "ConceptFeatures": _object(
        run=TEXT,
        present=_list_of(TEXT),
        absent=_list_of(TEXT),
        by=TEXT,
        problem=TEXT,
        answer={"type": ["object", "null"]},
    ),
    "Tried": _object(run=TEXT, text=TEXT, problem=TEXT, answer={"type": ["object", "null"]}),
    "Health": _object(
        status={"enum": ["ok", "degraded", "waiting", "starting", "failing"]},
        runs=COUNT,
        problems=_map_of(TEXT),
    ),
    "State": _map_of(TEXT),
    "Runs": _object(
        runs=_list_of(ref("Provenance")),
        snapshots=_list_of(
            _object(run=TEXT, snapshot=TEXT, final=FLAG, created=TEXT, content=TEXT)
        ),
        problems=_map_of(TEXT),
    ),
    "Provenance": _object(
        run=TEXT,
        run_id=TEXT,
        identity=TEXT,
        snapshot=TEXT,
        final=FLAG,
        content=TEXT,
        created=TEXT,
        absent=_list_of(TEXT),
        tokens=COUNT,
        rows=COUNT,
        refused=COUNT,
        warnings=_list_of(TEXT),
        about={"type": "object"},
    ),
    "Text": {
        "description": "a token's string, or its bytes where it is no whole character",
        "anyOf": [TEXT, _object(bytes=TEXT)],
    },
    "Written": _object(label=TEXT, stars=_list_of(TEXT), notes=_list_of({"type": "object"})),
    "List": _object(
        snapshot=ref("Provenance"),
        geometry=_object(
            directions=_list_of(ref("Spread")), hooks=_list_of(ref("Spread")), problem=TEXT
        ),
        listing=_object(
            clustering=_object(name=TEXT, iteration=COUNT),
            query={"type": "object"},
            searchable=FLAG,
            problem=TEXT,
            total=COUNT,
            dead=COUNT,
            found=COUNT,
            columns=_list_of(
                _object(name=TEXT, title=TEXT, note=TEXT, unit=TEXT, meaning=TEXT)
            ),
            rows=_list_of(ref("Row")),
            next=_NULLABLE_TEXT,
        ),
    ),
    "Spread": _object(
        of=TEXT,
        domain=TEXT,
        dimensions=COUNT,
        participation_ratio=NUMBER,
        effective_rank=NUMBER,
        anisotropy=NUMBER,
    ),
    "Row": _object(
        number=COUNT,
        label=TEXT,
        members=_list_of(TEXT),
        size=COUNT,
        status={"enum": ["fires", "dead", "empty"]},
        density=NUMBER,
        firing_tokens=COUNT,
        mean={"type": ["number", "null"]},
        high=NUMBER,
        more=_map_of({"type": ["number", "null"]}),
        peaks=_list_of(_object(text=TEXT, count=COUNT)),
        examples=COUNT,
        matches=_object(peaks=COUNT, texts=COUNT, active=COUNT),
        written=_or_null(ref("Written")),
        made=_or_null(_MADE),
        best=_or_null(_object(**_CONTEXT, tokens=_list_of(ref("Text")))),
    ),
    "ClusterPage": _object(snapshot=ref("Provenance"), cluster=ref("Cluster")),
    "Cluster": _object(
        number=COUNT,
        label=TEXT,
        status={"enum": ["fires", "dead", "empty"]},
        members=_list_of(TEXT),
        dropped=_list_of(TEXT),
        ranking=TEXT,
        rankings=_list_of(TEXT),
        k=COUNT,
        folded=FLAG,
        sampled=FLAG,
        previous=_NULLABLE_TEXT,
        next=_NULLABLE_TEXT,
        clustering=_object(name=TEXT, iteration=COUNT),
        written=ref("Written"),
        made=_or_null(_MADE),
        numbers=_list_of(_object(name=TEXT, value=NUMBER, text=TEXT, kind=TEXT, note=TEXT)),
        bins=_list_of(_object(left=NUMBER, right=NUMBER, count=COUNT)),
        contexts=_list_of(_object(**_CONTEXT, tokens=_list_of(ref("Token")))),
        neighbours=_or_null(_list_of(ref("Neighbour"))),
        matrix=_or_null({"type": "object"}),
        sharing=_list_of(ref("Neighbour")),
        sharing_total=COUNT,
    ),
    "Token": _object(
        id=COUNT, text=ref("Text"), display=_list_of({"type": "array", "items": TEXT})
    ),
    "Neighbour": _object(
        clustering=TEXT, iteration=COUNT, label=TEXT, members=COUNT, both=COUNT,
        jaccard=NUMBER, jaccard_error=NUMBER, tokens=TEXT,
    ),
    "Dictionaries": _object(
        snapshot=ref("Provenance"), notes=_list_of(TEXT),
        dictionaries=_list_of(_object(source=TEXT, features=COUNT, active=COUNT, l0=NUMBER)),
        leaders=_list_of(_object(source=TEXT, by=TEXT, rank=COUNT, index=COUNT)),
        specialists=_list_of(_object(source=TEXT, domain=TEXT, specialists=COUNT)),
        overlap=_list_of(_object(source=TEXT, other_source=TEXT, shared=COUNT, alone=COUNT)),
        domain=_or_null(
            _object(
                domain=TEXT, against=TEXT, problem=TEXT,
                features=_list_of(
                    _object(
                        rank=COUNT, cluster=COUNT, clustering=TEXT, label=TEXT, auroc=NUMBER,
                        auroc_low=NUMBER, auroc_high=NUMBER, corrected=NUMBER,
                    )
                ),
            )
        ),
    ),
    "Maps": _object(
        snapshot=ref("Provenance"),
        points=_or_null(
            _object(
                number=_list_of(COUNT), x=_list_of(COUNT), y=_list_of(COUNT),
                span_x=_list_of(NUMBER), span_y=_list_of(NUMBER), level=_list_of(COUNT),
                token=_list_of(COUNT), texts=_list_of(TEXT), names=_map_of(TEXT), colour=TEXT,
                low=NUMBER, high=NUMBER, logarithmic=FLAG, labels=_or_null(_list_of(TEXT)),
            )
        ),
        pairs=_or_null(
            _object(
                labels=_list_of(TEXT), tokens=_list_of(TEXT), links=_list_of(TEXT),
                a=_list_of(COUNT), b=_list_of(COUNT), score=_list_of(NUMBER), of=COUNT,
                sampled=FLAG,
            )
        ),
    ),
    "Start": _object(
        offered=_object(
            corpora=_list_of(TEXT), models=_list_of(TEXT),
            dictionaries=_list_of(_list_of(TEXT)), rankings=_list_of(TEXT),
            statistics=_list_of(TEXT),
        ),
        jobs=_list_of(_object(name=TEXT, state=TEXT, said=TEXT)),
        settings=TEXT,
        commands=_list_of(TEXT),
        problem=TEXT,
    ),
    "Sided": _object(number=COUNT, link=ref("Neighbour"), density=NUMBER, high=NUMBER),
    "Comparison": _object(
        asked={"type": "object"},
        snapshots=_list_of(_object(run=TEXT, snapshot=TEXT, content=TEXT)),
        matched=COUNT,
        mutual=COUNT,
        only_a=COUNT,
        only_b=COUNT,
        pages=COUNT,
        notes=_list_of(TEXT),
        problem=TEXT,
        rows=_list_of(
            _object(
                a=_or_null(ref("Sided")), b=_or_null(ref("Sided")),
                score={"type": ["number", "null"]}, mutual=FLAG,
            )
        ),
        sides=_list_of({"type": "object"}),
    ),
    "ComponentsPage": _object(
        snapshot=ref("Provenance"),
        page=_object(
            source={"type": "object"}, show=TEXT, indices=_list_of(COUNT), found=COUNT,
            page=COUNT, pages=COUNT,
        ),
    ),
}  # fmt: skip
