"""The released 2D network as a yardstick of speed: its architecture, with random weights."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from residualpose.errors import MissingExtraError
from residualpose.pipeline.maps import start_session

INPUT_SHAPE = (1, 1, 256, 320)
"""What the release resizes every frame to."""


def released_passes() -> dict[str, Callable[[], object]]:
    """One forward pass of the released network on this machine: by ONNX Runtime, and by torch.

    Raises:
        MissingExtraError: without torch there is nothing to build it with.
    """
    if find_spec("torch") is None:
        raise MissingExtraError("torch", "train")
    import torch

    from residualpose.learning.released_network import ReleasedHourglass

    torch.manual_seed(0)
    network = ReleasedHourglass().eval()
    image = np.random.default_rng(0).uniform(-0.5, 0.5, INPUT_SHAPE).astype(np.float32)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "released.onnx"
        torch.onnx.export(
            network, (torch.from_numpy(image),), str(path), dynamo=False, opset_version=17,
            input_names=["image"],
        )  # fmt: skip
        session = start_session(path)

    def by_torch() -> object:
        with torch.inference_mode():
            return network(torch.from_numpy(image))

    return {
        "released network, ONNX Runtime": lambda: session.run(None, {"image": image}),
        "released network, torch": by_torch,
    }
