import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import streams.dump
from producers.corpora import delete_corpus
from producers.dump import dump_corpus, load_corpus
from producers.progress import Silent
from streams import topics
from streams.catalog.corpora import get_vocabulary, list_corpora
from streams.dump import iter_batches, read_dump, read_head, write_dump
from streams.errors import CorpusError
from streams.records.corpus import TokenBatch
from streams.transport.client import Client
from tests.producers.conftest import new_client
from tests.producers.test_publish import broken_off, log, produced


def contents(client: Client) -> list[list[tuple[object, bytes | None]]]:
    return [[(r.headers, r.value) for r in log(client, partition)] for partition in range(2)]


def test_a_loaded_dump_is_the_same_corpus(folder, client, tmp_path):
    record = produced(folder, client)
    path = tmp_path / "text.corpus"
    assert dump_corpus(client, "text", path, Silent()) == record
    other = new_client()
    assert load_corpus(other, path, Silent()) == record
    assert contents(other) == contents(client)
    assert get_vocabulary(other, "text") == get_vocabulary(client, "text")
    assert read_head(path) == (record, get_vocabulary(client, "text"))
    assert sum(len(batch.ids) for batch in iter_batches(path)) == record.rows
    assert [file.name for file in tmp_path.iterdir()] == ["text.corpus"]


def test_loading_what_is_there_does_nothing(folder, client, tmp_path):
    produced(folder, client)
    dump_corpus(client, "text", tmp_path / "d", Silent())
    before = contents(client)
    load_corpus(client, tmp_path / "d", Silent())
    assert contents(client) == before


def test_loading_that_broke_off_is_resumed(folder, client, tmp_path):
    produced(folder, client)
    dump_corpus(client, "text", tmp_path / "d", Silent())
    other = new_client()
    broken_off(folder, other)
    assert load_corpus(other, tmp_path / "d", Silent()).sealed
    assert contents(other) == contents(client)


def test_doubles_are_not_dumped(folder, client, tmp_path):
    produced(folder, client)
    first = log(client, 0)[0]
    with client.sender() as sender:
        sender.send("tokens.text", 0, first.value, headers=first.headers)
    dump_corpus(client, "text", tmp_path / "d", Silent())
    places = [(batch.partition, batch.sequence) for batch in iter_batches(tmp_path / "d")]
    assert len(places) == len(set(places))


def test_a_corpus_that_is_unknown_or_unfinished_leaves_no_file(folder, client, tmp_path):
    with pytest.raises(CorpusError, match=r"no corpus 'other' \(known: none\)"):
        dump_corpus(client, "other", tmp_path / "d", Silent())
    broken_off(folder, client)
    with pytest.raises(CorpusError, match="not complete yet"):
        dump_corpus(client, "text", tmp_path / "d", Silent())
    assert not list(tmp_path.iterdir())


def test_a_corpus_that_lost_records_leaves_no_file(folder, client, tmp_path):
    record = produced(folder, client)
    client.delete_topics(["tokens.text"])
    client.create_topics([topics.tokens("text", record.partitions)])
    with pytest.raises(CorpusError, match="partition 0 of corpus text is not whole"):
        dump_corpus(client, "text", tmp_path / "d", Silent())
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_one_clear_line(folder, client, tmp_path):
    produced(folder, client)
    with pytest.raises(CorpusError, match=r"cannot write the dump .*No such file"):
        dump_corpus(client, "text", tmp_path / "nowhere" / "d", Silent())


@pytest.fixture(scope="module")
def dump(folder, tmp_path_factory):
    client = new_client()
    produced(folder, client)
    path = tmp_path_factory.mktemp("dump") / "d"
    dump_corpus(client, "text", path, Silent())
    return path


@given(place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255), cut=st.booleans())
def test_a_damaged_dump_is_refused_and_gives_out_nothing_wrong(dump, place, flip, cut):
    data = bytearray(dump.read_bytes())
    at = int(place * len(data))
    data[at] ^= flip
    damaged = dump.with_name("damaged")
    damaged.write_bytes(data[:at] if cut else data)
    good = [codec_key(batch) for batch in iter_batches(dump)]
    found = []
    try:
        found.extend(map(codec_key, iter_batches(damaged)))
        whole = True
    except CorpusError:
        whole = False
    # a flipped bit may be one that means nothing to Zstandard; then all is read, and right
    assert found == good[: len(found)]
    assert len(found) == len(good) or not whole
    assert not (whole and cut)


def codec_key(batch: TokenBatch) -> tuple[int, int, bytes, bytes]:
    return batch.partition, batch.sequence, batch.ids.tobytes(), batch.keys.tobytes()


def test_a_damaged_dump_is_noticed_before_anything_is_written(dump, client):
    damaged = dump.with_name("short")
    damaged.write_bytes(dump.read_bytes()[:-9])
    with pytest.raises(CorpusError):
        load_corpus(client, damaged, Silent())
    assert not client.topics()


def test_a_newer_format_and_another_file_are_told_apart(dump, tmp_path):
    newer = bytearray(dump.read_bytes())
    newer[15] = 9
    (tmp_path / "newer").write_bytes(newer)
    with pytest.raises(CorpusError, match="newer version"):
        read_head(tmp_path / "newer")
    (tmp_path / "other").write_text("hello")
    with pytest.raises(CorpusError, match="no dump"):
        read_head(tmp_path / "other")
    with pytest.raises(CorpusError, match="No such file"):
        read_head(tmp_path / "nowhere")
    write_dump(tmp_path / "headless", list(read_dump(dump))[2:])
    with pytest.raises(CorpusError, match="does not begin with a corpus"):
        read_head(tmp_path / "headless")


def test_a_deleted_corpus_leaves_nothing_and_its_name_is_free(folder, client):
    produced(folder, client)
    delete_corpus(client, "text")
    assert list_corpora(client) == []
    assert set(client.topics()) == {"corpora"}
    with pytest.raises(CorpusError, match="no corpus 'text'"):
        delete_corpus(client, "text")
    assert produced(folder, client).sealed


def test_a_deletion_that_broke_off_is_finished_by_deleting_again(folder, client):
    produced(folder, client)
    with client.sender() as sender:
        sender.send("corpora", 0, None, key=b"text")
    delete_corpus(client, "text")
    assert set(client.topics()) == {"corpora"}


def test_a_dump_that_unpacks_to_more_than_a_corpus_can_be_is_refused_soon(
    dump, tmp_path, monkeypatch
):
    """Frames of a kind that nobody knows are passed over, and could go on without an end."""
    frame = streams.dump._frame(77, bytes(2**20))
    path = tmp_path / "bomb"
    with path.open("wb") as file:
        file.write(streams.dump._MAGIC)
        with pa.CompressedOutputStream(file, "zstd") as packed:
            for _ in range(40):
                packed.write(frame)
    monkeypatch.setattr(streams.dump, "_FREE_BYTES", 2**22)
    with pytest.raises(CorpusError, match="bomb unpacks to more than a corpus of its size"):
        list(read_dump(path))
