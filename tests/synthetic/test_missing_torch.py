"""Without torch, the error names the extra to install."""

from __future__ import annotations

import subprocess
import sys

import pytest

BLOCKED = """
import sys
sys.modules["torch"] = None
from residualpose.errors import MissingExtraError
try:
    import {module}
except MissingExtraError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("residualpose.synthetic.people", "synthetic"),
        ("residualpose.synthetic.rasterise", "synthetic"),
        ("residualpose.learning.network", "train"),
        ("residualpose.learning.train_maps", "train"),
    ],
)
def test_the_missing_extra_is_named(module: str, extra: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED.format(module=module)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == f"torch is not installed: pip install 'residualpose[{extra}]'"


def test_estimating_needs_no_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; import residualpose.estimator"
    subprocess.run([sys.executable, "-c", code], check=True)
