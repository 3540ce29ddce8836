"""COCO keypoints: a data set file with images, one category and the people as annotations."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from residualpose.results import json_line, poses_to_coco, replacing
from residualpose.sinks.run import Run
from residualpose.skeleton import Skeleton


def write_coco(run: Run, base: Path) -> None:
    """Write BASE.coco.json; image ids count from 1, `track_id` is the person."""
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for number, record in enumerate(run.frames(), 1):
        width, height = record.size
        images.append(
            {
                "id": number, "file_name": record.source, "frame": record.index,
                "time_s": record.time_s, "width": width, "height": height,
            }
        )  # fmt: skip
        people = poses_to_coco(record.poses, number)
        for row, (person, entry) in enumerate(zip(record.ids, people, strict=True)):
            box = _box(record.poses.joints_px[row])
            annotations.append(
                {
                    "id": len(annotations) + 1, **entry, "track_id": person, "bbox": box,
                    "area": round(box[2] * box[3], 2), "iscrowd": 0,
                }
            )  # fmt: skip
    data = {
        "info": {"description": "residualpose", "model": run.header["model"]},
        "images": images,
        "categories": [_category(run.skeleton)],
        "annotations": annotations,
    }
    with replacing(base.with_name(f"{base.name}.coco.json")) as stream:
        stream.write(json_line(data))


def _category(skeleton: Skeleton) -> dict[str, object]:
    limbs = [[start + 1, end + 1] for start, end in skeleton.limbs]  # COCO counts from 1
    return {"id": 1, "name": "person", "keypoints": list(skeleton.joints), "skeleton": limbs}


def _box(joints_px: np.ndarray) -> list[float]:
    """x, y, width, height around the joints; zeros without any."""
    known = joints_px[np.isfinite(joints_px).all(-1)].astype(np.float64)
    if not len(known):
        return [0.0, 0.0, 0.0, 0.0]
    low, high = known.min(0), known.max(0)
    return [round(float(value), 2) for value in (*low, *(high - low))]
