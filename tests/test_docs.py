"""What README and docs name exists, and what they describe is so."""

import ast
import contextlib
import dataclasses
import hashlib
import importlib
import io
import json
import re
import shlex
import tomllib
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
import pytest

from consumers.oracle.oracle_run import oracle_tables
from consumers.snapshots.snapshots import write_plain
from consumers.statistics.registry import STATISTICS
from millrace.cli import cli
from millrace.settings import Settings, load_settings
from millrace.settings_errors import keys_of, section_of
from streams import arrays
from streams.records import corpus, hits, packed_hits, partials, runs, tallies
from streams.snapshots.annotations import Annotation
from streams.snapshots.attachments import AttachmentManifest
from streams.snapshots.column_types import type_name
from streams.snapshots.content import content_hash
from streams.snapshots.failed_manifest import FailedManifest
from streams.snapshots.manifests import RunManifest
from streams.snapshots.table_entry import ColumnEntry, TableEntry
from streams.snapshots.tables import TABLES
from streams.transport.rights import RIGHTS, acl_commands
from streams.transport.security import Sasl
from tests import factories

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
PACKAGES = ("streams", "producers", "consumers", "downstream", "millrace", "tests")
FOLDERS = (*PACKAGES, "docs", "examples", "benchmarks", "scripts", ".ci")

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def spans(page: Path) -> list[str]:
    """Return the inline code of a page, blocks left out."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    return re.findall(r"`([^`\n]+)`", text)


def blocks(page: Path, language: str) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.M | re.S)


# Names


@cache
def names_in(path: Path) -> frozenset[str]:
    """Return what a module defines: functions, classes, their methods and fields, constants."""
    return frozenset(_names(ast.parse(path.read_text()).body, ""))


def _names(body: list[ast.stmt], prefix: str) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield prefix + node.name
        if isinstance(node, ast.ClassDef):
            yield from _names(node.body, f"{prefix}{node.name}.")
        if isinstance(node, ast.Assign):
            yield from (prefix + t.id for t in node.targets if isinstance(t, ast.Name))
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield prefix + node.target.id


def is_defined(dotted: str) -> bool:
    """Return whether ``package.module.Class.method`` exists."""
    parts = dotted.split(".")
    for stop in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:stop])
        one = path.with_suffix(".py")
        module = one if one.is_file() else path / "__init__.py"
        if module.is_file():
            rest = ".".join(parts[stop:])
            return not rest or rest in names_in(module)
    return False


@every_page
def test_every_module_and_function_exists(page: Path) -> None:
    dotted = [s for s in spans(page) if re.fullmatch(rf"({'|'.join(PACKAGES)})(\.\w+)+", s)]
    missing = [s for s in dotted if not is_defined(s)]
    assert not missing


@every_page
def test_every_path_and_test_exists(page: Path) -> None:
    missing = []
    for span in spans(page):
        path, _, test = span.partition("::")
        if path.split("/")[0] not in FOLDERS or "/" not in path or " " in path:
            continue
        if not (ROOT / path).exists() or (test and test not in names_in(ROOT / path)):
            missing.append(span)
    assert not missing


@every_page
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        titles = re.findall(r"^#+ (.*)$", target.read_text(), flags=re.M) if anchor else []
        assert not anchor or anchor in [re.sub(r"\W+", "-", t.lower()) for t in titles], link


# Commands


def commands() -> list[str]:
    """Return the lines of the README's shell blocks and every page's inline commands."""
    lines = [line for block in blocks(README, "sh") for line in block.splitlines()]
    every = [span for page in PAGES for span in spans(page)]
    inline = [s for s in dict.fromkeys(every) if re.match(r"(\w+=\S+ )*(\S*millrace|make) \w", s)]
    return [re.split(r"\s#", line)[0].strip() for line in lines if line.strip()] + inline


def of_program(command: str) -> list[str] | None:
    """Return the words after ``millrace``, None for another program's line."""
    words = [w for w in shlex.split(command) if not re.fullmatch(r"[A-Z_]+=.*", w)]
    return words[1:] if words and words[0].split("/")[-1] == "millrace" else None


@pytest.mark.parametrize("line", [c for c in commands() if of_program(c) is not None])
def test_verbs_and_options_of_the_readme_exist(line: str) -> None:
    words = of_program(line) or []
    command: click.Command | None = cli
    context = click.Context(cli)
    while isinstance(command, click.Group) and words:
        command = command.get_command(context, words.pop(0))
    assert command is not None
    known = {option for parameter in command.params for option in parameter.opts}
    known |= {option for parameter in command.params for option in parameter.secondary_opts}
    assert {word for word in words if word.startswith("--")} <= known
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    assert arguments or not [w for w in words[:1] if not w.startswith("-")]


@pytest.mark.parametrize("line", [c for c in commands() if re.search(r"\bmake \w", c)])
def test_targets_and_variables_of_make_exist(line: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    words = shlex.split(line)
    assert re.search(rf"^{words[words.index('make') + 1]}:", makefile, flags=re.M)
    for variable in re.findall(r"\b([A-Z]+)=", line):
        assert re.search(rf"\$[({{]{variable}\b", makefile), variable


def test_what_is_said_of_compose_is_in_its_files() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    text = README.read_text()
    for service in re.findall(r"--scale (\w+)=", text):
        assert re.search(rf"^  {service}:", compose, flags=re.M), service
    for file in re.findall(r"-f (docker\S+)", text):
        assert (ROOT / file).is_file(), file
    for variable in ("MILLRACE_DATA", "MILLRACE_SETTINGS", "TORCH_INDEX"):
        assert f"${{{variable}" in compose
        assert variable in text


@pytest.mark.parametrize(
    "variable", sorted(set(re.findall(r"\bMILLRACE_\w+", "".join(p.read_text() for p in PAGES))))
)
def test_variables_are_settings_or_known_elsewhere(variable: str) -> None:
    section, _, key = variable.removeprefix("MILLRACE_").lower().partition("__")
    if section in Settings.model_fields:
        inner = section_of(Settings.model_fields[section].annotation)
        assert not key or (inner is not None and key.removesuffix("_file") in keys_of(inner))
        return
    elsewhere = [ROOT / "docker-compose.yml", *(ROOT / "millrace").rglob("*.py")]
    elsewhere += [path for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__)]
    assert any(variable in path.read_text() for path in elsewhere)


# Rights


@pytest.mark.parametrize("verb", RIGHTS)
def test_the_rights_of_the_page_are_those_of_the_table(verb: str) -> None:
    text = (ROOT / "docs" / "kafka-rights.md").read_text()
    part = text.split(f"\n### {verb}\n")[1].split("\n### ")[0]
    (block,) = re.findall(r"^```\n(.*?)^```", part, flags=re.M | re.S)
    wanted = acl_commands(RIGHTS[verb], "team-a", "team-a.", "kafka.example.org:9093")
    assert block.splitlines() == list(wanted)


def test_every_verb_that_needs_a_broker_has_its_rights_on_the_page() -> None:
    without = {"demo", "verify", "derive", "label", "cluster", "diff", "export", "broker"}
    without |= {"compare-dictionaries", "compare-models", "asked", "score", "embed"}
    found = set()
    for verb in set(cli.list_commands(click.Context(cli))) - without:
        command = cli.get_command(click.Context(cli), verb)
        under = list(command.commands) if isinstance(command, click.Group) else [""]
        found |= {f"{verb} {one}".strip() for one in under}
    assert {verb.split(" --")[0] for verb in RIGHTS} == found


# What a reader copies


def test_the_settings_file_of_the_readme_is_one(tmp_path: Path) -> None:
    _, text = blocks(README, "toml")
    (tmp_path / "model").mkdir()
    file = tmp_path / "my.toml"
    file.write_text(text)
    made = load_settings(file, environment={})
    spec = made.run_spec()
    assert spec.model.path == str(tmp_path / "model")
    assert [source.name for source in spec.sources] == ["sae"]
    assert tomllib.loads(text)["run"]["name"] == spec.name


def test_the_settings_of_a_shared_broker_in_the_readme_are_some(tmp_path: Path) -> None:
    text, _ = blocks(README, "toml")
    (tmp_path / "kafka").write_text("secret\n")
    file = tmp_path / "my.toml"
    file.write_text(text.replace("/run/secrets/", ""))
    access = load_settings(file, environment={}).access
    assert (access.prefix, access.security.protocol) == ("team-a.", "SASL_SSL")
    assert access.security.sasl == Sasl("team-a", "secret")


@every_page
def test_cluster_files_are_some(page: Path, tmp_path: Path) -> None:
    from consumers.runs.clusters import load_clustering

    for block in blocks(page, "json"):
        file = tmp_path / "clusters.json"
        file.write_text(block)
        made = load_clustering(str(file), [factories.source(components=1000)])
        assert list(made.labels) == list(json.loads(block)["clusters"])


def test_the_lines_that_read_a_snapshot_read_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (program,) = blocks(README, "python")
    plan = factories.plan(name="python-prose")
    write_plain(plan, tables_of(plan), "final", str(tmp_path / ".millrace" / "snapshots"))
    monkeypatch.chdir(tmp_path)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(program.replace("88", "3"), {})
    assert "maximum" in said.getvalue()


def tables_of(plan: Any) -> dict[str, pa.Table]:
    """Return the tables of a small run."""
    engine = factories.DenseEngine(plan)
    return oracle_tables(plan, engine, iter(factories.batches()), (b"a", b"b"))


# Formats


def rows_under(title: str, page: str = "formats.md", table: int = 0) -> list[list[str]]:
    """Return the rows of a table under a title, without its head; first cells bare."""
    text = (ROOT / "docs" / page).read_text()
    part = re.split(rf"^#+ {re.escape(title)}$", text, maxsplit=1, flags=re.M)[1]
    lines = re.split(r"^#", part, maxsplit=1, flags=re.M)[0].splitlines()
    starts = [
        n
        for n, line in enumerate(lines)
        if line.startswith("|") and not lines[n - 1].startswith("|")
    ]
    first = starts[table]
    rows = []
    for line in lines[first + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().strip("`") for cell in line.strip("|").split("|")])
    return rows


RECORDS = {
    record.__name__: record
    for record in (
        corpus.TokenBatch,
        corpus.PartitionEnd,
        corpus.CorpusRecord,
        corpus.Vocabulary,
        runs.RunRecord,
        partials.HitsPart,
        hits.Hits,
        partials.Statistics,
        tallies.BucketTally,
        tallies.KeyedSums,
        tallies.KeyNames,
        partials.SourceEnd,
        partials.SnapshotRequest,
        partials.PackedHitsPart,
        packed_hits.PackedHits,
        partials.PackedStatistics,
        tallies.PackedTallies,
        tallies.PackedKeyedSums,
        partials.BucketState,
    )
}
ARRAYS = {
    getattr(arrays, name): name
    for name in ("Bool", "I8", "U8", "U16", "U32", "U64", "I32", "I64", "F32", "F64")
}


@pytest.mark.parametrize("name", RECORDS)
def test_records_have_the_fields_of_the_page(name: str) -> None:
    hints = typing.get_type_hints(RECORDS[name], include_extras=True)
    described = {row[0]: row[1] for row in rows_under(name)}
    assert list(described) == [field.name for field in dataclasses.fields(RECORDS[name])]
    for field, kind in described.items():
        assert kind == ARRAYS.get(hints[field], kind), field
        assert (kind in ARRAYS.values()) == (hints[field] in ARRAYS), field


FORMS = {**TABLES, **{form.name: form for each in STATISTICS for form in each.tables}}


@pytest.mark.parametrize("name", FORMS)
def test_snapshot_tables_are_described_on_the_page_as_in_their_definition(name: str) -> None:
    expected = [f"### {name}", "", FORMS[name].description, ""]
    expected += ["| column | type | unit | meaning | is |", "|---|---|---|---|---|"]
    for column in FORMS[name].columns:
        meaning = column.meaning + (f": {column.error}" if column.error else "")
        kind = f"`{type_name(column.type)}`"
        cells = (f"`{column.name}`", kind, column.unit, meaning, column.description)
        expected.append(f"| {' | '.join(cells)} |")
    assert "\n".join([*expected, "", ""]) in (ROOT / "docs" / "formats.md").read_text()


def test_the_entry_of_a_table_has_the_keys_of_the_page() -> None:
    text = (ROOT / "docs" / "formats.md").read_text()
    (part,) = re.findall(r"\| table key \| meaning \|\n\|---\|---\|\n((?:\|.*\n)+)", text)
    rows = [line.strip("|").split("|") for line in part.splitlines()]
    described = [key for row in rows for key in re.findall(r"`(\w+)`", row[0])]
    assert sorted(described) == sorted(field.name for field in dataclasses.fields(TableEntry))
    of_columns = re.findall(r"`([a-z_]+)`", rows[-1][1])
    assert set(of_columns) >= {field.name for field in dataclasses.fields(ColumnEntry)}


def test_the_manifest_has_the_keys_of_the_page() -> None:
    described = [key for row in rows_under("Snapshots") for key in re.split(r"`, `", row[0])]
    assert described == [field.name for field in dataclasses.fields(RunManifest)]
    failed = [key for row in rows_under("Failed manifest") for key in re.split(r"`, `", row[0])]
    assert failed == [field.name for field in dataclasses.fields(FailedManifest)]


@pytest.mark.parametrize(
    ("what", "kind"), [("attachment", AttachmentManifest), ("annotation", Annotation)]
)
def test_what_stands_beside_snapshots_has_the_keys_of_the_page(what: str, kind: type) -> None:
    text = (ROOT / "docs" / "formats.md").read_text()
    (part,) = re.findall(rf"\| {what} key \| meaning \|\n\|---\|---\|\n((?:\|.*\n)+)", text)
    described = [
        k for line in part.splitlines() for k in re.findall(r"`(\w+)`", line.split("|")[1])
    ]
    assert described == [field.name for field in dataclasses.fields(kind)]


def sections() -> dict[str, dict[str, Any]]:
    """Return the titles of the settings tables and the defaults of the keys they must list."""
    plain: dict[str, Any] = {}
    found: dict[str, dict[str, Any]] = {"top level": plain}
    for name, field in Settings.model_fields.items():
        inner = section_of(field.annotation)
        if inner is None:
            plain[name] = field.default
        else:
            title = f"[{name}]" if inner is field.annotation else f"[[{name}]]"
            found[title] = defaults_of(inner)
    return found


def defaults_of(section: Any) -> dict[str, Any]:
    """Return the default of each key of a section, dataclasses.MISSING for one that is needed."""
    if dataclasses.is_dataclass(section):
        return {field.name: field.default for field in dataclasses.fields(section)}
    return {
        name: dataclasses.MISSING if field.is_required() else field.default
        for name, field in section.model_fields.items()
    }


@pytest.mark.parametrize("title", sections())
def test_settings_are_those_of_the_page(title: str) -> None:
    described = {row[0]: row[1] for row in rows_under(title)}
    defaults = sections()[title]
    assert list(described) == list(defaults)
    for key, default in defaults.items():
        assert described[key] == shown_default(default), key


def shown_default(default: Any) -> str:
    if default is dataclasses.MISSING:
        return "needed"
    return "—" if default is None else json.dumps(default)


# The content hash, computed from its description in formats.md and nothing else


def test_the_content_hash_can_be_computed_from_its_description() -> None:
    tables = tables_of(factories.plan())
    assert len(tables["hits"])
    assert described_hash(tables) == content_hash(tables)
    empty = {name: form.schema.empty_table() for name, form in TABLES.items()}
    assert described_hash(empty) == content_hash(empty)


def described_hash(tables: dict[str, pa.Table]) -> str:
    lines = ""
    for name in sorted(TABLES):
        table, digest = tables[name], hashlib.sha256()
        for column in TABLES[name].columns:
            values = table[column.name].to_pylist()
            kind = type_name(column.type)
            digest.update(f"{column.name} {kind} {len(table)}\n".encode("ascii"))
            for stream in streams_of(values, kind):
                digest.update(hashlib.sha256(stream).digest())
        lines += f"{name}:{digest.hexdigest()}\n"
    return hashlib.sha256(lines.encode()).hexdigest()


def streams_of(values: list[Any], kind: str) -> list[bytes]:
    if kind.startswith("list<"):
        items = [item for value in values for item in value]
        return [lengths_of(values), *streams_of(items, kind[len("list<") : -1])]
    if kind in ("string", "binary"):
        plain = [v.encode() if isinstance(v, str) else v for v in values]
        return [lengths_of(plain), b"".join(plain)]
    if kind == "binary[16]":
        return [b"".join(values)]
    dtype = {"int32": "<i4", "int64": "<i8", "float32": "<f4", "float64": "<f8", "bool": "u1"}[kind]
    return [np.asarray(values, dtype).tobytes()]


def lengths_of(values: list[Any]) -> bytes:
    return np.asarray([len(value) for value in values], "<i8").tobytes()


def test_what_coming_from_maps_to_exists() -> None:
    page = ROOT / "docs" / "coming-from.md"
    sections = Settings.model_fields
    named = [span for span in spans(page) if re.fullmatch(r"(corpus|run|model)\.\w+", span)]
    assert len(named) > 10
    for section, key in (span.split(".") for span in named):
        kind: Any = sections[section].annotation
        assert key in (getattr(kind, "model_fields", None) or kind.__dataclass_fields__), key
    statistic = "|".join(name.partition("@")[0] for each in STATISTICS for name in each.names)
    assert re.search(rf"the statistic `({statistic})`", page.read_text())
    pairs = re.findall(r"^\| (`\w+`.*) \| `(consumers\.storage\.\w+)` \|$", page.read_text(), re.M)
    assert len(pairs) == 6
    for names, module in pairs:
        for name in re.findall(r"`(\w+)`", names):
            assert hasattr(importlib.import_module(module), name), name
    verbs = [span.split() for span in spans(page) if span.startswith("millrace ")]
    for _, verb, *more in verbs:
        group = cli.get_command(click.Context(cli), verb)
        assert group is not None, verb
        if isinstance(group, click.Group) and more:
            assert group.get_command(click.Context(group), more[0]) is not None, more


def test_the_picture_is_small_and_there() -> None:
    picture = ROOT / "docs" / "images" / "dashboard.png"
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert picture.stat().st_size < 300_000


def test_documents_name_no_machine() -> None:
    for page in PAGES:
        assert not re.search(r"(?<![\w/])/(work|root|home|tmp|Users)/", page.read_text()), page.name
