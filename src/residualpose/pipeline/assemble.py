"""Pieces of people -> whole people: the division into people that is the most probable as a whole.

Every way to divide the pieces has a value: for each person the evidence that its joints are a view
of one body, that its limbs are in the fields and its peaks are real, less the price of a person
and of each joint it lacks; what belongs to nobody counts 0. The division with the highest value is
sought by joining pieces, best first, and then moving and exchanging them until nothing improves.
"""

from __future__ import annotations

import numpy as np

from residualpose.pipeline.body_evidence import log_evidence
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
    considered = _most_supported(pieces)
    single = Groups.of(pieces, np.eye(len(pieces), dtype=np.float32)[considered])
    people, total = single.take(np.arange(0)), 0.0
    while True:
        left = single.take(np.flatnonzero(people.member[:, considered].sum(axis=0) == 0))
        groups = _join(people.beside(left), pieces.affinity)
        found = groups.take(groups.value > 0)
        if len(people.value) and np.array_equal(found.member, people.member):
            return owners(people.member)
        found = improve(pieces, found)
        worth = float(found.value.sum())
        if worth < total + _IMPROVEMENT:
            return owners(people.member)
        people, total = found, worth


def _most_supported(pieces: Pieces) -> np.ndarray:
    """Indices of the pieces to consider: in heavy clutter, the largest and strongest."""
    rank = pieces.joints.sum(axis=1) + pieces.support
    return np.sort(np.argsort(-rank, kind="stable")[:_MAX_PIECES])


def _join(groups: Groups, affinity: np.ndarray) -> Groups:
    """Joins groups that fit each other best, until none fit."""
    link = product(product(groups.member, affinity), groups.member.T)
    fit = np.full((len(groups.value),) * 2, -np.inf, np.float32)
    _set_fit(groups, link, fit, np.arange(len(fit)))
    while len(fit) > 1:
        lead = _lead(groups.joints, fit)
        best, row = lead.argmax(axis=1), np.arange(len(lead))
        mutual = (best[best] == row) & (row < best) & np.isfinite(fit[row, best])
        if not mutual.any():
            break
        a, b = row[mutual], best[mutual]
        odds = fit[a, b]
        groups.value[a] += groups.value[b] - PERSON + odds
        groups.log_geometry[a] += groups.log_geometry[b] + odds - link[a, b]
        for total in (groups.member, groups.joints, groups.evidence, link, link.T):
            total[a] += total[b]
        keep = np.delete(row, b)
        groups, link, fit = groups.take(keep), link[keep[:, None], keep], fit[keep[:, None], keep]
        _set_fit(groups, link, fit, np.searchsorted(keep, a))
    return groups


def _lead(joints: np.ndarray, fit: np.ndarray) -> np.ndarray:
    """(G, G) how far each join leads the joins it would rule out."""
    clash = joints @ joints.T > 0
    np.fill_diagonal(clash, False)
    gain = np.maximum(fit, 0.0)
    # rival[a, b]: the best join of a with a group that clashes with b.
    a, b = np.nonzero(np.isfinite(fit))
    rival = np.zeros_like(fit)
    rival[a, b] = (gain[a] * clash[b]).max(axis=1, initial=0.0)
    return fit - _CAUTION * np.maximum(rival, rival.T)


def _set_fit(groups: Groups, link: np.ndarray, fit: np.ndarray, rows: np.ndarray) -> None:
    """Sets fit[rows] and fit[:, rows]: log odds that two groups are one person; -inf: never."""
    fit[rows] = fit[:, rows] = -np.inf
    count = groups.joints.sum(axis=1)
    # Two lone joints say nothing of a body, unless a limb connects them.
    may = (groups.joints[rows] @ groups.joints.T == 0) & (
        (link[rows] > 0) | (count[rows, None] + count > 2)
    )
    may[:, rows] &= np.arange(len(rows))[:, None] < np.arange(len(rows))  # each pair once
    a, b = np.nonzero(may)
    if not len(a):
        return
    a = rows[a]
    together = log_evidence(groups.evidence[a] + groups.evidence[b])
    odds = together - groups.log_geometry[a] - groups.log_geometry[b] + link[a, b]
    # Two that would pass for people by themselves save the price of one when joined.
    saved = np.where((groups.value[a] > 0) & (groups.value[b] > 0), -PERSON, 0.0)
    fit[a, b] = fit[b, a] = np.where(odds + saved > 0, odds, -np.inf)
