import tracemalloc

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import UndecodableError
from streams.wire import frames
from streams.wire.frames import FREE_GROWTH, MOST_GROWTH, sorted_bytes, unframed, unsorted
from tests.streams.same import there
from tests.streams.strategies import arrays, quick


def framed(body: bytes) -> bytes:
    return there(frames.framed(body))


@quick
@given(st.binary(min_size=1, max_size=2000))
def test_what_was_framed_comes_back(body):
    assert unframed(framed(body)) == body


def test_a_body_that_shrinks_too_much_gets_no_frame():
    least = bytes(FREE_GROWTH)
    assert unframed(framed(least)) == least
    assert frames.framed(bytes(100 * FREE_GROWTH)) is None
    noise = np.random.default_rng(0).bytes(2**18)
    most = noise + bytes((MOST_GROWTH - 1) * len(noise))
    assert unframed(framed(most)) == most


@pytest.mark.parametrize("size", [FREE_GROWTH * 2, 2**24, 2**30])
def test_a_bomb_is_refused_before_it_goes_off(size):
    compressor = zstandard.ZstdCompressor().compressobj(size=size)
    bomb = b"".join(compressor.compress(bytes(2**16)) for _ in range(size // 2**16))
    bomb += compressor.flush()
    tracemalloc.start()
    try:
        with pytest.raises(UndecodableError, match=f"claims {size} bytes"):
            unframed(bomb)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


WHOLE = framed(b"body" * 10)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"junk",
        WHOLE[:-1],
        WHOLE + b"x",
        WHOLE + WHOLE,
        zstandard.compress(b""),
        zstandard.ZstdCompressor(write_content_size=False).compress(b"no size" * 9),
    ],
)
def test_what_is_no_whole_frame_of_stated_size_is_refused(frame):
    with pytest.raises(UndecodableError, match=r"Zstandard frame|claims"):
        unframed(frame)


@pytest.mark.parametrize("dtype", ["|u1", "<u2", "<u4", "<i8", "<u8", "<f4", "<f8"])
def test_bytes_are_sorted_by_their_place_and_come_back(dtype):
    @quick
    @given(arrays(np.dtype(dtype)))
    def run(array):
        data = sorted_bytes(array)
        plain = array.tobytes()
        size = array.dtype.itemsize
        assert data == b"".join(plain[place::size] for place in range(size))
        assert unsorted(data, array.dtype).tobytes() == plain

    run()
