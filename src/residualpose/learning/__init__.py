"""Training (needs the train extra): networks, losses, loops, export."""

from importlib.util import find_spec

from residualpose.errors import MissingExtraError

if find_spec("torch") is None:
    raise MissingExtraError("torch", "train")
