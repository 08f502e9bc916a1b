import gzip

import fsspec
import pytest

from producers.documents import Document
from producers.sources import TextSource
from streams.errors import CorpusError
from tests.producers.readers.reading import read, texts, write


@pytest.fixture
def store():
    files = fsspec.filesystem("memory")
    files.pipe("/corpus/b.jsonl.gz", gzip.compress(b'{"text": "b"}\n'))
    files.pipe("/corpus/a/one.txt", b"a")
    files.pipe("/corpus/.hidden", b"no")
    yield "memory://corpus"
    files.rm("/corpus", recursive=True)


def test_an_object_store_is_read_as_a_folder_is(store, tmp_path):
    write(tmp_path / "corpus" / "b.jsonl.gz", gzip.compress(b'{"text": "b"}\n'))
    write(tmp_path / "corpus" / "a" / "one.txt", "a")
    expected = [Document("a/one.txt", "", "a"), Document("b.jsonl.gz:1", "", "b")]
    assert read(store) == read(tmp_path / "corpus") == expected
    both = [d.id for d in TextSource((store, str(tmp_path / "corpus")))]
    assert both == ["corpus/a/one.txt", "corpus/b.jsonl.gz:1"] * 2


def test_a_pattern_and_a_single_object_can_be_named(store, tmp_path):
    assert read(f"{store}/*.jsonl.gz") == [Document("b.jsonl.gz:1", "", "b")]
    assert read(f"{store}/**/*.txt") == [Document("a/one.txt", "", "a")]
    assert read(f"{store}/a/one.txt") == [Document("one.txt", "", "a")]
    write(tmp_path / "x.txt", "x")
    write(tmp_path / "y.md", "y")
    assert texts(tmp_path / "*.txt") == ["x"]


@pytest.mark.parametrize("place", ["memory://nowhere", "memory://corpus/*.csv", "nowhere://x/y"])
def test_an_address_with_nothing_behind_it_is_one_clear_line(store, place):
    with pytest.raises(CorpusError) as caught:
        read(place)
    assert place.split("*")[0] in str(caught.value)
    assert "\n" not in str(caught.value)
