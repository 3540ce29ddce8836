"""Plain arrays in MATLAB files, versions 4 to 7, by MathWorks' description of the formats.

A level 5 file (versions 5 to 7) is 128 bytes of header, then elements: a tag with type and length,
then data up to a multiple of 8 bytes. A variable is an element of elements, zlib'ed in version 7.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

_HEADER, _TAG = 128, 8
_HEAD = 1024
"""Bytes that hold a variable's flags, shape and name."""
_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8",
            13: "u8"}  # fmt: skip
"""Types of elements that are numbers."""
_CLASSES = {4: "U1", 6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4",
            14: "i8", 15: "u8"}  # fmt: skip
"""Classes of variables that have a type of ours; the others are cells, structures and the like."""
_COMPLEX = 1 << 11
_LEVEL_4 = ("f8", "f4", "i4", "i2", "u2", "u1")
_LEVEL_4_HEADER = 20


@dataclass(frozen=True, slots=True)
class MatlabArray:
    """One variable of a file, not decoded yet."""

    shape: tuple[int, ...]
    dtype: np.dtype
    """As in MATLAB; object for what is no array of numbers or letters."""
    decode: Callable[[], np.ndarray]

    def values(self) -> np.ndarray:
        """The array; ValueError where it is none of real numbers, or is damaged."""
        if self.dtype.kind not in "fiu":
            raise ValueError(f"an array of {self.dtype} instead of real numbers")
        return self.decode()


def matlab_arrays(content: bytes) -> dict[str, MatlabArray]:
    """The variables of a file by name; ValueError, struct.error, zlib.error for other content."""
    # The text that a level 5 file begins with has no zeros, the number of a level 4 file has.
    if 0 in content[:4]:
        return dict(_level_4(memoryview(content)))
    if len(content) < _HEADER or content[126:128] not in (b"IM", b"MI"):
        raise ValueError("no MATLAB header")
    order = "<" if content[126:128] == b"IM" else ">"
    return dict(_level_5(memoryview(content)[_HEADER:], order))


def _level_5(rest: memoryview, order: str) -> Iterator[tuple[str, MatlabArray]]:
    while len(rest):
        kind, data, rest = _element(rest, order)
        if kind == _COMPRESSED:
            head = memoryview(zlib.decompressobj().decompress(data, _HEAD))
            yield _variable(head[_TAG:], order, partial(_inflated, data, order))
        elif kind == _MATRIX:
            yield _variable(data, order, partial(memoryview, data))


def _element(rest: memoryview, order: str) -> tuple[int, memoryview, memoryview]:
    """Type and data of the first element, and what follows it."""
    kind, size = struct.unpack_from(order + "II", rest)
    if kind >> 16:  # four bytes or fewer stand in the tag itself
        return kind & 0xFFFF, rest[4 : 4 + (kind >> 16)], rest[_TAG:]
    end = _TAG + size
    if end > len(rest):
        raise ValueError("the file ends in the middle of a variable")
    return kind, rest[_TAG:end], rest[end if kind == _COMPRESSED else end + -size % 8 :]


def _inflated(data: memoryview, order: str) -> memoryview:
    """The elements of a compressed variable."""
    inflater = zlib.decompressobj()
    kind, size = struct.unpack(order + "II", inflater.decompress(data, _TAG))
    if kind != _MATRIX:
        raise ValueError("compressed data that is no variable")
    return memoryview(inflater.decompress(inflater.unconsumed_tail, size))


def _variable(
    head: memoryview, order: str, whole: Callable[[], memoryview]
) -> tuple[str, MatlabArray]:
    """Name and array of a variable, of which `head` is the beginning."""
    _, flags, head = _element(head, order)
    _, sizes, head = _element(head, order)
    _, name, _ = _element(head, order)
    (flag,) = struct.unpack_from(order + "I", flags)
    shape = struct.unpack(f"{order}{len(sizes) // 4}i", sizes)
    dtype = np.dtype(_CLASSES.get(flag & 0xFF, "O"))
    if flag & _COMPLEX and dtype.kind in "fiu":
        dtype = np.dtype("c16")
    decode = partial(_numbers, whole, order, shape, dtype)
    return bytes(name).decode("latin-1"), MatlabArray(shape, dtype, decode)


def _numbers(
    whole: Callable[[], memoryview], order: str, shape: tuple[int, ...], dtype: np.dtype
) -> np.ndarray:
    """The values of a variable: its fourth element, often of a smaller type than its own."""
    rest = whole()
    for _ in range(3):
        _, _, rest = _element(rest, order)
    kind, data, _ = _element(rest, order)
    return _array(data, order + _NUMBERS[kind], shape).astype(dtype)


def _array(data: memoryview, stored: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values that stand column by column."""
    values = np.frombuffer(data, stored)
    if len(values) != math.prod(shape):
        raise ValueError(f"{len(values)} values for an array of shape {shape}")
    return values.reshape(shape, order="F")


def _level_4(rest: memoryview) -> Iterator[tuple[str, MatlabArray]]:
    """Variables one after another: five numbers, name, values."""
    while len(rest):
        order = "<" if struct.unpack_from("<I", rest)[0] < 5000 else ">"
        kind, rows, columns, imaginary, length = struct.unpack_from(order + "5I", rest)
        start = _LEVEL_4_HEADER + length
        if not 1 < length < _HEAD or kind >= 5000 or kind // 10 % 10 >= len(_LEVEL_4):
            raise ValueError("no MATLAB header")
        stored = np.dtype(order + _LEVEL_4[kind // 10 % 10])
        end = start + rows * columns * stored.itemsize * (2 if imaginary else 1)
        if end > len(rest):
            raise ValueError("the file ends in the middle of a variable")
        plain = kind % 10 == 0 and not imaginary
        dtype = stored.newbyteorder("=") if plain else np.dtype("O")
        decode = partial(_array, rest[start:end], stored.str, (rows, columns))
        name = bytes(rest[_LEVEL_4_HEADER : start - 1]).decode("latin-1")
        yield name, MatlabArray((rows, columns), dtype, decode)
        rest = rest[end:]
