"""Announcements of workers: when they start and end, in the log and to probes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from consumers.health.progress import Progress
from consumers.plan import Plan
from streams.monitoring import events


@dataclass(slots=True)
class End:
    """Why workers ended."""

    reason: str = "stopped"


@contextmanager
def announced(
    plan: Plan,
    activations: int,
    aggregates: int,
    progress: Progress,
    failure: Callable[[], BaseException | None],
) -> Iterator[End]:
    """Say that so many workers of each side begin and end; ``failure`` is what ended one."""
    run, begun = plan.run.name, time.monotonic()
    progress.health.starts(activations + aggregates, failure)
    events.say(
        events.WORKER_STARTED,
        run=run,
        run_id=plan.id,
        activations=activations,
        aggregates=aggregates,
    )
    end = End()
    try:
        yield end
    except BaseException as error:
        end.reason = str(error) or type(error).__name__
        raise
    finally:
        progress.health.ends()
        done = progress.done
        events.say(
            events.WORKER_ENDED,
            run=run,
            reason=end.reason,
            records=done.records + done.partials,
            seconds=time.monotonic() - begun,
        )
