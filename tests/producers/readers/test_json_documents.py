import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.documents import Document, RefusedDocuments
from producers.fields import Fields
from producers.readers import json_documents, json_window
from producers.readers.opening import Location, Opened
from producers.sources import READERS
from tests.producers.readers.reading import read, skipping, texts, write

JSON = next(reader for reader in READERS if reader.name == "json")
letters = st.text(st.characters(exclude_categories=["Cs"]))
# Broken in ways that leave brackets and quotes in order, and in ways that do not.
BROKEN = (
    "nope",
    '{"text": }',
    '{"text": "a" "b"}',
    '{"text": "cut',
    '{"text": "x"',
    '{"text": [1, }]',
)


def documents(data: str | bytes) -> list[str]:
    raw = data if isinstance(data, bytes) else data.encode()
    refusals = RefusedDocuments(skip=True)
    with Opened(Location("a", "a", lambda: io.BytesIO(raw))) as file:
        return [document.text for document in JSON.read(file, Fields(), refusals)]


@given(
    st.lists(letters),
    st.booleans(),
    st.integers(1, 40),
    st.sampled_from([None, 2]),
    st.booleans(),
)
def test_json_is_the_same_in_pieces_of_any_size(found, ascii_only, piece, indent, lines):
    each = [json.dumps({"text": one}, ensure_ascii=ascii_only) for one in found]
    array = json.dumps([{"text": one} for one in found], ensure_ascii=ascii_only, indent=indent)
    patch = pytest.MonkeyPatch()
    with patch.context() as change:
        change.setattr(json_window, "PIECE", piece)
        assert documents("\n".join(each) if lines else array) == found


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_the_content_decides_and_not_the_suffix(tmp_path, suffix):
    lines = write(tmp_path / f"lines{suffix}", '{"text": "a"}\n\n{"text": "b"}\n')
    assert [d.id for d in read(lines)] == [f"lines{suffix}:1", f"lines{suffix}:3"]
    array = write(tmp_path / f"array{suffix}", '[{"text": "a"},\n {"text": "b"}]')
    assert [d.id for d in read(array)] == [f"array{suffix}:1", f"array{suffix}:2"]
    spread = write(tmp_path / f"spread{suffix}", '{\n"text": "a"\n}\n{\n"text": "b"\n}\n')
    assert texts(spread) == texts(array) == texts(lines) == ["a", "b"]
    arrays = write(tmp_path / f"arrays{suffix}", '["a"]\n["b"]\n')
    assert texts(arrays) == ["a", "b"]


def test_a_value_that_stands_alone_is_named_like_its_file(tmp_path):
    assert read(write(tmp_path / "a.json", '{"text": "x"}\n')) == [Document("a.json", "", "x")]
    assert read(write(tmp_path / "a.jsonl", '{"text": "x"}\n')) == [Document("a.jsonl:1", "", "x")]


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
@pytest.mark.parametrize("broken", BROKEN)
@given(before=st.lists(letters, max_size=3), behind=st.lists(letters, min_size=1, max_size=3))
def test_a_broken_document_costs_no_other(suffix, broken, before, behind):
    written = (
        [json.dumps({"text": one}) for one in before],
        [json.dumps({"text": one}) for one in behind],
    )
    forms = {
        "lines": "\n".join([*written[0], broken, *written[1]]),
        "array": f"[{','.join([*written[0], broken, *written[1]])}]",
        "lines of an array": "[\n" + ",\n".join([*written[0], broken, *written[1]]) + "\n]\n",
    }
    for form, data in forms.items():
        if broken == "nope" and form == "array":
            continue
        with TemporaryDirectory() as folder:
            found, bad = skipping(write(Path(folder) / f"a{suffix}", data))
        assert found == [*before, *behind], form
        assert len(bad) == 1, form


def test_bytes_that_are_no_text_spoil_their_own_item_only(tmp_path):
    found, bad = skipping(write(tmp_path / "a.json", b'["a", "\xff", "c"]'))
    assert found == ["a", "c"]
    assert [one.cause for one in bad] == ["it is not UTF-8 (byte 0xff)"]


def test_what_is_left_unread_is_told(tmp_path):
    data = '["a", "b, "c", "d"]'
    found, bad = skipping(write(tmp_path / "a.json", data))
    assert found == ["a"]
    assert [one.cause for one in bad] == [
        "it is no valid JSON ('c' where ',' should be); with it 13 bytes are left unread"
    ]


def test_text_in_another_encoding_is_read_if_it_is_stated(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text": "été"}'.encode("latin-1"))
    assert texts(path, Fields(encoding="latin-1")) == ["été"]
    assert texts(write(tmp_path / "b.txt", "été".encode("utf-16")), Fields(encoding="utf-16")) == [
        "été"
    ]


def test_a_broken_item_is_looked_for_in_a_bounded_part_of_a_long_array(monkeypatch):
    monkeypatch.setattr(json_window, "LONGEST_BROKEN", 50)
    monkeypatch.setattr(json_window, "PIECE", 16)
    items = ["oops {", *(json.dumps({"text": f"{n:05}"}) for n in range(100))]
    assert documents(f"[{','.join(items)}]") == []
    assert json_documents.Json("json", ()).suffixes == ()
