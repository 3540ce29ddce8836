"""MakeHuman clothes: what the format says, and one clear line for everything that is not it."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from residualpose.errors import ResidualPoseError
from residualpose.synthetic.mhclo import BASE_VERTICES, parse_garment, parse_mesh, read_garments

CLOTHES = """
# a comment
basemesh hm08
tag Shoes
obj_file patch.obj
x_scale 1 2 2.0
y_scale 3 4 4.0
z_scale 5 6 5.0
material patch.mhmat
verts 0
10
10 11 12 0.2 0.3 0.5 1.0 2.0 3.0
10 11 12 1.1 -0.1 0
13 14 15 0 0 1 0 0 0

delete_verts
7 20 - 23 30 -
32
"""
MESH = """
v 0 0 0
v 1 0 0
v 1 1 0
v 0 1 0
vt 0 0
f 1/1 2/1 3/1 4/1
"""
Pack = Callable[..., Path]


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    """Writes an archive of one garment, some of it changed."""

    def write(clothes: str | None = CLOTHES, mesh: str | None = MESH) -> Path:
        path = tmp_path / "clothes.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme.txt", "nothing")
            if clothes is not None:
                archive.writestr("base/shoes/patch.mhclo", clothes)
            if mesh is not None:
                archive.writestr("base/shoes/patch.obj", mesh)
        return path

    return write


def test_a_garment_is_read_in_our_axes(pack: Pack) -> None:
    (garment,) = read_garments(pack())
    assert garment.name.endswith("clothes.zip:base/shoes/patch.mhclo")
    assert garment.tags == {"shoes"}
    assert garment.anchors[0, 0] == 10
    np.testing.assert_array_equal(garment.anchors[1], [10, 11, 12])
    np.testing.assert_allclose(garment.weights[0], [1, 0, 0])
    np.testing.assert_allclose(garment.weights[2], [1.1, -0.1, 0], atol=1e-6)
    # x left 1 over 2.0, z forward 3 over 5.0, y up 2 over 4.0: ours is right, forward, up.
    np.testing.assert_allclose(garment.offsets[1], [-0.5, 0.6, 0.5], atol=1e-6)
    np.testing.assert_allclose(garment.offsets[[0, 2, 3]], 0)
    np.testing.assert_array_equal(garment.span, [[1, 2], [5, 6], [3, 4]])
    np.testing.assert_array_equal(garment.hides, [7, 20, 21, 22, 23, 30, 31, 32])
    np.testing.assert_array_equal(garment.triangles, [[0, 1, 2], [0, 2, 3]])


def test_faces_of_any_size_become_fans() -> None:
    count, triangles = parse_mesh("m", "v 0 0 0\n" * 5 + "f 1 2 3\nf 1//1 2//1 3//1 4//1 5//1\n")
    assert count == 5
    np.testing.assert_array_equal(triangles, [[0, 1, 2], [0, 1, 2], [0, 2, 3], [0, 3, 4]])


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("basemesh hm08", "basemesh alpha7", "hm08"),
        ("x_scale 1 2 2.0", "", "x_scale"),
        ("x_scale 1 2 2.0", "x_scale 1 2", "numbers"),
        ("y_scale 3 4 4.0", "y_scale 3 4 0", "length"),
        ("10 11 12 1.1 -0.1 0", "10 11 12 1.1 -0.1", "5 numbers for vertex 2"),
        ("10 11 12 1.1 -0.1 0", "10 11 12 1.1 x 0", "'x'"),
        ("10 11 12 1.1 -0.1 0", "10 11 12 nan -0.1 0", "finite"),
        ("13 14 15 0 0 1 0 0 0", "", "4 in the mesh and 3"),
        ("13 14 15", f"13 14 {BASE_VERTICES}", "body vertices"),
        ("20 - 23", "20 - 99999999999", "body vertices"),
        ("\n10\n", "\n-10\n", "body vertices"),
    ],
)
def test_broken_clothes_are_an_error_that_names_them(
    pack: Pack, old: str, new: str, expected: str
) -> None:
    assert old in CLOTHES
    with pytest.raises(ResidualPoseError, match=expected) as caught:
        read_garments(pack(CLOTHES.replace(old, new, 1)))
    message = str(caught.value)
    assert "clothes.zip:base/shoes/patch.mhclo: expected" in message and "\n" not in message


@pytest.mark.parametrize("mesh", ["", "v 0 0 0\nf 1 2 3\n", MESH.replace("f 1/1", "f a"), "f 1 2"])
def test_a_broken_mesh_is_an_error(pack: Pack, mesh: str) -> None:
    with pytest.raises(ResidualPoseError, match=r"patch\.mhclo: expected"):
        read_garments(pack(mesh=mesh))


def test_no_vertices_is_an_error() -> None:
    header = CLOTHES[: CLOTHES.index("verts 0")]
    with pytest.raises(ResidualPoseError, match="no vertices"):
        parse_garment("bare", header, MESH)


def test_a_mesh_that_is_not_there_is_an_error(pack: Pack) -> None:
    with pytest.raises(ResidualPoseError, match=r"patch\.obj beside it, found none"):
        read_garments(pack(mesh=None))


def test_an_archive_that_is_none_is_an_error(pack: Pack, tmp_path: Path) -> None:
    with pytest.raises(ResidualPoseError, match=r"absent\.zip: expected a zip"):
        read_garments(tmp_path / "absent.zip")
    with pytest.raises(ResidualPoseError, match=r"no \.mhclo"):
        read_garments(pack(clothes=None))
    whole = pack().read_bytes()
    for name, data in {
        "text.zip": b"hello",
        "cut.zip": whole[: len(whole) // 2],
        "flipped.zip": whole.replace(b"x_scale 1 2", b"x_scale 1 3"),  # a checksum says otherwise
    }.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ResidualPoseError, match=name):
            read_garments(tmp_path / name)
