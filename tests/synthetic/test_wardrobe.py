"""Clothes on bodies: pieces are cut and fitted, worn by all shapes, and hide what is under them."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the synthetic extra")

from residualpose.synthetic.bodies import PARTS, BodyBank, make_bank  # noqa: E402
from residualpose.synthetic.dress import dress  # noqa: E402
from residualpose.synthetic.materials import Material  # noqa: E402
from residualpose.synthetic.mhclo import BASE_VERTICES, Garment, read_garments  # noqa: E402
from residualpose.synthetic.tailor import Figure, tailored, thinned  # noqa: E402
from residualpose.synthetic.wardrobe import Piece, Wardrobe, Wear  # noqa: E402

SHARED = Path(__file__).parents[2] / ".." / "shared" / "bodies" / "makehuman_cc0.zip"
LOOSE_M = 0.02
LEGS = ("pelvis", "thigh_r", "thigh_l", "shin_r", "shin_l")
COVERED = {
    "a/hats/cap": ("head",),
    "a/hair/mop": ("head",),
    "a/shoes/boots": ("foot_r", "foot_l"),
    "a/clothes/shirt": ("chest", "abdomen", "clavicle_r", "clavicle_l"),
    "a/clothes/jeans": LEGS,
    "a/clothes/overall": ("chest", "abdomen", *LEGS),
}


def garment(bank: BodyBank, name: str, parts: tuple[str, ...]) -> Garment:
    """The surface of some parts of body 0, 2 cm out, as if hm08 were numbered as bodies are."""
    on = torch.isin(bank.part, torch.tensor([PARTS.index(p) for p in parts])).numpy()
    triangles = bank.triangles.numpy()
    own, triangles = np.unique(triangles[on[triangles].all(1)], return_inverse=True)
    body = bank.vertices_m[0].numpy()
    span = np.stack([body.argmax(0), body.argmin(0)], 1)
    size = np.abs(body[span[:, 0], range(3)] - body[span[:, 1], range(3)])
    offsets = LOOSE_M * bank.normals[0].numpy()[own] / size
    weights = np.tile(np.array([[0.5, 0.5, 0]], np.float32), (len(own), 1))
    anchors = np.stack([own, own, np.full(len(own), BASE_VERTICES - 1)], 1)  # one is a helper
    return Garment(
        name, frozenset(), anchors, weights, offsets.astype(np.float32), span,
        triangles.reshape(-1, 3), own,
    )  # fmt: skip


@pytest.fixture(scope="module")
def dressed_bank(tiny_bank: BodyBank) -> BodyBank:
    """The three bodies with six pieces to wear."""
    count = len(tiny_bank.part)
    template = np.zeros((BASE_VERTICES, 3), np.float32)
    template[:count] = tiny_bank.vertices_m[0]
    weights = np.zeros((BASE_VERTICES, len(PARTS)), np.float32)
    weights[:count] = tiny_bank.weights
    figure = Figure(template, weights, np.arange(count), tiny_bank.triangles.numpy())
    garments = [garment(tiny_bank, name, parts) for name, parts in COVERED.items()]
    pieces, helpers = tailored(garments, figure)
    np.testing.assert_array_equal(helpers, [BASE_VERTICES - 1])
    helpers_m = torch.zeros(len(tiny_bank), len(helpers), 3)
    return replace(tiny_bank, helpers_m=helpers_m, wardrobe=Wardrobe(pieces))


def test_garments_are_sorted_by_where_they_are_worn(dressed_bank: BodyBank) -> None:
    wears = [piece.wear for piece in dressed_bank.wardrobe.pieces]
    assert wears == [Wear.HAT, Wear.HAIR, Wear.SHOES, Wear.TOP, Wear.BOTTOM, Wear.SUIT]
    assert len(dressed_bank.wardrobe.of(Wear.TOP, Wear.SUIT)) == 2


def test_a_suit_of_two_meshes_becomes_a_top_and_a_bottom(tiny_bank: BodyBank) -> None:
    count = len(tiny_bank.part)
    top = garment(tiny_bank, "suit", COVERED["a/clothes/shirt"])
    legs = garment(tiny_bank, "suit", LEGS)
    names = ("anchors", "weights", "offsets")
    whole = {name: np.concatenate([getattr(g, name) for g in (top, legs)]) for name in names}
    triangles = np.concatenate([top.triangles, legs.triangles + len(top.anchors)])
    hides = np.concatenate([top.hides, legs.hides])
    suit = replace(top, **whole, triangles=triangles, hides=hides)
    template = np.zeros((BASE_VERTICES, 3), np.float32)
    template[:count] = tiny_bank.vertices_m[0]
    weights = np.zeros((BASE_VERTICES, len(PARTS)), np.float32)
    weights[:count] = tiny_bank.weights
    figure = Figure(template, weights, np.arange(count), tiny_bank.triangles.numpy())
    pieces, _ = tailored([suit], figure)
    assert [piece.wear for piece in pieces] == [Wear.TOP, Wear.BOTTOM]
    for piece, whose in zip(pieces, (top, legs), strict=True):
        assert np.isin(whose.hides, piece.hides).mean() > 0.95


def test_pieces_fit_every_shape(dressed_bank: BodyBank) -> None:
    for body in range(len(dressed_bank)):
        sites_m = dressed_bank.sites_m(body)
        for piece in dressed_bank.wardrobe.pieces:
            fitted_m = piece.fitted_m(sites_m)
            away_m = (fitted_m - sites_m[piece.sites[:, 0]]).norm(dim=1)
            if body == 0:
                torch.testing.assert_close(away_m, torch.full_like(away_m, LOOSE_M))
            assert away_m.min() > 0.2 * LOOSE_M and away_m.max() < 5 * LOOSE_M


def test_pieces_are_light_whole_and_move_with_the_body(dressed_bank: BodyBank) -> None:
    for piece in dressed_bank.wardrobe.pieces:
        assert 50 < len(piece.triangles) <= 3600
        assert piece.triangles.min() == 0 and piece.triangles.max() == len(piece.sites) - 1
        torch.testing.assert_close(piece.weights.sum(1), torch.ones(len(piece.sites)))
        body = dressed_bank.weights[piece.sites[:, 0]]
        torch.testing.assert_close(piece.weights, body, atol=1e-5, rtol=0)


def test_what_is_taken_away_is_deep_under_the_piece(dressed_bank: BodyBank) -> None:
    for piece in dressed_bank.wardrobe.pieces:
        hidden = torch.zeros(len(dressed_bank.part), dtype=torch.bool)
        hidden[piece.hides] = True
        gone = torch.zeros(len(dressed_bank.triangles), dtype=torch.bool)
        gone[piece.removes] = True
        assert hidden[dressed_bank.triangles[gone]].all()
        rim = dressed_bank.triangles[~hidden[dressed_bank.triangles].all(1)].unique()
        assert not torch.isin(dressed_bank.triangles[gone], rim).any()


def test_thinning_keeps_shape_and_apart_what_is_apart() -> None:
    u, v = np.meshgrid(np.arange(40), np.arange(40), indexing="ij")
    sheet = np.stack([u, v, 0 * u], -1).reshape(-1, 3) * 0.01
    i = (u[:-1, :-1] * 40 + v[:-1, :-1]).ravel()
    faces = np.concatenate([np.stack([i, i + 40, i + 41], 1), np.stack([i, i + 41, i + 1], 1)])
    points_m = np.concatenate([sheet, sheet + (0, 0, 0.001)])
    triangles, part = np.concatenate([faces, faces + 1600]), np.repeat([0, 1], 1600)
    thin = thinned(points_m, part, triangles, 1000)
    assert 400 < len(thin) <= 1000
    assert (part[thin] == part[thin[:, :1]]).all()
    edges = points_m[thin[:, 1:]] - points_m[thin[:, :1]]
    area_m2 = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1).sum() / 2
    assert area_m2 == pytest.approx(2 * 0.39**2, rel=0.12)
    np.testing.assert_array_equal(thinned(points_m, part, triangles, len(triangles)), triangles)


def test_people_wear_both_kinds_of_clothes(dressed_bank: BodyBank) -> None:
    count, base = len(dressed_bank.part), len(dressed_bank.triangles)
    ready, procedural = 0, 0
    for seed in range(60):
        outfit = dress(dressed_bank, seed % 3, np.random.default_rng(seed))
        assert torch.isfinite(outfit.vertices_m).all()
        assert outfit.triangles.max() < len(outfit.vertices_m) == len(outfit.weights)
        torch.testing.assert_close(outfit.weights.sum(1), torch.ones(len(outfit.weights)))
        assert len(outfit.material) == len(outfit.triangles)
        own = (outfit.triangles < count).all(1)
        cloth = (outfit.material == Material.CLOTH) | (outfit.material == Material.DARK_CLOTH)
        ready += bool((~own & cloth).any())
        procedural += bool((own & cloth).any())
        assert own.sum() <= base
    assert 25 < ready < 55 and 25 < procedural < 60


def test_the_same_seed_gives_the_same_outfit(dressed_bank: BodyBank) -> None:
    one, two = (dress(dressed_bank, 1, np.random.default_rng(9)) for _ in range(2))
    for name in ("vertices_m", "weights", "triangles", "material"):
        assert torch.equal(getattr(one, name), getattr(two, name))
    assert [a.T_rest_local.tolist() for a in one.attachments] == [
        a.T_rest_local.tolist() for a in two.attachments
    ]


def test_one_stands_on_the_soles_of_the_shoes(dressed_bank: BodyBank) -> None:
    count = len(dressed_bank.part)
    low = []
    for seed in range(40):
        outfit = dress(dressed_bank, 0, np.random.default_rng(seed))
        body_m, clothes_m = outfit.vertices_m[:count], outfit.vertices_m[count:]
        if len(clothes_m):
            low.append(float(clothes_m[:, 2].min() - body_m[:, 2].min()))
    assert min(low) == pytest.approx(0, abs=1e-6)  # nothing hangs below what touches the floor
    assert min(low) > -1e-6


def test_a_bank_keeps_its_wardrobe_on_disk(dressed_bank: BodyBank, tmp_path: Path) -> None:
    for name in ("one.npz", "two.npz"):
        dressed_bank.save(tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    loaded = BodyBank.load(tmp_path / "one.npz")
    assert torch.equal(loaded.helpers_m, dressed_bank.helpers_m)
    pairs = zip(loaded.wardrobe.pieces, dressed_bank.wardrobe.pieces, strict=True)
    for again, piece in pairs:
        for field in fields(Piece):
            one, two = getattr(again, field.name), getattr(piece, field.name)
            assert torch.equal(one, two) if field.name != "wear" else one is two
            assert field.name == "wear" or one.dtype == two.dtype


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/bodies/makehuman_cc0.zip")
def test_makehumans_own_clothes_fit_bodies_of_all_ages() -> None:
    bank = make_bank(4, 3, read_garments(SHARED))
    found = {wear: len(bank.wardrobe.of(wear)) for wear in Wear}
    assert found == {
        Wear.HAT: 2, Wear.HAIR: 10, Wear.SHOES: 6, Wear.TOP: 10, Wear.BOTTOM: 10, Wear.SUIT: 2
    }  # fmt: skip
    for body in range(len(bank)):
        sites_m = bank.sites_m(body)
        for piece in bank.wardrobe.pieces:
            away_m = torch.cdist(piece.fitted_m(sites_m), bank.vertices_m[body]).amin(1)
            assert away_m.median() < (0.08 if piece.wear == Wear.HAIR else 0.04)
            if piece.wear in (Wear.TOP, Wear.BOTTOM, Wear.SHOES):
                assert away_m.max() < 0.25
                assert len(piece.removes) > 300
