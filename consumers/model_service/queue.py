"""Questions that wait for one model: those that come together are answered by one pass."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from consumers.model_service.limits import AskLimits
from streams.asking.answer import Answer
from streams.asking.question import Question
from streams.errors import StreamError

T = TypeVar("T")
Outcome = Answer | Exception
AskAll = Callable[[Sequence[Question]], Sequence[Outcome]]


class BusyError(StreamError):
    """So many questions wait that no more is taken."""


@dataclass(slots=True)
class _Waiting:
    question: Question
    done: "asyncio.Future[Answer]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class QuestionQueue:
    """Asks a model in a thread of its own, several questions at a time.

    ask_all: gives an answer, or what went wrong, for each question. The first question that finds
    the model idle waits ``limits.window`` seconds for others; those that come while the model is at
    work are asked together afterwards, up to ``limits.batch`` at a time.
    """

    def __init__(self, ask_all: AskAll, limits: AskLimits) -> None:
        self._ask_all = ask_all
        self._limits = limits
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue(limits.waiting)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._alone = 0
        self._work: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many questions wait."""
        return self._waiting.qsize()

    @property
    def alive(self) -> bool:
        """Whether questions are being answered."""
        return self._work is not None and not self._work.done()

    def start(self) -> None:
        """Begin to answer, in the running event loop."""
        self._work = asyncio.create_task(self._answer())

    async def stop(self) -> None:
        """Answer no more; those who wait hear a BusyError."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
        while not self._waiting.empty():
            _tell(self._waiting.get_nowait(), BusyError("the model is being shut down"))
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def ask(self, question: Question) -> Answer:
        """Return the answer; raises BusyError if too many wait, and what asking raised."""
        one = _Waiting(question)
        try:
            self._waiting.put_nowait(one)
        except asyncio.QueueFull:
            raise BusyError(
                f"{self._limits.waiting} questions wait for the model: ask again later"
            ) from None
        return await one.done

    async def alone(self, work: Callable[[], T]) -> T:
        """Return what is worked out in the model's thread, between the questions.

        Raises BusyError if too many of these wait, and what the work raises.
        """
        if self._alone >= self._limits.interventions:
            raise BusyError(f"{self._alone} such questions wait for the model: ask again later")
        self._alone += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._alone -= 1

    async def _answer(self) -> None:
        while True:
            together = [await self._waiting.get()]
            await asyncio.sleep(self._limits.window)
            while len(together) < self._limits.batch and not self._waiting.empty():
                together.append(self._waiting.get_nowait())
            # Who has gone away in the meantime is not answered.
            wanted = [one for one in together if not one.done.done()]
            try:
                outcomes = await self._asked([one.question for one in wanted])
            except asyncio.CancelledError:
                for one in wanted:
                    _tell(one, BusyError("the model is being shut down"))
                raise
            for one, outcome in zip(wanted, outcomes, strict=True):
                _tell(one, outcome)

    async def _asked(self, questions: Sequence[Question]) -> Sequence[Outcome]:
        if not questions:
            return []
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, self._ask_all, questions)
        except Exception as error:
            if len(questions) == 1:
                return [error]
        # One of them fails the pass: each is asked alone, so that the others have their answers.
        return [outcome for each in questions for outcome in await self._asked([each])]


def _tell(one: _Waiting, outcome: Outcome) -> None:
    if one.done.done():
        return
    if isinstance(outcome, Exception):
        one.done.set_exception(outcome)
    else:
        one.done.set_result(outcome)
