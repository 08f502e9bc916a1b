"""What a worker answers to probes, and how a process without work or model answers."""

import json
import urllib.error
import urllib.request

from consumers.health.health import LOOP_SECONDS, WorkerHealth
from consumers.health.metrics import Address, served
from consumers.health.progress import Progress
from streams.errors import StallError


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def answers(progress: Progress, path: str, method: str = "GET") -> tuple[int, dict[str, object]]:
    with served(progress, Address("127.0.0.1", 0)) as port:
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())


def test_a_worker_lives_before_its_loop_begins_while_it_answers_and_after_its_end() -> None:
    clock = Clock()
    health = WorkerHealth(clock)
    assert health.live().ok
    health.beats()
    clock.now += LOOP_SECONDS
    assert health.live().ok
    clock.now += 1
    assert not health.live().ok
    assert "has not answered for 31 s" in health.live().reason
    health.ends()
    assert health.live().ok


def test_a_worker_whose_watchdog_gave_its_verdict_lives_no_more() -> None:
    health = WorkerHealth()
    health.starts(1, lambda: StallError("no progress for 300 s"))
    assert health.live().reason == "a worker has ended: no progress for 300 s"
    health.joined(1)
    assert not health.ready().ok


def test_a_process_is_ready_once_each_of_its_workers_has_its_assignment() -> None:
    health = WorkerHealth()
    assert health.ready().reason == "loading the run and its model"
    health.starts(2, lambda: None)
    health.joined(1)
    assert health.ready().reason == "1 of 2 workers have their assignment"
    health.joined(2)
    assert health.ready().ok
    health.left(1)
    assert not health.ready().ok


def test_probes_answer_with_a_status_and_a_reason() -> None:
    progress = Progress()
    assert answers(progress, "/live") == (200, {"ok": True, "reason": "starting"})
    status, said = answers(progress, "/ready")
    assert (status, said["ok"]) == (503, False)
    progress.health.starts(0, lambda: None)
    assert answers(progress, "/ready") == (200, {"ok": True, "reason": "assigned"})


def test_other_paths_and_methods_are_refused() -> None:
    assert answers(Progress(), "/")[0] == 404
    assert answers(Progress(), "/metrics/../live")[0] == 404
    assert answers(Progress(), "/live", "POST")[0] == 405
