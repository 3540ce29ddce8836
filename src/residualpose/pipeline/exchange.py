"""Moving and exchanging pieces among people while that makes the division more probable."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from residualpose.pipeline.body_evidence import log_evidence, most_evidence
from residualpose.pipeline.pieces import PERSON, Groups, Pieces, product, sums

_MAX_ROUNDS = 30
_IMPROVEMENT = 0.01


@dataclass(frozen=True, slots=True)
class Moves:
    """B moves of one piece from a person, or nobody, to another."""

    piece: np.ndarray
    """(B,) the piece."""
    target: np.ndarray
    """(B,) row of the person that gets it; -1: nobody; the number of people: a new one."""
    clash: np.ndarray
    """(B, M) float32, 1 for the pieces that give way to it."""
    returned: np.ndarray
    """(B,) whether those go where the piece came from; else to nobody."""
    gain: np.ndarray
    """(B,) rise of the total value."""


def improve(pieces: Pieces, people: Groups) -> Groups:
    """The people after every move, of a piece or of two in exchange, that raises the total."""
    stale_person = np.ones(len(people.value) + 1, dtype=bool)
    stale_piece = np.ones(len(pieces), dtype=bool)
    for _ in range(_MAX_ROUNDS):
        owner = owners(people.member)
        # What no change has touched was looked at in the round before.
        moves = _moves(pieces, people, owner, stale_person[:, None] | stale_piece)
        after, touched = _applied(moves, owner)
        if not touched:
            break
        names = np.unique(after[after >= 0])
        stale = np.zeros(len(stale_person) + 1, dtype=bool)  # the last for nobody, -1
        stale[list(touched)] = True
        stale_piece = stale[owner] | stale[after] | (owner != after)
        people = Groups.of(pieces, (after == names[:, None]).astype(np.float32))
        real = people.value > 0
        stale_piece |= people.member[~real].any(axis=0)
        stale_person = np.append(stale[names[real]], False)
        people = people.take(real)
    return people


def owners(member: np.ndarray) -> np.ndarray:
    """(M,) row of each piece in (P, M) people, -1 where it is in none."""
    return np.vstack([np.full((1, member.shape[1]), 0.5), member]).argmax(axis=0) - 1


def _applied(moves: Moves, owner: np.ndarray) -> tuple[np.ndarray, set[int]]:
    """The owners after the best moves that concern different people, and the people concerned."""
    after, touched = owner.copy(), set()
    useful = np.flatnonzero(moves.gain > _IMPROVEMENT)
    for row in useful[np.argsort(-moves.gain[useful], kind="stable")]:
        piece = moves.piece[row]
        concerned = {int(moves.target[row]), int(owner[piece])} - {-1}
        # A person's value depends on its own pieces alone, so that the gains of moves add up.
        if not concerned & touched and after[piece] == owner[piece]:
            after[moves.clash[row] > 0] = owner[piece] if moves.returned[row] else -1
            after[piece] = moves.target[row]
        touched |= concerned
    return after, touched


def _moves(pieces: Pieces, people: Groups, owner: np.ndarray, stale: np.ndarray) -> Moves:
    """The moves that may raise the total value, with how much they do."""
    count = len(pieces)
    single = np.eye(count, dtype=np.float32)
    rows = np.vstack([people.member, np.zeros((1, count), np.float32)])
    evidence = np.vstack([people.evidence, np.zeros((1, pieces.evidence.shape[1]), np.float32)])
    value = np.append(people.value, 0.0)
    mine = np.flatnonzero(owner >= 0)
    left = evidence[owner[mine]] - pieces.evidence[mine]
    leave = np.zeros(count)
    leave[mine] = _worth(pieces, rows[owner[mine]] - single[mine], left) - value[owner[mine]]
    hope = _hope(pieces, rows, owner, leave)
    target, piece = np.nonzero(stale & (hope > _IMPROVEMENT))
    out = rows[target] * pieces.clash[piece]
    out_evidence = sums(out, pieces.evidence)
    with_it = rows[target] + single[piece] - out
    with_evidence = evidence[target] + pieces.evidence[piece] - out_evidence
    swap = np.flatnonzero((owner[piece] >= 0) & out.any(axis=1))
    source, given = owner[piece[swap]], piece[swap]
    back = rows[source] - single[given] + out[swap]
    # What comes back must not clash either.
    fits = (back @ pieces.joints <= 1).all(axis=1)
    swap, source, given, back = swap[fits], source[fits], given[fits], back[fits]
    back_evidence = evidence[source] - pieces.evidence[given] + out_evidence[swap]
    worth = _worth(
        pieces, np.concatenate([with_it, back]), np.concatenate([with_evidence, back_evidence])
    )
    to, rest = worth[: len(piece)] - value[target], worth[len(piece) :] - value[source]
    drop = np.zeros((len(mine), count), np.float32)
    return Moves(
        np.concatenate([piece, given, mine]),
        np.concatenate([target, target[swap], np.full(len(mine), -1)]),
        np.concatenate([out, out[swap], drop]),
        np.repeat([False, True, False], [len(piece), len(swap), len(mine)]),
        np.concatenate([to + leave[piece], to[swap] + rest, leave[mine]]),
    )


def _hope(pieces: Pieces, rows: np.ndarray, owner: np.ndarray, leave: np.ndarray) -> np.ndarray:
    """(P + 1, M) more than what moving a piece to a person can gain: few moves are worth a look."""
    # No joint adds more than its density at the very place where a body would have it.
    most = most_evidence(pieces.evidence) + pieces.worth
    link = product(rows, pieces.affinity)
    hope = most + link - rows @ (pieces.clash * pieces.affinity) + leave
    cost = np.where((rows[:, None] * pieces.clash) > 0, leave, -np.inf).max(axis=-1)
    hope += np.where(np.isfinite(cost), cost, 0.0)
    back = np.maximum(most + link[owner] - pieces.affinity, 0.0) * (owner >= 0)[:, None]
    hope += rows @ (pieces.clash * back).T
    hope[-1] += PERSON
    hope[owner, np.arange(len(owner))] = -np.inf
    return hope


def _worth(pieces: Pieces, member: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    """(B,) value of each row of pieces; 0 for none and for what is no person."""
    worth = np.zeros(len(member))
    some = np.flatnonzero(member.any(axis=1))
    if len(some):
        value = pieces.value(member[some], log_evidence(evidence[some]))
        worth[some] = np.maximum(value, 0.0)
    return worth
