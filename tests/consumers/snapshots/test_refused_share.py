"""How a run ends of which batches were refused."""

from typing import Any

from consumers.snapshots.refused_share import RefusedShare, verdict
from streams.snapshots.manifests import VERSION, RefusedRecord, ShardManifest
from tests import factories

RUN = factories.run_record()
CORPUS = "tokens.text"


def part(**changes: Any) -> ShardManifest:
    """Return the part of a shard that has seen 8 batches in two partitions."""
    given: dict[str, Any] = {"chain": (4, 2), "tokens": 90, "rows": 9, "refused": 0, **changes}
    return ShardManifest(VERSION, "test", "1f", "final", 0, True, files=(), **given)


def refused(*errors: str, topic: str = CORPUS) -> list[RefusedRecord]:
    return [RefusedRecord(topic, 0, n, e, f"{e} at {n}") for n, e in enumerate(errors)]


def test_nothing_is_said_of_a_run_without_refusals():
    assert verdict(RUN, part(), (), 0.0) == RefusedShare()
    assert verdict(RUN, part(chain=(-1, -1), tokens=0), (), 0.0) == RefusedShare()


def test_the_share_itself_is_allowed():
    assert verdict(RUN, part(refused=2), refused("E", "E"), 0.25) == RefusedShare()


def test_more_than_the_share_is_excess_and_names_the_most_frequent_cause():
    said = verdict(RUN, part(refused=3), refused("A", "B", "B"), 0.25)
    assert said.failed == ""
    assert said.excess.startswith("3 of 8 batches were refused, more than the 0.25 that limits.")
    assert "2 times B, for one B at 1" in said.excess


def test_refusals_of_other_topics_are_no_cause():
    given = [*refused("A", "A", topic="partials.test"), *refused("B")]
    assert "1 times B" in verdict(RUN, part(refused=3), given, 0.25).excess


def test_nothing_left_is_a_failure_whatever_the_share():
    said = verdict(RUN, part(refused=8, tokens=0), refused("A"), 1.0)
    assert said.failed.startswith("all 8 batches were refused: 1 times A, for one A at 0")
    said = verdict(RUN, part(refused=3, tokens=0), refused("A"), 1.0)
    assert said.failed.startswith("3 of 8 batches were refused, the rest has no token that counts")


def test_masks_that_leave_nothing_are_no_success_either():
    said = verdict(RUN, part(tokens=0), (), 1.0)
    assert said == RefusedShare(excess="the masks leave none of the tokens of its 8 batches")


def test_a_cause_that_is_gone_is_said_to_be():
    assert "their dead letters are gone" in verdict(RUN, part(refused=8, tokens=0), (), 1.0).failed
