"""Many questions to one service: a few at a time, within limits, and none that was answered."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from aiohttp import ClientSession
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
)

from downstream.labelling.answer_log import Answered, AnswerLog, question_key
from downstream.labelling.endpoint import ChatAnswer, ChatEndpoint, EndpointError, open_session
from downstream.labelling.label_prompt import Message, prompt_size
from downstream.labelling.limits import Budget, BudgetReached, RateLimiter, Sleep

_IN_A_ROW = 5
"""Questions that fail one after the other before no more are asked."""
_BACKOFF = wait_exponential(multiplier=1, max=60)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about a cluster; task and note: see ``Answered``."""

    task: str
    cluster: int
    messages: Sequence[Message]
    note: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Asked:
    """How it went. known: answered before. failed: the cluster and what went wrong. stopped: why
    no more was asked; error: the same, if it was a failure. tokens, money: what it all used.
    answers: by task and cluster, those known among them.
    """

    answered: int = 0
    known: int = 0
    failed: list[tuple[int, str]] = field(default_factory=list)
    stopped: str = ""
    error: EndpointError | None = None
    tokens: int = 0
    money: float = 0.0
    answers: dict[tuple[str, int], Answered] = field(default_factory=dict)


@dataclass(frozen=True)
class Questioner:
    """Asks a service. at_once: questions on their way together. attempts: for each.

    patience: seconds; a service that asks to wait longer is not waited for.
    """

    endpoint: ChatEndpoint
    log: AnswerLog
    limiter: RateLimiter
    budget: Budget
    at_once: int = 8
    attempts: int = 6
    patience: float = 300.0
    sleep: Sleep = asyncio.sleep

    async def ask(
        self, questions: Iterator[Question], seen: Callable[[], None] = lambda: None
    ) -> Asked:
        """Ask all questions that the log has no answer to, and log the answers.

        questions: taken one by one, in a thread, as there is room. seen: called after each. What
        the questions' iterator raises is raised once no question is on its way.
        """
        asked, lock = Asked(), asyncio.Lock()
        in_a_row = [0]
        async with open_session() as session:

            async def work() -> None:
                while not asked.stopped:
                    async with lock:
                        question = await asyncio.to_thread(next, questions, None)
                    if question is None:
                        return
                    await self._one(session, question, asked, in_a_row)
                    seen()

            workers = [asyncio.ensure_future(work()) for _ in range(self.at_once)]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
        asked.tokens, asked.money = self.budget.spent_tokens, self.budget.spent_money
        return asked

    async def _one(
        self, session: ClientSession, question: Question, asked: Asked, in_a_row: list[int]
    ) -> None:
        key = question_key(self.endpoint.address, self.endpoint.body(question.messages))
        if known := self.log.entries.get(key):
            asked.known += 1
            asked.answers[question.task, question.cluster] = known
            return
        began, attempts = monotonic(), 0
        try:
            async for attempt in self._retrying():
                with attempt:
                    attempts += 1
                    answer, used = await self._sent(session, question)
        except BudgetReached as reached:
            asked.stopped = asked.stopped or f"the budget is used up: {reached}"
            return
        except EndpointError as error:
            asked.failed.append((question.cluster, str(error)))
            in_a_row[0] += 1
            if (error.for_all or in_a_row[0] >= _IN_A_ROW) and not asked.stopped:
                asked.stopped, asked.error = str(error), error
            return
        in_a_row[0] = 0
        asked.answered += 1
        counted = answer.prompt_tokens is not None and answer.completion_tokens is not None
        made = Answered(
            key=key,
            task=question.task,
            cluster=question.cluster,
            messages=list(question.messages),
            note=dict(question.note),
            answer=answer.text,
            prompt_tokens=used[0],
            completion_tokens=used[1],
            counted=counted,
            attempts=attempts,
            seconds=monotonic() - began,
            model=self.endpoint.model,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        self.log.add(made)
        asked.answers[question.task, question.cluster] = made

    async def _sent(
        self, session: ClientSession, question: Question
    ) -> tuple[ChatAnswer, tuple[int, int]]:
        """Ask once; return the answer and the prompt and completion tokens that it used."""
        reserved = prompt_size(question.messages), self.endpoint.most_tokens
        self.budget.reserve(*reserved)
        used = reserved
        try:
            await self.limiter.wait(sum(reserved))
            answer = await self.endpoint.ask(session, question.messages)
            used = (
                reserved[0] if answer.prompt_tokens is None else answer.prompt_tokens,
                min(len(answer.text) + 1, reserved[1])
                if answer.completion_tokens is None
                else answer.completion_tokens,
            )
            return answer, used
        except EndpointError as error:
            used = reserved if error.paid else (0, 0)
            if error.after is not None and error.after <= self.patience:
                self.limiter.hold(error.after)
            raise
        finally:
            self.budget.settle(reserved, used)
            self.limiter.correct(sum(used) - sum(reserved))

    def _retrying(self) -> AsyncRetrying:
        return AsyncRetrying(
            sleep=self.sleep,
            stop=stop_after_attempt(self.attempts),
            wait=_wait,
            retry=retry_if_exception(self._again),
            reraise=True,
        )

    def _again(self, error: BaseException) -> bool:
        """Return whether a failure may be asked again now."""
        if not isinstance(error, EndpointError) or not error.again:
            return False
        return error.after is None or error.after <= self.patience


def _wait(state: RetryCallState) -> float:
    """Return how long to wait: what the service asked for, or 1, 2, 4, ... up to 60 seconds."""
    error = state.outcome.exception() if state.outcome else None
    after = error.after if isinstance(error, EndpointError) else None
    return _BACKOFF(state) if after is None else after
