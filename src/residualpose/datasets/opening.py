"""Opens a data set by its path, and tells the kinds apart."""

from __future__ import annotations

from pathlib import Path

from residualpose.datasets.dataset import KINDS, Dataset
from residualpose.errors import UsageError

SPLITS = ("train", "test")


def open_dataset(path: str | Path, kind: str | None = None, split: str | None = None) -> Dataset:
    """Open labelled recordings.

    Args:
        path: a folder or an .h5 or .h5.gz file of ITOP, the folder of a Panoptic sequence, or a
            folder in the plain format.
        kind: one of KINDS; None: what the files look like.
        split: "train" or "test", for ITOP; None: the one that is there, test where both are.

    Raises:
        UsageError: there is nothing of the kind at that path.
        ResidualPoseError: files are missing, damaged or do not belong together.
        MissingExtraError: ITOP needs h5py.
    """
    path = Path(path)
    if kind is not None and kind not in KINDS:
        raise UsageError(f"unknown kind of data {kind!r}: one of {', '.join(KINDS)}")
    if split is not None and split not in SPLITS:
        raise UsageError(f"unknown split {split!r}: one of {', '.join(SPLITS)}")
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder")
    kind = kind or _kind_of(path)
    if kind == "plain":
        from residualpose.datasets.plain import open_plain

        return open_plain(path)
    if kind == "panoptic":
        from residualpose.datasets.panoptic import open_panoptic

        return open_panoptic(path)
    from residualpose.datasets.itop import open_itop

    return open_itop(path, kind.removeprefix("itop-"), split)


def _kind_of(path: Path) -> str:
    if path.is_dir():
        if (path / "labels.jsonl").is_file():
            return "plain"
        if any(path.glob("kcalibration_*.json")) or any(path.glob("**/depthdata.dat")):
            return "panoptic"
    found = {view for view in ("side", "top") if any(_itop_files(path, view))}
    if len(found) == 1:
        return f"itop-{found.pop()}"
    if found:
        raise UsageError(f"{path}: both views of ITOP are here: choose itop-side or itop-top")
    raise UsageError(
        f"{path}: expected ITOP_*_depth_map.h5 and ITOP_*_labels.h5 (or .h5.gz), a Panoptic "
        "sequence with kcalibration_*.json, or a folder with labels.jsonl; found none of them"
    )


def _itop_files(path: Path, view: str) -> list[Path]:
    if path.is_dir():
        return list(path.glob(f"ITOP_{view}_*.h5*"))
    return [path] if path.name.startswith(f"ITOP_{view}_") else []
