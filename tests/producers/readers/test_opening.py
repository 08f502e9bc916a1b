import bz2
import gzip
import lzma
from collections.abc import Callable

import pytest
import zstandard

from tests.producers.readers.reading import skipping, texts, write

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.compress,
    ".lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
}
LINES = b'{"text": "packed"}\n'


@pytest.mark.parametrize("suffix", [*PACKERS, ""])
@pytest.mark.parametrize("packer", [*PACKERS, None])
def test_what_a_file_is_packed_with_is_told_by_its_bytes(tmp_path, suffix, packer):
    data = PACKERS[packer](LINES) if packer else LINES
    assert texts(write(tmp_path / f"a.jsonl{suffix}", data)) == ["packed"]


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("inner", [".txt", ".json", ".jsonl", ".csv"])
def test_empty_files_have_no_document_however_they_are_packed(tmp_path, suffix, inner):
    assert skipping(write(tmp_path / f"a{inner}{suffix}", b"")) == ([], [])
    assert skipping(write(tmp_path / f"b{inner}{suffix}", PACKERS[suffix](b""))) == ([], [])
    assert skipping(write(tmp_path / f"c{inner}", b"")) == ([], [])


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
def test_files_of_several_packed_parts_are_read_to_their_end(tmp_path, suffix):
    parts = b"".join(PACKERS[suffix](f'{{"text": "{n}"}}\n'.encode()) for n in range(3))
    assert texts(write(tmp_path / f"a.jsonl{suffix}", parts)) == ["0", "1", "2"]


def test_what_can_be_unpacked_of_a_cut_file_is_read(tmp_path):
    lines = b"".join(f'{{"text": "{n}", "more": "{n * 7919}"}}\n'.encode() for n in range(99_999))
    packed = gzip.compress(lines)
    found, bad = skipping(write(tmp_path / "a.jsonl.gz", packed[: len(packed) // 2]))
    assert found == [str(n) for n in range(len(found))]
    assert 20_000 < len(found) < 70_000
    assert len(bad) == 1
