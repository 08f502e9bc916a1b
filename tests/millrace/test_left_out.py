"""The dashboard's process does without pandas, which pyarrow would import."""

import subprocess
import sys

import pytest

_CONVERTS = """
import sys
from millrace.left_out import leave_out
leave_out({package!r})
import numpy, pyarrow
assert pyarrow.array(numpy.arange(3)).to_numpy().tolist() == [0, 1, 2]
assert pyarrow.array([[1], []]).to_pylist() == [[1], []]
assert pyarrow.table({{"a": ["x"]}}).to_pylist() == [{{"a": "x"}}]
print("pandas" in sys.modules)
"""


@pytest.mark.parametrize(("package", "there"), [("pandas", "False"), ("other", "True")])
def test_arrow_converts_without_what_is_left_out(package: str, there: str) -> None:
    command = [sys.executable, "-c", _CONVERTS.format(package=package)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == there
