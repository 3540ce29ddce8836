"""Parametric bodies: a bank of anny shapes, and the skinning that bends them into a BodyPose.

anny evaluates its shape model once per body when the bank is made; posing then is a few matrix
products over 19 rigid parts, so that a frame costs milliseconds on one core.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from residualpose.errors import MissingExtraError
from residualpose.results import replacing
from residualpose.synthetic.body_pose import REFERENCE_DIRECTION, SEGMENT_PARENT, SEGMENTS, BodyPose
from residualpose.synthetic.mhclo import Garment
from residualpose.synthetic.tailor import Figure, tailored
from residualpose.synthetic.wardrobe import Wardrobe

if TYPE_CHECKING:
    from anny import Anny

PARTS = (*SEGMENTS, "clavicle_r", "clavicle_l")
"""What a vertex can hang on: the pose's segments and two collar bones that follow the arms."""
N_SEGMENTS = len(SEGMENTS)
_ARM_R, _ARM_L = SEGMENTS.index("upper_arm_r"), SEGMENTS.index("upper_arm_l")
_CHEST = SEGMENTS.index("chest")

# anny bone -> part; bones not listed follow their parent bone.
_BONE_PART = {
    "root": "pelvis", "spine04": "abdomen", "spine02": "chest", "neck01": "neck", "head": "head",
    **{
        f"{bone}.{side}": f"{part}_{side.lower()}"
        for side in "RL"
        for bone, part in (
            ("clavicle", "clavicle"), ("upperarm01", "upper_arm"), ("lowerarm01", "forearm"),
            ("wrist", "hand"), ("upperleg01", "thigh"), ("lowerleg01", "shin"), ("foot", "foot"),
        )
    },
}  # fmt: skip
_PIVOT_BONE = {part: bone for bone, part in _BONE_PART.items()}
# Bone whose head marks the far end of a part, for the part's direction in the rest pose.
_END_BONE = {
    f"{part}_{side.lower()}": f"{bone}.{side}"
    for side in "RL"
    for part, bone in (
        ("upper_arm", "lowerarm01"), ("forearm", "wrist"), ("hand", "finger3-1"),
        ("thigh", "lowerleg01"), ("shin", "foot"), ("foot", "toe3-1"),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class BodyBank:
    """N body shapes in their rest pose, z up, facing +y, own right at +x, metres."""

    vertices_m: torch.Tensor
    """(N, V, 3) float32 rest vertices."""
    normals: torch.Tensor
    """(N, V, 3) float32 unit normals of the rest vertices."""
    triangles: torch.Tensor
    """(T, 3) int64, shared by all shapes, counter-clockwise seen from outside."""
    weights: torch.Tensor
    """(V, 19) float32 skinning weights over PARTS."""
    pivots_m: torch.Tensor
    """(N, 19, 3) float32 rest position of each part's joint with its parent."""
    align: torch.Tensor
    """(N, 19, 3, 3) float32 rotation from a part's reference direction to its rest direction."""
    joints_m: torch.Tensor
    """(N, 15, 3) float32 rest positions of the itop15 joints in our own convention."""
    part: torch.Tensor
    """(V,) int64 part that holds each vertex most."""
    helpers_m: torch.Tensor
    """(N, H, 3) float32 rest places of points beside the body that clothes hang on."""
    wardrobe: Wardrobe
    """Clothes, hair and hats that fit these bodies; may be empty."""

    def __len__(self) -> int:
        return len(self.vertices_m)

    def to(self, device: torch.device | str) -> BodyBank:
        """The bank with every tensor on a device."""
        return BodyBank(*(getattr(self, f).to(device) for f in self.__slots__))

    def sites_m(self, body: int) -> torch.Tensor:
        """(V + H, 3) rest places of all that clothes hang on."""
        return torch.cat([self.vertices_m[body], self.helpers_m[body]])

    def save(self, path: Path) -> None:
        """Write the bank to an .npz that `load` reads; no pickle."""
        with replacing(path) as stream:
            arrays: dict[str, Any] = {f: getattr(self, f).cpu().numpy() for f in _TENSORS}
            arrays.update(self.wardrobe.arrays())
            np.savez(stream, **arrays)

    @classmethod
    def load(cls, path: Path) -> BodyBank:
        """Read a saved bank."""
        with np.load(path, allow_pickle=False) as data:
            tensors = {f: torch.from_numpy(data[f]) for f in _TENSORS}
            return cls(**tensors, wardrobe=Wardrobe.from_arrays(data))


_TENSORS = tuple(field.name for field in fields(BodyBank) if field.name != "wardrobe")


# The own convention places each joint on a part; this is the part that carries it.
JOINT_PART = tuple(
    PARTS.index(name)
    for name in (
        "head", "chest", "upper_arm_r", "upper_arm_l", "forearm_r", "forearm_l", "hand_r",
        "hand_l", "abdomen", "thigh_r", "thigh_l", "shin_r", "shin_l", "foot_r", "foot_l",
    )
)  # fmt: skip


def make_bank(count: int, seed: int = 0, garments: Sequence[Garment] = ()) -> BodyBank:
    """Sample `count` body shapes from anny's population (children to elders, all builds).

    Raises:
        MissingExtraError: anny is not installed.
    """
    try:
        import anny
        from anny.models.model_data import TopologyConfig
        from anny.shape_distribution import SimpleShapeDistribution
    except ImportError as error:
        raise MissingExtraError(error.name or "anny", "synthetic") from None
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        # Clothes hang on helper vertices too, which anny keeps only if asked to (it takes longer).
        topology = TopologyConfig("makehuman", remove_unattached_vertices=not garments)
        # Only rest shapes are asked of it; its default skinning would load a GPU compiler.
        model = anny.Anny(skinning_method="lbs", topology=topology)
        _, phenotypes = SimpleShapeDistribution(model).sample(count)
        rest_vertices, rest_heads = _rest_shapes(model, phenotypes, count)
    flip = torch.tensor([-1.0, -1.0, 1.0])  # anny faces -y; we face +y
    places, heads = rest_vertices * flip, rest_heads * flip
    bones = list(model.bone_labels)
    part_of_bone = _parts_of_bones(bones, list(model.bone_parents))
    all_weights = torch.zeros(places.shape[1], len(PARTS))
    index = torch.tensor(part_of_bone)[model.vertex_bone_indices]
    all_weights.scatter_add_(1, index, model.vertex_bone_weights.float())
    surface, triangles = torch.unique(model.get_triangular_faces().long(), return_inverse=True)
    vertices, weights = places[:, surface], all_weights[surface]
    template = model.template_vertices.float() * flip
    figure = Figure(template.numpy(), all_weights.numpy(), surface.numpy(), triangles.numpy())
    pieces, helpers = tailored(garments, figure)
    pivots = torch.stack([heads[:, bones.index(_PIVOT_BONE[p])] for p in PARTS], 1)
    part = weights.argmax(1)
    return BodyBank(
        vertices, _normals(vertices, triangles), triangles, weights, pivots,
        _alignments(heads, pivots, bones), _joints(heads, vertices, part, bones), part,
        places[:, torch.from_numpy(helpers)], Wardrobe(pieces),
    )  # fmt: skip


def _rest_shapes(
    model: Anny, phenotypes: dict[str, torch.Tensor], count: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rest vertices (N, V, 3) and bone heads (N, B, 3) in anny's axes, metres."""
    vertices, heads = [], []
    for start in range(0, count, 16):
        rows: dict[str, float | torch.Tensor] = {
            name: values[start : start + 16].to(model.dtype) for name, values in phenotypes.items()
        }
        _, shape, local, face = model.get_tensor_inputs(None, rows, None, None)
        mixture = model._get_phenotype_blendshape_coefficients(shape, local, face)
        rest = model.get_rest_model(mixture)
        vertices.append(rest["rest_vertices"].float())
        heads.append(rest["rest_bone_heads"].float())
    return torch.cat(vertices), torch.cat(heads)


def _parts_of_bones(bones: list[str], parents: list[int]) -> list[int]:
    parts: list[int] = []
    for bone, parent in zip(bones, parents, strict=True):
        parts.append(PARTS.index(_BONE_PART[bone]) if bone in _BONE_PART else parts[parent])
    return parts


def _normals(vertices: torch.Tensor, triangles: torch.Tensor) -> torch.Tensor:
    a, b, c = (vertices[:, triangles[:, k]] for k in range(3))
    face = torch.cross(b - a, c - a, dim=-1)
    total = torch.zeros_like(vertices)
    for k in range(3):
        total.index_add_(1, triangles[:, k], face)
    return torch.nn.functional.normalize(total, dim=-1)


def _alignments(heads: torch.Tensor, pivots: torch.Tensor, bones: list[str]) -> torch.Tensor:
    align = torch.eye(3).repeat(len(heads), len(PARTS), 1, 1)
    for p, name in enumerate(SEGMENTS):
        if name in _END_BONE:
            direction = heads[:, bones.index(_END_BONE[name])] - pivots[:, p]
            if name.startswith("foot"):
                direction = direction * torch.tensor([1.0, 1.0, 0.0])  # soles stay level
            align[:, p] = rotation_between(
                torch.tensor(REFERENCE_DIRECTION[p], dtype=torch.float32), direction
            )
    return align


def rotation_between(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """(..., 3, 3) smallest rotation that turns direction a into direction b (not opposite)."""
    a, b = torch.broadcast_tensors(a, b)
    a, b = torch.nn.functional.normalize(a, dim=-1), torch.nn.functional.normalize(b, dim=-1)
    v, c = torch.cross(a, b, dim=-1), (a * b).sum(-1)
    zero = torch.zeros_like(c)
    skew = torch.stack(
        [zero, -v[..., 2], v[..., 1], v[..., 2], zero, -v[..., 0], -v[..., 1], v[..., 0], zero], -1
    ).unflatten(-1, (3, 3))
    curl = skew @ skew / (1 + c).clamp_min(1e-6)[..., None, None]
    return torch.eye(3, dtype=a.dtype) + skew + curl


def _joints(
    heads: torch.Tensor, vertices: torch.Tensor, part: torch.Tensor, bones: list[str]
) -> torch.Tensor:
    """Our joint convention: anatomical centres, inside the body (docs/conventions.md)."""

    def bone(name: str) -> torch.Tensor:
        return heads[:, bones.index(name)]

    skull = vertices[:, part == PARTS.index("head")]
    head = (skull.amin(1) + skull.amax(1)) / 2
    shoulders = [bone("upperarm01.R"), bone("upperarm01.L")]
    hips = [bone("upperleg01.R"), bone("upperleg01.L")]
    middle = (shoulders[0] + shoulders[1]) / 2
    neck = middle + 0.4 * (bone("neck01") - middle)
    torso = (neck + (hips[0] + hips[1]) / 2) / 2
    hands = [(bone(f"wrist.{s}") + bone(f"finger3-1.{s}")) / 2 for s in "RL"]
    elbows = [bone("lowerarm01.R"), bone("lowerarm01.L")]
    knees = [bone("lowerleg01.R"), bone("lowerleg01.L")]
    feet = [bone("foot.R"), bone("foot.L")]
    return torch.stack([head, neck, *shoulders, *elbows, *hands, torso, *hips, *knees, *feet], 1)


def part_transforms(bank: BodyBank, body: int, pose: BodyPose) -> tuple[torch.Tensor, torch.Tensor]:
    """World rotations (19, 3, 3) and translations (19, 3) that move one body's rest points.

    The lowest moving point is not known yet: the pelvis stays at its rest height.
    """
    device = bank.pivots_m.device
    target = torch.as_tensor(pose.rotations, dtype=torch.float32, device=device)
    pivots, align = bank.pivots_m[body], bank.align[body]
    rotations = [target[p] @ align[p].T for p in range(N_SEGMENTS)]
    rotations += [_collar(target, _ARM_R, 1.0), _collar(target, _ARM_L, -1.0)]
    placed: dict[int, torch.Tensor] = {0: pivots[0]}
    parents = {p: SEGMENT_PARENT[p] for p in range(1, N_SEGMENTS)}
    parents |= {N_SEGMENTS: _CHEST, N_SEGMENTS + 1: _CHEST}
    parents |= {_ARM_R: N_SEGMENTS, _ARM_L: N_SEGMENTS + 1}
    while len(placed) < len(PARTS):
        for p, q in parents.items():
            if p not in placed and q in placed:
                placed[p] = rotations[q] @ (pivots[p] - pivots[q]) + placed[q]
    R = torch.stack(rotations)
    at = torch.stack([placed[p] for p in range(len(PARTS))])
    return R, at - torch.einsum("pij,pj->pi", R, pivots)


def _collar(target: torch.Tensor, arm: int, side: float) -> torch.Tensor:
    """(3, 3) world rotation of a collar bone, which follows its arm up and forward.

    It rises by a quarter of the angle past 40 degrees, as shoulders do.
    """
    down = target.new_tensor([0.0, 0.0, -1.0])
    direction = target[_CHEST].T @ (target[arm] @ down)
    raised = (torch.acos((-direction[2]).clamp(-1, 1)) - 0.7).clamp_min(0) * 0.25 * side
    forward = torch.asin(direction[1].clamp(-1, 1)) * 0.2 * side
    cr, sr, cf, sf = raised.cos(), raised.sin(), forward.cos(), forward.sin()
    zero, one = torch.zeros_like(cr), torch.ones_like(cr)
    rise = torch.stack([cr, zero, -sr, zero, one, zero, sr, zero, cr]).view(3, 3)
    turn = torch.stack([cf, -sf, zero, sf, cf, zero, zero, zero, one]).view(3, 3)
    return target[_CHEST] @ turn @ rise


def skin(
    weights: torch.Tensor, vertices_m: torch.Tensor, R: torch.Tensor, t: torch.Tensor
) -> torch.Tensor:
    """Linear blend skinning of (V, 3) rest vertices with (V, 19) weights by part transforms."""
    blended = weights @ torch.cat([R, t[..., None]], -1).flatten(1)
    blended = blended.unflatten(-1, (3, 4))
    return (blended[..., :3] @ vertices_m[..., None])[..., 0] + blended[..., 3]


def posed_joints(bank: BodyBank, body: int, R: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """(15, 3) joints of one body after its part transforms."""
    parts = list(JOINT_PART)
    return torch.einsum("jab,jb->ja", R[parts], bank.joints_m[body]) + t[parts]
