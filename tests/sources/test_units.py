"""The documented rule for units, and what overrides it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from residualpose import UsageError
from residualpose.sources.units import parse_unit, to_metres


def image(value: float, dtype: str) -> np.ndarray:
    return np.full((20, 20), value, dtype=dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", ">u2", "uint32", "int16", "int32", "int64"])
def test_integers_are_millimetres(dtype: str) -> None:
    np.testing.assert_allclose(to_metres(image(200, dtype), None), 0.2, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4"])
def test_floats_are_metres_unless_absurdly_far(dtype: str) -> None:
    np.testing.assert_allclose(to_metres(image(3.5, dtype), None), 3.5, rtol=1e-3)
    np.testing.assert_allclose(to_metres(image(3500, dtype), None), 3.5, rtol=1e-3)


def test_holes_do_not_sway_the_rule() -> None:
    depth = image(0, "float32")
    depth[0, :5] = 2500
    depth[1, :5] = np.nan
    depth[2, :5] = -1
    metres = to_metres(depth, None)
    np.testing.assert_allclose(metres[0, :5], 2.5)
    assert (metres[3:] == 0).all()


def test_a_renderers_background_is_no_reading() -> None:
    depth = image(1e10, "float32")
    depth[:5] = 2.0
    metres = to_metres(depth, None)
    assert (metres[:5] == 2).all()
    assert (metres[5:] == 0).all()


@given(st.floats(1e-5, 10), st.sampled_from(["uint16", "float32"]))
def test_a_given_unit_overrides_the_rule(scale_m: float, dtype: str) -> None:
    metres = to_metres(image(1234, dtype), parse_unit(scale_m))
    np.testing.assert_allclose(metres, 1234 * scale_m, rtol=1e-5)


def test_beyond_float32_is_infinite_and_silent() -> None:
    with np.errstate(all="raise"):
        assert np.isinf(to_metres(image(1e300, "float64"), 1.0)).all()


def test_units_by_name() -> None:
    assert parse_unit("m") == 1
    assert parse_unit("mm") == 0.001
    assert parse_unit("0.0002") == 0.0002
    assert parse_unit(None) is None


@pytest.mark.parametrize("unit", ["cm", "", "0", "-1", "nan", "inf", 0.0, "1e9"])
def test_other_units_are_refused(unit: str | float) -> None:
    with pytest.raises(UsageError, match="m, mm or metres per stored unit"):
        parse_unit(unit)
