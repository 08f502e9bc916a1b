"""Text that every machine has: the standard library and the language reference of this Python."""

import ast
import hashlib
import inspect
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
    for path in root.rglob("*.py"):
        relative = path.relative_to(root)
        if relative.name.startswith("_sysconfigdata") or relative.parts[0].startswith("config-"):
            continue
        if not _LEFT_OUT.intersection(relative.parts):
            yield relative.as_posix()


def _module_text(path: Path, kind: str) -> str:
    try:
        source = path.read_text(encoding="utf-8")
        return source if kind == "code" else _docstrings(source)
    except (SyntaxError, UnicodeDecodeError):
        return ""


def _docstrings(source: str) -> str:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = (node for node in ast.walk(ast.parse(source)) if isinstance(node, kinds))
    found = (ast.get_docstring(node, clean=False) for node in nodes)
    return "\n\n".join(inspect.cleandoc(text) for text in found if text)
