"""What holds for every test."""

import os

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
