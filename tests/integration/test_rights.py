"""Who has just the documented rights can do each verb, and with one less cannot."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)

from consumers.activations.engine import Engine
from consumers.runs import loading
from millrace.cli import run_program
from producers.documents import Document
from producers.dump import dump_corpus, load_corpus
from producers.progress import Silent
from producers.settings import CorpusSettings
from streams import topics
from streams.catalog.corpora import get_corpus, get_vocabulary
from streams.catalog.followed_topic import FollowedTopic
from streams.catalog.runs import get_run, put_run
from streams.errors import AccessError
from streams.lost_input import expect_whole
from streams.records.corpus import TokenBatch
from streams.transport.access import BrokerAccess
from streams.transport.client import TopicSpec
from streams.transport.connect import connect
from streams.transport.rights import RIGHTS, Right
from tests.integration.secured_kafka import GUEST, SecuredKafka
from tests.integration.test_repair import activations_done
from tests.producers.conftest import PROSE, byte_level, save_plainly
from tests.producers.in_memory import DocumentsInMemory, produce_text
from tests.service import Service, make_service

pytestmark = pytest.mark.kafka

_fences = itertools.count()
PATIENCE = 30.0


@contextmanager
def granted(secured: SecuredKafka, rights: Sequence[Right], prefix: str) -> Iterator[None]:
    """Give the guest rights under a prefix, and no other ones, while the block runs."""
    admin = KafkaAdminClient(bootstrap_servers=secured.admin.removeprefix("kafka://"))
    fence = f"{prefix}fence{next(_fences)}"
    everything = connect(secured.admin)
    everything.create_topics([TopicSpec(fence, 1)])
    mine = ACLFilter(
        principal=f"User:{GUEST}",
        host="*",
        operation=ACLOperation.ANY,
        permission_type=ACLPermissionType.ANY,
        resource_pattern=ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY),
    )
    try:
        admin.delete_acls([mine])
        admin.create_acls([acl(right, prefix) for right in rights])
        # Given last, and so seen last: the broker takes them up one after the other.
        admin.create_acls([acl(Right("topic", fence, "Describe"), "")])
        deadline, guest = time.monotonic() + PATIENCE, connect(secured.guest())
        while fence not in guest.topics():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        guest.close()
        yield
    finally:
        admin.delete_acls([mine])
        everything.delete_topics([fence])
        everything.close()
        admin.close()


def acl(right: Right, prefix: str) -> ACL:
    kind = ResourcePattern(
        ResourceType[right.kind.upper()],
        prefix + right.name,
        ACLResourcePatternType.PREFIXED if right.is_prefixed else ACLResourcePatternType.LITERAL,
    )
    operation = ACLOperation[right.operation.upper()]
    return ACL(f"User:{GUEST}", "*", operation, ACLPermissionType.ALLOW, kind)


@dataclass(frozen=True)
class Shared:
    """A finished run of the team's under a prefix, and how the guest comes to it."""

    secured: SecuredKafka
    prefix: str
    team: Service
    folder: Path

    @property
    def guest(self) -> BrokerAccess:
        return self.secured.guest(self.prefix)

    def granted(self, rights: Sequence[Right]) -> AbstractContextManager[None]:
        return granted(self.secured, rights, self.prefix)


@pytest.fixture(scope="module")
def shared(secured: SecuredKafka, tmp_path_factory: pytest.TempPathFactory) -> Shared:
    folder = tmp_path_factory.mktemp("shared")
    team = make_service(secured.team("team-g."), folder / "store", "run")
    with team.client.sender() as sender:
        sender.send("partials.run", 0, b"junk, and so a dead letter")
    team.serve(1, 1)
    return Shared(secured, "team-g.", team, folder)


@pytest.fixture
def as_guest(shared: Shared, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """Run the program as the guest and return its status."""
    variables = {
        "BROKER": shared.guest.address,
        "KAFKA__PREFIX": shared.prefix,
        "KAFKA__CA": str(shared.secured.certificates.authority),
        "KAFKA__USER": GUEST,
        "KAFKA__PASSWORD": shared.guest.security.sasl.password,
        "STORE": str(shared.folder / "store"),
    }
    for name, value in variables.items():
        monkeypatch.setenv(f"MILLRACE_{name}", value)
    monkeypatch.chdir(tmp_path)
    return run_program


LOOKING = {
    "runs list": ("runs", "list"),
    "runs show": ("runs", "show", "run", "--rate-seconds", "0"),
    "corpora list": ("corpora", "list"),
    "corpora show": ("corpora", "show", "run-text"),
    "dlq list": ("dlq", "list"),
    "repair": ("repair", "--run", "run"),
}


@pytest.mark.parametrize("verb", LOOKING)
def test_who_looks_needs_what_is_documented_and_no_more(
    verb: str,
    shared: Shared,
    as_guest: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    def outcome(rights: Sequence[Right]) -> tuple[int, str, str]:
        with shared.granted(rights):
            status = as_guest(LOOKING[verb])
        return (status, *capsys.readouterr())

    whole = outcome(RIGHTS[verb])
    assert (whole[0], whole[2]) == (0, "")
    for missing in sometimes_needed(verb):
        less = outcome([right for right in RIGHTS[verb] if right != missing])
        assert less != whole, missing
        assert len(less[2].splitlines()) <= 1


def sometimes_needed(verb: str) -> list[Right]:
    """Return the rights that these looks need: no input was cut, and nothing is to be rewound."""
    only_if_cut = {"topic aggregates. Read", "topic tokens. Read"} if verb == "runs show" else set()
    to_rewind = {"group activations. Read", "topic tokens. Read"} if verb == "repair" else set()
    return [
        right
        for right in RIGHTS[verb]
        if f"{right.kind} {right.name} {right.operation}" not in only_if_cut | to_rewind
    ]


def test_each_side_of_a_run_needs_what_is_documented(
    shared: Shared, as_guest: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = make_service(shared.team.broker, shared.folder / "store", "again")
    monkeypatch.setattr(loading, "load_engine", lambda *_: on_processor(service.engine))
    with shared.granted(RIGHTS["activations"]):
        as_the_guest = replace(service, broker=shared.guest)
        as_the_guest.serve(1, 0, until=lambda: activations_done(service))
    with shared.granted(RIGHTS["aggregates"]):
        assert as_guest(["aggregates", "--run", "again", "--until-done"]) == 0
    with shared.granted(RIGHTS["activations"]):
        assert as_guest(["activations", "--run", "again", "--until-done"]) == 0
    manifest = service.manifest()
    assert manifest is not None
    assert manifest.content == service.expected()


WITHOUT = [
    ("aggregates", Right("group", "aggregates.", "Read"), "a right to the group is missing"),
    ("aggregates", Right("topic", "snapshots", "Write"), "a right to the topic is missing"),
    ("aggregates", Right("topic", "partials.", "Read"), "a right to the topic is missing"),
    ("activations", Right("group", "activations.", "Read"), "a right to the group is missing"),
    ("activations", Right("topic", "partials.", "Write"), "a right to the topic is missing"),
]


@pytest.mark.parametrize(
    ("verb", "right", "said"), WITHOUT, ids=[f"{v} {r}" for v, r, _ in WITHOUT]
)
def test_a_worker_without_a_right_says_so_and_ends(
    verb: str,
    right: Right,
    said: str,
    shared: Shared,
    as_guest: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    prefix: str,
) -> None:
    service = make_service(shared.team.broker, shared.folder / "store", prefix)
    monkeypatch.setattr(loading, "load_engine", lambda *_: on_processor(service.engine))
    if verb == "aggregates":
        service.serve(1, 0, until=lambda: activations_done(service))
    with shared.granted([one for one in RIGHTS[verb] if one != right]):
        assert as_guest([verb, "--run", prefix, "--until-done"]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("millrace: error: ")
    assert said in last


def on_processor(engine: Engine) -> SimpleNamespace:
    """Return an engine as workers load it: with a model, whose device they say."""
    model = SimpleNamespace(device=torch.device("cpu"))
    return SimpleNamespace(compute=engine.compute, model=model)


LOST = [
    ("activations", Right("topic", "tokens.", "Read"), "a right to the topic is missing"),
    ("aggregates", Right("group", "aggregates.", "Read"), "a right to the group is missing"),
]


@pytest.mark.parametrize(("side", "right", "said"), LOST, ids=[f"{s} {r}" for s, r, _ in LOST])
def test_a_worker_that_loses_a_right_ends_and_the_next_one_goes_on(
    side: str, right: Right, said: str, shared: Shared, prefix: str
) -> None:
    service = make_service(shared.team.broker, shared.folder / "store", prefix)
    engine = Interrupted(service.engine)
    as_the_guest = replace(service, broker=shared.guest, engine=engine)
    if side == "aggregates":
        service.serve(1, 0, until=lambda: activations_done(service))
    taken: list[Right] = []

    def until() -> bool:
        if not taken and (engine.is_reached if side == "activations" else acknowledged(service)):
            taken.append(right)
            take_right(shared, right)
            engine.go_on.set()
        return False

    workers = (1, 0) if side == "activations" else (0, 1)
    with shared.granted(RIGHTS[side]), pytest.raises(AccessError, match=said) as raised:
        as_the_guest.serve(*workers, until=until)
    assert len(str(raised.value).splitlines()) == 1
    service.serve(1, 1)
    manifest = service.manifest()
    assert manifest is not None
    assert manifest.content == service.expected()


class Interrupted:
    """An engine that computes a few batches and then waits until it is let go."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._left = 5
        self.go_on = threading.Event()

    def compute(self, batch: TokenBatch, valid: Any) -> Any:
        self._left -= 1
        if self.is_reached:
            self.go_on.wait(PATIENCE)
        return self._inner.compute(batch, valid)

    @property
    def is_reached(self) -> bool:
        return self._left < 0


def acknowledged(service: Service) -> bool:
    """Return whether the aggregate side has acknowledged something."""
    run = service.plan.run
    partials = topics.partials(run.name, run.shards, 0).name
    return any(service.client.committed(topics.aggregates_app(run.name), partials).values())


def take_right(shared: Shared, right: Right) -> None:
    """Take a right from the guest; the broker takes that up a moment later."""
    given = acl(right, shared.prefix)
    admin = KafkaAdminClient(bootstrap_servers=shared.secured.admin.removeprefix("kafka://"))
    lost = ACLFilter(
        principal=given.principal,
        host="*",
        operation=given.operation,
        permission_type=ACLPermissionType.ALLOW,
        resource_pattern=given.resource_pattern,
    )
    admin.delete_acls([lost])
    admin.close()


def test_who_produces_and_creates_needs_what_is_documented(shared: Shared, tmp_path: Path) -> None:
    (tmp_path / "tokenizer").mkdir()
    tokenizer = save_plainly(byte_level(), tmp_path / "tokenizer")
    documents = DocumentsInMemory(
        tuple(Document(f"d{n}", "", text) for n, text in enumerate(PROSE))
    )
    made = CorpusSettings(name="text", tokenizer=tokenizer, context=8, batch_rows=4)
    prefix = "team-n."
    with granted(shared.secured, RIGHTS["produce"], prefix):
        client = connect(shared.secured.guest(prefix))
        record = produce_text(client, made, documents, Silent())
        client.close()
    assert record.sealed
    run = replace(shared.team.plan.run, name="new", corpus="text", partitions=record.partitions)
    with granted(shared.secured, RIGHTS["runs create"], prefix):
        client = connect(shared.secured.guest(prefix))
        assert get_corpus(client, "text") == record
        expect_whole(client, "text")
        put_run(client, run)
        client.close()
    everything = connect(shared.secured.team(prefix))
    assert {"runs", "snapshots", "dead-letters", "partials.new"} <= set(everything.topics())
    with granted(shared.secured, RIGHTS["corpora dump"], prefix):
        client = connect(shared.secured.guest(prefix))
        dump_corpus(client, "text", tmp_path / "text.dump", Silent())
        client.close()
    with granted(shared.secured, RIGHTS["oracle"], prefix):
        client = connect(shared.secured.guest(prefix))
        assert get_run(client, "new").corpus == "text"
        assert list(client.read(topics.tokens("text", 1).name, 0))
        assert get_vocabulary(client, "text").tokens
        client.close()
    with granted(shared.secured, RIGHTS["corpora load"], "team-l."):
        client = connect(shared.secured.guest("team-l."))
        assert load_corpus(client, tmp_path / "text.dump", Silent()) == record
        client.close()
    with granted(shared.secured, RIGHTS["produce"], prefix):
        client = connect(shared.secured.guest(prefix))
        with pytest.raises(AccessError, match="create topic"):
            client.create_topics([topics.DEAD_LETTERS, topics.RUNS, topics.partials("x", 1, 1)])
        client.close()


def test_who_deletes_needs_what_is_documented(
    shared: Shared, as_guest: Callable[..., int], prefix: str
) -> None:
    service = make_service(shared.team.broker, shared.folder / "store", prefix)
    service.serve(1, 1)
    corpus = service.plan.run.corpus
    with shared.granted(RIGHTS["runs delete"]):
        assert as_guest(["runs", "delete", prefix, "--yes"]) == 0
    with shared.granted(RIGHTS["corpora delete"]):
        assert as_guest(["corpora", "delete", corpus, "--yes"]) == 0
    assert not [name for name in service.client.topics() if prefix in name]


def test_who_asks_for_a_snapshot_needs_what_is_documented(
    shared: Shared, as_guest: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["snapshot", "--run", "run", "--name", "late", "--timeout", "0.2"]
    with shared.granted(RIGHTS["snapshot"]):
        assert as_guest(asked) == 2
    assert "are aggregate workers running" in capsys.readouterr().err


def test_a_dashboard_needs_what_is_documented(shared: Shared) -> None:
    with shared.granted(RIGHTS["dashboard"]):
        client = connect(shared.guest)
        found = FollowedTopic(topics.SNAPSHOTS.name).look(client)
        client.close()
    assert any(key.startswith(b"run/final") for key in found)


def test_a_guest_without_rights_sees_nothing(shared: Shared, as_guest: Callable[..., int]) -> None:
    with shared.granted([]):
        client = connect(shared.guest)
        assert all(name.startswith("fence") for name in client.topics())
        client.close()
        assert as_guest(["runs", "show", "run"]) == 2
