"""What holds for every test."""

import os

import pytest
from hypothesis import HealthCheck, settings

# The machines that run the tests are shared, and a loop's first call compiles it: time says
# nothing. Else all is as usual; where CI is set, that every run tries the same examples.
settings.register_profile(
    "millrace", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("millrace")

# Runs of the program count what a test asks for, not all that costs little: time is dear here.
# tests/millrace/test_default_numbers.py is about the defaults.
os.environ["MILLRACE_RUN__WITHOUT"] = '["default"]'

WAITING = 2  # processes more than cores


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return how many processes ``-n auto`` means: tests of sessions and faults wait a lot.

    Six schedules of faults took 20 s by the clock and 6 of a processor.
    """
    return (os.cpu_count() or 2) + WAITING
