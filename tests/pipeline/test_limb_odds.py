"""What grouping looks up in tables is what looking at every pair finds."""

from __future__ import annotations

import numpy as np
import pytest

from residualpose.pipeline.group import _best_rival
from residualpose.pipeline.limb_odds import between
from residualpose.skeleton import ITOP15


@pytest.mark.parametrize("count", [0, 1, 40])
def test_pairs_of_candidates_are_all_there_are(count: int) -> None:
    joint = np.random.default_rng(count).integers(0, 15, count)
    limb, start, end = between(joint, ITOP15.limb_array)
    expected = [
        (kind, a, b)
        for kind, (first, second) in enumerate(ITOP15.limbs)
        for a in range(count)
        for b in range(count)
        if joint[a] == first and joint[b] == second
    ]
    assert list(zip(limb.tolist(), start.tolist(), end.tolist(), strict=True)) == expected


def test_the_best_rival_is_the_largest_other_of_the_same_key() -> None:
    rng = np.random.default_rng(3)
    key = rng.integers(0, 12, 60)
    value = rng.integers(-3, 4, 60) / 4.0  # so few that many are equal
    others = [np.delete(value, i)[np.delete(key, i) == key[i]] for i in range(60)]
    expected = [other.max(initial=-1.0) for other in others]
    np.testing.assert_array_equal(_best_rival(key, value), expected)
