"""Motion capture files written here must come back as the directions that were put in."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from residualpose.errors import ResidualPoseError, UsageError
from residualpose.synthetic.body_pose import REFERENCE_DIRECTION, SEGMENTS
from residualpose.synthetic.mocap import farthest_first, mocap_stack, read_landmarks
from residualpose.synthetic.pose_augment import hinge_angles
from residualpose.synthetic.retarget import retarget
from residualpose.synthetic.stick_figure import collides

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "mocap"

# Name, parent, offset in y-up centimetres of somebody facing +z with arms to the sides (left +x).
_TRUNK = [
    ("Hips", "", (0, 90, 0)),
    ("Spine", "Hips", (0, 10, 0)),
    ("Spine1", "Spine", (0, 14, 0)),
    ("Neck", "Spine1", (0, 26, 0)),
    ("Head", "Neck", (0, 10, 0)),
]
_LEFT = [
    ("LeftArm", "Spine1", (18, 22, 0)),
    ("LeftForeArm", "LeftArm", (29, 0, 0)),
    ("LeftHand", "LeftForeArm", (25, 0, 0)),
    ("LeftHandIndex1", "LeftHand", (9, 0, 0)),
    ("LeftHandThumb1", "LeftHand", (4, 0, 4)),
    ("LeftUpLeg", "Hips", (9, -2, 0)),
    ("LeftLeg", "LeftUpLeg", (0, -42, 0)),
    ("LeftFoot", "LeftLeg", (0, -42, 0)),
    ("LeftToeBase", "LeftFoot", (0, -6, 14)),
]
_RIGHT = [
    (name.replace("Left", "Right"), parent.replace("Left", "Right"), (-x, y, z))
    for name, parent, (x, y, z) in _LEFT
]
_JOINTS = _TRUNK + _LEFT + _RIGHT


def _hierarchy(name: str, offset: tuple[float, ...]) -> str:
    shift = "6 Xposition Yposition Zposition" if name == "Hips" else "3"
    children = "".join(_hierarchy(n, o) for n, parent, o in _JOINTS if parent == name)
    kind = "ROOT" if name == "Hips" else "JOINT"
    body = children or "End Site\n{\nOFFSET 0 1 0\n}\n"
    place = " ".join(map(str, offset))
    return (
        f"{kind} {name}\n{{\nOFFSET {place}\n"
        f"CHANNELS {shift} Zrotation Yrotation Xrotation\n{body}}}\n"
    )


def _names_in_order(name: str) -> list[str]:
    below = [_names_in_order(n) for n, parent, _ in _JOINTS if parent == name]
    return [name, *(n for names in below for n in names)]


def _bvh(turns_deg: dict[str, tuple[float, float, float]], frames: int = 2) -> str:
    """A clip held in one pose; turns_deg are z, y, x rotations by joint."""
    numbers = ["0 0 0"]
    numbers += [" ".join(map(str, turns_deg.get(n, (0, 0, 0)))) for n in _names_in_order("Hips")]
    rows = "\n".join([" ".join(numbers)] * frames)
    head = "HIERARCHY\n" + _hierarchy("Hips", (0, 90, 0))
    return f"{head}MOTION\nFrames: {frames}\nFrame Time: 0.2\n{rows}\n"


_ASF_BONES = {
    **{f"{s}hipjoint": ("root", (x, -0.5, 0), 2.2) for s, x in (("l", 1), ("r", -1))},
    **{f"{s}femur": (f"{s}hipjoint", (0, -1, 0), 7.0) for s in "lr"},
    **{f"{s}tibia": (f"{s}femur", (0, -1, 0), 7.0) for s in "lr"},
    **{f"{s}foot": (f"{s}tibia", (0, -0.28, 0.96), 2.4) for s in "lr"},
    "lowerback": ("root", (0, 1, 0), 2.0),
    "upperback": ("lowerback", (0, 1, 0), 2.0),
    "thorax": ("upperback", (0, 1, 0), 4.0),
    "lowerneck": ("thorax", (0, 1, 0), 1.0),
    "upperneck": ("lowerneck", (0, 1, 0), 1.0),
    "head": ("upperneck", (0, 1, 0), 1.8),
    **{f"{s}clavicle": ("thorax", (x, 0, 0), 3.2) for s, x in (("l", 1), ("r", -1))},
    **{f"{s}humerus": (f"{s}clavicle", (x, 0, 0), 5.0) for s, x in (("l", 1), ("r", -1))},
    **{f"{s}radius": (f"{s}humerus", (x, 0, 0), 3.0) for s, x in (("l", 1), ("r", -1))},
    **{f"{s}wrist": (f"{s}radius", (x, 0, 0), 1.7) for s, x in (("l", 1), ("r", -1))},
    **{f"{s}hand": (f"{s}wrist", (x, 0, 0), 1.0) for s, x in (("l", 1), ("r", -1))},
    **{f"{s}thumb": (f"{s}wrist", (x, 0, 1), 0.8) for s, x in (("l", 1), ("r", -1))},
}


def _asf() -> str:
    bones = "".join(
        f"  begin\n id 1\n name {name}\n direction {d[0]} {d[1]} {d[2]}\n length {length}\n"
        f" axis 0 0 30 XYZ\n dof rx ry rz\n limits (-9 9)\n (-9 9)\n (-9 9)\n end\n"
        for name, (_, d, length) in _ASF_BONES.items()
    )
    tree = "".join(f"    {parent} {name}\n" for name, (parent, _, _) in _ASF_BONES.items())
    return (
        ":version 1.10\n:name X\n:units\n mass 1.0\n length 0.45\n angle deg\n"
        ":root\n order TX TY TZ RX RY RZ\n axis XYZ\n position 0 0 0\n orientation 0 0 0\n"
        f":bonedata\n{bones}:hierarchy\n  begin\n{tree}  end\n"
    )


def _amc(turns_deg: dict[str, tuple[float, float, float]], root_deg: str, frames: int = 2) -> str:
    """A clip held in one pose; turns_deg are x, y, z rotations in the bones' own axes."""
    lines = [f"root 1 17 2 {root_deg}"]
    for name in _ASF_BONES:
        lines.append(f"{name} " + " ".join(map(str, turns_deg.get(name, (0, 0, 0)))))
    blocks = [f"{i + 1}\n" + "\n".join(lines) for i in range(frames)]
    return "#!OML:ASF x\n:FULLY-SPECIFIED\n:DEGREES\n" + "\n".join(blocks) + "\n"


def _directions(path: Path) -> dict[str, np.ndarray]:
    (marks,) = read_landmarks(path)
    rotations = retarget(marks)
    np.testing.assert_allclose(np.linalg.det(rotations), 1.0, atol=1e-9)
    along = np.einsum("nsij,sj->nsi", rotations, REFERENCE_DIRECTION)
    assert np.allclose(along, along[:1])
    return dict(zip(SEGMENTS, along[0], strict=True))


def test_bvh_limbs_keep_side_and_direction(tmp_path: Path) -> None:
    # Right forearm folded to the front (T-pose arm points to -x, y-up: turn about +y by +90),
    # right knee folded back (turn about x by +60 takes down to the back).
    path = tmp_path / "clip.bvh"
    path.write_text(_bvh({"RightForeArm": (0, 90, 0), "RightLeg": (0, 0, 60)}))
    along = _directions(path)
    np.testing.assert_allclose(along["upper_arm_r"], [1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(along["forearm_r"], [0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(along["upper_arm_l"], [-1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(along["forearm_l"], [-1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(along["shin_r"], [0, -np.sin(np.pi / 3), -0.5], atol=1e-6)
    np.testing.assert_allclose(along["shin_l"], [0, 0, -1], atol=1e-6)
    np.testing.assert_allclose(along["head"], [0, 0, 1], atol=1e-6)
    assert along["foot_l"][1] > 0.95


def test_bvh_heading_is_taken_out(tmp_path: Path) -> None:
    turned, straight = tmp_path / "a.bvh", tmp_path / "b.bvh"
    straight.write_text(_bvh({"RightForeArm": (0, 90, 0)}))
    turned.write_text(_bvh({"RightForeArm": (0, 90, 0), "Hips": (0, 137, 0)}))
    one, other = _directions(straight), _directions(turned)
    for segment in SEGMENTS:
        np.testing.assert_allclose(one[segment], other[segment], atol=1e-6)


def test_hinges_bend_the_human_way(tmp_path: Path) -> None:
    path = tmp_path / "clip.bvh"
    path.write_text(_bvh({"RightForeArm": (0, 90, 0), "LeftLeg": (0, 0, 60)}))
    (marks,) = read_landmarks(path)
    angles = np.degrees(hinge_angles(retarget(marks)[0]))
    np.testing.assert_allclose(angles, [90, 0, 0, 60], atol=1e-4)


def test_amc_limbs_keep_side_and_direction(tmp_path: Path) -> None:
    (tmp_path / "09.asf").write_text(_asf())
    path = tmp_path / "09_01.amc"
    # The bones' own axes are turned 30 degrees about z: a turn about z is the same in both.
    turns = {"lhumerus": (0.0, 0.0, 50.0), "rfemur": (0.0, 0.0, -20.0)}
    path.write_text(_amc(turns, "0 -120 0"))
    along = _directions(path)
    angle = np.radians(50)
    np.testing.assert_allclose(along["upper_arm_l"], [-np.cos(angle), 0, np.sin(angle)], atol=1e-6)
    np.testing.assert_allclose(along["upper_arm_r"], [1, 0, 0], atol=1e-6)
    angle = np.radians(20)
    np.testing.assert_allclose(along["thigh_r"], [np.sin(angle), 0, -np.cos(angle)], atol=1e-6)
    np.testing.assert_allclose(along["head"], [0, 0, 1], atol=1e-6)
    assert along["foot_r"][1] > 0.9


def test_amc_turns_are_about_the_bones_own_axes(tmp_path: Path) -> None:
    (tmp_path / "09.asf").write_text(_asf())
    path = tmp_path / "09_01.amc"
    path.write_text(_amc({"ltibia": (40.0, 0.0, 0.0)}, "0 0 0"))
    # Own x of the bone = (cos 30, sin 30, 0) y-up; turning (0, -1, 0) about it by 40 degrees.
    axis, down, angle = (
        np.array([np.cos(np.pi / 6), 0.5, 0]),
        np.array([0, -1.0, 0]),
        np.radians(40),
    )
    turned = (
        down * np.cos(angle)
        + np.cross(axis, down) * np.sin(angle)
        + axis * (axis @ down) * (1 - np.cos(angle))
    )
    expected = [-turned[0], turned[2], turned[1]]
    np.testing.assert_allclose(_directions(path)["shin_l"], expected, atol=1e-6)


def test_folder_and_zip_give_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "09.asf").write_text(_asf())
    (folder / "09_01.amc").write_text(_amc({}, "0 0 0"))
    (folder / "walk.bvh").write_text(_bvh({}))
    with zipfile.ZipFile(tmp_path / "clips.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
    from_folder, from_zip = mocap_stack([folder], 10), mocap_stack([tmp_path / "clips.zip"], 10)
    # Held poses count once.
    assert from_folder.sources == ("09_01.amc#0", "walk.bvh#0")
    assert from_folder.sources == from_zip.sources
    np.testing.assert_array_equal(from_folder.rotations, from_zip.rotations)


def _cut(text: str) -> str:
    return text[: int(len(text) * 0.97)]


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("a.bvh", "", "HIERARCHY"),
        ("a.bvh", "HIERARCHY\nROOT Hips\n{\nOFFSET 0 0\nMOTION\nFrames: 1", "hierarchy"),
        ("a.bvh", _bvh({}).replace("LeftUpLeg", "Tentacle"), "LeftUpLeg"),
        ("a.bvh", _bvh({}, frames=5).replace("Frames: 5", "Frames: 50"), "50 frames"),
        ("a.bvh", _cut(_bvh({}, frames=1)), "numbers a frame"),
        ("a.bvh", _bvh({}).replace("\n0 0 0 0", "\n0 0 0 pie"), "numbers"),
        ("a.bvh", _bvh({}).replace("\n0 0 0 0", "\n0 0 0 nan"), "finite"),
        ("a.bvh", _bvh({}).replace("0.2", "0"), "Frame Time"),
        ("09_01.amc", "", "AMC"),
        ("09_01.amc", _cut(_amc({}, "0 0 0")), "cut short|lines a frame|numbers"),
        ("09_01.amc", _amc({}, "0 0 0").replace("lfemur", "tail"), "skeleton"),
        ("09.asf", _asf().replace(":bonedata", ":stones"), "asf"),
        ("09.asf", _asf().replace("lfemur", "tail"), "lfemur"),
        ("x.zip", "not a zip", "zip"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, file: str, text: str, words: str) -> None:
    if not file.endswith(".zip"):
        (tmp_path / "09.asf").write_text(_asf())
        (tmp_path / "09_01.amc").write_text(_amc({}, "0 0 0"))
    (tmp_path / file).write_text(text)
    path = tmp_path / file if file.endswith(".zip") else tmp_path
    with pytest.raises(ResidualPoseError, match=words) as caught:
        list(read_landmarks(path))
    assert file in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nothing_there_is_a_wrong_request(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.bvh", tmp_path / "absent.zip"):
        with pytest.raises(UsageError, match=path.name):
            list(read_landmarks(path))


def test_clip_without_its_skeleton(tmp_path: Path) -> None:
    (tmp_path / "09_01.amc").write_text(_amc({}, "0 0 0"))
    with pytest.raises(ResidualPoseError, match=r"09\.asf"):
        list(read_landmarks(tmp_path))


def test_farthest_first_prefers_the_rare() -> None:
    features = np.concatenate([np.random.default_rng(0).normal(0, 0.01, (500, 3)), np.eye(3) * 5])
    assert {500, 501, 502} <= set(farthest_first(features, 4).tolist())
    assert sorted(farthest_first(features, 900).tolist()) == list(range(503))


@pytest.mark.skipif(not SHARED.is_dir(), reason="the motion capture of ../shared is absent")
def test_both_formats_of_a_clip_agree() -> None:
    archives = [SHARED / "cmu_bvh.zip", SHARED / "cmu_amc.zip"]
    clips = [
        next(m for m in read_landmarks(path, 5.0) if m.name.endswith(end))
        for path, end in zip(archives, ("002_05.bvh", "02_05.amc"), strict=True)
    ]
    seconds = [clips[0].frames / 60.0, clips[1].frames / 120.0]
    pairs = np.abs(seconds[0][:, None] - seconds[1]).argmin(axis=1)
    rotations = [retarget(clips[0]), retarget(clips[1])[pairs]]
    along = [np.einsum("nsij,sj->nsi", r, REFERENCE_DIRECTION) for r in rotations]
    angle = np.degrees(np.arccos(np.clip(np.sum(along[0] * along[1], axis=-1), -1, 1)))
    limbs = [5, 6, 8, 9, 11, 12, 14, 15]
    assert np.median(angle[:, limbs]) < 4.0
    assert np.median(angle) < 6.0
    assert collides(rotations[0]).mean() < 0.2
    # Knees and elbows bend, toes point where the pelvis faces.
    assert np.percentile(np.concatenate([hinge_angles(r) for r in rotations]), 75) > 0.4
    assert np.median(along[1][:, [13, 16], 1]) > 0.7


@pytest.mark.parametrize("seed", range(30))
def test_damaged_clips_are_read_or_refused_never_a_crash(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    name = ("a.bvh", "09_01.amc", "09.asf")[seed % 3]
    texts = {"a.bvh": _bvh({}), "09_01.amc": _amc({}, "0 0 0"), "09.asf": _asf()}
    text = texts[name]
    start = int(rng.integers(len(text)))
    junk = ("", "x", "-", "\n", "{", "}", "1e999", "\x00")[rng.integers(8)]
    texts[name] = text[:start] + junk + text[start + int(rng.integers(1, 40)) :]
    for file, content in texts.items():
        if name.endswith(".bvh") == file.endswith(".bvh"):
            (tmp_path / file).write_text(content)
    try:
        marks = list(read_landmarks(tmp_path))
    except ResidualPoseError as error:
        assert str(tmp_path) in str(error) and "\n" not in str(error)
    else:
        assert len(marks) == 1
