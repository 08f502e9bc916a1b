import gc
import weakref
from dataclasses import replace

import pytest

from consumers.aggregation.overlay import Applied, Overlay, bucket_key, partial
from consumers.aggregation.shards import SequenceGap
from streams import topics
from streams.errors import RecordError, ShapeError, UndecodableError
from streams.records.partials import BucketState, HitsPart, SnapshotRequest, SourceEnd
from streams.wire import codec
from tests import factories
from tests.consumers.aggregation.test_shards import hit, statistics, tally
from tests.streams.same import bits
from tests.streams.strategies import columns

PLAN = factories.plan(shards=1)
BUCKETS = PLAN.buckets_of(0)


def chained(sequence=0, **changes):
    whole = {"run": PLAN.id, "stop": BUCKETS.stop, "tallies": (tally(),)}
    return statistics(sequence, **{**whole, **changes})


def hits(*given):
    return HitsPart(PLAN.id, 0, 0, 0, columns([*given]))


def loaded(entries=()):
    overlay = Overlay(PLAN)
    overlay.load(0, entries)
    return overlay


def written(overlay):
    return [(key, value) for _, key, value in overlay.flush()]


def test_a_new_shard_starts_at_the_log_start():
    assert len(BUCKETS) > 2
    assert loaded().start(0) == 0
    assert loaded().shards == (0,)


def test_every_record_moves_every_bucket():
    overlay = loaded()
    for offset, found in enumerate([chained(0), hits(hit()), SourceEnd(PLAN.id, 0, 0, 1),
                                    SnapshotRequest(PLAN.id, 0, "noon")]):  # fmt: skip
        overlay.apply(0, offset, found)
        assert overlay.start(0) == offset + 1
    assert [key for key, _ in written(overlay)] == [bucket_key(0, bucket) for bucket in BUCKETS]
    assert written(overlay) == []


def test_what_was_written_is_what_is_loaded():
    overlay = loaded()
    overlay.apply(0, 0, chained(0))
    overlay.apply(0, 1, hits(hit(), hit(table=5)))
    again = loaded(written(overlay))
    assert bits(again.states(0)) == bits(overlay.states(0))


def test_the_start_is_the_smallest_position_over_all_expected_buckets():
    overlay = loaded()
    overlay.apply(0, 0, chained(0))
    early = dict(written(overlay))
    overlay.apply(0, 1, chained(1))
    late = dict(written(overlay))
    mixed = {**late, bucket_key(0, 1): early[bucket_key(0, 1)]}
    assert loaded(mixed.items()).start(0) == 1
    del mixed[bucket_key(0, 2)]
    assert loaded(mixed.items()).start(0) == 0


def test_a_bucket_ahead_of_the_input_passes_over_what_it_has_seen():
    overlay = loaded()
    overlay.apply(0, 0, chained(0))
    early = dict(written(overlay))
    overlay.apply(0, 1, chained(1))
    late = dict(written(overlay))
    again = loaded({**late, bucket_key(0, 0): early[bucket_key(0, 0)]}.items())
    again.apply(0, 1, chained(1))
    assert bits(again.states(0)) == bits(overlay.states(0))
    assert [key for key, _ in written(again)] == [bucket_key(0, 0)]


def test_an_empty_record_of_statistics_still_moves_the_chain():
    overlay = loaded()
    overlay.apply(0, 0, chained(0, tallies=()))
    assert all(state.chain.tolist() == [0, -1] for state in overlay.states(0))


def test_statistics_move_the_chain_of_their_buckets_only():
    overlay = loaded()
    overlay.apply(0, 0, chained(0, stop=1))
    assert [s.chain[0] for s in overlay.states(0)] == [0] + [-1] * (len(BUCKETS) - 1)
    assert overlay.start(0) == 1


def test_a_gap_is_reported_and_leaves_nothing_to_write():
    overlay = loaded()
    assert overlay.apply(0, 0, chained(1)) == Applied(SequenceGap(0, 0, 1))
    assert overlay.start(0) == 0
    assert written(overlay) == []


def test_tokens_are_counted_where_they_were_taken():
    overlay = loaded()
    assert overlay.apply(0, 0, chained(0)).tokens == 6
    assert overlay.apply(0, 0, chained(0)).tokens == 0


def test_a_request_is_handed_on():
    request = SnapshotRequest(PLAN.id, 0, "noon")
    assert loaded().apply(0, 0, request).requests == (request,)


def test_a_shard_is_complete_with_its_last_bucket():
    overlay = loaded()
    overlay.apply(0, 0, SourceEnd(PLAN.id, 0, 0, 1))
    overlay.apply(0, 1, SourceEnd(PLAN.id, 0, 1, 0))
    overlay.apply(0, 2, chained(0, stop=1))
    assert not overlay.is_complete(0)
    overlay.apply(0, 3, chained(0, first=1, tallies=()))
    assert overlay.is_complete(0)


def test_nothing_stays_after_an_assignment_is_lost():
    overlay = loaded()
    overlay.apply(0, 0, chained(0))
    overlay.drop()
    assert overlay.shards == ()
    assert written(overlay) == []


@pytest.mark.parametrize("value", [b"", b"junk", b"\2", b"\1\xc0"])
def test_a_state_that_cannot_be_read_is_refused(value):
    with pytest.raises(RecordError):
        loaded([(bucket_key(0, 0), value)])


def test_a_state_of_another_run_is_refused():
    overlay = loaded()
    overlay.apply(0, 0, chained(0))
    other = Overlay(factories.plan(shards=1, k=7))
    with pytest.raises(ShapeError, match="is that of run id"):
        other.load(0, written(overlay))


def test_a_state_that_cannot_be_read_leaves_the_shard_unloaded():
    overlay = Overlay(PLAN)
    with pytest.raises(RecordError):
        overlay.load(0, [(bucket_key(0, 1), b"junk")])
    assert overlay.shards == ()


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (topics.STATISTICS, chained(0)),
        (topics.HITS, hits(hit())),
        (topics.SOURCE_END, SourceEnd(PLAN.id, 0, 1, 4)),
        (topics.SNAPSHOT_REQUEST, SnapshotRequest(PLAN.id, 0, "noon")),
    ],
)
def test_a_partial_is_what_its_header_says(kind, found):
    assert bits(partial(PLAN, 0, kind, codec.encode(found))) == bits(found)
    for other in {topics.STATISTICS, topics.HITS, topics.SOURCE_END, b"", b"state"} - {kind}:
        with pytest.raises(RecordError):
            partial(PLAN, 0, other, codec.encode(found))


def test_a_partial_without_a_known_kind_is_refused():
    with pytest.raises(UndecodableError, match="names no kind of partial, b'batch'"):
        partial(PLAN, 0, b"batch", codec.encode(chained()))


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (topics.SOURCE_END, SourceEnd(PLAN.id, 1, 1, 4)),
        (topics.SOURCE_END, SourceEnd("another", 0, 1, 4)),
        (topics.SOURCE_END, SourceEnd(PLAN.id, 0, PLAN.run.partitions, 4)),
        (topics.SOURCE_END, SourceEnd(PLAN.id, 0, 1, -1)),
        (topics.SNAPSHOT_REQUEST, SnapshotRequest(PLAN.id, 1, "noon")),
        (topics.SNAPSHOT_REQUEST, SnapshotRequest("another", 0, "noon")),
        (topics.SNAPSHOT_REQUEST, SnapshotRequest(PLAN.id, 0, "../noon")),
        (topics.SNAPSHOT_REQUEST, SnapshotRequest(PLAN.id, 0, "")),
        (topics.SNAPSHOT_REQUEST, SnapshotRequest(PLAN.id, 0, "final")),
        (topics.STATISTICS, chained(0, shard=1)),
        (topics.HITS, HitsPart(PLAN.id, 1, 0, 0, columns([]))),
    ],
)
def test_a_partial_of_another_place_is_refused(kind, found):
    with pytest.raises(ShapeError):
        partial(PLAN, 0, kind, codec.encode(found))


def test_a_partial_in_the_wrong_shard_is_refused():
    plan = factories.plan()
    data = codec.encode(SourceEnd(plan.id, 1, 0, 4))
    partial(plan, 1, topics.SOURCE_END, data)
    with pytest.raises(ShapeError, match=r"a partial for shard 1 .* in shard 2"):
        partial(plan, 2, topics.SOURCE_END, data)


def test_states_come_in_the_order_of_their_buckets():
    assert [state.bucket for state in loaded().states(0)] == list(BUCKETS)
    assert isinstance(loaded().states(0)[0], BucketState)


def test_a_refused_record_moves_the_position_and_nothing_else():
    overlay = loaded()
    overlay.apply(0, 0, chained(0))
    before = overlay.states(0)
    written(overlay)
    overlay.pass_over(0, 1)
    assert overlay.start(0) == 2
    same = [replace(state, position=0) for state in overlay.states(0)]
    assert bits(same) == bits(before)
    again = loaded(written(overlay))  # so that the next start does not read it again
    assert again.start(0) == 2


def test_a_record_refused_again_takes_no_bucket_back():
    overlay = loaded()
    overlay.apply(0, 5, chained(0))
    written(overlay)
    overlay.pass_over(0, 3)
    assert overlay.start(0) == 6
    assert written(overlay) == []


def test_what_a_worker_has_lost_is_let_go_of():
    overlay = loaded()
    overlay.apply(0, 0, chained(0))
    overlay.apply(0, 1, hits(hit()))
    held = [weakref.ref(state.chain) for state in overlay.outlines(0)]
    held += [weakref.ref(part.score) for part in overlay._pending[0].parts]
    assert len(held) > len(BUCKETS)
    overlay.drop()
    gc.collect()
    assert [one() for one in held if one() is not None] == []
    assert overlay.shards == ()
    assert written(overlay) == []


def test_hits_that_were_merged_or_written_do_not_wait_any_longer():
    overlay = Overlay(PLAN, least_pending=2)
    overlay.load(0, ())
    for offset in range(100):
        overlay.apply(0, offset, hits(hit(sample=offset, score=float(offset))))
        assert overlay._pending[0].count <= overlay._pending[0].limit
    overlay.apply(0, 100, hits(hit(sample=100, score=100.0)))
    written(overlay)
    assert (overlay._pending[0].count, overlay._pending[0].parts) == (0, ())
    assert overlay._dirty == set()
