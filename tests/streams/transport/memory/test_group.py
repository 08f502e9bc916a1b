from streams.transport.memory.group import MemoryGroup, Step


class Clock:
    """A clock that stands still until it is told to go."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def join(group: MemoryGroup, *members: str, session: float = 10.0) -> None:
    for member in members:
        group.join(member, session, f"about {member}", lambda: None)


def settle(group: MemoryGroup, *members: str) -> None:
    """Have the members join as they are asked to, and the leader assign."""
    for member in members:
        if group.next_step(member, group.generation) is Step.JOIN:
            join(group, member)
    leaders = [m for m in members if group.next_step(m, -1) is Step.LEAD]
    assert len(leaders) == 1
    group.assign(leaders[0], {member: f"part of {member}" for member in members})


def test_a_lone_member_leads_and_is_assigned() -> None:
    group = MemoryGroup(Clock())
    assert group.next_step("a", -1) is Step.JOIN
    join(group, "a")
    assert group.next_step("a", -1) is Step.LEAD
    group.assign("a", {"a": "all"})
    assert group.next_step("a", -1) is Step.TAKE
    assert group.assignment("a") == (1, "all")
    assert group.next_step("a", 1) is Step.STAY


def test_a_newcomer_makes_all_join_again() -> None:
    group = MemoryGroup(Clock())
    join(group, "a")
    settle(group, "a")
    join(group, "b")
    assert group.next_step("a", 1) is Step.JOIN
    assert group.next_step("b", -1) is Step.WAIT
    join(group, "a")
    assert group.generation == 2
    assert group.metadata() == {"a": "about a", "b": "about b"}
    settle(group, "a", "b")
    assert group.assignment("b") == (2, "part of b")


def test_leaving_gives_the_others_its_part() -> None:
    group = MemoryGroup(Clock())
    join(group, "a", "b")
    settle(group, "a", "b")
    group.leave("a")
    assert group.next_step("b", group.generation) is Step.JOIN
    settle(group, "b")
    assert group.assignment("b")[1] == "part of b"


def test_a_silent_member_is_dropped_when_its_session_is_over() -> None:
    clock = Clock()
    group = MemoryGroup(clock)
    join(group, "a", "b")
    settle(group, "a", "b")
    clock.now = 1009.0
    group.heartbeat("b")
    clock.now = 1011.0
    group.heartbeat("b")
    assert set(group.members) == {"b"}
    assert group.next_step("a", group.generation) is Step.JOIN


def test_a_member_that_never_gives_up_is_not_waited_for_for_ever() -> None:
    clock = Clock()
    group = MemoryGroup(clock, join_seconds=5.0)
    join(group, "a", session=100.0)
    settle(group, "a")
    join(group, "b", session=100.0)
    clock.now = 1006.0
    group.heartbeat("b")
    assert set(group.members) == {"b"}
    assert group.next_step("b", -1) is Step.LEAD


def test_commits_count_for_members_of_the_generation_only() -> None:
    group = MemoryGroup(Clock())
    join(group, "a")
    assert not group.accepts("a", 1)
    settle(group, "a")
    assert group.accepts("a", 1)
    assert not group.accepts("a", 0)
    assert not group.accepts("z", 1)
    join(group, "b")
    assert group.accepts("a", 1), "while the group joins, its members still commit"


def test_the_assignment_of_a_deposed_leader_is_ignored() -> None:
    group = MemoryGroup(Clock())
    join(group, "a", "b")
    settle(group, "a", "b")
    group.leave("a")
    join(group, "b")
    group.assign("a", {"a": "everything"})
    assert group.next_step("b", -1) is Step.LEAD


def test_every_change_wakes_the_members() -> None:
    group = MemoryGroup(Clock())
    woken: list[str] = []
    group.join("a", 10.0, None, lambda: woken.append("a"))
    settle(group, "a")
    woken.clear()
    group.join("b", 10.0, None, lambda: woken.append("b"))
    assert "a" in woken
