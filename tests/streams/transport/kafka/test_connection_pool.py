import pytest

from streams.transport.kafka.connection_pool import ConnectionPool


class Keeper:
    """Connections that are numbers, and a clock that is set by hand."""

    def __init__(self) -> None:
        self.made = 0
        self.ended: list[int] = []
        self.now = 1000.0  # far from 0, where sums are as good as differences
        self.pool = ConnectionPool(
            self._make, self.ended.append, seconds=10, clock=lambda: self.now
        )

    def _make(self) -> int:
        self.made += 1
        return self.made


def test_one_that_came_back_is_lent_again():
    keeper = Keeper()
    for _ in range(3):
        with keeper.pool.lent() as one:
            assert one == 1
    assert (keeper.made, keeper.ended) == (1, [])


def test_two_borrowers_never_have_the_same_one():
    keeper = Keeper()
    with keeper.pool.lent() as first, keeper.pool.lent() as second:
        assert first != second
    assert {keeper.pool.take(), keeper.pool.take()} == {first, second}


def test_one_that_failed_is_closed_and_not_lent_again():
    keeper = Keeper()
    with pytest.raises(ZeroDivisionError), keeper.pool.lent():
        raise ZeroDivisionError
    assert keeper.ended == [1]
    assert keeper.pool.take() == 2


def test_a_reader_that_is_left_early_does_no_harm():
    keeper = Keeper()

    def read():
        with keeper.pool.lent() as one:
            yield from [one] * 5

    reading = read()
    assert next(reading) == 1
    reading.close()
    assert keeper.pool.take() == 1
    assert keeper.ended == []


def test_one_that_lay_idle_for_too_long_is_closed():
    keeper = Keeper()
    with keeper.pool.lent():
        pass
    keeper.now += 10.0
    assert keeper.pool.take() == 1
    keeper.pool.give_back(1)
    keeper.now += 10.1
    assert keeper.pool.take() == 2
    assert keeper.ended == [1]


def test_nothing_is_kept_behind_the_end():
    keeper = Keeper()
    lent = keeper.pool.take()
    with keeper.pool.lent() as other:
        pass
    keeper.pool.close()
    assert keeper.ended == [other]
    keeper.pool.give_back(lent)
    assert keeper.ended == [other, lent]


def test_those_that_lie_idle_can_be_forgotten():
    keeper = Keeper()
    with keeper.pool.lent():
        pass
    keeper.pool.clear()
    assert keeper.ended == [1]
    assert keeper.pool.take() == 2
