"""The reader of MATLAB's own formats, against scipy's writer and against bytes laid by hand."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from scipy.io import savemat

from residualpose.sources.matlab import matlab_arrays

TYPES = ("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (4, 2, 3)])
def test_arrays_come_back(dtype: str, shape: tuple[int, ...], compressed: bool) -> None:
    array = (np.arange(np.prod(shape)).reshape(shape) * 3).astype(dtype)
    file = io.BytesIO()
    savemat(file, {"a": array, "word": "depth", "after": array + 1}, do_compression=compressed)
    found = matlab_arrays(file.getvalue())
    assert list(found) == ["a", "word", "after"]
    assert found["a"].shape == shape and found["a"].dtype == array.dtype
    np.testing.assert_array_equal(found["a"].values(), array)
    np.testing.assert_array_equal(found["after"].values(), array + 1)


@pytest.mark.parametrize("dtype", ["f8", "f4", "i4", "i2", "u2", "u1"])
def test_version_4(dtype: str) -> None:
    array = np.arange(12).reshape(3, 4).astype(dtype)
    file = io.BytesIO()
    savemat(file, {"first": array.T, "second": array}, format="4")
    found = matlab_arrays(file.getvalue())
    assert list(found) == ["first", "second"]
    np.testing.assert_array_equal(found["second"].values(), array)


@pytest.mark.parametrize(("order", "mark"), [("<", b"IM"), (">", b"MI")])
def test_either_order_of_bytes_and_values_stored_in_a_smaller_type(order: str, mark: bytes) -> None:
    """MATLAB stores doubles that are whole numbers as bytes, and few bytes within their tag."""
    short = struct.pack(order + "I", 3 << 16 | 2) + bytes([7, 8, 9, 0])
    # Beginning with the most significant byte, the length comes first all the same.
    name = struct.pack(order + "I", 1 << 16 | 1) + b"d\0\0\0"
    flags = struct.pack(order + "IIII", 6, 8, 6, 0)
    sizes = struct.pack(order + "IIii", 5, 8, 1, 3)
    body = flags + sizes + name + short
    header = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(order + "H", 256) + mark
    content = header + struct.pack(order + "II", 14, len(body)) + body
    found = matlab_arrays(content)["d"]
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found.values(), [[7.0, 8.0, 9.0]])


@pytest.mark.parametrize("value", ["text", np.ones((2, 2)) * 1j, {"a": 1}])
@pytest.mark.parametrize("compressed", [False, True])
def test_what_is_no_array_of_real_numbers_has_no_values(value: object, compressed: bool) -> None:
    file = io.BytesIO()
    savemat(file, {"a": value}, do_compression=compressed)
    with pytest.raises(ValueError, match="instead of real numbers"):
        matlab_arrays(file.getvalue())["a"].values()


def test_a_shape_that_the_values_do_not_fill_is_an_error() -> None:
    file = io.BytesIO()
    savemat(file, {"a": np.ones((2, 3))})
    content = bytearray(file.getvalue())
    content[content.index(struct.pack("<ii", 2, 3))] = 4
    with pytest.raises(ValueError, match=r"6 values for an array of shape \(4, 3\)"):
        matlab_arrays(bytes(content))["a"].values()
