"""``python -m benchmarks.peers.readers``: environments of the tools that read exports."""

import sys

from benchmarks.peers.environments import EnvironmentFailed, environment

READERS = ("readers", "delphi")
"""The locks: several tools without what they ask for, and delphi, which needs all of it."""


def main() -> int:
    """Make the environments; return 0 if both are there."""
    failed = 0
    for name in READERS:
        try:
            print(environment(name))
        except EnvironmentFailed as error:
            print(error, file=sys.stderr)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
