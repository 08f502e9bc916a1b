import hashlib
import struct
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import SnapshotError
from streams.snapshots.column_types import type_name
from streams.snapshots.content import content_hash, content_of, table_hash
from streams.snapshots.tables import SAMPLES, TABLES
from tests.streams.strategies import quick

ROWS = 5


def cell(kind, random):
    """Return a random value of a column's type."""
    if pa.types.is_list(kind):
        return [cell(kind.value_type, random) for _ in range(random.integers(0, 3))]
    if pa.types.is_string(kind):
        return random.choice(["", "a", "ü", "ab"])
    if pa.types.is_fixed_size_binary(kind):
        return random.bytes(kind.byte_width)
    if pa.types.is_binary(kind):
        return random.bytes(random.integers(0, 3))
    if pa.types.is_boolean(kind):
        return bool(random.integers(0, 2))
    if pa.types.is_floating(kind):
        return float(random.integers(-4, 4)) / 2
    return int(random.integers(0, 3))


def tables(seed=0):
    """Return small random tables."""
    random = np.random.default_rng(seed)
    made = {}
    for name, form in TABLES.items():
        rows = [{f.name: cell(f.type, random) for f in form.schema} for _ in range(ROWS)]
        made[name] = pa.Table.from_pylist(rows, schema=form.schema)
    return made


def cut(table, places):
    """Return the same rows in chunks that end at ``places``, built one by one."""
    bounds = [0, *sorted(places), len(table)]
    pieces = [table.slice(a, b - a) for a, b in pairwise(bounds)]
    return pa.concat_tables(pieces)


cuts = st.lists(st.integers(0, ROWS), max_size=3)


@quick
@given(st.integers(0, 20), cuts)
def test_how_the_tables_are_cut_does_not_matter(seed, places):
    given_tables = tables(seed)
    chunked = {name: cut(table, places) for name, table in given_tables.items()}
    assert content_hash(chunked) == content_hash(given_tables)


@quick
@given(st.integers(0, 20), cuts)
def test_pieces_one_by_one_give_the_same_hash(seed, places):
    given_tables = tables(seed)
    pieces = {name: iter(cut(t, places).to_batches()) for name, t in given_tables.items()}
    hashes = {name: table_hash(TABLES[name].schema, pieces[name]).hash for name in pieces}
    assert content_of(hashes) == content_hash(given_tables)


def hash_of(table):
    return table_hash(table.schema, [table]).hash


def slow_table_hash(table):
    """Return the hash as the description has it, cell by cell in Python."""
    digest = hashlib.sha256()
    for field in table.schema:
        digest.update(f"{field.name} {type_name(field.type)} {len(table)}\n".encode())
        for stream in slow_streams(table[field.name].to_pylist(), field.type):
            digest.update(hashlib.sha256(stream).digest())
    return digest.hexdigest()


def slow_streams(values, kind):
    if pa.types.is_list(kind):
        yield b"".join(struct.pack("<q", len(value)) for value in values)
        yield from slow_streams([item for value in values for item in value], kind.value_type)
    elif pa.types.is_fixed_size_binary(kind):
        yield b"".join(values)
    elif pa.types.is_string(kind) or pa.types.is_binary(kind):
        data = [value.encode() if isinstance(value, str) else value for value in values]
        yield b"".join(struct.pack("<q", len(value)) for value in data)
        yield b"".join(data)
    else:
        form = {"int32": "<i", "int64": "<q", "float": "<f", "double": "<d", "bool": "<?"}[
            str(kind)
        ]
        yield b"".join(struct.pack(form, value) for value in values)


@quick
@given(st.integers(0, 20), cuts, st.integers(0, ROWS))
def test_the_hash_is_its_slow_twin(seed, places, first):
    for table in tables(seed).values():
        part = cut(table, places).slice(first)
        assert hash_of(part) == slow_table_hash(part)


def test_a_cell_without_a_value_is_an_error():
    for kind in (pa.int32(), pa.string(), pa.binary(16), pa.list_(pa.string())):
        with pytest.raises(SnapshotError, match="cells without a value"):
            hash_of(pa.table({"a": pa.array([None], kind)}))
    with pytest.raises(SnapshotError, match="cells without a value"):
        hash_of(lists(["a", None]))


@pytest.mark.parametrize("seed", range(3))
def test_files_give_back_the_same_content(seed, tmp_path):
    given_tables, read = tables(seed), {}
    for name, table in given_tables.items():
        for part in range(2):
            piece = table.slice(0, 2) if part == 0 else table.slice(2)
            pq.write_table(piece, tmp_path / f"{name}-{part}", row_group_size=2)
        read[name] = pa.concat_tables(
            [pq.read_table(tmp_path / f"{name}-{part}") for part in range(2)]
        )
    assert content_hash(read) == content_hash(given_tables)


def test_the_order_in_which_tables_are_named_does_not_matter():
    hashes = {name: hash_of(table) for name, table in tables().items()}
    assert content_of(dict(reversed(hashes.items()))) == content_of(hashes)
    renamed = {{"hits": "samples", "samples": "hits"}.get(n, n): h for n, h in hashes.items()}
    assert content_of(renamed) != content_of(hashes)


@pytest.mark.parametrize("name", TABLES)
def test_any_cell_changes_the_content(name):
    given_tables = tables(3)
    before, random = content_hash(given_tables), np.random.default_rng(5)
    rows = given_tables[name].to_pylist()
    for number in range(ROWS):
        for field in TABLES[name].schema:
            other = rows[number][field.name]
            while other == rows[number][field.name]:
                other = cell(field.type, random)
            changed = [*rows[:number], {**rows[number], field.name: other}, *rows[number + 1 :]]
            table = pa.Table.from_pylist(changed, schema=TABLES[name].schema)
            assert content_hash({**given_tables, name: table}) != before, (number, field.name)


@pytest.mark.parametrize("name", TABLES)
def test_the_order_and_number_of_rows_are_part_of_the_content(name):
    given_tables = tables(4)
    table = given_tables[name]
    swapped = table.take([1, 0, *range(2, ROWS)])
    for other in (table.slice(1), pa.concat_tables([table, table.slice(0, 1)]), swapped):
        if not other.equals(table):
            changed = content_hash({**given_tables, name: other})
            assert changed != content_hash(given_tables)


def lists(*values):
    return pa.table({"a": pa.array(values, pa.list_(pa.string()))})


def test_values_cannot_move_between_cells_unnoticed():
    forms = [
        lists(["ab"], ["c"]), lists(["a", "b"], ["c"]), lists(["ab", "c"], []),
        lists([], ["ab", "c"]), lists(["ab", ""], ["c"]), lists(["abc"]), lists(["a"], ["bc"]),
    ]  # fmt: skip
    assert len({hash_of(form) for form in forms}) == len(forms)


def test_empty_tables_have_a_content_of_their_own():
    empty = {name: form.schema.empty_table() for name, form in TABLES.items()}
    assert content_hash(empty) == content_hash(
        {name: pa.concat_tables([table, table]) for name, table in empty.items()}
    )
    assert content_hash(empty) != content_hash(tables())


def test_negative_zero_is_another_value():
    zero, other = (pa.table({"a": pa.array([z], pa.float32())}) for z in (0.0, -0.0))
    assert hash_of(zero) != hash_of(other)


@pytest.mark.parametrize("name", TABLES)
def test_a_missing_table_or_column_is_named(name):
    given_tables = tables()
    without = {n: t for n, t in given_tables.items() if n != name}
    with pytest.raises(SnapshotError, match=f"table '{name}' is missing or has other columns"):
        content_hash(without)
    narrower = given_tables[name].drop_columns([TABLES[name].schema.names[-1]])
    with pytest.raises(SnapshotError, match=f"table '{name}' is missing or has other columns"):
        content_hash({**given_tables, name: narrower})


def test_the_hash_is_what_it_was():
    """Hashes of snapshots are compared between releases: this one may never change."""
    rows = {
        "partition": 1, "sequence": 2**40, "row": 3, "sample": bytes(range(16)),
        "document": "ü", "domain": "", "ids": [7, 50256],
    }  # fmt: skip
    table = pa.Table.from_pylist([rows], schema=SAMPLES.schema)
    assert hash_of(table) == "ea31a36d2801254cf26ede2a8711e0e417b6f115d4f164bc6b98e8f99d8b5d6e"
