from typing import Any

import pytest

from producers.documents import Document, UnusableError
from producers.fields import Fields, document_of


def text(record: object, **fields: Any) -> str:
    return document_of(record, Fields(**fields), "fallback").text


@pytest.mark.parametrize(
    ("value", "domain"),
    [(0, "0"), (False, "False"), (0.0, "0.0"), (None, ""), ("", ""), ("a", "a")],
)
def test_zero_and_false_are_domains_and_null_is_none(value, domain):
    record = {"text": "t", "kind": value}
    assert document_of(record, Fields(domain="kind"), "d").domain == domain


@pytest.mark.parametrize(
    ("value", "name"), [(None, "d"), ("", "d"), (float("nan"), "d"), (0, "0"), (7, "7"), ("x", "x")]
)
def test_a_null_id_is_no_id(value, name):
    assert document_of({"text": "t", "name": value}, Fields(id="name"), "d").id == name


def test_a_dot_leads_into_nested_fields():
    record = {"meta": {"text": "a", "tags": [{"name": "x"}, {"name": "y"}]}, "a.b": "c"}
    assert text(record, text="meta.text") == "a"
    assert text(record, text="a.b") == "c"
    assert text(record, text="meta.tags.1.name") == "y"
    assert text(record, text="meta.tags.name", list_separator=" ") == "x y"
    assert document_of(record, Fields("meta.text", id="meta.tags.0.name"), "d").id == "x"
    with pytest.raises(UnusableError, match=r"no field 'meta.body' \(it has: meta, a.b\)"):
        text(record, text="meta.body")


def test_bytes_need_a_stated_encoding():
    assert text({"text": "é".encode("latin-1")}, encoding="latin-1") == "é"
    with pytest.raises(UnusableError, match="holds bytes: set their encoding"):
        text({"text": b"a"})
    with pytest.raises(UnusableError, match="is no utf-8"):
        text({"text": b"\xff"}, encoding="utf-8")


def test_lists_of_texts_need_a_stated_separator():
    assert text({"text": ["a", "b"]}, list_separator="\n\n") == "a\n\nb"
    with pytest.raises(UnusableError, match="set list_separator"):
        text({"text": ["a", "b"]})
    with pytest.raises(UnusableError, match="holds a list where text should be"):
        text({"text": ["a", None]}, list_separator="")


@pytest.mark.parametrize("record", [{"input_ids": [1, 2]}, {"tokens": [1, 2]}, {"text": [1, 2]}])
def test_ids_are_taken_as_such_where_there_is_no_text(record):
    tokens = document_of(record, Fields(), "d").tokens
    assert tokens is not None
    assert tokens.tolist() == [1, 2]


def test_what_the_attention_mask_leaves_out_is_no_part_of_a_row():
    record = {"input_ids": [0, 0, 5, 6, 0], "attention_mask": [0, 0, 1, 1, 0]}
    tokens = document_of(record, Fields(), "d").tokens
    assert tokens is not None
    assert tokens.tolist() == [5, 6]


@pytest.mark.parametrize(
    ("record", "cause"),
    [
        ({"input_ids": [1, -2]}, "negative or beyond"),
        ({"input_ids": [1, 2**32]}, "negative or beyond"),
        ({"input_ids": [1, 2.5]}, "something else than one list"),
        ({"input_ids": [[1]]}, "holds a list where text"),
        ({"input_ids": [1, 2], "attention_mask": [1]}, "attention_mask has 1 entries for 2"),
        ({"input_ids": "abc"}, ""),
    ],
)
def test_what_is_no_row_of_ids_is_named(record, cause):
    if cause:
        with pytest.raises(UnusableError, match=cause):
            document_of(record, Fields(), "d")
    with pytest.raises(UnusableError):
        document_of(record, Fields(tokens="input_ids"), "d")


def test_a_conversation_is_a_list_of_messages():
    fields = Fields(messages="messages")
    messages = [{"role": "user", "content": "hello", "name": None}]
    found = document_of({"messages": messages}, fields, "d")
    assert found == Document("d", "", "", messages=({"role": "user", "content": "hello"},))
    shared = {"messages": [{"from": "gpt", "value": "hi"}]}
    assert document_of(shared, fields, "d").messages == ({"role": "assistant", "content": "hi"},)
    for wrong in ("hello", [], [{"content": "x"}], ["x"]):
        with pytest.raises(UnusableError):
            document_of({"messages": wrong}, fields, "d")
