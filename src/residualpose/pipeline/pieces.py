"""Pieces of people, sets of them, and what a set is worth as one person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from residualpose.pipeline.body_evidence import joints_of, most_evidence

# Log odds of a joint that is missing, and of one that is seen.
_MISSING, _SEEN = float(np.log(0.15)), float(np.log(0.85))
PERSON = _MISSING * 15
"""Price of a person, all of whose joints are missing."""
JOINT = _SEEN - _MISSING
"""Worth of each that is not."""
_SMALL_PRODUCT = 1 << 18


@dataclass(frozen=True)
class Pieces:
    """M sets of peaks that certainly belong together; the energy of a person is a sum over them."""

    evidence: np.ndarray
    """(M, .) float32 sums of `evidence_rows`: the joints and their geometry."""
    support: np.ndarray
    """(M,) float32 log odds of the piece's peaks, and of the limbs within it."""
    affinity: np.ndarray
    """(M, M) float32 symmetric log odds of the limbs between two pieces; diagonal 0."""

    @cached_property
    def clash(self) -> np.ndarray:
        """(M, M) float32, 1 where two pieces have a joint in common."""
        joints = joints_of(self.evidence)
        return (joints @ joints.T > 0).astype(np.float32)

    @cached_property
    def yielding(self) -> np.ndarray:
        """(M, M) float32 affinity of those."""
        return self.clash * self.affinity

    @cached_property
    def worth(self) -> np.ndarray:
        """(M,) float32 support and worth of the piece's joints."""
        return self.support + np.float32(JOINT) * joints_of(self.evidence).sum(axis=1)

    @cached_property
    def most(self) -> np.ndarray:
        """(M,) float32 the most that a piece can add to a person, limbs apart."""
        return most_evidence(self.evidence) + self.worth

    def __len__(self) -> int:
        return len(self.evidence)

    def fit_together(self, member: np.ndarray) -> bool:
        """Whether no joint occurs twice in a set of pieces, (M,) bool."""
        return bool((joints_of(self.evidence)[member].sum(axis=0) <= 1).all())

    def value(self, member: np.ndarray, log_geometry: np.ndarray) -> np.ndarray:
        """(B,) value of sets of pieces (B, M) as one person each, their geometry being known."""
        # Each limb between two pieces counts at both. (No product with a vector: the one of a
        # linear algebra library was seen to warn of invalid numbers where all were finite.)
        share = 0.5 * product(member, self.affinity) + self.worth
        share *= member
        return log_geometry + share.sum(axis=1) + PERSON


@dataclass(slots=True)
class Groups:
    """G disjoint sets of pieces, and what is summed over each."""

    member: np.ndarray
    """(G, M) float32 of 0 and 1."""
    evidence: np.ndarray
    """(G, .) float32 sums."""
    log_geometry: np.ndarray
    """(G,) log evidence of each."""
    value: np.ndarray
    """(G,) worth of each as a person."""

    @classmethod
    def single(cls, pieces: Pieces, rows: np.ndarray) -> Groups:
        """A group of each of some pieces; what it is worth is left to be found."""
        member = np.zeros((len(rows), len(pieces)), np.float32)
        member[np.arange(len(rows)), rows] = 1.0
        unknown = np.zeros((2, len(rows)), np.float32)
        return cls(member, pieces.evidence[rows], *unknown)

    def beside(self, others: Groups) -> Groups:
        """These groups, then the others."""
        return Groups(
            np.concatenate([self.member, others.member]),
            np.concatenate([self.evidence, others.evidence]),
            np.concatenate([self.log_geometry, others.log_geometry]),
            np.concatenate([self.value, others.value]),
        )

    def take(self, rows: np.ndarray | slice) -> Groups:
        """Some of the groups."""
        return Groups(
            self.member[rows], self.evidence[rows], self.log_geometry[rows], self.value[rows]
        )


def united(pairs: Iterable[tuple[int, int]], joints: np.ndarray) -> np.ndarray:
    """(N,) the first of those that each of N rows is joined with, directly or by others.

    Args:
        pairs: rows to join, the surest first; those of whom both have some joint stay apart.
        joints: (N,) the joints of each, a bit for each joint.
    """
    bits = joints.tolist()
    first = list(range(len(bits)))

    for a, b in pairs:
        while first[a] != a:
            a = first[a]
        while first[b] != b:
            b = first[b]
        # A person has no joint twice.
        if a != b and not bits[a] & bits[b]:
            a, b = min(a, b), max(a, b)
            first[b] = a
            bits[a] |= bits[b]
    for row, before in enumerate(first):
        first[row] = first[before]  # which is the first of all: rows before it are done
    return np.array(first, dtype=np.int64)


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
