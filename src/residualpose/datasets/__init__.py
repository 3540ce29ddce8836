"""Recorded depth with labels: ITOP, CMU Panoptic's Kinects, and a plain format of our own.

    from residualpose.datasets import open_dataset

    dataset = open_dataset("ITOP", "itop-side", split="train")
    len(dataset)                               # labelled, valid frames
    for sample in dataset.frames([5, 0, 7]):   # all of them, in order, without an argument
        sample.depth_m, sample.camera          # (H, W) float32 metres, 0 = no reading
        sample.joints_m, sample.visible        # (P, 15, 3) metres, NaN unknown; (P, 15) bool

Every kind gives the same `Sample`: camera frame x right, y down, z forward, joints in the order of
`dataset.skeleton`. A dataset can be pickled, so that worker processes may read it.
"""

from residualpose.datasets.dataset import KINDS, Dataset, Sample
from residualpose.datasets.opening import open_dataset

__all__ = ["KINDS", "Dataset", "Sample", "open_dataset"]
