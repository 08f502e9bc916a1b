"""Logs on the error output: by default ours alone, so that libraries drown no line of ours."""

import logging
import sys
from typing import TextIO

from streams.credentials import without_credentials

_OURS = ("streams", "producers", "consumers", "downstream", "millrace")
_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)
_FORM = "%(asctime)s %(levelname)s %(name)s: %(message)s"
# Says why a worker ends, which is then the program's own last line.
_LAST_WORDS = "streams.transport.worker"


class _Errors(logging.StreamHandler[TextIO]):
    """Writes to what is the error output at that moment, and passwords of addresses nowhere."""

    def format(self, record: logging.LogRecord) -> str:
        """Return what is written of a record; libraries name proxies and addresses whole."""
        return without_credentials(super().format(record))

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        self.stream = sys.stderr
        super().emit(record)


def set_up_logs(verbose: int) -> None:
    """Log to the error output. verbose: 0 for our warnings, 1 for more of ours, 2 for everything.

    Python's warnings go the same way, as those of a library.
    """
    root = logging.getLogger()
    for handler in [h for h in root.handlers if isinstance(h, _Errors)]:
        root.removeHandler(handler)
    handler = _Errors(sys.stderr)
    handler.setFormatter(logging.Formatter(_FORM))
    handler.addFilter(lambda record: _shown(record, verbose))
    root.addHandler(handler)
    root.setLevel(_LEVELS[min(verbose, 2)])
    logging.captureWarnings(True)


def _shown(record: logging.LogRecord, verbose: int) -> bool:
    if verbose >= 2:
        return True
    ours = record.name.split(".")[0] in _OURS
    if verbose == 1:
        return ours or record.levelno >= logging.WARNING
    return ours and record.name != _LAST_WORDS
