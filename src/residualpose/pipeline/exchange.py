"""Moving and exchanging pieces among people while that makes the division more probable."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from residualpose.pipeline.body_evidence import count_of, joints_of, log_evidence
from residualpose.pipeline.pieces import PERSON, Groups, Pieces, product

_MAX_ROUNDS = 30
_IMPROVEMENT = 0.01


@dataclass(frozen=True, slots=True)
class Division:
    """The pieces divided among P people, and what it is worth to take one away."""

    people: Groups
    """The people, and after them nobody yet: a row without pieces, worth 0."""
    owner: np.ndarray
    """(M,) row of each piece's person, -1 where it is in none."""
    mine: np.ndarray
    """Indices of the pieces that are in a person, ordered by it."""
    first: np.ndarray
    """(P,) where each person's pieces begin in `mine`."""
    leave: np.ndarray
    """(M,) rise of the total value when the piece goes to nobody; 0 where it is there already."""

    @property
    def worth(self) -> float:
        """What all people are worth together."""
        return float(self.people.value.sum())

    @classmethod
    def of(cls, pieces: Pieces, owner: np.ndarray, count: int) -> Division:
        """The division by the owners of the pieces: 0 to count - 1, all of them, or -1."""
        member = np.zeros((count + 1, len(owner)), np.float32)
        mine = np.argsort(owner, kind="stable")[np.count_nonzero(owner < 0) :]
        person = owner[mine]
        member[person, mine] = 1.0
        evidence = product(member, pieces.evidence)
        rest = member[person]
        rest[np.arange(len(mine)), mine] = 0.0
        # In one go, as each call takes its time: the people, and each without one of its pieces.
        sets = np.concatenate([member, rest])
        set_evidence = np.concatenate([evidence, evidence[person] - pieces.evidence[mine]])
        log_geometry, value = np.zeros((2, len(sets)), np.float32)
        some = np.flatnonzero(count_of(set_evidence))
        if len(some):
            log_geometry[some] = log_evidence(set_evidence[some])
            value[some] = pieces.value(sets, log_geometry)[some]
        leave = np.zeros(len(owner), np.float32)
        leave[mine] = np.maximum(value[count + 1 :], 0.0) - value[person]
        people = Groups(member, evidence, log_geometry[: count + 1], value[: count + 1])
        first = np.searchsorted(person, np.arange(count))
        return cls(people, owner, mine, first, leave)


@dataclass(frozen=True, slots=True)
class Moves:
    """B moves of one piece from a person, or nobody, to another; those it clashes with give way."""

    piece: np.ndarray
    """(B,) the piece."""
    target: np.ndarray
    """(B,) row of the person that gets it; -1: nobody; the number of people: a new one."""
    exchanges: int
    """Row from which on those that give way go where the piece came from; before, to nobody."""
    gain: np.ndarray
    """(B,) rise of the total value."""


def improve(pieces: Pieces, people: Groups) -> Groups:
    """The people after every move, of a piece or of two in exchange, that raises the total."""
    division = Division.of(pieces, owners(people.member), len(people.value))
    stale_person = np.ones(len(people.value) + 1, dtype=bool)
    stale_piece = np.ones(len(pieces), dtype=bool)
    for _ in range(_MAX_ROUNDS):
        owner = division.owner
        # What no change has touched was looked at in the round before.
        moves = _moves(pieces, division, stale_person[:, None] | stale_piece)
        after, touched, gain = _applied(moves, pieces, owner, several=False)
        if not touched:
            break
        sure = division.worth + gain
        together, concerned, more = _applied(moves, pieces, owner, several=True)
        if more > gain:
            division, names = _divided(pieces, together)
        if more > gain and division.worth >= sure:
            after, touched = together, concerned
        else:
            division, names = _divided(pieces, after)
        stale = np.zeros(len(stale_person) + 1, dtype=bool)  # the last for nobody, -1
        stale[list(touched)] = True
        stale_piece = stale[owner] | stale[after] | (owner != after)
        stale_piece |= (after >= 0) & (division.owner < 0)
        stale_person = np.append(stale[names], False)
    return division.people.take(slice(-1))


def _divided(pieces: Pieces, owner: np.ndarray) -> tuple[Division, np.ndarray]:
    """The division by (M,) owners of any numbers, and the numbers of those who are worth it."""
    names, place = _numbered(owner)
    division = Division.of(pieces, place, len(names))
    real = division.people.value[:-1] > 0
    if real.all():
        return division, names
    kept = _numbered(np.where(np.append(real, False)[place], place, -1))[1]
    return Division.of(pieces, kept, int(real.sum())), names[real]


def owners(member: np.ndarray) -> np.ndarray:
    """(M,) row of each piece in (P, M) people, -1 where it is in none."""
    owner = np.full(member.shape[1], -1)
    person, piece = np.nonzero(member)
    owner[piece] = person
    return owner


def _numbered(owner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers that occur in (M,) owners, in order, and the owners as places among them."""
    there = np.zeros(owner.max() + 2, dtype=bool)
    there[owner] = True
    there[-1] = False  # -1: nobody
    place = np.cumsum(there) - 1
    place[-1] = -1
    return np.flatnonzero(there), place[owner]


def _applied(
    moves: Moves, pieces: Pieces, owner: np.ndarray, several: bool
) -> tuple[np.ndarray, set[int], float]:
    """The owners after the best moves, the people concerned, and the sum of the moves' gains.

    A person's value depends on its own pieces alone, so that the gains of moves that concern
    different people add up. With `several`, a person may take part in more than one, as long as
    none of its pieces clash; these may gain less together, or more.
    """
    after, touched, gain = owner.copy(), set(), 0.0
    useful = np.flatnonzero(moves.gain > _IMPROVEMENT)
    for row in useful[np.argsort(-moves.gain[useful], kind="stable")]:
        piece, target = moves.piece[row], int(moves.target[row])
        source = int(owner[piece])
        concerned = {target, source} - {-1}
        met = not concerned.isdisjoint(touched)
        touched |= concerned
        if (met and not several) or after[piece] != source:
            continue
        moved = after.copy()
        if target >= 0:
            way = (owner == target) & (pieces.clash[piece] > 0)
            if (after[way] != target).any():
                continue
            moved[way] = source if row >= moves.exchanges else -1
        moved[piece] = target
        if not met or all(pieces.fit_together(moved == person) for person in concerned):
            after, gain = moved, gain + float(moves.gain[row])
    return after, touched, gain


def _moves(pieces: Pieces, division: Division, stale: np.ndarray) -> Moves:
    """The moves that may raise the total value, with how much they do."""
    people, owner, mine, leave = division.people, division.owner, division.mine, division.leave
    member, evidence, value = people.member, people.evidence, people.value
    target, piece = np.nonzero(stale & (_hope(pieces, division) > _IMPROVEMENT))
    nobody = np.full(len(mine), -1)
    if not len(piece):
        return Moves(mine, nobody, len(mine), leave[mine])
    out = member[target] * pieces.clash[piece]
    out_evidence = product(out, pieces.evidence)
    with_it = member[target] - out
    with_it[np.arange(len(piece)), piece] = 1.0
    with_evidence = evidence[target] + pieces.evidence[piece] - out_evidence
    swap = np.flatnonzero((owner[piece] >= 0) & (count_of(out_evidence) > 0))
    given = piece[swap]
    back_evidence = evidence[owner[given]] - pieces.evidence[given] + out_evidence[swap]
    # What comes back must not clash either.
    fits = (joints_of(back_evidence) <= 1).all(axis=1)
    swap, given, back_evidence = swap[fits], given[fits], back_evidence[fits]
    source = owner[given]
    back = member[source] + out[swap]
    back[np.arange(len(given)), given] = 0.0
    log_geometry = log_evidence(np.concatenate([with_evidence, back_evidence]))
    worth = np.maximum(pieces.value(np.concatenate([with_it, back]), log_geometry), 0.0)
    to, rest = worth[: len(piece)] - value[target], worth[len(piece) :] - value[source]
    return Moves(
        np.concatenate([piece, mine, given]),
        np.concatenate([target, nobody, target[swap]]),
        len(piece) + len(mine),
        np.concatenate([to + leave[piece], leave[mine], to[swap] + rest]),
    )


def _hope(pieces: Pieces, division: Division) -> np.ndarray:
    """(P + 1, M) more than what moving a piece to a person can gain: few moves are worth a look."""
    member, owner, mine = division.people.member, division.owner, division.mine
    # No joint adds more than its density at the very place where a body would have it.
    link = product(member, pieces.affinity)
    hope = pieces.most + link - product(member, pieces.yielding) + division.leave
    if len(mine):
        clash = pieces.clash[mine]
        cost = np.where(clash > 0, division.leave[mine, None], -np.inf)
        cost = np.maximum.reduceat(cost, division.first)
        hope[:-1] += np.where(cost > -np.inf, cost, 0.0)
        back = np.maximum(pieces.most + link[owner[mine]] - pieces.affinity[mine], 0.0)
        hope[:, mine] += product(member, (clash * back).T)
    hope[-1] += PERSON
    hope[owner, np.arange(len(owner))] = -np.inf
    return hope
