"""How missing joints hang from the seen ones: which limbs lead to them, and which loops close."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from residualpose.skeleton import ITOP15

LIMB_FROM, LIMB_TO = ITOP15.limb_array.T
JOINTS, LIMBS = len(ITOP15.joints), len(ITOP15.limbs)


@dataclass(frozen=True, slots=True)
class LimbPaths:
    """Ways from seen joints to missing ones along the limb tree, as signed limb counts."""

    root: np.ndarray
    """(J,) the seen joint each joint hangs from; itself for a seen joint."""
    path: np.ndarray
    """(J, L) in -1, 0, 1: joint = root + path @ limb vectors."""
    loop: np.ndarray
    """(C, L): limbs of a walk from one seen joint over missing joints to another seen joint."""
    loop_ends: np.ndarray
    """(C, 2) the seen joints where each walk starts and ends."""


@lru_cache(maxsize=1024)
def _paths(seen_bytes: bytes) -> LimbPaths:
    seen = np.frombuffer(seen_bytes, dtype=bool)
    root = np.where(seen, np.arange(JOINTS), -1)
    path = np.zeros((JOINTS, LIMBS))
    used = seen[LIMB_FROM] & seen[LIMB_TO]
    while True:
        # One ring of joints at a time, so that each hangs from the nearest seen joint.
        reached = root >= 0
        ring = np.flatnonzero(reached[LIMB_FROM] != reached[LIMB_TO])
        if not len(ring):
            break
        for limb in ring:
            forward = bool(reached[LIMB_FROM[limb]])
            near, far = (LIMB_FROM, LIMB_TO) if forward else (LIMB_TO, LIMB_FROM)
            if root[far[limb]] >= 0:
                continue
            root[far[limb]] = root[near[limb]]
            path[far[limb]] = path[near[limb]]
            path[far[limb], limb] = 1.0 if forward else -1.0
            used[limb] = True
    closing = np.flatnonzero(~used)
    a, b = LIMB_FROM[closing], LIMB_TO[closing]
    loop = path[a] - path[b] + np.eye(LIMBS)[closing]
    return LimbPaths(root, path, loop, np.stack([root[a], root[b]], axis=1))


def limb_paths(seen: np.ndarray) -> LimbPaths:
    """Paths for a mask (15,) of seen joints, of which at least one is set."""
    return _paths(np.ascontiguousarray(seen, dtype=bool).tobytes())
