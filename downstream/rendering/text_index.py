"""Full text over the contexts of a snapshot, by SQLite's FTS5, in a temporary file.

Made in the background when a snapshot is opened, and gone with it. Words are told apart as Unicode
does, without regard to case and accents.
"""

import logging
import re
import shutil
import sqlite3
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from streams.arrays import I64

_log = logging.getLogger(__name__)
_FIND = "SELECT group_concat(rowid) FROM text WHERE text MATCH ?"
_PARTS = re.compile(r'"([^"]*)"|(\S+)')


class TextIndex:
    """Which samples hold all of some words or phrases; nothing can be found before it is ready."""

    def __init__(self, texts: Callable[[], Iterator[str]]) -> None:
        folder = tempfile.mkdtemp(prefix="millrace-text-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._path = str(Path(folder) / "text.sqlite")
        self._ready = threading.Event()
        self._failed = False
        made = (self._path, texts, self._done)
        threading.Thread(target=_make, args=made, name="text index", daemon=True).start()

    @property
    def ready(self) -> bool:
        """Whether texts can be searched."""
        return self._ready.is_set() and not self._failed

    def wait(self, seconds: float) -> bool:
        """Wait until it is ready; return whether it is."""
        self._ready.wait(seconds)
        return self.ready

    def find(self, query: str) -> I64:
        """Return the samples whose text holds every word and every "phrase" of a query."""
        asked = match_expression(query)
        if not asked or not self.ready:
            return np.zeros(0, np.int64)
        with _opened(self._path) as index:
            # As one text: a tuple for each of many rows would take longer than finding them.
            ((rows,),) = index.execute(_FIND, (asked,)).fetchall()
        return np.fromstring(rows or "", np.int64, sep=",")

    @property
    def _done(self) -> Callable[[bool], None]:
        """What says that it is made, or that it cannot be; it does not keep the index alive."""
        us = weakref.ref(self)

        def done(well: bool) -> None:
            if (index := us()) is not None:
                index._failed = not well
                index._ready.set()

        return done


def _make(path: str, texts: Callable[[], Iterator[str]], done: Callable[[bool], None]) -> None:
    try:
        with _opened(path) as index:
            index.execute(
                "CREATE VIRTUAL TABLE text USING fts5(body, content='', "
                "tokenize='unicode61 remove_diacritics 2')"
            )
            index.executemany("INSERT INTO text(rowid, body) VALUES (?, ?)", enumerate(texts()))
            index.commit()
    except (sqlite3.Error, OSError) as error:
        _log.error("contexts cannot be searched: %s", error)
        done(False)
    else:
        done(True)


@contextmanager
def _opened(path: str) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path)
    try:
        # It is made again whenever the program starts: nothing of it has to survive.
        connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
        yield connection
    finally:
        connection.close()


def match_expression(query: str) -> str:
    """Return FTS5's expression for all words and "phrases" of a query; none of it is syntax.

    A word that ends in ``*`` stands for all that begin with it.
    """
    found = []
    for phrase, word in _PARTS.findall(query.replace("\0", "")):
        text = (phrase or word).replace('"', "")
        starts = not phrase and text.endswith("*")
        plain = text.rstrip("*") if starts else text
        if any(character.isalnum() for character in plain):
            found.append(f'"{plain}"{"*" if starts else ""}')
    return " ".join(found)
