"""A language model's service as options and the environment name it."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from downstream.labelling.endpoint import ChatEndpoint, chat_address
from downstream.labelling.limits import Budget, Prices, RateLimiter
from downstream.reading.snapshot import Snapshot
from millrace.secret_files import read_secret
from streams.errors import SettingsError
from streams.names import is_name

_VARIABLE = "MILLRACE_ENDPOINT_KEY"


@dataclass(frozen=True, slots=True)
class EndpointOptions:
    """What may be said of a service; see ``millrace label --help``."""

    endpoint: str
    model: str
    key_file: Path | None
    at_once: int
    requests_per_minute: float | None
    tokens_per_minute: float | None
    budget_tokens: int | None
    money: float | None
    price_prompt: float
    price_completion: float
    seconds: float
    attempts: int
    log: Path | None

    def chat(self, environment: Mapping[str, str] = os.environ) -> ChatEndpoint:
        """Return the service with its key; raises SettingsError."""
        key = _key(self.key_file, environment)
        address = chat_address(self.endpoint, keyed=key is not None)
        return ChatEndpoint(address, self.model, key, seconds=self.seconds)

    @property
    def prices(self) -> Prices:
        """The prices."""
        return Prices(self.price_prompt, self.price_completion)

    def budget(self) -> Budget:
        """Return what may be spent; raises SettingsError for money without prices."""
        if self.money is not None and self.prices == Prices():
            raise SettingsError("--budget needs --price-prompt and --price-completion")
        return Budget(self.prices, self.budget_tokens, self.money)

    def limiter(self) -> RateLimiter:
        """Return the rates."""
        return RateLimiter(self.requests_per_minute, self.tokens_per_minute)

    def log_path(self, snapshot: Snapshot, name: str) -> Path:
        """Return where questions and answers are kept."""
        plain = f"{snapshot.run}-{snapshot.content[:12]}-{name}.jsonl"
        return self.log or Path(".millrace", "answers", plain)


def attachment_name(model: str) -> str:
    """Return a name for what a model made, out of the model's name."""
    found = re.sub(r"[^a-z0-9]+", "-", model.rpartition("/")[2].lower()).strip("-")[:60]
    return found if is_name(found) else "model"


def _key(path: Path | None, environment: Mapping[str, str]) -> str | None:
    if path is not None:
        return _checked(read_secret(path, "--key-file"), "--key-file")
    if named := environment.get(f"{_VARIABLE}_FILE"):
        return _checked(read_secret(Path(named), f"{_VARIABLE}_FILE"), f"{_VARIABLE}_FILE")
    if key := environment.get(_VARIABLE):
        return _checked(key, _VARIABLE)
    return None


def _checked(key: str, where: str) -> str:
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise SettingsError(f"{where}: a key is one word of printable ASCII")
    return key
