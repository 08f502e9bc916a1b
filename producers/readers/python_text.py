"""Text that every machine has: the standard library and the language reference of this Python."""

import ast
import hashlib
import inspect
import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from producers.documents import Document

PLACE = "python:"
SHORTEST = 200
# Tests, tables, what distributions of Python leave out, and what is not the library's.
_LEFT_OUT = {
    "__pycache__",
    "dist-packages",
    "distutils",
    "encodings",
    "ensurepip",
    "idle_test",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "site-packages",
    "test",
    "tests",
    "tkinter",
    "turtledemo",
}
_KINDS = {"code": "source", "docstrings": "docs", "reference": "docs"}


def python_documents() -> Iterator[Document]:
    """Yield modules (domain "source"), their docstrings and reference topics (domain "docs").

    They come mixed, in the order of a hash of their names, so that the first N are a fair sample.
    Files that are not UTF-8 or no Python of this version, and texts under 200 characters, are
    left out: the library is nothing that a user could mend.
    """
    from pydoc_data.topics import topics

    root = Path(sysconfig.get_path("stdlib"))
    names = [("reference", name) for name in topics]
    names += [(kind, name) for name in _modules(root) for kind in ("code", "docstrings")]
    for kind, name in sorted(names, key=_shuffled):
        text = topics[name] if kind == "reference" else _module_text(root / name, kind)
        if len(text) >= SHORTEST:
            yield Document(f"{kind}/{name}", _KINDS[kind], text)


def _shuffled(name: tuple[str, str]) -> bytes:
    return hashlib.blake2b("/".join(name).encode(), digest_size=16).digest()


def _modules(root: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        folders[:] = [
            name for name in folders if name not in _LEFT_OUT and not name.startswith("config-")
        ]
        for name in files:
            if name.endswith(".py") and not name.startswith("_sysconfigdata"):
                yield (Path(folder) / name).relative_to(root).as_posix()


def _module_text(path: Path, kind: str) -> str:
    try:
        source = path.read_text(encoding="utf-8")
        return source if kind == "code" else _docstrings(source)
    except (SyntaxError, UnicodeDecodeError):
        return ""


def _docstrings(source: str) -> str:
    found = (ast.get_docstring(node, clean=False) for node in _scopes(ast.parse(source)))
    return "\n\n".join(inspect.cleandoc(text) for text in found if text)


_Scope = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _scopes(node: ast.AST) -> Iterator[_Scope]:
    """Yield what can have a docstring, in source order; expressions are not looked into."""
    if isinstance(node, _Scope):
        yield node
    for part in ("body", "handlers", "orelse", "finalbody"):
        inner = getattr(node, part, None)
        if isinstance(inner, list):
            for child in inner:
                yield from _scopes(child)
