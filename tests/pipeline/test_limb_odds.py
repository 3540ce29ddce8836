"""What grouping looks up in tables is what looking at every pair finds."""

from __future__ import annotations

import numpy as np
import pytest

from residualpose.pipeline.group import _LEAD, _leading
from residualpose.pipeline.limb_odds import between, kind_table
from residualpose.skeleton import ITOP15


@pytest.mark.parametrize("count", [0, 1, 40])
def test_pairs_of_candidates_are_all_there_are(count: int) -> None:
    joint = np.random.default_rng(count).integers(0, 15, count)
    limb, start, end = between(joint, kind_table(ITOP15.limb_array))
    expected = {
        (kind, a, b)
        for kind, (first, second) in enumerate(ITOP15.limbs)
        for a in range(count)
        for b in range(count)
        if joint[a] == first and joint[b] == second
    }
    found = list(zip(limb.tolist(), start.tolist(), end.tolist(), strict=True))
    assert set(found) == expected and len(found) == len(expected)


def test_who_leads_agrees_more_than_all_others_of_its_joint() -> None:
    rng = np.random.default_rng(3)
    joint = np.sort(rng.integers(0, 6, 30))
    agreement = rng.integers(-3, 4, (30, 30)) / 4.0  # so few that many are equal
    agreement[2] = agreement[2, 0]  # to it all are alike
    leading = _leading(joint, agreement)
    for first in range(30):
        for second in range(30):
            others = (joint == joint[second]) & (np.arange(30) != second)
            most = agreement[first, others].max(initial=-np.inf)
            assert leading[first, second] == (agreement[first, second] > most + _LEAD)
    assert leading.any() and not leading.all()
