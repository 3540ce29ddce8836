"""From stored numbers to metres, exactly once."""

from __future__ import annotations

import numpy as np

from residualpose.errors import UsageError

_NAMED = {"m": 1.0, "mm": 0.001}
_NEAREST_MM = 50.0
"""Float depth whose median exceeds this is millimetres: no sensor sees a median of 50 metres,
and none measures at 5 cm."""
_BACKGROUND = 1e5
"""Renderers write 1e10 and the like where a ray hits nothing; no reading, in either unit."""


def parse_unit(unit: str | float | None) -> float | None:
    """Metres per stored unit from "m", "mm" or a positive number (TUM: 0.0002); None stays None.

    Raises:
        UsageError: anything else.
    """
    if unit is None:
        return None
    if isinstance(unit, str) and unit in _NAMED:
        return _NAMED[unit]
    try:
        scale_m = float(unit)
    except ValueError:
        scale_m = float("nan")
    if not 0 < scale_m < 1e3:
        raise UsageError(
            f"depth unit must be m, mm or metres per stored unit (0.001 is mm), got {unit!r}"
        )
    return scale_m


def to_metres(values: np.ndarray, unit_m: float | None) -> np.ndarray:
    """(H, W) stored depth to float32 metres.

    Without a unit: integers are millimetres; floats are metres, unless the median of their
    positive values exceeds 50, which makes them millimetres.
    """
    # float64 beyond the float32 range becomes infinite, which DepthFrame reads as "no reading".
    with np.errstate(over="ignore", invalid="ignore"):
        depth = values.astype(np.float32)
        if unit_m is None and values.dtype.kind in "iu":
            unit_m = 0.001
        elif unit_m is None:
            readings = depth[(depth > 0) & (depth < _BACKGROUND)]
            unit_m = 0.001 if readings.size and np.median(readings) > _NEAREST_MM else 1.0
            depth[depth >= _BACKGROUND] = 0
        return depth * np.float32(unit_m)
