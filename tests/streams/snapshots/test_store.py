import errno
import hashlib
import os
import tracemalloc
import weakref
from contextlib import suppress
from pathlib import Path
from unittest.mock import Mock

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import DamagedPartError, SnapshotError, StoreError
from streams.snapshots.store import open_store, read_manifest, write_manifest, write_part
from streams.snapshots.table_reading import read_pieces, read_table
from streams.snapshots.tables import TABLES
from tests import factories
from tests.streams.strategies import quick

TOTALS = TABLES["totals"].schema
TABLE = pa.table(
    {name: pa.array([number, 10**6 + number]) for number, name in enumerate(TOTALS.names)},
    schema=TOTALS,
)


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.is_file())


def manifest(folder, *parts):
    return factories.run_manifest(store=str(folder), files=parts)


@pytest.fixture
def written(tmp_path):
    """Return a folder with one part, and its manifest."""
    part = write_part(open_store(str(tmp_path)), "prose", "totals", 0, TABLE)
    return manifest(tmp_path, part)


def test_a_part_is_named_after_its_content(tmp_path):
    store = open_store(str(tmp_path))
    part = write_part(store, "prose", "totals", 3, TABLE)
    data = (tmp_path / "prose" / part.path).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    assert (part.sha256, part.bytes, part.rows) == (digest, len(data), 2)
    assert files(tmp_path) == [f"prose/parts/totals-0003-{digest[:16]}.parquet"]
    assert write_part(store, "prose", "totals", 3, TABLE) == part
    assert len(files(tmp_path)) == 1


def test_a_snapshot_reads_as_it_was_written(tmp_path, written):
    path = write_manifest(open_store(str(tmp_path)), written)
    assert path == str(tmp_path / "prose" / "final" / "manifest.json")
    assert read_manifest(path) == read_manifest(str(tmp_path / "prose" / "final")) == written
    assert read_table(written, "totals", check=True).equals(TABLE)
    assert read_table(written, "totals", columns=["rows"]).column_names == ["rows"]
    assert read_table(written, "hits", columns=["score"]).schema.names == ["score"]
    assert read_table(written, "hits").schema == TABLES["hits"].schema


def test_shards_are_read_in_order(tmp_path):
    store = open_store(str(tmp_path))
    parts = [write_part(store, "prose", "totals", s, TABLE.slice(s, 1)) for s in range(2)]
    assert read_table(manifest(tmp_path, *parts), "totals").equals(TABLE)
    assert read_table(manifest(tmp_path, *parts[::-1]), "totals")["tokens"][0].as_py() == 10**6


def test_only_what_filters_match_is_read(written):
    found = read_table(written, "totals", filters=[("tokens", "=", 10**6)])
    assert found["rows"].to_pylist() == [10**6 + 1]


@pytest.mark.parametrize("pieces", [[], [0], [1, 0, 2], [2, 1]])
def test_a_part_in_pieces_holds_their_rows(tmp_path, pieces):
    given_pieces = [TABLE.slice(0, rows) for rows in pieces]
    part = write_part(open_store(str(tmp_path)), "prose", "totals", 0, iter(given_pieces))
    assert part.rows == sum(pieces)
    whole = pa.concat_tables([TOTALS.empty_table(), *given_pieces])
    assert read_table(manifest(tmp_path, part), "totals", check=True).equals(whole)


def test_pieces_that_fail_leave_no_file_behind(tmp_path):
    def pieces():
        yield TABLE
        raise SnapshotError("the corpus is gone")

    with pytest.raises(SnapshotError, match=r"^the corpus is gone$"):
        write_part(open_store(str(tmp_path)), "prose", "totals", 0, pieces())
    assert files(tmp_path) == []


def test_files_can_be_read_piece_by_piece(tmp_path):
    store = open_store(str(tmp_path))
    parts = [write_part(store, "prose", "totals", s, TABLE.slice(s)) for s in range(2)]
    found = [list(file) for file in read_pieces(manifest(tmp_path, *parts), "totals", size=1)]
    assert [len(file) for file in found] == [2, 1]
    rows = [row for file in found for piece in file for row in piece.to_pylist()]
    assert rows == [*TABLE.to_pylist(), TABLE.to_pylist()[1]]


def test_a_file_that_is_read_in_pieces_is_not_in_memory_whole(tmp_path):
    random = np.random.default_rng(0)
    pieces = [
        pa.table({n: random.integers(0, 2**62, 1000) for n in TOTALS.names}, schema=TOTALS)
        for _ in range(64)
    ]
    part = write_part(open_store(str(tmp_path)), "prose", "totals", 0, iter(pieces))
    [file] = read_pieces(manifest(tmp_path, part), "totals", size=1000)
    pool = pa.default_memory_pool()
    rows = held = 0
    tracemalloc.start()
    try:
        before = pool.bytes_allocated()
        for piece in file:
            rows += len(piece)
            held = max(held, pool.bytes_allocated() - before)
        read_ahead = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rows == 64_000
    assert max(held, read_ahead) < part.bytes / 8


def test_a_piece_is_let_go_before_the_next_is_made(tmp_path):
    made, held = [], []

    def piece():
        table = pa.table(TABLE.columns, schema=TOTALS)
        made.append(weakref.ref(table))
        return table

    def pieces():
        for _ in range(3):
            held.append(sum(ref() is not None for ref in made))
            yield piece()

    write_part(open_store(str(tmp_path)), "prose", "totals", 0, pieces())
    assert held == [0, 0, 0]


def test_a_file_with_other_columns_is_no_piece_of_the_table(tmp_path, written):
    other = TABLE.rename_columns(["x", *TOTALS.names[1:]])
    pq.write_table(other, tmp_path / "prose" / written.files[0].path)
    [file] = read_pieces(written, "totals")
    with pytest.raises(DamagedPartError, match="has other columns than it is listed with"):
        list(file)


def test_damage_is_noticed_piece_by_piece_too(tmp_path, written):
    path = tmp_path / "prose" / written.files[0].path
    path.write_bytes(path.read_bytes()[:-1])
    for check, line in ((True, "is damaged: its checksum"), (False, "cannot read")):
        [file] = read_pieces(written, "totals", check=check)
        with pytest.raises(DamagedPartError, match=line):
            list(file)


@quick
@given(place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255), cut=st.booleans())
def test_damage_is_noticed_by_the_checksum(tmp_path_factory, place, flip, cut):
    folder = tmp_path_factory.mktemp("store")
    part = write_part(open_store(str(folder)), "prose", "totals", 0, TABLE)
    path = folder / "prose" / part.path
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= flip
    path.write_bytes(data[: int(place * len(data))] if cut else data)
    with pytest.raises(DamagedPartError, match="is damaged: its checksum"):
        read_table(manifest(folder, part), "totals", check=True)
    with suppress(SnapshotError):
        read_table(manifest(folder, part), "totals")


def test_every_error_of_the_file_format_is_ours_in_one_line(written, monkeypatch):
    for error in (pa.ArrowInvalid("a\nb"), pa.ArrowNotImplementedError("a"), OSError("a\n")):
        monkeypatch.setattr("pyarrow.parquet.ParquetFile.read_row_group", Mock(side_effect=error))
        with pytest.raises(DamagedPartError, match=r"^cannot read .*\.parquet: a$"):
            read_table(written, "totals")


def test_a_missing_part_is_named(tmp_path, written):
    (tmp_path / "prose" / written.files[0].path).unlink()
    with pytest.raises(DamagedPartError, match=r"cannot read .*totals-0000.*"):
        read_table(written, "totals")


def test_a_store_that_cannot_be_reached_is_no_damage(written, monkeypatch):
    for error in (PermissionError(13, "denied"), TimeoutError("slow"), OSError(5, "i/o")):
        opening = "streams.regular_files.open_regular"
        monkeypatch.setattr(opening, Mock(side_effect=error))
        for check in (True, False):
            with pytest.raises(StoreError):
                read_table(written, "totals", check=check)


def test_a_manifest_that_is_not_there_or_none_is_one_clear_line(tmp_path):
    with pytest.raises(SnapshotError, match=r"no snapshot at .*nowhere: .*No such file"):
        read_manifest(str(tmp_path / "nowhere"))
    with pytest.raises(SnapshotError, match=r"no snapshot at .*No such file"):
        read_manifest(str(tmp_path))
    (tmp_path / "manifest.json").write_text("hello")
    with pytest.raises(SnapshotError, match="unreadable run manifest: "):
        read_manifest(str(tmp_path))


@pytest.mark.parametrize("address", ["nonsense://x", "nonsense://x/manifest.json"])
def test_an_address_of_no_known_kind_is_one_clear_line(address):
    with pytest.raises(SnapshotError, match=r"store 'nonsense://x.*' cannot be opened: "):
        open_store(address)
    with pytest.raises(SnapshotError, match="cannot be opened"):
        read_manifest(address)


def test_an_object_store_works_like_a_folder():
    address = "memory://store-test"
    part = write_part(open_store(address), "prose", "totals", 0, TABLE)
    whole = manifest(address, part)
    path = write_manifest(open_store(address), whole)
    assert read_manifest(f"memory://{path}") == whole
    assert read_table(whole, "totals", check=True).equals(TABLE)
    assert not [p for p in fsspec.filesystem("memory").find("/store-test") if p.endswith(".tmp")]


def refused(folder):
    """Return the error of writing a part, which leaves no file behind."""
    with pytest.raises(SnapshotError, match="cannot write") as info:
        write_part(open_store(str(folder)), "prose", "totals", 0, TABLE)
    assert "\n" not in str(info.value)
    return str(info.value)


def test_a_store_that_is_no_folder_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert "file/prose/parts" in refused(tmp_path / "file")
    assert files(tmp_path) == ["file"]


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only_is_one_clear_line(tmp_path):
    tmp_path.chmod(0o500)
    assert "Permission denied" in refused(tmp_path)
    tmp_path.chmod(0o700)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("when", ["open", "write", "close", "mv"])
def test_a_disk_that_fails_leaves_nothing_and_one_clear_line(tmp_path, monkeypatch, code, when):
    store = open_store(str(tmp_path))
    fail_at(monkeypatch, store.files, when, OSError(code, os.strerror(code)))
    assert os.strerror(code) in refused(tmp_path)
    assert files(tmp_path) == []


def fail_at(monkeypatch, filesystem, when, error):
    """Let a local filesystem fail at one step of writing a file."""

    def fail(*arguments, **named):
        raise error

    if when == "mv":
        monkeypatch.setattr(type(filesystem), "mv", fail)
        return
    real = type(filesystem).open

    def opened(self, path, mode="rb", **named):
        if when == "open":
            raise error
        file = real(self, path, mode, **named)
        return Failing(file, when, error)

    monkeypatch.setattr(type(filesystem), "open", opened)


class Failing:
    """A file that fails when it is written to or closed."""

    def __init__(self, file, when, error):
        self.file, self.when, self.error = file, when, error

    def __enter__(self):
        return self

    def write(self, data):
        if self.when == "write":
            self.file.write(data[:7])
            raise self.error
        return self.file.write(data)

    def __exit__(self, *details):
        self.file.close()
        if self.when == "close":
            raise self.error


def test_a_part_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    """A reader that looks while a part is written sees either no file of that name or all of it."""
    store = open_store(str(tmp_path))
    seen, real = [], type(store.files).mv

    def watching(self, source, target, **named):
        seen.append((files(tmp_path), Path(source).read_bytes(), Path(target).exists()))
        real(self, source, target, **named)

    monkeypatch.setattr(type(store.files), "mv", watching)
    part = write_part(store, "prose", "totals", 0, TABLE)
    [(before, data, there)] = seen
    assert all(name.endswith(".tmp") for name in before)
    assert not there
    assert hashlib.sha256(data).hexdigest() == part.sha256
    assert files(tmp_path) == [f"prose/{part.path}"]
