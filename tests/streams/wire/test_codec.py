import tracemalloc
from dataclasses import dataclass, replace

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.arrays import F32, I32, I64, U8, Bool
from streams.errors import RecordError, UndecodableError, VersionError
from streams.records.corpus import CorpusRecord, TokenBatch, Vocabulary
from streams.records.partials import Statistics
from streams.records.runs import RunRecord
from streams.wire import codec
from tests.golden import version_2
from tests.streams.same import bits
from tests.streams.strategies import KINDS, arrays, quick, records

GOLDEN = version_2.records()


@dataclass(frozen=True, slots=True, eq=False)
class Small:
    """A record with a field of each sort, two of them with defaults."""

    count: int
    numbers: I64
    ratio: float = 0.5
    flags: Bool | None = None


def small(**changes):
    """Return the body of a Small, before it is packed."""
    return {"count": 1, "numbers": ["|u1", [2], b"\1\2"], **changes}


def packed(body):
    return b"\2m" + msgpack.packb(body, use_bin_type=True)


def array(*parts):
    return packed(small(numbers=list(parts)))


@pytest.mark.parametrize("kind", KINDS)
def test_every_record_comes_back_to_the_last_bit(kind):
    @quick
    @given(records(kind))
    def run(record):
        data = codec.encode(record)
        back = codec.decode(kind, data)
        assert bits(back) == bits(record)
        assert codec.encode(back) == data

    run()


@quick
@given(arrays(np.dtype(np.int64)))
def test_integers_take_the_narrowest_type_that_holds_them(numbers):
    body = msgpack.unpackb(codec.encode(Small(1, numbers))[2:])
    assert body["numbers"][0] == slow_narrowest(numbers)


def slow_narrowest(numbers):
    if not numbers.size:
        return "<i8"
    for name, top in (("|u1", 2**8), ("<u2", 2**16), ("<u4", 2**32)):
        if all(0 <= n < top for n in numbers.reshape(-1).tolist()):
            return name
    return "<i8"


def test_order_in_memory_does_not_matter():
    swapped = np.array([[1, 70000], [2, 3]], ">i8").T
    assert codec.encode(Small(1, swapped)) == codec.encode(Small(1, swapped.astype("<i8").copy()))


def test_fields_that_we_do_not_know_are_passed_over():
    body = msgpack.unpackb(codec.encode(GOLDEN["run-record"])[2:])
    body["sources"][0]["colour"] = ["blue", {"deep": 1}]
    found = codec.decode(RunRecord, packed({**body, "later": 7}))
    assert bits(found) == bits(GOLDEN["run-record"])


def test_missing_fields_take_their_defaults():
    assert bits(codec.decode(Small, packed(small()))) == bits(Small(1, np.array([1, 2])))


def test_a_later_field_is_sent_only_where_it_says_something_new():
    @dataclass(frozen=True, slots=True)
    class Old:
        count: int

    @dataclass(frozen=True, slots=True)
    class New:
        count: int
        word: str = codec.later("before")

    assert codec.encode(New(1)) == codec.encode(Old(1))
    assert codec.decode(New, codec.encode(Old(1))) == New(1)
    assert codec.decode(New, codec.encode(New(1, "after"))) == New(1, "after")


def test_missing_fields_without_a_default_are_named():
    with pytest.raises(UndecodableError, match="Small lacks count, numbers"):
        codec.decode(Small, packed({"ratio": 1.0}))


def test_a_missing_field_inside_is_named_with_its_place():
    body = msgpack.unpackb(codec.encode(GOLDEN["run-record"])[2:])
    del body["model"]["location"]
    with pytest.raises(UndecodableError, match=r"RunRecord\.model lacks location"):
        codec.decode(RunRecord, packed(body))


def test_newer_version_is_named():
    with pytest.raises(VersionError, match="version 9, this program reads version 2") as info:
        codec.decode(Small, b"\x09anything")
    assert (info.value.found, info.value.ours) == (9, 2)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "it is empty"),
        (b"", "it is empty"),
        (b"\0", "its first byte names no version"),
        (b"\2", "unknown second byte of a Small"),
        (b"\2m", "broken MessagePack"),
        (b"\2m\xc0", "Small is no map"),
        (b"\2m\x90", "Small is no map"),
        (packed(small()) + b"\0", "broken MessagePack"),
        (packed({**small(), 5: 1}), "broken MessagePack"),
        (packed(small(count="1")), r"Small\.count is no int"),
        (packed(small(count=True)), r"Small\.count is no int"),
        (packed(small(count=1.0)), r"Small\.count is no int"),
        (packed(small(count=2**63)), r"Small\.count does not fit 64 bits"),
        (packed(small(ratio="1")), r"Small\.ratio is no float"),
        (packed(small(ratio=None)), r"Small\.ratio is no float"),
        (packed(small(numbers=None)), r"Small\.numbers is no array"),
        (packed(small(flags=["|u1", [1], b"\1"])), r"Small\.flags holds uint8, not bool"),
        (packed(small(flags=["|b1", [2], b"\1\2"])), "truth values other than 0 and 1"),
        (array("<f4", [1], b"\0\0\0\0"), "holds float32, not int64"),
        (array("<u8", [1], b"\xff" * 8), "values outside int64"),
        (array("|O", [1], b"\0" * 8), "no array of a known type"),
        (array([], [1], b"\0"), "no array of a known type"),
        (array("|u1", [1], "text"), "no array of a known type"),
        (array("|u1", [1]), "is no array"),
        (array("|u1", [], b"\0"), "no usable shape"),
        (array("|u1", [1, 1, 1, 1], b"\0"), "no usable shape"),
        (array("|u1", [-1], b"\0"), "no usable shape"),
        (array("|u1", [True], b"\0"), "no usable shape"),
        (array("|u1", [2**63, 2**63], b"\0"), "no usable shape"),
        (array("|u1", 1, b"\0"), "no usable shape"),
        (array("|u1", [2], b"\0"), "1 bytes for shape"),
        (array("<i8", [2**39, 2**39, 2**39], b""), "0 bytes for shape"),
        (array("<i8", [2**32, 2**32], b""), "0 bytes for shape"),
        (array("<i8", [0, 2**39, 2**39], b""), "0 bytes for shape"),
    ],
)  # fmt: skip
def test_what_is_no_record_is_refused_with_the_reason(data, said):
    with pytest.raises(UndecodableError, match=said):
        codec.decode(Small, data)


def test_whole_numbers_are_floats_where_a_float_is_wanted():
    assert codec.decode(Small, packed(small(ratio=2))).ratio == 2.0


def test_a_word_that_is_none_of_ours_is_refused():
    body = msgpack.unpackb(codec.encode(GOLDEN["run-record"])[2:])
    body["sources"][0]["sign"] = ["value"]
    with pytest.raises(UndecodableError, match="sign is none of value, absolute"):
        codec.decode(RunRecord, packed(body))


@pytest.mark.parametrize("name", GOLDEN)
def test_a_record_cut_short_at_any_byte_is_refused(name):
    data = codec.encode(GOLDEN[name])
    for length in range(len(data)):
        with pytest.raises(UndecodableError):
            codec.decode(type(GOLDEN[name]), data[:length])


def test_another_kind_of_record_is_no_record_of_this_kind():
    for one in GOLDEN.values():
        for kind in set(KINDS) - {type(one)}:
            with pytest.raises(UndecodableError):
                codec.decode(kind, codec.encode(one))


def peak_of_decoding(kind, data):
    tracemalloc.start()
    try:
        with pytest.raises(RecordError):
            codec.decode(kind, data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


LIST = b"\xdd"
N = 50_000
HOSTILE = {
    "4 GB of bytes": b"\xc6\xff\xff\xff\xff",
    "4 GB of text": b"\xdb\xff\xff\xff\xff",
    "4 G items": LIST + b"\xff\xff\xff\xff",
    "4 G pairs": b"\xdf\xff\xff\xff\xff",
    "4 GB of an extension": b"\xc9\xff\xff\xff\xff\1",
    "lists in lists": b"\x91" * N,
    "maps in maps": b"\x81\xa1a" * N,
    "long lists in long lists": (LIST + N.to_bytes(4, "big")) * 500 + b"\0" * N,
    "long lists in a map": b"\x81\xa6tokens" + (LIST + N.to_bytes(4, "big")) * 500 + b"\0" * N,
    "many empty maps": LIST + N.to_bytes(4, "big") + b"\x80" * N,
    "many empty lists": b"\x81\xa6tokens" + LIST + N.to_bytes(4, "big") + b"\x90" * N,
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_length_is_refused_in_bounded_memory(name):
    data = b"\2m" + HOSTILE[name]
    assert peak_of_decoding(Vocabulary, data) < 100_000 + 100 * len(data)


def test_a_hostile_shape_is_refused_in_bounded_memory():
    body = msgpack.unpackb(codec.encode(GOLDEN["token-batch"])[2:])
    for shape in ([2**39], [2**20, 2**19], [2**31, 2**32, 2**33], [0, 2**39, 2**39]):
        body["ids"] = ["|u1", shape, b"\0" * 6]
        assert peak_of_decoding(TokenBatch, packed(body)) < 100_000


@quick
@given(st.binary(max_size=40))
def test_arrays_hold_no_more_than_their_bytes(data):
    found = codec.decode(Small, array("|u1", [len(data)], data))
    assert found.numbers.tolist() == list(data)


def test_a_decoded_array_of_the_declared_type_cannot_be_changed():
    found = codec.decode(TokenBatch, codec.encode(GOLDEN["token-batch"]))
    with pytest.raises(ValueError, match="read-only"):
        found.keys[0, 0] = 1


def test_numpy_scalars_travel_as_plain_numbers():
    record = replace(GOLDEN["corpus-record"], rows=np.int64(5))
    assert codec.decode(CorpusRecord, codec.encode(record)).rows == 5


def test_a_tuple_of_records_comes_back_as_records():
    found = codec.decode(Statistics, codec.encode(GOLDEN["statistics"]))
    assert [tally.bucket for tally in found.tallies] == [3, 8]


def test_the_arrays_of_other_types_keep_theirs():
    @dataclass(frozen=True, eq=False)
    class Several:
        a: U8
        b: I32
        c: F32

    record = Several(np.array([1], np.uint8), np.array([-1], np.int32), np.array([0.1], np.float32))
    assert bits(codec.decode(Several, codec.encode(record))) == bits(record)
