"""NetworkInput -> Maps: the 2D network, run by ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from residualpose.errors import ResidualPoseError
from residualpose.pipeline.normalise import NetworkInput
from residualpose.skeleton import ITOP15

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_JOINTS, _FIELDS = len(ITOP15.joints), 2 * len(ITOP15.limbs)
_ROWS = slice(_JOINTS), slice(_JOINTS, _JOINTS + _FIELDS), slice(_JOINTS + _FIELDS, None)
"""Part maps, limb fields and offsets in the one array that the network writes."""


@dataclass(frozen=True, slots=True)
class Maps:
    """What the 2D network saw."""

    part_maps: np.ndarray
    """(15, h, w) float32 confidence of each joint, about 1 at a sure one."""
    limb_fields: np.ndarray
    """(28, h, w) float32 unit vectors along the limbs, near 0 elsewhere."""
    offset_m: np.ndarray | None
    """(15, h, w) float32 metres from the seen surface to the joint; None: the network has none."""
    stride: int
    """Input pixels a cell; cell i is centred at input pixel stride * i + (stride - 1) / 2."""


def start_session(path: Path, threads: int | None = None) -> InferenceSession:
    """An ONNX Runtime session on the CPU for a model file, on one thread a core or so many.

    Raises:
        ResidualPoseError: the file is missing or is no ONNX model.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or 0
    # Threads that spin between frames would take the cores from the other stages.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    except Exception as error:  # the runtime raises its own private types
        first_line = str(error).strip().partition("\n")[0][:160]
        raise ResidualPoseError(f"{path}: expected an ONNX model, found {first_line}") from None


class MapsModel:
    """The exported 2D network of a model folder.

    Raises:
        ResidualPoseError: the file is missing, or is of another version.
    """

    def __init__(self, path: Path, stride: int, threads: int | None = None) -> None:
        self._session = start_session(path, threads)
        found = [output.name for output in self._session.get_outputs()]
        if found != ["maps"]:
            raise ResidualPoseError(
                f"{path}: expected a network that writes maps in one piece, found one that writes "
                f"{', '.join(found)}: it is of another version of this package; export it again "
                "with residualpose export"
            )
        self.stride = stride

    def __call__(self, view: NetworkInput) -> Maps:
        """Run the network on one normalised frame."""
        (maps,) = self._session.run(None, {"depth_m": view.depth_m[None, None]})
        parts, fields, offsets = (np.asarray(maps)[0, rows] for rows in _ROWS)
        return Maps(parts, fields, offsets, self.stride)


def surface_of(view: NetworkInput, stride: int) -> np.ndarray:
    """(h, w) nearest reading inside each cell of the maps, metres; 0 where there is none.

    Nearest, because the joints of thin limbs are what a cell on an edge is about.
    """
    depth_m = np.where(view.depth_m > 0, view.depth_m, np.float32(np.inf))
    # Minima of shifted images: far faster than the minimum over two short axes.
    rows = reduce(np.minimum, (depth_m[i::stride] for i in range(stride)))
    nearest = reduce(np.minimum, (rows[:, i::stride] for i in range(stride)))
    return np.where(np.isfinite(nearest), nearest, np.float32(0))
