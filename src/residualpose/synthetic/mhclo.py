"""MakeHuman clothes: an OBJ mesh and the .mhclo file that hangs it on the body mesh "hm08".

Every vertex of a garment is a weighted sum of three body vertices plus an offset, and the offsets
grow with three lengths measured on the body. MakeHuman's axes are x left, y up, z forward, in
decimetres; here they become ours: x right, y forward, z up, in metres.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from residualpose.errors import ResidualPoseError

BASE_VERTICES = 19158
"""Vertices of the hm08 mesh, helpers included."""
_KEYS = ("verts", "weights", "delete_verts")
_AXES = ("x_scale", "z_scale", "y_scale")
"""The scales in the order of our axes."""
_TO_OURS = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True, slots=True)
class Garment:
    """G vertices and T triangles that follow the body mesh."""

    name: str
    """Its archive and path, for messages."""
    tags: frozenset[str]
    """What the file says it is, in small letters."""
    anchors: np.ndarray
    """(G, 3) int64 vertices of hm08 that each vertex hangs on."""
    weights: np.ndarray
    """(G, 3) float32 share of each of them."""
    offsets: np.ndarray
    """(G, 3) float32 offset, in units of the three reference lengths."""
    span: np.ndarray
    """(3, 2) int64 vertices of hm08 whose distance along x, y and z is the reference length."""
    triangles: np.ndarray
    """(T, 3) int64, counter-clockwise seen from outside."""
    hides: np.ndarray
    """(K,) int64 vertices of hm08 that it covers."""


def read_garments(archive: Path) -> list[Garment]:
    """All garments of a zip archive that holds .mhclo files and their meshes, by name.

    Raises:
        ResidualPoseError: it is missing, not a zip, damaged, or one of its files is broken.
    """
    try:
        with zipfile.ZipFile(archive) as stored:
            files = {PurePosixPath(name): name for name in stored.namelist()}
            found = sorted(path for path in files if path.suffix == ".mhclo")
            folders = {path.parent for path in found}
            texts = {
                path: stored.read(name).decode("utf-8", "replace")
                for path, name in files.items()
                if path.suffix in (".mhclo", ".obj") and path.parent in folders
            }
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ResidualPoseError(
            f"{archive}: expected a zip archive of MakeHuman clothes, found {reason}; "
            "fetch it again, or leave the wardrobe out"
        ) from None
    if not found:
        raise ResidualPoseError(
            f"{archive}: expected MakeHuman clothes, found no .mhclo file; "
            "name another archive, or leave the wardrobe out"
        )
    return [_garment(archive, path, texts) for path in found]


def _garment(archive: Path, path: PurePosixPath, texts: dict[PurePosixPath, str]) -> Garment:
    """One garment; its mesh is the OBJ that it names, beside it, or else its namesake."""
    lines = [line.split() for line in texts[path].splitlines()]
    named = [words[1] for words in lines if words[:1] == ["obj_file"] and len(words) > 1]
    mesh = path.with_name(PurePosixPath(named[-1]).name) if named else path.with_suffix(".obj")
    if mesh not in texts:
        raise _broken(f"{archive}:{path}", f"its mesh {mesh.name} beside it", "none")
    return parse_garment(f"{archive}:{path}", texts[path], texts[mesh])


def parse_garment(name: str, clothes: str, mesh: str) -> Garment:
    """Read the text of a .mhclo file and of its OBJ mesh; `name` is for messages.

    Raises:
        ResidualPoseError: either is broken, or not for the hm08 mesh.
    """
    header, rows = _sections(clothes)
    base = header.get("basemesh", [["hm08"]])[-1]
    if base != ["hm08"]:
        raise _broken(name, "clothes for the base mesh hm08", " ".join(base) or "no name")
    try:
        anchors, weights, offsets = _bindings(rows["verts"])
        span, lengths = _scales(header)
        hides = _number_ranges(rows["delete_verts"])
    except (ValueError, IndexError, KeyError) as error:
        raise _broken(name, "numbers as MakeHuman writes them", str(error)) from None
    used = np.concatenate([anchors.ravel(), span.ravel(), hides])
    if len(used) and not 0 <= used.min() <= used.max() < BASE_VERTICES:
        found = f"{used.min()} to {used.max()}"
        raise _broken(name, f"body vertices 0 to {BASE_VERTICES - 1}", found)
    vertices, triangles = parse_mesh(name, mesh)
    if vertices != len(anchors):
        found = f"{vertices} in the mesh and {len(anchors)} in the .mhclo"
        raise _broken(name, "as many vertices in both files", found)
    tags = frozenset(" ".join(words).lower() for words in header.get("tag", []))
    ours = offsets[:, [0, 2, 1]] * _TO_OURS / lengths
    return Garment(
        name, tags, anchors, weights.astype(np.float32), ours.astype(np.float32), span,
        triangles, hides,
    )  # fmt: skip


def parse_mesh(name: str, text: str) -> tuple[int, np.ndarray]:
    """Number of vertices and (T, 3) triangles of an OBJ file; faces of any size are fanned.

    Raises:
        ResidualPoseError: it is not a mesh, or a face names vertices that are not there.
    """
    lines = [line.split() for line in text.splitlines()]
    count = sum(1 for words in lines if words and words[0] == "v")
    try:
        faces = [
            [int(word.split("/")[0]) - 1 for word in words[1:]]
            for words in lines
            if words and words[0] == "f"
        ]
    except ValueError as error:
        raise _broken(name, "faces of numbered vertices", str(error)) from None
    fans = [(face[0], face[k], face[k + 1]) for face in faces for k in range(1, len(face) - 1)]
    triangles = np.array(fans, np.int64).reshape(-1, 3)
    if not len(triangles) or not 0 <= triangles.min() <= triangles.max() < count:
        found = f"{len(triangles)} triangles over {count} vertices"
        raise _broken(name, "a mesh whose faces name its own vertices", found)
    return count, triangles


def _sections(text: str) -> tuple[dict[str, list[list[str]]], dict[str, list[list[str]]]]:
    """The header's words by key, and the rows of numbers by section."""
    header: dict[str, list[list[str]]] = {}
    rows: dict[str, list[list[str]]] = {key: [] for key in _KEYS}
    section = ""
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] in _KEYS:
            section = words[0]
        elif section and (words[0] == "-" or words[0].lstrip("-").isdigit()):
            rows[section].append(words)
        else:  # keys may follow the word "verts" before its first row
            header.setdefault(words[0], []).append(words[1:])
    return header, rows


def _bindings(rows: list[list[str]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Anchors, weights and offsets (G, 3); a row of one number sits on that vertex."""
    if not rows:
        raise ValueError("no vertices")
    anchors = np.zeros((len(rows), 3), np.int64)
    numbers = np.zeros((len(rows), 6))
    for i, words in enumerate(rows):
        if len(words) == 1:
            anchors[i], numbers[i, 0] = int(words[0]), 1
        elif len(words) in (6, 9):
            anchors[i] = [int(word) for word in words[:3]]
            numbers[i, : len(words) - 3] = [float(word) for word in words[3:]]
        else:
            raise ValueError(f"{len(words)} numbers for vertex {i}")
    if not np.isfinite(numbers).all():
        raise ValueError("numbers that are not finite")
    return anchors, numbers[:, :3], numbers[:, 3:]


def _scales(header: dict[str, list[list[str]]]) -> tuple[np.ndarray, np.ndarray]:
    """(3, 2) reference vertices and (3,) lengths, in the order of our axes."""
    missing = [key for key in _AXES if key not in header]
    if missing:
        raise ValueError(f"no {missing[0]}")
    rows = [header[key][-1] for key in _AXES]
    span = np.array([[int(a), int(b)] for a, b, _ in rows], np.int64)
    lengths = np.array([float(row[2]) for row in rows])
    if not (lengths > 0).all():
        raise ValueError(f"a reference length of {lengths.min():g}")
    return span, lengths


def _number_ranges(rows: list[list[str]]) -> np.ndarray:
    """Numbers and ranges such as "3 5 - 9", which may run over line ends."""
    words = [word for row in rows for word in row]
    found: list[int] = []
    for i, word in enumerate(words):
        if word == "-":
            continue
        last = min(int(word), BASE_VERTICES)  # too high is found out by the caller
        found.extend(range(found[-1] + 1 if i and words[i - 1] == "-" else last, last + 1))
    return np.array(found, np.int64)


def _broken(name: str, expected: str, found: str) -> ResidualPoseError:
    return ResidualPoseError(
        f"{name}: expected {expected}, found {found}; take it out of the archive or fetch it again"
    )
