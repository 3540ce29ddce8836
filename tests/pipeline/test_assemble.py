"""Pieces to people: whatever can be joined at once is, and moves leave no better place."""

from __future__ import annotations

import numpy as np
import pytest

from residualpose.pipeline.assemble import NOBODY, assemble
from residualpose.pipeline.body_evidence import evidence_rows, log_evidence, typical_bodies_m
from residualpose.pipeline.exchange import improve
from residualpose.pipeline.pieces import Groups, Pieces, united
from residualpose.skeleton import ITOP15

_PARTS = {
    "right arm": ("right_shoulder", "right_elbow", "right_hand"),
    "left arm": ("left_shoulder", "left_elbow", "left_hand"),
    "trunk": ("head", "neck", "torso", "right_hip", "left_hip"),
    "legs": ("right_knee", "left_knee", "right_foot", "left_foot"),
}
_AREA_PX = 120.0 * 160.0


def _pieces(at_px: list[float], parts: list[str], links: float) -> Pieces:
    """Those parts of people of one shape whose necks are at some columns, with like limbs."""
    body_px = 40.0 * typical_bodies_m()[0, :, :2]
    rows, person = [], []
    for number, column in enumerate(at_px):
        for part in parts:
            joint = np.array([ITOP15.joints.index(name) for name in _PARTS[part]])
            place = body_px[joint] + [column, 40.0]
            rows.append((joint, place))
            person.append(number)
    all_joints = np.concatenate([joint for joint, _ in rows])
    evidence = evidence_rows(all_joints, np.concatenate([place for _, place in rows]), _AREA_PX)
    ends = np.cumsum([len(joint) for joint, _ in rows])[:-1]
    sums = np.stack([part.sum(axis=0) for part in np.split(evidence, ends)])
    same = np.equal.outer(person, person) & ~np.eye(len(person), dtype=bool)
    support = np.full(len(rows), 2.0, np.float32)
    return Pieces(sums, support, (links * same).astype(np.float32))


def test_all_parts_of_one_person_are_joined() -> None:
    """Also when the first round joins them all, and nothing is left to compare with."""
    for parts in (["trunk", "legs"], ["right arm", "left arm", "trunk"], list(_PARTS)):
        owner = assemble(_pieces([80.0], parts, links=6.0))
        assert owner.tolist() == [0] * len(parts)


def test_people_apart_get_their_own_parts() -> None:
    owner = assemble(_pieces([30.0, 130.0], list(_PARTS), links=4.0))
    assert len(set(owner[:4])) == len(set(owner[4:])) == 1
    assert owner[0] != owner[4] and NOBODY not in owner


def test_parts_that_no_limb_joins_are_held_by_the_body_alone() -> None:
    assert assemble(_pieces([80.0], list(_PARTS), links=0.0)).tolist() == [0, 0, 0, 0]


def _people(pieces: Pieces, member: np.ndarray) -> Groups:
    evidence = member @ pieces.evidence
    log_geometry = log_evidence(evidence)
    return Groups(member, evidence, log_geometry, pieces.value(member, log_geometry))


def test_several_pieces_of_a_person_move_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who lacks both arms gets both in one round."""
    monkeypatch.setattr("residualpose.pipeline.exchange._MAX_ROUNDS", 1)
    pieces = _pieces([80.0], list(_PARTS), links=3.0)
    armless = np.array([[0, 0, 1, 1]], np.float32)
    assert improve(pieces, _people(pieces, armless)).member.tolist() == [[1, 1, 1, 1]]


def test_moves_that_undo_each_other_are_made_one_by_one() -> None:
    """Of two people with each other's arms, either arms or trunks and legs move, never both."""
    pieces = _pieces([30.0, 130.0], list(_PARTS), links=3.0)
    right = np.repeat(np.eye(2, dtype=np.float32), 4, axis=1)
    wrong = right.copy()
    wrong[:, :2], wrong[:, 4:6] = right[:, 4:6], right[:, :2]
    found = improve(pieces, _people(pieces, wrong))
    np.testing.assert_array_equal(found.member[found.member[:, 2].argsort()[::-1]], right)


def test_joining_pairs_keeps_joints_apart_and_names_the_first() -> None:
    joints = np.array([0b0001, 0b0010, 0b0001, 0b0100, 0b1000])
    pairs = [(4, 3), (1, 0), (1, 2), (3, 1)]  # 2 has what 0 has, whom 1 is joined with
    assert united(pairs, joints).tolist() == [0, 0, 2, 0, 0]
    assert united([], joints).tolist() == [0, 1, 2, 3, 4]
