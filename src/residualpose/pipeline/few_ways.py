"""Few ways to divide pieces into people: all are looked at, so that the best is found.

Most frames show one person and a handful of pieces, many of which rule each other out. The evidence
of all sets that may be somebody is one call, which takes less than a search that joins, moves and
judges anew.
"""

from __future__ import annotations

import numpy as np

from residualpose.pipeline.body_evidence import count_of, log_evidence
from residualpose.pipeline.pieces import Pieces, product

MOST_SETS = 256
"""Of more sets than that, looking at all is no faster than a search."""
_MOST_PIECES = 24
"""So many have hardly ever so few sets."""
_MOST_WAYS = 1 << 17


def best_division(pieces: Pieces) -> np.ndarray | None:
    """(M,) owner of each piece, a person's number or -1 for nobody; None: there are many ways."""
    number = _without_clash(pieces.clash)
    if number is None:
        return None
    member = (number[:, None] >> np.arange(len(pieces)) & 1).astype(np.float32)
    # Lone joints say nothing of a body, unless a limb connects two of them.
    hold = (pieces.affinity > 0).astype(np.float32)
    np.fill_diagonal(hold, count_of(pieces.evidence) > 1)
    held = np.flatnonzero((product(member, hold) * member).sum(axis=1))
    sets = member[held]
    worth = pieces.value(sets, log_evidence(product(sets, pieces.evidence)))
    some = np.flatnonzero(worth > 0)
    best = _best_disjoint(number[held[some]], worth[some])
    if best is None:
        return None
    owner = np.full(len(pieces), -1)
    for person, row in enumerate(some[best]):
        owner[sets[row] > 0] = person
    return owner


def _without_clash(clash: np.ndarray) -> np.ndarray | None:
    """(S,) every set of pieces of which no two clash, as numbers whose bits tell who is in it.

    Args:
        clash: (M, M) 1 where two pieces clash.

    Returns:
        None if there are too many.
    """
    if len(clash) > _MOST_PIECES:
        return None
    bits = 1 << np.arange(len(clash))
    rivals = (clash > 0) @ bits
    sets = [0]
    for bit, against in zip(bits.tolist(), rivals.tolist(), strict=True):
        sets += [known | bit for known in sets if not known & against]
        if len(sets) > MOST_SETS:
            return None
    return np.array(sets[1:], dtype=np.int64)


def _best_disjoint(number: np.ndarray, worth: np.ndarray) -> np.ndarray | None:
    """Rows of the disjoint sets that are worth most together.

    Args:
        number: (K,) sets by their bits.
        worth: (K,) of each, more than 0.

    Returns:
        None if there are too many ways to take disjoint ones.
    """
    best, most = np.zeros(0, dtype=np.int64), 0.0
    row = np.arange(len(number))
    # One set, then two, then three: all ways to take so many.
    taken, union, total = row[:, None], number, worth
    while len(taken):
        if taken.size * len(number) > _MOST_WAYS:
            return None
        top = total.argmax()
        if total[top] > most:
            best, most = taken[top], total[top]
        way, more = np.nonzero((union[:, None] & number == 0) & (taken[:, -1:] < row))
        taken = np.concatenate([taken[way], more[:, None]], axis=1)
        union, total = union[way] | number[more], total[way] + worth[more]
    return best
