"""From MakeHuman garments to the pieces of a Wardrobe: cut apart, thinned, weighted, sorted.

A suit is cut into the top and the bottom that its mesh consists of, so that they mix freely.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from residualpose.synthetic.body_pose import SEGMENTS
from residualpose.synthetic.mhclo import Garment
from residualpose.synthetic.wardrobe import Piece, Wear

_MOST_TRIANGLES = {
    Wear.HAT: 600, Wear.HAIR: 1500, Wear.SHOES: 900, Wear.TOP: 2000, Wear.BOTTOM: 1600,
    Wear.SUIT: 3600,
}  # fmt: skip
"""At the size of people in the image a triangle is about a pixel then."""
_FINEST_CELL_M, _COARSER = 0.004, 1.2
_LOWER = tuple(i for i, s in enumerate(SEGMENTS) if s.startswith(("thigh", "shin", "foot")))
_PELVIS = SEGMENTS.index("pelvis")
_BY_NAME = {"hat": Wear.HAT, "hats": Wear.HAT, "hair": Wear.HAIR, "shoes": Wear.SHOES}
_BOTH = 0.2
"""A mesh with at least this share of its weight on either half of the body is a whole suit."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What garments hang on: the hm08 mesh, of which some vertices are the body's surface."""

    template_m: np.ndarray
    """(M, 3) an average shape."""
    weights: np.ndarray
    """(M, 19) skinning weights over bodies.PARTS."""
    surface: np.ndarray
    """(V,) the vertices that a body shows, ascending; the others only help."""
    triangles: np.ndarray
    """(T, 3) of the body, numbered as `surface`."""


def tailored(garments: Sequence[Garment], figure: Figure) -> tuple[tuple[Piece, ...], np.ndarray]:
    """Pieces of all garments, and (H,) the helper vertices whose places they need to know."""
    used = [np.zeros(0, np.int64), *(garment.anchors.ravel() for garment in garments)]
    used += [garment.span.ravel() for garment in garments]
    helpers = np.setdiff1d(np.concatenate(used), figure.surface)
    site_of = np.full(len(figure.template_m), -1)
    site_of[figure.surface] = np.arange(len(figure.surface))
    site_of[helpers] = len(figure.surface) + np.arange(len(helpers))
    found = [piece for one in garments for piece in _pieces(one, figure, site_of)]
    return tuple(found), helpers


def _pieces(garment: Garment, figure: Figure, site_of: np.ndarray) -> list[Piece]:
    """One garment cut into what can be worn without the rest."""
    weights = np.einsum("gk,gkp->gp", garment.weights, figure.weights[garment.anchors]).clip(0)
    weights /= weights.sum(1, keepdims=True)
    points_m = _on_template(garment, figure.template_m)
    part = _components(garment)
    wears = _wears(garment, weights, part)
    hidden = site_of[garment.hides]
    hidden = hidden[(hidden >= 0) & (hidden < len(figure.surface))]
    hidden_m = figure.template_m[figure.surface[hidden]]
    whose = wears[_nearest(points_m, np.arange(len(points_m)), hidden_m)]
    found = []
    for wear in (Wear(number) for number in np.unique(wears)):
        triangles = garment.triangles[wears[garment.triangles[:, 0]] == wear]
        own = whose == wear
        own[own] = _under(points_m, triangles, hidden_m[own])
        hides = np.sort(hidden[own])
        thin = thinned(points_m, part, triangles, _MOST_TRIANGLES[wear])
        kept, thin = np.unique(thin, return_inverse=True)
        found.append(
            Piece(
                wear,
                torch.from_numpy(site_of[garment.anchors[kept]]),
                torch.from_numpy(garment.weights[kept]),
                torch.from_numpy(garment.offsets[kept]),
                torch.from_numpy(site_of[garment.span]),
                torch.from_numpy(weights[kept].astype(np.float32)),
                torch.from_numpy(thin.reshape(-1, 3)),
                torch.from_numpy(hides),
                torch.from_numpy(_deep(hides, figure)),
            )
        )
    return found


def _deep(hides: np.ndarray, figure: Figure) -> np.ndarray:
    """(L,) body triangles to leave out; one ring inside the rim stays, to be seen in openings."""
    covered = np.zeros(len(figure.surface), bool)
    covered[hides] = True
    rim = figure.triangles[~covered[figure.triangles].all(1)]
    covered[rim] = False
    return np.flatnonzero(covered[figure.triangles].all(1))


def _on_template(garment: Garment, template_m: np.ndarray) -> np.ndarray:
    """(G, 3) the garment on the average shape, metres."""
    ends = template_m[garment.span, np.arange(3)[:, None]]
    size = np.abs(ends[:, 0] - ends[:, 1])
    placed = np.einsum("gk,gkc->gc", garment.weights, template_m[garment.anchors])
    return placed + garment.offsets * size


def _components(garment: Garment) -> np.ndarray:
    """(G,) number of the connected mesh that each vertex belongs to."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    a, b = garment.triangles[:, [0, 1]].T, garment.triangles[:, [1, 2]].T
    edges = np.concatenate([a, b], 1)
    size = (len(garment.anchors),) * 2
    graph = coo_array((np.ones(edges.shape[1]), (edges[0], edges[1])), shape=size)
    return connected_components(graph, directed=False)[1]


def _wears(garment: Garment, weights: np.ndarray, part: np.ndarray) -> np.ndarray:
    """(G,) of Wear: by what the file says of itself; clothes by the half of the body under them."""
    folders = set(garment.name.lower().replace("\\", "/").split("/")[:-1])
    for word, wear in _BY_NAME.items():
        if word in folders | garment.tags:
            return np.full(len(part), wear)
    sizes = np.bincount(part)
    lower = np.bincount(part, weights[:, _LOWER].sum(1)) / sizes
    upper = np.bincount(part, 1 - weights[:, [*_LOWER, _PELVIS]].sum(1)) / sizes
    whole = ((lower > _BOTH) & (upper > _BOTH) & (sizes > 0.1 * len(part))).any()
    if whole:
        return np.full(len(part), Wear.SUIT)
    return np.where(lower > upper, Wear.BOTTOM, Wear.TOP)[part]


def _nearest(points_m: np.ndarray, among: np.ndarray, to_m: np.ndarray) -> np.ndarray:
    """(K,) which of the points numbered in `among` is nearest to each of (K, 3)."""
    from scipy.spatial import KDTree

    return among[KDTree(points_m[among]).query(to_m)[1]]


def _under(points_m: np.ndarray, triangles: np.ndarray, body_m: np.ndarray) -> np.ndarray:
    """(K,) bool: which body points (K, 3) lie under a mesh, not beyond one of its open edges.

    A suit's file says what the whole suit covers; worn alone, trousers end at the waistband.
    """
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    both, count = np.unique(np.sort(edges, 1), axis=0, return_counts=True)
    border = np.zeros(len(points_m), bool)
    border[both[count == 1]] = True
    ends = np.concatenate([both, both[:, ::-1]])
    degree = np.bincount(ends[:, 0], minlength=len(points_m)).clip(1)
    around_m = np.zeros_like(points_m)
    np.add.at(around_m, ends[:, 0], points_m[ends[:, 1]])
    outwards = points_m - around_m / degree[:, None]
    nearest = _nearest(points_m, np.unique(triangles), body_m)
    beyond = ((body_m - points_m[nearest]) * outwards[nearest]).sum(1) > 0
    return ~(border[nearest] & beyond)


def thinned(points_m: np.ndarray, part: np.ndarray, triangles: np.ndarray, most: int) -> np.ndarray:
    """At most `most` triangles (T', 3): vertices in one cell of a grid become one of them.

    The grid is made coarser until that is enough; meshes of different `part` (V,) stay apart.
    """
    cell_m, thin = _FINEST_CELL_M, triangles
    while len(thin) > most:
        keys = np.column_stack([part, np.floor(points_m / cell_m).astype(np.int64)])
        cluster = np.unique(keys, axis=0, return_inverse=True)[1].ravel()
        size = np.bincount(cluster)
        middle = np.stack([np.bincount(cluster, points_m[:, k]) / size for k in range(3)], 1)
        off = np.linalg.norm(points_m - middle[cluster], axis=1)
        order = np.lexsort((off, cluster))
        chosen = order[np.searchsorted(cluster[order], np.arange(len(size)))]
        thin = chosen[cluster[triangles]]
        flat = (thin == thin[:, [1, 2, 0]]).any(1)
        thin = thin[~flat]
        twins = np.unique(np.sort(thin, 1), axis=0, return_index=True)[1]
        thin = thin[np.sort(twins)]
        cell_m *= _COARSER
    return thin
