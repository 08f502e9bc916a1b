"""An OpenAI-compatible service asked for one chat completion; what it answers is a stranger's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar

from downstream.labelling.label_prompt import Message
from streams.errors import SettingsError, UserError
from streams.strict_json import JsonError, parse_json

MOST_BYTES = 2**20
_PATH = "/chat/completions"
_AGAIN = {408, 409, 425, 429}
_FOR_ALL = {401, 402, 403, 404, 405}


class EndpointError(UserError):
    """A service that gave no usable answer.

    again: asking again may help, ``after`` so many seconds if the service said so. for_all: no
    request will be answered. paid: tokens may have been used.
    """

    def __init__(
        self,
        what: str,
        *,
        again: bool = False,
        after: float | None = None,
        for_all: bool = False,
        paid: bool = False,
    ) -> None:
        super().__init__(what)
        self.again, self.after, self.for_all, self.paid = again, after, for_all, paid


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """What a model said, and the tokens that the service says were used, None if it does not."""

    text: str
    prompt_tokens: int | None
    completion_tokens: int | None


@dataclass(frozen=True, slots=True)
class ChatEndpoint:
    """Where and how a model is asked. address: of chat completions. seconds: for an answer.

    key: sent as a bearer token to this address alone, and in no message or record.
    """

    address: str
    model: str
    key: str | None = field(default=None, repr=False)
    most_tokens: int = 100
    seconds: float = 60.0

    def body(self, messages: Sequence[Message]) -> dict[str, Any]:
        """Return the request for some messages: greedy, so that it can be asked again."""
        return {
            "model": self.model,
            "messages": list(messages),
            "max_tokens": self.most_tokens,
            "temperature": 0,
        }

    async def ask(self, session: ClientSession, messages: Sequence[Message]) -> ChatAnswer:
        """Return the answer; raises EndpointError. A redirect is not followed."""
        headers = {"Accept-Encoding": "identity"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        paid = False
        try:
            async with session.post(
                self.address,
                json=self.body(messages),
                headers=headers,
                allow_redirects=False,
                timeout=ClientTimeout(total=self.seconds),
            ) as response:
                paid = response.status == 200
                body = bytearray()
                async for part in response.content.iter_chunked(2**16):
                    body += part
                    if len(body) > MOST_BYTES:
                        raise EndpointError(
                            f"the answer has more than {MOST_BYTES:,} bytes", paid=paid
                        )
                return _answer(response.status, response.headers, bytes(body), self.key)
        except TimeoutError:
            what = f"no answer within {self.seconds:g} s"
            raise EndpointError(what, again=True, paid=True) from None
        except (ClientError, OSError) as error:
            what = _without(str(error) or type(error).__name__, self.key)
            raise EndpointError(
                f"the endpoint cannot be reached ({what})", again=True, paid=paid
            ) from None


def open_session() -> ClientSession:
    """Return a session without cookies, proxies of the environment or decompression."""
    return ClientSession(cookie_jar=DummyCookieJar(), auto_decompress=False, trust_env=False)


def chat_address(url: str, *, keyed: bool) -> str:
    """Return the address of chat completions of a service.

    url: that, or what comes before ``/chat/completions``; ``/v1`` is added to a bare host. keyed:
    whether a key will be sent. Raises SettingsError for anything that is no such address, that has
    a password in it, or where the key would cross a network unencrypted.
    """
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise SettingsError(f"--endpoint: this is no address ({error})") from None
    if parts.scheme not in ("http", "https") or not host:
        raise SettingsError("--endpoint: give an address such as https://api.example.org/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise SettingsError("--endpoint: no user, password or ? in it; the key has its own option")
    if keyed and parts.scheme == "http" and not _is_loopback(host):
        raise SettingsError(
            f"--endpoint: the key would go to {host} unencrypted: use https, or give no key"
        )
    path = parts.path.rstrip("/")
    if not path.endswith(_PATH):
        path = f"{path or '/v1'}{_PATH}"
    return f"{parts.scheme}://{parts.netloc}{path}"


def retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a Retry-After header asks to wait, None if it says nothing."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            at = parsedate_to_datetime(value)
        except ValueError:
            return None
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        seconds = (at - now).total_seconds()
    return max(seconds, 0.0) if seconds == seconds and seconds < 1e9 else None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _answer(status: int, headers: Mapping[str, str], body: bytes, key: str | None) -> ChatAnswer:
    if 300 <= status < 400:
        raise EndpointError(
            f"the endpoint redirects ({status}), which is not followed: give its own address",
            for_all=True,
        )
    if status != 200:
        after = retry_after(headers.get("Retry-After"), datetime.now(UTC))
        raise EndpointError(
            f"the endpoint says {status}: {_said(body, key)}",
            again=status in _AGAIN or status >= 500,
            after=after,
            for_all=status in _FOR_ALL,
        )
    try:
        found = parse_json(body, MOST_BYTES)
        content = found["choices"][0]["message"]["content"]
    except (JsonError, KeyError, IndexError, TypeError):
        raise EndpointError("the answer is no chat completion", again=True, paid=True) from None
    if content is not None and not isinstance(content, str):
        raise EndpointError("the answer's content is no text", paid=True)
    usage = found.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    prompt, completion = (
        value if type(value) is int and 0 <= value < 2**40 else None
        for value in (usage.get("prompt_tokens"), usage.get("completion_tokens"))
    )
    return ChatAnswer(content or "", prompt, completion)


def _said(body: bytes, key: str | None) -> str:
    """Return the start of what a service says is wrong, on one line and without the key."""
    try:
        found = parse_json(body, MOST_BYTES)
        said = found.get("error") if isinstance(found, dict) else None
        said = said.get("message") if isinstance(said, dict) else said
    except JsonError:
        said = None
    text = said if isinstance(said, str) else body[:2000].decode(errors="replace")
    line = " ".join("".join(c if c.isprintable() else " " for c in _without(text, key)).split())
    return line[:200] or "nothing more"


def _without(text: str, key: str | None) -> str:
    return text.replace(key, "(key)") if key else text
