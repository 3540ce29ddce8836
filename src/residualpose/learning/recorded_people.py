"""What the refiner learns from a recording: its people, as the earlier stages find them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from residualpose.detector import Lifted
from residualpose.errors import ResidualPoseError
from residualpose.evaluation.labelled import LabelledFrames
from residualpose.frames import DepthFrame
from residualpose.learning.refiner_data import RefinerData, pairs
from residualpose.pipeline.limb_prior import LimbPrior
from residualpose.pipeline.maps import Maps


def collect_recorded(
    detect: Callable[[DepthFrame], tuple[Maps, Lifted]],
    prior: LimbPrior,
    frames: LabelledFrames,
    seed: int,
    progress: Callable[[], None],
    look_around: bool = False,
) -> RefinerData:
    """Run the stages over labelled frames; `progress()` is called after every frame.

    Arguments as for `collect`.

    Raises:
        ResidualPoseError: nobody who is fully labelled is found in any frame.
    """
    rows: list[tuple[np.ndarray, ...]] = []
    for number, one in enumerate(frames):
        _, people = detect(one.frame)
        rng = np.random.default_rng([seed, number])
        rows += pairs(prior, people, one.truth_m, rng, look_around)
        progress()
    if not rows:
        raise ResidualPoseError(
            f"{frames.source}: expected people with all joints labelled whom the model finds, "
            f"found none in {len(frames)} frames: fine-tune its maps first"
        )
    return RefinerData.of(rows)
