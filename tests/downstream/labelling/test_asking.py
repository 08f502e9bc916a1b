"""Asking a service that misbehaves in every way: answers, attempts, limits, and the log."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downstream.labelling.answer_log import Answered, AnswerLog
from downstream.labelling.asking import Asked, Question, Questioner
from downstream.labelling.endpoint import ChatEndpoint, chat_address, retry_after
from downstream.labelling.limits import Budget, BudgetReached, Prices, RateLimiter
from streams.errors import SettingsError
from tests.downstream.labelling.chat_server import Played, Server, completion, serving

KEY = "sk-secret-0123456789"


def questions(count: int) -> list[Question]:
    return [
        Question("label", n, [{"role": "user", "content": f"cluster {n}"}]) for n in range(count)
    ]


def asked(
    server: Server,
    folder: Path,
    count: int = 1,
    *,
    slept: list[float] | None = None,
    budget: Budget | None = None,
    seconds: float = 20,
    **changes: Any,
) -> tuple[Asked, dict[int, Answered]]:
    pauses = [] if slept is None else slept
    now = [0.0]

    async def sleep(delay: float) -> None:
        pauses.append(delay)
        now[0] += delay

    endpoint = ChatEndpoint(chat_address(server.url, keyed=True), "m", KEY, seconds=seconds)
    with AnswerLog(folder / "log.jsonl") as log:
        questioner = Questioner(
            endpoint,
            log,
            RateLimiter(clock=lambda: now[0], sleep=sleep),
            budget or Budget(),
            sleep=sleep,
            **changes,
        )
        found = asyncio.run(questioner.ask(iter(questions(count))))
        return found, log.of("label")


def test_answers_are_logged_with_what_they_used_and_not_asked_again(tmp_path: Path) -> None:
    with serving(lambda n, body: completion(f"about {body['messages'][0]['content']}")) as server:
        first, answers = asked(server, tmp_path, 5)
        assert (first.answered, first.known, first.tokens) == (5, 0, 5 * 18)
        assert {n: one.answer for n, one in answers.items()} == {
            n: f"about cluster {n}" for n in range(5)
        }
        again, _ = asked(server, tmp_path, 7)
        assert (again.answered, again.known, len(server.requests)) == (2, 5, 7)
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert server.paths[0] == "/v1/chat/completions"
    assert KEY not in (tmp_path / "log.jsonl").read_text()


TROUBLES = {
    "429": Played(429, b'{"error": {"message": "slow down"}}'),
    "429 with seconds": Played(429, b"", {"Retry-After": "7"}),
    "500": Played(500, b"<html>oops</html>"),
    "503 with a date": Played(503, b"", {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
    "garbage": Played(body=b"\x00\xff\xfe garbage"),
    "other JSON": Played(body=b'["hello"]'),
    "NaN": Played(body=b'{"choices": NaN}'),
    "empty choices": Played(body=b'{"choices": []}'),
    "no message": Played(body=b'{"choices": [{"index": 0}]}'),
    "closed half-way": Played(body=None),
    "compressed": Played(body=b"\x1f\x8b\x08", headers={"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_may_pass_is_tried_again(tmp_path: Path, trouble: str) -> None:
    slept: list[float] = []
    with serving(lambda n, _: TROUBLES[trouble] if n < 2 else completion("yes")) as server:
        found, answers = asked(server, tmp_path, slept=slept)
    assert (found.answered, len(server.requests)) == (1, 3)
    assert answers[0].attempts == 3
    waits = {"429 with seconds": [7, 7], "503 with a date": [0, 0]}.get(trouble, [1, 2])
    assert slept == waits


@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_stays_wrong_fails_in_one_line_without_the_key(tmp_path: Path, trouble: str) -> None:
    with serving(lambda *_: TROUBLES[trouble]) as server:
        found, answers = asked(server, tmp_path, attempts=3)
    assert (answers, len(server.requests)) == ({}, 3)
    ((cluster, why),) = found.failed
    assert cluster == 0
    assert why.isprintable()
    assert len(why) < 400
    assert KEY not in why


def test_a_key_that_a_service_repeats_is_not_shown(tmp_path: Path) -> None:
    body = json.dumps({"error": {"message": f"bad key {KEY}\x1b[2J"}}).encode()
    with serving(lambda *_: Played(401, body)) as server:
        found, _ = asked(server, tmp_path, 20, at_once=1)
    assert len(server.requests) == 1  # nobody else would be let in either
    assert found.error is not None
    assert str(found.error) == "the endpoint says 401: bad key (key) [2J"


def test_redirects_are_not_followed(tmp_path: Path) -> None:
    with serving(lambda *_: completion("stolen")) as elsewhere:
        away = Played(307, b"", {"Location": f"{elsewhere.url}/chat/completions"})
        with serving(lambda *_: away) as server:
            found, answers = asked(server, tmp_path)
    assert (elsewhere.requests, answers) == ([], {})
    assert "redirects (307)" in found.stopped


def test_slow_and_huge_answers_end(tmp_path: Path) -> None:
    with serving(lambda *_: Played(wait=30)) as server:
        found, _ = asked(server, tmp_path, attempts=2, seconds=0.2)
    assert len(server.requests) == 2
    assert found.failed == [(0, "no answer within 0.2 s")]
    assert found.tokens > 0  # what it used nobody knows: the estimate counts
    with serving(lambda *_: completion("x" * 2**21)) as server:
        found, _ = asked(server, tmp_path)
    assert len(server.requests) == 1
    assert "more than 1,048,576 bytes" in found.failed[0][1]


def test_a_service_that_is_gone_or_asks_for_an_hour_is_given_up(tmp_path: Path) -> None:
    hour = Played(429, b"come back", {"Retry-After": "3600"})
    with serving(lambda *_: hour) as server:
        found, _ = asked(server, tmp_path, 20, at_once=1)
    assert len(server.requests) == 5  # so many fail in a row
    assert found.stopped == "the endpoint says 429: come back"
    found, _ = asked(server, tmp_path, 20, at_once=1, attempts=2)
    assert "cannot be reached" in found.stopped


def test_at_most_so_many_are_on_their_way(tmp_path: Path) -> None:
    def play(*_: Any) -> Played:
        slow = completion("x")
        slow.wait = 0.05
        return slow

    with serving(play) as server:
        asked(server, tmp_path, 12, at_once=3)
    assert server.most_at_once <= 3
    assert len(server.requests) == 12


@pytest.mark.parametrize("usage", [(11, 7), None, (-1, "x")])
def test_a_budget_is_never_passed_and_what_was_paid_for_is_kept(tmp_path: Path, usage: Any) -> None:
    with serving(lambda *_: completion("x", usage)) as server:
        found, answers = asked(server, tmp_path, 50, budget=Budget(tokens=600), at_once=4)
    assert 0 < len(answers) < 50
    assert found.tokens <= 600
    assert "budget" in found.stopped
    assert found.error is None
    assert {one.counted for one in answers.values()} == {usage == (11, 7)}


def test_money_follows_from_prices() -> None:
    budget = Budget(Prices(2.0, 10.0), money=0.001)
    budget.reserve(200, 20)
    with pytest.raises(BudgetReached):
        budget.reserve(200, 30)
    budget.settle((200, 20), (100, 10))
    assert budget.spent_money == pytest.approx(0.0003)
    budget.reserve(200, 30)


@given(st.lists(st.integers(1, 400), min_size=1, max_size=30), st.integers(0, 5))
def test_rates_hold_over_every_minute(sizes: list[int], held: int) -> None:
    now = [0.0]

    async def sleep(seconds: float) -> None:
        now[0] += seconds

    limiter = RateLimiter(60, 6000, clock=lambda: now[0], sleep=sleep)
    sent: list[tuple[float, int]] = []

    async def run() -> None:
        for number, size in enumerate(sizes):
            if number == held:
                limiter.hold(10)
            await limiter.wait(size)
            sent.append((now[0], size))

    asyncio.run(run())
    for at, _ in sent:
        inside = [size for then, size in sent if at - 60 < then <= at]
        assert len(inside) <= 61
        assert sum(inside) <= 6000 + 400
    if len(sizes) > held:
        before = sent[held - 1][0] if held else 0.0
        assert sent[held][0] >= before + 10


def test_a_torn_line_is_asked_again_and_two_writers_are_not_let_in(tmp_path: Path) -> None:
    with serving(lambda *_: completion("x")) as server:
        asked(server, tmp_path, 3, at_once=1)
        path = tmp_path / "log.jsonl"
        path.write_bytes(path.read_bytes()[:-20])
        again, answers = asked(server, tmp_path, 3)
    assert (again.known, again.answered, len(answers)) == (2, 1, 3)
    with (
        AnswerLog(path),
        pytest.raises(SettingsError, match="another program"),
        AnswerLog(path),
    ):
        pass


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1/chat/completions"),
        ("https://a.example/v1/", "https://a.example/v1/chat/completions"),
        ("http://[::1]/x/v1/chat/completions", "http://[::1]/x/v1/chat/completions"),
    ],
)
def test_addresses_are_completed(url: str, address: str) -> None:
    assert chat_address(url, keyed=True) == address


@pytest.mark.parametrize(
    "url",
    ["a.example/v1", "ftp://a", "http://", "https://u:p@a/v1", "https://a?x=1", "http://a:x"],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="--endpoint"):
        chat_address(url, keyed=False)


def test_a_key_goes_nowhere_unencrypted() -> None:
    with pytest.raises(SettingsError, match="unencrypted"):
        chat_address("http://a.example/v1", keyed=True)
    assert chat_address("http://a.example/v1", keyed=False)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("3", 3), ("0.5", 0.5), ("-1", 0), ("nan", None), ("inf", None), ("soon", None), (None, None),
     ("Thu, 01 Jan 2031 00:00:30 GMT", 30), ("Thu, 01 Jan 2030 00:00:00 GMT", 0)],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, datetime(2031, 1, 1, tzinfo=UTC)) == seconds
