"""Conversations through a tokenizer's chat template, and which part of them is whose."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import cache
from pathlib import Path
from typing import Any

from streams.errors import ModelError, SettingsError

Message = Mapping[str, Any]
# Characters for private use that mark where a message's text begins and ends while it is rendered.
_OPEN, _CLOSE = "\U000f7a00", "\U000f7a01"
_MARK = re.compile(f"{_OPEN}(\\d+)([<>]){_CLOSE}")
# Templates leave out what earlier turns thought, so that stretches of text are marked on their own.
_STRETCH = re.compile(r"(</?think(?:ing)?>)")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a rendered conversation that one role wrote: characters start to stop - 1."""

    start: int
    stop: int
    role: str


@dataclass(frozen=True)
class Chat:
    """How conversations are read.

    template: Jinja, run in transformers' sandbox. apply: what renders messages. roles: whose text
    counts; empty: all of the conversation does. role_domains: a conversation becomes a row for
    each role, in which that role's text counts and whose domain it is. day: what templates that
    ask for the date are told, so that the same text is the same rows tomorrow.
    """

    template: str
    apply: Callable[[list[Message]], str]
    roles: tuple[str, ...] = ()
    role_domains: bool = False
    day: date = date(2024, 7, 26)

    @property
    def tells_roles(self) -> bool:
        """Whether it matters which part is whose."""
        return bool(self.roles) or self.role_domains

    def choices(self) -> dict[str, str]:
        """Return what conversations are read by, as text for the corpus record."""
        template = hashlib.blake2b(self.template.encode(), digest_size=16).hexdigest()
        return {
            "chat_template": template,
            "chat_date": self.day.isoformat(),
            "chat_roles": ", ".join(self.roles) or "all",
            "role_domains": str(self.role_domains).lower(),
        }

    def render(self, messages: Sequence[Message]) -> tuple[str, tuple[Span, ...]]:
        """Return a conversation as text, special tokens spelt out, and whose its parts are.

        The parts are left out where they do not matter. Raises ValueError, in one clause, if the
        template refuses the conversation or changes it so that its parts cannot be told.
        """
        text = self._applied(messages)
        if not self.tells_roles:
            return text, ()
        if _OPEN in text:
            raise ValueError("it holds a character that marks the parts of a conversation")
        roles: list[str] = []
        marked = self._applied([_marked(message, roles) for message in messages])
        if _MARK.sub("", marked) != text:
            raise ValueError("the chat template changes messages so that roles cannot be told")
        return text, tuple(_spans(marked, roles))

    def _applied(self, messages: Sequence[Message]) -> str:
        try:
            return self.apply([dict(message) for message in messages])
        except Exception as error:  # a template may raise anything
            said = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            raise ValueError(f"the chat template refuses it ({said})") from error


def _marked(message: Message, roles: list[str]) -> Message:
    content = message.get("content")
    if isinstance(content, str):
        return {**message, "content": _with_marks(content, message["role"], roles)}
    if isinstance(content, list | tuple):
        parts = [
            {**part, "text": _with_marks(part["text"], message["role"], roles)}
            if isinstance(part, Mapping) and isinstance(part.get("text"), str)
            else part
            for part in content
        ]
        return {**message, "content": parts}
    return message


def _with_marks(text: str, role: str, roles: list[str]) -> str:
    """Return a text with marks around its stretches, inside the white space that they end in."""
    found = []
    for stretch in _STRETCH.split(text):
        bare = stretch.strip()
        if not bare or _STRETCH.fullmatch(stretch):
            found.append(stretch)
            continue
        start = stretch.index(bare)
        number = len(roles)
        roles.append(role)
        found.append(
            f"{stretch[:start]}{_OPEN}{number}<{_CLOSE}{bare}{_OPEN}{number}>{_CLOSE}"
            f"{stretch[start + len(bare) :]}"
        )
    return "".join(found)


def _spans(marked: str, roles: Sequence[str]) -> Iterator[Span]:
    """Yield the stretches between marks, at their places in the text without marks."""
    removed = 0
    begun: dict[int, int] = {}
    for mark in _MARK.finditer(marked):
        number = int(mark[1])
        place = mark.start() - removed
        removed += len(mark[0])
        if mark[2] == "<":
            begun[number] = place
        elif number in begun:
            yield Span(begun.pop(number), place, roles[number])


def make_chat(
    location: str,
    template: str | None = None,
    roles: tuple[str, ...] = (),
    role_domains: bool = False,
    day: date = date(2024, 7, 26),
) -> Chat:
    """Return how a tokenizer's conversations are read. template: a file with another template.

    Raises ModelError if the tokenizer cannot be loaded or has no template, SettingsError for a
    file that cannot be read.
    """
    loaded = _loaded(location)
    text = _chosen(location, template, loaded)

    def apply(messages: list[Message]) -> str:
        rendered: str = loaded.apply_chat_template(
            messages,
            chat_template=text,
            tokenize=False,
            date_string=day.strftime("%d %b %Y"),
            strftime_now=datetime.combine(day, time()).strftime,
        )
        return rendered

    return Chat(text, apply, roles, role_domains, day)


@cache
def _loaded(location: str) -> Any:
    from streams.tokenizer.loading import load_auto

    return load_auto(
        str(Path(location).expanduser()) if Path(location).exists() else location, location
    )


def _chosen(location: str, file: str | None, loaded: Any) -> str:
    if file is not None:
        try:
            return Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"chat_template: cannot read {file} ({error})") from error
    try:
        found: str = loaded.get_chat_template()
    except ValueError:
        raise ModelError(
            f"tokenizer: {location} has no chat template; set chat_template to a file with one"
        ) from None
    return found
