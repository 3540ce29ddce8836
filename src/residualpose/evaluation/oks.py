"""2D average precision by object keypoint similarity (OKS), as COCO computes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from residualpose.errors import MissingExtraError
from residualpose.skeleton import ITOP15

# COCO's constants; the head's is the ears', the torso's the hips'.
_SIGMA = {
    "head": 0.035, "neck": 0.079, "shoulder": 0.079, "elbow": 0.072, "hand": 0.062,
    "torso": 0.107, "hip": 0.107, "knee": 0.087, "foot": 0.089,
}  # fmt: skip
SIGMAS = tuple(_SIGMA[name.rpartition("_")[2]] for name in ITOP15.joints)
_AREA_SHARE = 0.53
"""Area of a person as a share of the box around the joints, where there is no mask."""


@dataclass(frozen=True, slots=True)
class People2D:
    """People of many frames in pixels."""

    frame: np.ndarray
    """(N,) number of the frame."""
    joints_px: np.ndarray
    """(N, 15, 2), NaN where absent."""
    score: np.ndarray
    """(N,) of people found; ignored for true ones."""

    def select(self, keep: np.ndarray) -> People2D:
        """Some of the people, by a (N,) mask."""
        return People2D(self.frame[keep], self.joints_px[keep], self.score[keep])


@dataclass(frozen=True, slots=True)
class OksScores:
    """COCO's keypoint figures; NaN without true people."""

    ap: float
    """Mean over OKS 0.50 to 0.95."""
    ap50: float
    ap75: float
    ar: float
    """Recall, mean over OKS 0.50 to 0.95."""


def oks_scores(found: People2D, true: People2D, inside: np.ndarray) -> OksScores:
    """AP and AR of people found; OKS is over the true joints `inside` (N, 15) the image.

    Raises:
        MissingExtraError: the library that computes it is not installed.
    """
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError as error:
        raise MissingExtraError(error.name or "faster-coco-eval", "eval") from None
    if not len(true.frame):
        return OksScores(*[float("nan")] * 4)
    if not len(found.frame):
        return OksScores(0.0, 0.0, 0.0, 0.0)
    frames = sorted({*true.frame.tolist(), *found.frame.tolist()})
    truth = COCO(_truth(true, inside, frames))
    results = truth.loadRes(_results(found))
    coco = COCOeval_faster(truth, results, "keypoints", kpt_oks_sigmas=list(SIGMAS))
    coco.evaluate()
    coco.accumulate()
    coco.summarize()
    ap, ap50, ap75, ar = (float(coco.stats[k]) for k in (0, 1, 2, 5))
    return OksScores(ap, ap50, ap75, ar)


def person_boxes(joints_px: np.ndarray) -> np.ndarray:
    """(N, 4) left, top, width and height of the box around the known joints of (N, 15, 2)."""
    known = np.isfinite(joints_px)
    first = np.where(known, joints_px, np.inf).min(1)
    last = np.where(known, joints_px, -np.inf).max(1)
    box = np.concatenate([first, np.where(known.any(1), last - first, np.nan)], axis=1)
    return np.where(np.isfinite(box), box, np.nan)


def _truth(true: People2D, inside: np.ndarray, frames: list[int]) -> dict[str, object]:
    boxes = person_boxes(true.joints_px)
    people = []
    for i, joints in enumerate(true.joints_px):
        known = inside[i] & np.isfinite(joints).all(-1)
        left, top, width, height = np.nan_to_num(boxes[i]).tolist()
        area = _AREA_SHARE * max(width, 1.0) * max(height, 1.0)
        people.append(
            {
                "id": i + 1, "image_id": int(true.frame[i]), "category_id": 1, "iscrowd": 0,
                "keypoints": _keypoints(joints, known), "num_keypoints": int(known.sum()),
                "area": area, "bbox": [left, top, width, height],
            }
        )  # fmt: skip
    return {
        "images": [{"id": frame, "width": 1, "height": 1} for frame in frames],
        "annotations": people,
        "categories": [
            {"id": 1, "name": "person", "keypoints": list(ITOP15.joints), "skeleton": []}
        ],
    }


def _results(found: People2D) -> list[dict[str, object]]:
    known = np.asarray(np.isfinite(found.joints_px).all(-1))
    return [
        {
            "image_id": int(frame), "category_id": 1, "score": float(score),
            "keypoints": _keypoints(joints, there),
        }
        for frame, joints, there, score in zip(
            found.frame, found.joints_px, known, found.score, strict=True
        )
    ]  # fmt: skip


def _keypoints(joints_px: np.ndarray, known: np.ndarray) -> list[float]:
    """COCO's flat x, y, visibility; a joint that is absent lies far from everything."""
    xy = np.where(known[:, None], joints_px, -1e6)
    return np.column_stack([xy, np.where(known, 2, 0)]).ravel().tolist()
