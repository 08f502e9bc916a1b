"""Text with domains out of Debian packages: kernel documentation, a dictionary, manual pages."""

from __future__ import annotations

import gzip
import hashlib
import html
import io
import re
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

LONGEST = 20_000  # characters of one document; what is beyond is left out
SHORTEST = 400
KERNEL = PurePosixPath("usr/share/doc/linux-doc-6.1/Documentation")


@dataclass(frozen=True)
class Document:
    """One text, as the corpus of a run reads it: a line of JSON with these names."""

    id: str
    domain: str
    text: str


def draw(*what: str) -> float:
    """Return a number in [0, 1) that depends on the words alone, so that no run moves it."""
    digest = hashlib.sha256("\0".join(what).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def files(package: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield the plain files of a .deb in the order of the archive; nothing is unpacked to disk."""
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE
    ) as dpkg:
        assert dpkg.stdout is not None
        with tarfile.open(fileobj=dpkg.stdout, mode="r|") as archive:
            for member in archive:
                if member.isfile():
                    opened = archive.extractfile(member)
                    assert opened is not None
                    yield PurePosixPath(member.name.removeprefix("./")), opened.read()
    if dpkg.returncode:
        raise SystemExit(f"dpkg-deb could not read {package.name}")


def kernel_documents(package: Path) -> Iterator[Document]:
    """Yield the pages of linux-doc-6.1, the domain of each its folder ("networking", "mm", ...)."""
    for path, content in files(package):
        if path.is_relative_to(KERNEL) and path.name.endswith(".rst.gz"):
            name = path.relative_to(KERNEL)
            text = gzip.decompress(content).decode("utf-8", errors="replace").strip()
            # The model reads English.
            if len(text) > SHORTEST and name.parts[0] != "translations":
                # A page beside the folders is of the documentation at large.
                domain = name.parts[0] if len(name.parts) > 1 else "general"
                yield Document(str(name.with_suffix("")), domain, text[:LONGEST])


def dictionary_documents(package: Path) -> Iterator[Document]:
    """Yield the entries of dict-gcide (English words and their use), some 6,000 characters each."""
    for path, content in files(package):
        if path.name.endswith(".dict.dz"):
            whole = gzip.GzipFile(fileobj=io.BytesIO(content)).read().decode("utf-8", "replace")
            part: list[str] = []
            length = number = 0
            for paragraph in whole.split("\n\n"):
                part.append(paragraph)
                length += len(paragraph)
                if length > 6000:
                    yield Document(f"gcide/{number}", "dictionary", "\n\n".join(part))
                    part, length, number = [], 0, number + 1


def handbook_documents(package: Path) -> Iterator[Document]:
    """Yield the chapters of debian-handbook in English, without their HTML."""
    for path, content in files(package):
        if path.suffix == ".html" and "en-US" in path.parts:
            page = content.decode("utf-8", errors="replace")
            page = re.sub(r"(?s)<(script|style|head)\b.*?</\1>", "", page)
            page = re.sub(r"</(p|div|h\d|li|pre|tr)>", "\n", page)
            text = re.sub(r"\n\s*\n+", "\n\n", html.unescape(re.sub(r"<[^>]+>", "", page))).strip()
            if len(text) > SHORTEST:
                yield Document(f"handbook/{path.stem}", "handbook", text[:LONGEST])


# The packages by name: what a run reads by default, and what the dictionary was trained on too.
PACKAGES = {
    "linux-doc-6.1": kernel_documents,
    "dict-gcide": dictionary_documents,
    "debian-handbook": handbook_documents,
}
