import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import topics
from streams.deadletters import (
    Origin,
    Refusal,
    dead_letter,
    distinct,
    get_dead_letter,
    headers,
    read_dead_letters,
    refusal,
)
from streams.errors import BrokerError
from streams.transport.client import Client, Headers, StoredRecord
from tests.producers.conftest import new_client

words = st.text(st.characters(exclude_categories=["Cs"]))
numbers = st.integers(-1, 10**18 - 1)
origins = st.builds(Origin, words, numbers, numbers, numbers)


def refused(offset: int = 7, **changes: str) -> Refusal:
    given = {
        "error": "ShapeError",
        "message": "odd",
        "stage": "activations",
        "app": "a",
        "run": "r",
    }
    return Refusal(Origin("tokens.text", 1, offset, 1000), **{**given, **changes})


def put(client: Client, *letters: Refusal) -> None:
    client.create_topics([topics.DEAD_LETTERS])
    with client.sender() as sender:
        for letter in letters:
            sender.send(topics.DEAD_LETTERS.name, 0, b"bytes", key=b"k", headers=headers(letter))


@given(st.builds(Refusal, origins, words, words, words, words, words, words))
def test_headers_say_everything_that_is_known_of_a_refusal(known: Refusal) -> None:
    assert refusal(headers(known)) == known


@given(st.lists(st.tuples(st.sampled_from([n for n, _ in headers(refused())]), st.binary())))
def test_headers_that_anybody_wrote_are_read_without_an_error(found: list[tuple[str, bytes]]):
    junk: Headers = tuple(found)
    letter = dead_letter(StoredRecord("dead-letters", 0, 3, 0, None, None, junk))
    assert letter.number == 3
    assert letter.refusal.origin.partition >= -1


def test_original_bytes_come_back_by_number():
    client = new_client()
    put(client, refused(1), refused(2))
    letter = get_dead_letter(client, 1)
    assert (letter.key, letter.value, letter.refusal) == (b"k", b"bytes", refused(2))


def test_an_unknown_number_is_named():
    client = new_client()
    put(client, refused())
    for number in (-1, 1):
        with pytest.raises(BrokerError, match=f"no dead letter {number}"):
            get_dead_letter(client, number)


def test_letters_are_counted_by_where_they_stood():
    client = new_client()
    put(client, refused(1), refused(2), refused(1), refused(1, app="b", run="s"))
    found = distinct(read_dead_letters(client))
    assert [(f.number, f.times, f.refusal.app) for f in found] == [
        (0, 2, "a"),
        (1, 1, "a"),
        (3, 1, "b"),
    ]
    assert [letter.number for letter in read_dead_letters(client, run="s")] == [3]
    assert [letter.number for letter in read_dead_letters(client, app="a")] == [0, 1, 2]


def test_a_broker_without_the_topic_has_none():
    assert list(read_dead_letters(new_client())) == []
