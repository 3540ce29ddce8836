"""Few ways to divide pieces: the best of all, as trying every one by hand shows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from residualpose.pipeline.body_evidence import evidence_rows, log_evidence, typical_bodies_m
from residualpose.pipeline.few_ways import best_division
from residualpose.pipeline.pieces import Pieces
from residualpose.skeleton import HEAD, ITOP15, R_HAND

_AREA_PX = 120.0 * 160.0
_JOINTS = len(ITOP15.joints)


def _pieces(rng: np.random.Generator, links: float) -> Pieces:
    """Parts of two people of one shape side by side, some joints twice, limbs by chance."""
    body_px = 40.0 * typical_bodies_m()[0, :, :2]
    parts = [np.array(part) for part in ((0, 1, 2, 3, 8, 9, 10), (4, 6), (5, 7), (11, 13), (6,))]
    chosen = [(parts[i], column) for column in (40.0, 80.0) for i in rng.permutation(5)[:3]]
    joint = np.concatenate([part for part, _ in chosen])
    place = np.concatenate([body_px[part] + [column, 40.0] for part, column in chosen])
    place += rng.normal(0.0, 3.0, place.shape)
    ends = np.cumsum([len(part) for part, _ in chosen])[:-1]
    rows = np.split(evidence_rows(joint, place, _AREA_PX), ends)
    affinity = np.triu(rng.normal(0.0, links, (len(chosen),) * 2), 1)
    return Pieces(
        np.stack([row.sum(axis=0) for row in rows]),
        rng.normal(2.0, 3.0, len(chosen)).astype(np.float32),
        (affinity + affinity.T).astype(np.float32),
    )


def _divisions(pieces: list[int]) -> Iterator[list[list[int]]]:
    """All ways to divide pieces into sets."""
    if not pieces:
        yield []
        return
    first, *rest = pieces
    for sets in _divisions(rest):
        yield [[first], *sets]
        for i, one in enumerate(sets):
            yield [*sets[:i], [first, *one], *sets[i + 1 :]]


def _value(pieces: Pieces, one: list[int]) -> float:
    """What a set is worth: nothing, if joints occur twice or nothing holds it together."""
    several = pieces.evidence[one, 5] > 1
    linked = pieces.affinity[np.ix_(one, one)] > 0
    member = np.isin(np.arange(len(pieces)), one).astype(np.float32)[None]
    if not pieces.fit_together(member[0] > 0) or not (several.any() or linked.any()):
        return 0.0
    return max(float(pieces.value(member, log_evidence(member @ pieces.evidence))[0]), 0.0)


def test_no_division_is_worth_more() -> None:
    people = []
    for seed in range(12):
        pieces = _pieces(np.random.default_rng(seed), links=4.0)
        owner = best_division(pieces)
        assert owner is not None
        sets = [np.flatnonzero(owner == person).tolist() for person in range(owner.max() + 1)]
        found = sum(_value(pieces, one) for one in sets)
        best = max(
            sum(_value(pieces, one) for one in way)
            for way in _divisions(list(range(len(pieces))))
        )  # fmt: skip
        assert found == pytest.approx(best, abs=1e-3)
        assert all(_value(pieces, one) > 0 for one in sets)
        people.append(len(sets))
    assert {1, 2} <= set(people)


def test_lone_joints_that_no_limb_connects_are_nobody() -> None:
    """However sure each of them is, and however well they lie."""
    body_px = 40.0 * typical_bodies_m()[0, :, :2] + [80.0, 40.0]
    some = np.array([HEAD, R_HAND, 8, 13, 14])
    rows = evidence_rows(some, body_px[some], _AREA_PX)
    support = np.full(len(some), 20.0, np.float32)
    link = np.zeros((len(some),) * 2, np.float32)
    alone = best_division(Pieces(rows, support, link))
    assert alone is not None and alone.tolist() == [-1] * len(some)
    link[0, 2] = link[2, 0] = 1.0
    held = best_division(Pieces(rows, support, link))
    assert held is not None and held.tolist() == [0] * len(some)


def test_many_ways_are_left_to_the_search() -> None:
    joint = np.arange(_JOINTS)
    body_px = 40.0 * typical_bodies_m()[0, :, :2] + [80.0, 40.0]
    nothing = np.zeros(_JOINTS, np.float32)
    free = Pieces(
        evidence_rows(joint, body_px, _AREA_PX), nothing, np.zeros((_JOINTS,) * 2, np.float32)
    )  # fmt: skip
    assert best_division(free) is None


def test_no_pieces_are_nobody() -> None:
    none = Pieces(
        evidence_rows(np.zeros(0, int), np.zeros((0, 2)), _AREA_PX),
        np.zeros(0, np.float32),
        np.zeros((0, 0), np.float32),
    )
    owner = best_division(none)
    assert owner is not None and owner.shape == (0,)
