"""Pieces of people, sets of them, and what a set is worth as one person."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from residualpose.pipeline.body_evidence import log_evidence

# Log odds of a joint that is missing, and of one that is seen.
_MISSING, _SEEN = float(np.log(0.15)), float(np.log(0.85))
PERSON = _MISSING * 15
"""Price of a person, all of whose joints are missing."""
JOINT = _SEEN - _MISSING
"""Worth of each that is not."""
_SMALL_PRODUCT = 1 << 18


@dataclass(frozen=True, slots=True)
class Pieces:
    """M sets of peaks that certainly belong together; the energy of a person is a sum over them."""

    joints: np.ndarray
    """(M, 15) float32, 1 where the piece has the joint."""
    evidence: np.ndarray
    """(M, .) float32 rows of `evidence_rows`: the geometry."""
    support: np.ndarray
    """(M,) float32 log odds of the piece's peaks, and of the limbs within it."""
    affinity: np.ndarray
    """(M, M) float32 symmetric log odds of the limbs between two pieces; diagonal 0."""
    clash: np.ndarray = field(init=False)
    """(M, M) float32, 1 where two pieces have a joint in common."""
    worth: np.ndarray = field(init=False)
    """(M,) float32 support and worth of the piece's joints."""

    def __post_init__(self) -> None:
        clash = (self.joints @ self.joints.T > 0).astype(np.float32)
        worth = self.support + np.float32(JOINT) * self.joints.sum(axis=1)
        object.__setattr__(self, "clash", clash)
        object.__setattr__(self, "worth", worth)

    def __len__(self) -> int:
        return len(self.joints)

    def take(self, rows: np.ndarray) -> Pieces:
        """Some of the pieces."""
        return Pieces(
            self.joints[rows], self.evidence[rows], self.support[rows],
            self.affinity[rows[:, None], rows],
        )  # fmt: skip

    def value(self, member: np.ndarray, log_geometry: np.ndarray) -> np.ndarray:
        """(B,) value of sets of pieces (B, M) as one person each, their geometry being known."""
        links = 0.5 * (product(member, self.affinity) * member).sum(axis=1)
        return log_geometry + links + member @ self.worth + PERSON


@dataclass(slots=True)
class Groups:
    """G disjoint sets of pieces, and what is summed over each."""

    member: np.ndarray
    """(G, M) float32 of 0 and 1."""
    joints: np.ndarray
    """(G, 15) float32."""
    evidence: np.ndarray
    """(G, .) float32 sums."""
    log_geometry: np.ndarray
    """(G,) log evidence of each."""
    value: np.ndarray
    """(G,) worth of each as a person."""

    @classmethod
    def of(cls, pieces: Pieces, member: np.ndarray) -> Groups:
        """Groups from their (G, M) members, none of them empty."""
        evidence = sums(member, pieces.evidence)
        log_geometry = log_evidence(evidence)
        return cls(
            member, member @ pieces.joints, evidence, log_geometry,
            pieces.value(member, log_geometry),
        )  # fmt: skip

    def beside(self, others: Groups) -> Groups:
        """These groups, then the others."""
        return Groups(*(
            np.concatenate([getattr(self, part), getattr(others, part)]) for part in self.__slots__
        ))  # fmt: skip

    def take(self, rows: np.ndarray) -> Groups:
        """Some of the groups."""
        return Groups(
            self.member[rows], self.joints[rows], self.evidence[rows], self.log_geometry[rows],
            self.value[rows],
        )  # fmt: skip


def sums(member: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(B, .) sums of the rows that (B, M) of 0 and 1, few of them 1, picks."""
    total = np.zeros((len(member), rows.shape[1]), np.float32)
    group, piece = np.nonzero(member)
    if len(group):
        first = np.flatnonzero(np.diff(group, prepend=-1))
        total[group[first]] = np.add.reduceat(rows[piece], first, axis=0)
    return total


def product(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Product of (B, M) rows and an (M, K) matrix, on one thread.

    In products this small, linear algebra libraries do not start threads: they would cost more
    than the work, many times so on a busy machine.
    """
    if rows.size * matrix.shape[1] <= _SMALL_PRODUCT:
        return rows @ matrix
    height = max(1, _SMALL_PRODUCT // max(matrix.size, 1))
    blocks = np.zeros((-(-len(rows) // height), height, len(matrix)), rows.dtype)
    blocks.reshape(-1, len(matrix))[: len(rows)] = rows
    return (blocks @ matrix).reshape(-1, matrix.shape[1])[: len(rows)]
