"""Pieces of people -> whole people: the division into people that is the most probable as a whole.

Every way to divide the pieces has a value: for each person the evidence that its joints are a view
of one body, that its limbs are in the fields and its peaks are real, less the price of a person
and of each joint it lacks; what belongs to nobody counts 0. The division with the highest value is
sought by joining pieces, best first, and then moving and exchanging them until nothing improves.
"""

from __future__ import annotations

import numpy as np

from residualpose.pipeline.body_evidence import count_of, joints_of, log_evidence
from residualpose.pipeline.exchange import improve, owners
from residualpose.pipeline.pieces import PERSON, Groups, Pieces, product

NOBODY = -1
"""Owner of a piece that belongs to no person."""

_MAX_PIECES = 64
_IMPROVEMENT = 1e-3
_CAUTION = 0.7
"""Weight of the rivals when choosing what to join next."""


def assemble(pieces: Pieces) -> np.ndarray:
    """(M,) owner of each piece: a person's number, or NOBODY."""
    singles = Groups.single(pieces, _most_supported(pieces))
    groups = _join(singles, pieces.affinity)
    real = groups.value > 0
    people, left, total = groups.take(real), groups.take(~real), 0.0
    while True:
        found = improve(pieces, people)
        worth = float(found.value.sum())
        if worth < total + _IMPROVEMENT:
            return owners(people.member)
        people, total = found, worth
        # No piece by itself has a better place now: only several together may.
        left = _left(singles, left, people, pieces.affinity)
        sets = left.take(left.member.sum(axis=1) > 1)
        groups = _join(people.beside(sets), pieces.affinity)
        groups = groups.take(groups.value > 0)
        if np.array_equal(groups.member, people.member):
            return owners(people.member)
        people = groups


def _left(singles: Groups, left: Groups, people: Groups, affinity: np.ndarray) -> Groups:
    """What the people left, joined as far as it fits: `left` before, less what they have taken."""
    taken = people.member.sum(axis=0)
    whole = left.take(left.member @ taken == 0)
    loose = singles.take(singles.member @ (taken + whole.member.sum(axis=0)) == 0)
    # What was left whole has been joined already.
    return _join(whole.beside(loose), affinity) if len(loose.value) else whole


def _most_supported(pieces: Pieces) -> np.ndarray:
    """Indices of the pieces to consider: in heavy clutter, the largest and strongest."""
    if len(pieces) <= _MAX_PIECES:
        return np.arange(len(pieces))
    rank = count_of(pieces.evidence) + pieces.support
    return np.sort(np.argsort(-rank, kind="stable")[:_MAX_PIECES])


def _join(groups: Groups, affinity: np.ndarray) -> Groups:
    """Joins groups that fit each other best, until none fit."""
    row = np.arange(len(groups.value))
    if len(row) < 2:
        return groups
    groups = groups.take(row)  # a copy: what is joined is added up in place
    link = product(product(groups.member, affinity), groups.member.T)
    joints = joints_of(groups.evidence)
    clash = (joints @ joints.T > 0).astype(np.float32)
    np.fill_diagonal(clash, 0.0)
    fit = np.full(link.shape, -np.inf, np.float32)
    alive = np.ones(len(row), dtype=bool)
    changed = row
    while True:
        _set_fit(groups, link, clash, alive, fit, changed)
        first, second = np.nonzero(fit > -np.inf)
        if not len(first):
            return groups.take(alive)
        best = _lead(clash, fit, first, second).argmax(axis=1)
        mutual = (best[best] == row) & (row < best) & (fit[row, best] > -np.inf)
        a = np.flatnonzero(mutual)
        if not len(a):
            return groups.take(alive)
        b = best[a]
        odds = fit[a, b]
        groups.value[a] += groups.value[b] - PERSON + odds
        groups.log_geometry[a] += groups.log_geometry[b] + odds - link[a, b]
        for total in (groups.member, groups.evidence, link, link.T):
            total[a] += total[b]
        for either in (clash, clash.T):
            either[a] = np.maximum(either[a], either[b])
        # What has been joined to another stays where it is, but fits nothing any more.
        alive[b] = False
        fit[b] = fit[:, b] = -np.inf
        changed = a


def _lead(clash: np.ndarray, fit: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(G, G) how far each join leads the joins it would rule out.

    Args:
        clash: (G, G) 1 where two groups have a joint in common.
        fit: (G, G) log odds of the joins, -inf: never.
        first: rows of those that may be joined.
        second: their columns.
    """
    gain = np.maximum(fit, 0.0)
    # rival[a, b]: the best join of a with a group that clashes with b.
    rival = np.zeros_like(fit)
    rival[first, second] = (gain[first] * clash[second]).max(axis=1)
    return fit - _CAUTION * np.maximum(rival, rival.T)


def _set_fit(
    groups: Groups,
    link: np.ndarray,
    clash: np.ndarray,
    alive: np.ndarray,
    fit: np.ndarray,
    rows: np.ndarray,
) -> None:
    """Sets fit[rows] and fit[:, rows]: log odds that two groups are one person; -inf: never."""
    fit[rows] = fit[:, rows] = -np.inf
    several = count_of(groups.evidence) > 1
    # Two lone joints say nothing of a body, unless a limb connects them.
    may = (link[rows] > 0) | several[rows, None] | several
    may &= (clash[rows] == 0) & alive
    may[:, rows] &= rows[:, None] < rows  # each pair once
    a, b = np.nonzero(may)
    if not len(a):
        return
    a = rows[a]
    together = log_evidence(groups.evidence[a] + groups.evidence[b])
    odds = together - groups.log_geometry[a] - groups.log_geometry[b] + link[a, b]
    # Two that would pass for people by themselves save the price of one when joined.
    real = groups.value > 0
    saved = np.where(real[a] & real[b], -PERSON, 0.0)
    fit[a, b] = fit[b, a] = np.where(odds + saved > 0, odds, -np.inf)
