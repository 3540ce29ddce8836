"""Pieces of people -> whole people: the division into people that is the most probable as a whole.

Every way to divide the pieces has a value: for each person the evidence that its joints are a view
of one body, that its limbs are in the fields and its peaks are real, less the price of a person
and of each joint it lacks; what belongs to nobody counts 0. The division with the highest value is
sought by joining pieces, best first, and then moving and exchanging them until nothing improves.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from residualpose.pipeline.body_evidence import Evidence

NOBODY = -1
"""Owner of a piece that belongs to no person."""

_JOINTS = 15
# Log odds of a joint that is missing, and of one that is seen.
_MISSING, _SEEN = float(np.log(0.15)), float(np.log(0.85))
_PERSON = _MISSING * _JOINTS
_MAX_PIECES = 64
_MAX_ROUNDS = 30
_IMPROVEMENT = 1e-6
_CAUTION = 0.7
"""Weight of the rivals when choosing what to join next."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """M sets of peaks that certainly belong together; the energy of a person is a sum over them."""

    joints: np.ndarray
    """(M, 15) float64, 1 where the piece has the joint."""
    evidence: Evidence
    """M rows: the geometry."""
    support: np.ndarray
    """(M,) log odds of the piece's peaks, and of the limbs within it."""
    affinity: np.ndarray
    """(M, M) symmetric log odds of the limbs between two pieces; diagonal 0."""
    known: dict[bytes, float] = field(default_factory=dict)
    """Values already computed."""

    def __len__(self) -> int:
        return len(self.joints)

    @property
    def clash(self) -> np.ndarray:
        """(M, M) whether two pieces have a joint in common, and cannot be of one person."""
        return self.joints @ self.joints.T > 0

    def value(self, member: np.ndarray) -> np.ndarray:
        """(B,) value of each set of pieces (B, M) as one person; -inf where a joint is double."""
        # The search asks for the same sets again and again.
        keys = [row.tobytes() for row in np.packbits(member > 0, axis=1)]
        new = {key: row for row, key in enumerate(keys) if key not in self.known}
        if new:
            self.known.update(zip(new, self._value(member[list(new.values())]), strict=True))
        return np.array([self.known[key] for key in keys], dtype=np.float64)

    def _value(self, member: np.ndarray) -> np.ndarray:
        """(B,) as `value`, computed."""
        joints = member @ self.joints
        value = np.full(len(member), -np.inf)
        valid = (joints <= 1.0).all(axis=1) & (joints.sum(axis=1) > 0)
        member, joints = member[valid], joints[valid]
        pairs = 0.5 * ((member @ self.affinity) * member).sum(axis=1)
        value[valid] = (
            self.evidence.combined(member).log_evidence()
            + member @ self.support
            + pairs
            + joints.sum(axis=1) * (_SEEN - _MISSING)
            + _PERSON
        )
        return value


def assemble(pieces: Pieces) -> np.ndarray:
    """(M,) owner of each piece: a person's number, or NOBODY."""
    single = np.eye(len(pieces))[_most_supported(pieces)]
    people, total = np.zeros((0, len(pieces))), 0.0
    while True:
        left = single[~(single @ people.T).any(axis=1)]
        found = _people(pieces, _join(pieces, np.vstack([people, left])))
        found = _improve(pieces, found)
        worth = float(pieces.value(found).sum())
        if worth < total + _IMPROVEMENT:
            return np.where(people.any(axis=0), _owner(people), NOBODY)
        people, total = found, worth


def _most_supported(pieces: Pieces) -> np.ndarray:
    """Indices of the pieces to consider: in heavy clutter, the largest and strongest."""
    rank = pieces.joints.sum(axis=1) + pieces.support
    return np.sort(np.argsort(-rank, kind="stable")[:_MAX_PIECES])


def _people(pieces: Pieces, groups: np.ndarray) -> np.ndarray:
    """The groups that are worth more as a person than as clutter."""
    return groups[pieces.value(groups) > 0]


def _owner(people: np.ndarray) -> np.ndarray:
    """(M,) row of each piece in (P, M) people; P where it is in none."""
    return np.vstack([people, ~people.any(axis=0)]).argmax(axis=0)


def _join(pieces: Pieces, groups: np.ndarray) -> np.ndarray:
    """Joins the two groups that fit best, until none fit; (G, M) groups."""
    value = pieces.value(groups)
    fit = _fit(pieces, groups, value, np.arange(len(groups)))
    while fit.size and np.isfinite(fit.max()):
        a, b = np.unravel_index(np.argmax(_lead(pieces, groups, fit)), fit.shape)
        groups[a] += groups[b]
        groups[b] = 0.0
        value[[a, b]] = pieces.value(groups[[a, b]])
        # An emptied group fits nothing.
        fit[b] = fit[:, b] = -np.inf
        fit[a] = fit[:, a] = _fit(pieces, groups, value, np.array([a]))[0]
    return groups[groups.any(axis=1)]


def _lead(pieces: Pieces, groups: np.ndarray, fit: np.ndarray) -> np.ndarray:
    """(G, G) how far each join leads the joins it would rule out."""
    joints = groups @ pieces.joints
    clash = joints @ joints.T > 0
    np.fill_diagonal(clash, False)
    gain = np.maximum(fit, 0.0)
    # rival[a, b]: the best join of a with a group that clashes with b.
    rival = np.where(clash[None], gain[:, None, :], 0.0).max(axis=2)
    return fit - _CAUTION * np.maximum(rival, rival.T)


def _fit(pieces: Pieces, groups: np.ndarray, value: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(R, G) log odds that groups[rows] and groups are one person; -inf: not to be joined."""
    fit = np.full((len(rows), len(groups)), -np.inf)
    joints = groups @ pieces.joints
    count = joints.sum(axis=1)
    # Two lone joints say nothing of a body, unless a limb connects them.
    linked = groups[rows] @ pieces.affinity @ groups.T > 0
    may = (joints[rows] @ joints.T == 0) & (linked | (count[rows, None] + count > 2))
    may &= (count > 0) & (count[rows, None] > 0)
    square = len(rows) == len(groups)
    r, g = np.nonzero(np.triu(may, 1) if square else may)
    alone = value[rows[r]] + value[g]
    odds = pieces.value(groups[rows[r]] + groups[g]) - alone + _PERSON
    # Two that would pass for people by themselves save the price of one when joined.
    saved = np.where((value[rows[r]] > 0) & (value[g] > 0), -_PERSON, 0.0)
    fit[r, g] = np.where(odds + saved > 0, odds, -np.inf)
    return np.maximum(fit, fit.T) if square else fit


def _improve(pieces: Pieces, people: np.ndarray) -> np.ndarray:
    """Moves and exchanges pieces among people (P, M) while that raises the total value."""
    for _ in range(_MAX_ROUNDS):
        # Two more rows to move to: a person yet to be, and nobody.
        rows = np.vstack([people, np.zeros(people.shape[1]), ~people.any(axis=0)])
        target, source, to, rest = _changes(pieces, rows)
        nobody = len(people) + 1
        before = np.append(pieces.value(people), [0.0, 0.0])
        after = _worth(pieces, to, target == nobody) + _worth(pieces, rest, source == nobody)
        gain = after - before[target] - before[source]
        if not gain.size or gain.max() < _IMPROVEMENT:
            break
        best = int(np.argmax(gain))
        rows[target[best]], rows[source[best]] = to[best], rest[best]
        people = _people(pieces, rows[:nobody])
    return people


def _worth(pieces: Pieces, rows: np.ndarray, nobody: np.ndarray) -> np.ndarray:
    """(B,) value of each row of pieces; 0 for nobody's and for what is no person."""
    return np.where(nobody, 0.0, np.maximum(pieces.value(rows), 0.0))


def _changes(
    pieces: Pieces, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Every move of a piece to another row, what clashes with it there being dropped or given back.

    Returns:
        (B,) rows moved to, (B,) rows moved from, (B, M) the first and (B, M) the second afterwards.
    """
    owner = rows.argmax(axis=0)
    target, piece = np.nonzero(rows == 0)
    source = owner[piece]
    moved = np.eye(rows.shape[1])[piece]
    nobody = (target == len(rows) - 1)[:, None]
    clash = np.where(nobody, 0.0, rows[target] * pieces.clash[piece])
    to, left = rows[target] + moved - clash, rows[source] - moved
    returned = np.flatnonzero(clash.any(axis=1) & (source < len(rows) - 1))
    pick = np.append(np.arange(len(piece)), returned)
    rest = np.vstack([left, left[returned] + clash[returned]])
    return target[pick], source[pick], to[pick], rest
