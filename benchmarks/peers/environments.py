"""One environment per peer, from its lock file: their pins agree neither with ours nor together."""

import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).parent / "requirements"
FOLDER = Path(sys.prefix) / "peers"
"""Inside the project's environment, so that ``make clean`` takes them away."""


class EnvironmentFailed(Exception):
    """A peer cannot be installed here."""

    def __init__(self, peer: str, output: str) -> None:
        self.peer, self.output = peer, output
        last = output.strip().splitlines()[-1:] or ["no output"]
        super().__init__(f"{peer} cannot be installed: {last[0]}")


def environment(peer: str, folder: Path = FOLDER, requirements: Path = REQUIREMENTS) -> Path:
    """Return the Python of a peer's environment, made if its lock is not what is installed.

    Raises EnvironmentFailed with the installer's last line.
    """
    lock = requirements / f"{peer}.txt"
    place = folder / peer
    python, mark = place / "bin" / "python", place / "installed.txt"
    if mark.exists() and mark.read_bytes() == lock.read_bytes():
        return python
    uv = str(Path(sys.executable).with_name("uv"))
    install = ("pip", "install", "--no-deps", "--require-hashes", "--requirement", str(lock))
    for step in (
        ("venv", "--clear", "--python", sys.executable, str(place)),
        (*install, "--python", str(python)),
    ):
        done = subprocess.run([uv, "--quiet", *step], capture_output=True, text=True)
        if done.returncode:
            raise EnvironmentFailed(peer, done.stderr + done.stdout)
    mark.write_bytes(lock.read_bytes())
    return python
