"""Fit the constants of a label convention: the shifts from our joints to a data set's labels.

    python scripts/fit_convention.py FRAMES.npz [--overhead FRAMES.npz] [--poses POSES.npz]
                                     [--model MODEL]

POSES.npz holds poses_yup_m (N, 15, 3), labels without images, whose mean lengths are those of the
body that all labels have. FRAMES.npz holds depth_mm (N, H, W), K (3, 3) and joints_m (N, 15, 3) in
the camera frame. For each kind of joint the shift along the limb, outwards and along the viewing
ray is the robust least squares fit of label minus estimate, over the frames where the estimate is
within 25 cm. Frames of a camera overhead, whose labels were carried over from another camera, give
the three constants of where those came to lie, after the shifts; each half of them is also scored
with what the other half gave. Prints what to paste into src/residualpose/conventions.py.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

from residualpose import Camera, PoseEstimator
from residualpose.conventions import (
    JOINT_KIND,
    Convention,
    Registration,
    Shift,
    directions,
    to_convention,
)
from residualpose.label_body import LabelBody
from residualpose.skeleton import (
    HEAD,
    L_FOOT,
    L_HIP,
    L_KNEE,
    L_SHOULDER,
    NECK,
    R_FOOT,
    R_HIP,
    R_KNEE,
    R_SHOULDER,
    TORSO,
)

NEAR_M = 0.25
ROBUST_M = 0.03


def estimates(path: Path, model: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Our joints and the labels, (N, 15, 3) each, of the best person of every frame."""
    with np.load(path, allow_pickle=False) as data:
        depth_mm, K, truth_m = data["depth_mm"], data["K"], data["joints_m"]
    camera = Camera(K[0, 0], K[1, 1], K[0, 2], K[1, 2])
    estimate = PoseEstimator(model)
    ours = np.full(truth_m.shape, np.nan)
    for i, depth in enumerate(depth_mm):
        poses = estimate(depth.astype(np.float32) / 1000, camera)
        if len(poses):
            ours[i] = poses.joints_m[int(np.argmax(poses.person_score))]
    return ours, truth_m


def fit_kind(ours_m: np.ndarray, truth_m: np.ndarray, kind: str) -> np.ndarray:
    """(3,) metres along, outward and away for one kind of joint."""
    joints = [j for j, name in enumerate(JOINT_KIND) if name == kind]
    axes = directions(ours_m)[:, joints].reshape(-1, 3, 3)
    error = (truth_m - ours_m)[:, joints].reshape(-1, 3)
    use = np.linalg.norm(np.nan_to_num(error, nan=9.0), axis=1) < NEAR_M
    axes, error = axes[use], error[use]

    def residual(shift: np.ndarray) -> np.ndarray:
        # A little pull to zero settles what the frames do not tell.
        return np.concatenate([(error - axes.transpose(0, 2, 1) @ shift).ravel(), 0.3 * shift])

    return least_squares(residual, np.zeros(3), loss="soft_l1", f_scale=ROBUST_M).x


def fit_body(poses_m: np.ndarray) -> LabelBody:
    """The mean measures of labels (N, 15, 3)."""

    def length_m(*pairs: tuple[int, int]) -> float:
        vectors = [poses_m[:, end] - poses_m[:, start] for start, end in pairs]
        return round(float(np.nanmean(np.linalg.norm(vectors, axis=-1))), 3)

    return LabelBody(
        half_trunk=length_m((NECK, TORSO)),
        shoulders=length_m((R_SHOULDER, L_SHOULDER)),
        hips=length_m((R_HIP, L_HIP)),
        head=length_m((NECK, HEAD)),
        thigh=length_m((R_HIP, R_KNEE), (L_HIP, L_KNEE)),
        shin=length_m((R_KNEE, R_FOOT), (L_KNEE, L_FOOT)),
    )


def fit_overhead(ours_m: np.ndarray, truth_m: np.ndarray, body: LabelBody | None) -> Registration:
    """Where the labels lie of joints that already follow the shifts."""

    def residual(parameters: np.ndarray) -> np.ndarray:
        error = truth_m - carried(ours_m, Registration(*parameters), body)
        return error[np.isfinite(error)]

    fitted = least_squares(residual, np.zeros(3), loss="soft_l1", f_scale=0.05).x
    return Registration(*(round(float(value), 3) for value in fitted))


def carried(joints_m: np.ndarray, overhead: Registration, body: LabelBody | None) -> np.ndarray:
    """Joints (N, 15, 3) that follow the shifts, as labelled overhead."""
    moved = overhead(joints_m)
    return moved if body is None else body(moved)


def crossed(ours_m: np.ndarray, truth_m: np.ndarray, body: LabelBody | None) -> float:
    """Share of joints within 10 cm, each half of the frames moved by what the other half gave."""
    half = np.arange(len(ours_m)) < len(ours_m) // 2
    moved = np.empty_like(ours_m)
    for here in (half, ~half):
        moved[here] = carried(ours_m[here], fit_overhead(ours_m[~here], truth_m[~here], body), body)
    error_m = np.linalg.norm(moved - truth_m, axis=-1)
    return float(np.mean(np.nan_to_num(error_m, nan=9.0) < 0.1))


def main() -> int:
    """Fit and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("frames", type=Path)
    parser.add_argument("--overhead", type=Path)
    parser.add_argument("--poses", type=Path)
    parser.add_argument("--model")
    arguments = parser.parse_args()
    ours, truth = estimates(arguments.frames, arguments.model)
    shifts = {}
    for kind in dict.fromkeys(JOINT_KIND):
        shifts[kind] = Shift(*(fit_kind(ours, truth, kind).round(3) + 0.0))
        s = shifts[kind]
        sys.stdout.write(f'"{kind}": Shift({s.along:.3f}, {s.outward:.3f}, {s.away:.3f}),\n')
    body = None
    if arguments.poses is not None:
        with np.load(arguments.poses, allow_pickle=False) as data:
            body = fit_body(data["poses_yup_m"])
        sys.stdout.write(f"{body}\n")
    if arguments.overhead is not None:
        ours, truth = estimates(arguments.overhead, arguments.model)
        ours = to_convention(ours, Convention(shifts))
        sys.stdout.write(f"{fit_overhead(ours, truth, body)}\n")
        sys.stdout.write(
            f"each half by the other's: {crossed(ours, truth, body):.3f} within 10 cm\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
