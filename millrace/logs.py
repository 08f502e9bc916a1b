"""Logs on the error output: by default ours alone, so that libraries drown no line of ours.

Events (``streams.monitoring.events``) are shown whatever the verbosity; the rest as it says.
"""

import logging
import sys
from collections.abc import Container
from typing import Literal, TextIO

from streams.credentials import without_credentials
from streams.monitoring.events import LOGGER, PROGRAM_FAILED, PROGRAM_SAID, say

Format = Literal["text", "json"]

_OURS = ("streams", "producers", "consumers", "downstream", "millrace")
_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)
_FORM = "%(asctime)s %(levelname)s %(name)s: %(message)s"
# Says why a worker ends, which is then the program's own last line.
_LAST_WORDS = "streams.transport.faust.worker_app"
# They log their requests whole, and one of those holds the password.
_CLIENTS = ("kafka", "aiokafka")


class _Errors(logging.StreamHandler[TextIO]):
    """Writes to what is the error output at that moment, and passwords of addresses nowhere.

    events: names of those that are shown below the verbosity that shows everything of ours; None
    for all.
    """

    def __init__(self, verbose: int, form: Format) -> None:
        super().__init__(sys.stderr)
        self.verbose = verbose
        self.form = form
        self.events: Container[str] | None = None
        self.setFormatter(_json_formatter() if form == "json" else logging.Formatter(_FORM))
        self.addFilter(self._shows)

    def format(self, record: logging.LogRecord) -> str:
        """Return what is written of a record; libraries name proxies and addresses whole."""
        made = super().format(record)
        # In JSON its formatter has hidden them, before quotes and line ends were escaped.
        return made if self.form == "json" else without_credentials(made)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        self.stream = sys.stderr
        super().emit(record)

    def _shows(self, record: logging.LogRecord) -> bool:
        if record.name.startswith(_CLIENTS) and "Sasl" in record.getMessage():
            return False
        if self.verbose >= 2:
            return True
        event = getattr(record, "event", None)
        if event is not None and self.verbose == 0:
            return self.events is None or event in self.events
        ours = record.name.split(".")[0] in _OURS
        if self.verbose == 1:
            return ours or record.levelno >= logging.WARNING
        return ours and record.levelno >= logging.WARNING and record.name != _LAST_WORDS


def set_up_logs(verbose: int, form: Format = "text") -> None:
    """Log to the error output. verbose: 0 for our warnings, 1 for more of ours, 2 for everything.

    form: lines for people, or a JSON object per line. Python's warnings go the same way, as those
    of a library.
    """
    root = logging.getLogger()
    for handler in _handlers():
        root.removeHandler(handler)
    root.addHandler(_Errors(verbose, form))
    root.setLevel(_LEVELS[min(verbose, 2)])
    logging.getLogger(LOGGER).setLevel(min(logging.INFO, root.level))
    logging.captureWarnings(True)


def change_format(form: Format) -> None:
    """Go on in another form, at the same verbosity."""
    set_up_logs(max((handler.verbose for handler in _handlers()), default=0), form)


def show_events(names: Container[str]) -> None:
    """Show these events alone, where something else says the rest to people.

    A program gets them all: logs as JSON are left as they are.
    """
    for handler in _handlers():
        if handler.form == "text":
            handler.events = names


def logs_are_json() -> bool:
    """Return whether programs read the error output, so that nothing but JSON may stand there."""
    return any(handler.form == "json" for handler in _handlers())


def said_as_json(text: str) -> bool:
    """Say something that is a line for people if logs are JSON; return whether that was so."""
    if logs_are_json():
        say(PROGRAM_SAID, text=text)
        return True
    return False


def failed_as_json(message: str, status: int) -> bool:
    """Say why the program ends if logs are JSON; return whether that was so."""
    if logs_are_json():
        say(PROGRAM_FAILED, cause=message, status=status)
        return True
    return False


def _handlers() -> list[_Errors]:
    return [h for h in logging.getLogger().handlers if isinstance(h, _Errors)]


def _json_formatter() -> logging.Formatter:
    """Return what makes one JSON object of a record: time, level, logger, message, event, fields.

    The fields of an event are keys of the object itself.
    """
    from datetime import UTC, datetime
    from typing import Any

    from pythonjsonlogger.json import JsonFormatter

    class Formatter(JsonFormatter):
        def add_fields(
            self,
            log_data: dict[str, Any],
            record: logging.LogRecord,
            message_dict: dict[str, Any],
        ) -> None:
            moment = datetime.fromtimestamp(record.created, UTC)
            log_data["time"] = moment.isoformat(timespec="milliseconds")
            log_data["level"] = record.levelname.lower()
            log_data["logger"] = record.name
            log_data["message"] = record.getMessage()
            log_data["event"] = getattr(record, "event", None)
            log_data.update(getattr(record, "fields", {}))
            for name in ("exc_info", "stack_info"):
                if message_dict.get(name):
                    log_data[name] = message_dict[name]
            for name, value in log_data.items():
                if isinstance(value, str):
                    log_data[name] = without_credentials(value)

    return Formatter()
