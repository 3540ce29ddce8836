"""Rendered people to train on: poses, bodies, rooms, sensors (needs the synthetic extra)."""

from importlib.util import find_spec

from residualpose.errors import MissingExtraError

if find_spec("torch") is None:
    raise MissingExtraError("torch", "synthetic")
