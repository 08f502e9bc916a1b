"""What a producer has done so far: counted for metrics, reported in its log, passed on to a bar."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from producers.progress import ProducerProgress, Silent
from streams.deadletters import Refusal
from streams.monitoring import events
from streams.monitoring.rates import Rates
from streams.monitoring.verdict import Verdict

_SAMPLE_SECONDS = 1.0
_REPORT_SECONDS = 30.0


@dataclass(slots=True)
class Produced:
    """Counts of a producer, and what it says of itself to probes.

    corpus: its name. total: tokens to produce, None if only the text knows. bar: hears the same.
    batches, rows, tokens: sent, or found in the topic. refused: documents. sealed: all is sent.
    """

    corpus: str
    total: int | None = None
    bar: ProducerProgress = field(default_factory=Silent)
    processor: Callable[[], float] = time.process_time
    batches: int = 0
    rows: int = 0
    tokens: int = 0
    refused: int = 0
    sealed: bool = False
    failure: str | None = None
    rates: Rates = field(default_factory=Rates)
    clock: Callable[[], float] = time.monotonic

    def advance(self, rows: int, tokens: int) -> None:
        """Count a batch. With the first one it is said that the producer has started."""
        if not self.batches:
            events.say(events.PRODUCER_STARTED, corpus=self.corpus)
        self.batches += 1
        self.rows += rows
        self.tokens += tokens
        self.bar.advance(rows, tokens)

    def say(self, text: str) -> None:
        """Say something the user should know."""
        events.say(events.PRODUCER_SAID, corpus=self.corpus, text=text)
        self.bar.say(text)

    def refuse(self, refusal: Refusal) -> None:
        """Count a document that became a dead letter."""
        self.refused += 1
        events.say(
            events.DEAD_LETTER,
            side="producer",
            topic=refusal.origin.topic,
            partition=None,
            offset=None,
            error=refusal.error,
            cause=refusal.message,
        )

    def live(self) -> Verdict:
        """Say whether the process should go on."""
        return Verdict(self.failure is None, self.failure or "the process answers")

    def ready(self) -> Verdict:
        """Say whether batches reach the broker by now."""
        if not self.batches and not self.sealed:
            return Verdict(False, "no batch is sent yet")
        return self.live()

    def eta(self) -> float | None:
        """Return the seconds until all is sent, None if nobody knows."""
        if self.sealed:
            return 0.0
        if self.total is None:
            return None
        return self.rates.eta("tokens", self.total - self.tokens)

    def sample(self) -> None:
        """Note what was done by now, for rates."""
        done = {"rows": self.rows, "tokens": self.tokens, "processor": self.processor()}
        self.rates = self.rates.after(self.clock(), done)

    def report(self) -> None:
        """Say how far it is."""
        events.say(
            events.PROGRESS,
            side="producer",
            run=None,
            corpus=self.corpus,
            done=self.tokens,
            total=self.total,
            unit="tokens",
            lag=None if self.total is None else max(0, self.total - self.tokens),
            rows_per_second=self.rates.rate("rows"),
            tokens_per_second=self.rates.rate("tokens"),
            eta_seconds=self.eta(),
        )


@contextmanager
def reported(
    produced: Produced, every: float = _REPORT_SECONDS, sample_every: float = _SAMPLE_SECONDS
) -> Iterator[None]:
    """Sample and report in a thread while the block runs, and say how it ends.

    What fails before the first batch has its error alone, which says enough.
    """
    ended = threading.Event()
    begun = said = produced.clock()

    def run() -> None:
        nonlocal said
        while not ended.wait(sample_every):
            produced.sample()
            if produced.clock() - said >= every:
                said = produced.clock()
                if produced.batches:
                    produced.report()

    thread = threading.Thread(target=run, name="reporter", daemon=True)
    produced.sample()
    thread.start()
    reason = "the corpus is complete"
    try:
        yield
        produced.sealed = True
    except BaseException as error:
        reason = produced.failure = str(error) or type(error).__name__
        raise
    finally:
        ended.set()
        thread.join()
        produced.sample()
        if produced.batches or produced.sealed:
            events.say(
                events.PRODUCER_ENDED,
                corpus=produced.corpus,
                reason=reason,
                rows=produced.rows,
                tokens=produced.tokens,
                seconds=produced.clock() - begun,
            )
