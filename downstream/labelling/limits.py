"""Limits of what is asked of a service: requests and tokens per minute, tokens and money in all."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Prices:
    """Money per million tokens, in whatever currency. Without prices no cost is known."""

    prompt: float = 0.0
    completion: float = 0.0

    def cost(self, prompt: int, completion: int) -> float:
        """Return what tokens cost."""
        return (prompt * self.prompt + completion * self.completion) / 1e6


class BudgetReached(Exception):
    """No more may be asked."""


@dataclass(slots=True)
class Budget:
    """What may be spent. tokens, money: in all, None for no limit.

    A request is reserved before it is sent, by an estimate on the high side, so that requests on
    the way together never pass the limit by more than estimates are too low.
    """

    prices: Prices = Prices()
    tokens: int | None = None
    money: float | None = None
    spent_tokens: int = 0
    spent_money: float = 0.0
    _reserved: list[tuple[int, int]] = field(default_factory=list)

    def reserve(self, prompt: int, completion: int) -> None:
        """Set tokens aside; raises BudgetReached if they are not there."""
        waiting = [*self._reserved, (prompt, completion)]
        tokens = self.spent_tokens + sum(map(sum, waiting))
        money = self.spent_money + sum(self.prices.cost(*each) for each in waiting)
        if self.tokens is not None and tokens > self.tokens:
            raise BudgetReached(f"{self.spent_tokens:,} of {self.tokens:,} tokens are spent")
        if self.money is not None and money > self.money:
            raise BudgetReached(f"{self.spent_money:.4f} of {self.money:g} are spent")
        self._reserved.append((prompt, completion))

    def settle(self, reserved: tuple[int, int], used: tuple[int, int]) -> None:
        """Take back what was reserved and count what was used, prompt and completion tokens."""
        self._reserved.remove(reserved)
        self.spent_tokens += sum(used)
        self.spent_money += self.prices.cost(*used)


class RateLimiter:
    """Spaces requests evenly. requests, tokens: per minute, None for no limit."""

    def __init__(
        self,
        requests: float | None = None,
        tokens: float | None = None,
        *,
        clock: Clock | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._apart = 60 / requests if requests else 0.0
        self._per_token = 60 / tokens if tokens else 0.0
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._sleep = sleep
        self._next = self._tokens_free = self._held = float("-inf")

    async def wait(self, tokens: int) -> None:
        """Wait until a request of so many tokens may be sent, and count it."""
        while True:
            now = self._clock()
            at = max(now, self._next, self._tokens_free, self._held)
            if at <= now:
                break
            await self._sleep(at - now)
        self._next = now + self._apart
        self._tokens_free = max(now, self._tokens_free) + tokens * self._per_token

    def correct(self, tokens: int) -> None:
        """Add tokens that were used beyond those counted; fewer if it is below 0."""
        self._tokens_free += tokens * self._per_token

    def hold(self, seconds: float) -> None:
        """Send nothing for so long: the service asked for it."""
        self._held = max(self._held, self._clock() + seconds)
