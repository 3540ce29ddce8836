"""Pieces of people -> whole people: the division into people that is the most probable as a whole.

Every way to divide the pieces has a value: for each person the evidence that its joints are a view
of one body, that its limbs are in the fields and its peaks are real, less the price of a person
and of each joint it lacks; what belongs to nobody counts 0. Where there are few ways, the best is
found among all of them (`few_ways`). Otherwise it is sought by joining pieces, best first, and then
moving and exchanging them until nothing improves.
"""

from __future__ import annotations

import numpy as np

from residualpose.pipeline.body_evidence import count_of, joints_of, log_evidence
from residualpose.pipeline.exchange import improve, owners
from residualpose.pipeline.few_ways import best_division
from residualpose.pipeline.pieces import PERSON, Groups, Pieces, product, united
from residualpose.skeleton import ITOP15

NOBODY = -1
"""Owner of a piece that belongs to no person."""

_MAX_PIECES = 64
_IMPROVEMENT = 1e-3
_CAUTION = 0.7
"""Weight of the rivals when choosing what to join next."""
_SURE = 1.5
"""How far a join that only one of the two groups likes best has to lead what it rules out."""
_NONE = np.arange(0)
_BITS = 1 << np.arange(len(ITOP15.joints))


def assemble(pieces: Pieces) -> np.ndarray:
    """(M,) owner of each piece: a person's number, or NOBODY."""
    if (owner := best_division(pieces)) is not None:
        return owner
    singles = Groups.single(pieces, _most_supported(pieces))
    groups = _join(singles, pieces, np.arange(len(singles.value)))
    real = groups.value > 0
    people, left, total = groups.take(real), groups.take(~real), 0.0
    while True:
        found = improve(pieces, people)
        worth = float(found.value.sum())
        if worth < total + _IMPROVEMENT:
            return owners(people.member)
        people, total = found, worth
        # No piece by itself has a better place now: only several together may.
        left = _left(singles, left, people, pieces)
        sets = left.take(left.member.sum(axis=1) > 1)
        groups = _join(people.beside(sets), pieces, _NONE)
        groups = groups.take(groups.value > 0)
        if np.array_equal(groups.member, people.member):
            return owners(people.member)
        people = groups


def _left(singles: Groups, left: Groups, people: Groups, pieces: Pieces) -> Groups:
    """What the people left, joined as far as it fits: `left` before, less what they have taken."""
    taken = people.member.sum(axis=0)
    whole = left.take((left.member * taken).sum(axis=1) == 0)
    gone = taken + whole.member.sum(axis=0)
    loose = singles.take((singles.member * gone).sum(axis=1) == 0)
    # What was left whole has been joined already.
    return _join(whole.beside(loose), pieces, _NONE) if len(loose.value) else whole


def _most_supported(pieces: Pieces) -> np.ndarray:
    """Indices of the pieces to consider: in heavy clutter, the largest and strongest."""
    if len(pieces) <= _MAX_PIECES:
        return np.arange(len(pieces))
    rank = count_of(pieces.evidence) + pieces.support
    return np.sort(np.argsort(-rank, kind="stable")[:_MAX_PIECES])


def _join(groups: Groups, pieces: Pieces, unknown: np.ndarray) -> Groups:
    """Joins groups that fit each other best, until none fit.

    Of those at `unknown` it finds and sets what they are worth first.
    """
    if len(groups.value) < 2:
        return groups
    link = product(product(groups.member, pieces.affinity), groups.member.T)
    fit = np.full(link.shape, -np.inf, np.float32)
    changed = np.arange(len(fit))
    while True:
        joints = joints_of(groups.evidence)
        clash = (joints @ joints.T > 0).astype(np.float32)
        np.fill_diagonal(clash, 0.0)
        _set_fit(pieces, groups, link, clash, fit, changed, unknown)
        first, second = np.nonzero(fit > -np.inf)
        if not len(first):
            return groups
        goes_to = _partners(_lead(clash, fit, first, second), fit, joints)
        kept = np.unique(goes_to)
        share = (kept[:, None] == goes_to).astype(np.float32)
        changed = unknown = np.flatnonzero(share.sum(axis=1) > 1)
        if not len(changed):
            return groups
        member, evidence = product(share, groups.member), product(share, groups.evidence)
        groups = Groups(member, evidence, groups.log_geometry[kept], groups.value[kept])
        link, fit = product(product(share, link), share.T), fit[kept[:, None], kept]


def _partners(lead: np.ndarray, fit: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """(G,) the first group of those that each is joined with; itself, where it is with none.

    Two that lead for each other are joined, then those that wish to join somebody and rule out no
    better join by it: several at once spare rounds.
    """
    row = np.arange(len(lead))
    best = lead.argmax(axis=1)
    top = lead[row, best]
    mutual = best[best] == row
    wishes = np.flatnonzero((fit[row, best] > -np.inf) & (mutual | (top > _SURE)))
    order = np.lexsort((-top[wishes], ~mutual[wishes]))
    wishes = wishes[order]
    pairs = zip(wishes.tolist(), best[wishes].tolist(), strict=True)
    return united(pairs, (joints > 0) @ _BITS)


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
    pieces: Pieces,
    groups: Groups,
    link: np.ndarray,
    clash: np.ndarray,
    fit: np.ndarray,
    rows: np.ndarray,
    unknown: np.ndarray,
) -> None:
    """Sets fit[rows] and fit[:, rows]: log odds that two groups are one person; -inf: never.

    Before, it finds what groups just joined are worth: both need the evidence, asked for at once.

    Args:
        pieces: what the groups are made of.
        groups: G groups.
        link: (G, G) log odds of the limbs between them.
        clash: (G, G) 1 where two have a joint in common.
        fit: (G, G) to set.
        rows: the groups of which nothing is known in `fit`.
        unknown: those of them whose evidence and worth have to be found, and are set.
    """
    fit[rows] = fit[:, rows] = -np.inf
    several = count_of(groups.evidence) > 1
    # Two lone joints say nothing of a body, unless a limb connects them.
    may = (link[rows] > 0) | several[rows, None] | several
    may &= clash[rows] == 0
    may[:, rows] &= rows[:, None] < rows  # each pair once
    a, b = np.nonzero(may)
    a = rows[a]
    pairs = groups.evidence[a] + groups.evidence[b]
    # In one go, as each call takes its time.
    log_geometry = log_evidence(np.concatenate([groups.evidence[unknown], pairs]))
    alone, together = np.split(log_geometry, [len(unknown)])
    groups.log_geometry[unknown] = alone
    groups.value[unknown] = pieces.value(groups.member[unknown], alone)
    odds = together - groups.log_geometry[a] - groups.log_geometry[b] + link[a, b]
    # Two that would pass for people by themselves save the price of one when joined.
    real = groups.value > 0
    saved = np.where(real[a] & real[b], -PERSON, 0.0)
    fit[a, b] = fit[b, a] = np.where(odds + saved > 0, odds, -np.inf)
