"""The residual network begins by doing nothing, and its joints look at one another."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from residualpose.camera import Camera  # noqa: E402
from residualpose.errors import UsageError  # noqa: E402
from residualpose.learning.network import N_FIELDS  # noqa: E402
from residualpose.learning.refiner_network import (  # noqa: E402
    RefinerNetwork,
    _tokens,
    mirrored_around,
    varied_around,
)
from residualpose.pipeline.around import (  # noqa: E402
    N_AROUND,
    N_PATCHES,
    SIDE,
    Look,
    around,
)
from residualpose.pipeline.maps import Maps  # noqa: E402
from residualpose.pipeline.refine import (  # noqa: E402
    DISTANCE,
    KNOWN,
    N_FEATURES,
    N_JOINTS,
    POSITIONS,
    SPREADS,
)
from residualpose.skeleton import ITOP15, L_HAND, R_ELBOW, R_HAND  # noqa: E402


@pytest.fixture
def x() -> torch.Tensor:
    """Features of seven people."""
    return torch.randn(7, N_FEATURES, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network() -> RefinerNetwork:
    """One that does something."""
    torch.manual_seed(0)
    network = RefinerNetwork(width=16, blocks=2)
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.1 * torch.randn(weight.shape)
    return network


def test_untrained_it_leaves_people_where_they_are(x: torch.Tensor) -> None:
    for at_work in (False, True):
        residual, log_sd = RefinerNetwork(width=16, blocks=2).train(at_work)(x)
        assert residual.shape == log_sd.shape == (7, N_JOINTS, 3)
        assert not residual.any() and not log_sd.any()


def test_a_joint_hears_its_own_numbers_and_the_person_s(x: torch.Tensor) -> None:
    tokens = _tokens(x)
    columns = np.arange(N_FEATURES)
    own = [columns[POSITIONS][3 * R_HAND :][:3], columns[KNOWN][[R_HAND]]]
    own.append(columns[SPREADS][[R_HAND, N_JOINTS + R_HAND]])
    heard = tokens[0, R_HAND]
    for column in np.concatenate(own):
        assert (heard == x[0, column]).sum() == 1
    torch.testing.assert_close(heard[-7:], x[0, DISTANCE.start :], rtol=0, atol=0)
    assert not np.isin(x[0, columns[POSITIONS][3 * R_ELBOW :][:3]], heard.numpy()).any()


def test_joints_look_at_one_another_and_people_do_not(
    network: RefinerNetwork, x: torch.Tensor
) -> None:
    moved = x.clone()
    moved[2, 3 * R_ELBOW : 3 * R_ELBOW + 3] += 1.0
    for at_work in (False, True):
        with torch.no_grad():
            before, after = (network.train(at_work)(of)[0] for of in (x, moved))
        changed = (after - before).abs().amax(-1)
        assert changed[2].min() > 1e-4
        changed[2] = 0.0
        assert changed.max() < 1e-5


def test_two_joints_with_the_same_numbers_are_told_apart(network: RefinerNetwork) -> None:
    with torch.no_grad():
        residual = network.train()(torch.zeros(1, N_FEATURES))[0][0]
    assert torch.cdist(residual, residual).add(torch.eye(N_JOINTS)).min() > 1e-3


def test_widened_it_doubts_more_and_says_the_same(network: RefinerNetwork, x: torch.Tensor) -> None:
    network.eval()
    with torch.no_grad():
        residual, log_sd = network(x)
        network.widen(2.0)
        same, wider = network(x)
    torch.testing.assert_close(same, residual, rtol=0, atol=0)
    torch.testing.assert_close(wider.exp(), 2.0 * log_sd.exp())


@pytest.fixture
def shown() -> torch.Tensor:
    """What is seen around joints, of seven people."""
    return torch.randn(7, N_JOINTS, N_AROUND, generator=torch.Generator().manual_seed(1))


def test_one_that_looks_around_learns_to(x: torch.Tensor, shown: torch.Tensor) -> None:
    looking = RefinerNetwork(width=16, blocks=2, look_around=True)
    assert looking.look is not None
    assert not looking.eval()(x, shown)[0].any()
    with torch.no_grad():
        for weight in looking.parameters():
            weight += 0.1 * torch.randn(weight.shape)
    other = shown.clone()
    other[0, R_HAND] += 1
    moved = (looking(x, other)[0] - looking(x, shown)[0]).abs().amax(-1)
    assert moved[0, R_HAND] > 1e-3 and moved[0, R_ELBOW] > 0 and not moved[1:].any()
    looking.train()(x, shown)[0].sum().backward()
    for weight in looking.look.parameters():
        assert weight.grad is not None and weight.grad.any()


def test_a_mirror_shows_the_surroundings_of_the_partners(shown: torch.Tensor) -> None:
    image = mirrored_around(shown)
    torch.testing.assert_close(mirrored_around(image), shown, rtol=0, atol=0)
    patches, before = (of[..., :N_PATCHES].unflatten(-1, (4, SIDE, SIDE)) for of in (image, shown))
    torch.testing.assert_close(patches[:, R_HAND, :, 2, 1], before[:, L_HAND, :, 2, SIDE - 2])
    maps, before = (of[..., N_PATCHES:] for of in (image, shown))
    right, left = (N_JOINTS + 2 * ITOP15.limbs.index(limb) for limb in ((2, 4), (3, 5)))
    torch.testing.assert_close(maps[:, R_HAND, right], -before[:, L_HAND, left])
    torch.testing.assert_close(maps[:, R_HAND, right + 1], before[:, L_HAND, left + 1])
    for first in (0, N_JOINTS + N_FIELDS):  # part maps and opinions
        torch.testing.assert_close(maps[:, 0, first + R_HAND], before[:, 0, first + L_HAND])
    nothing = torch.zeros(7, N_JOINTS, 0)
    assert mirrored_around(nothing).shape == nothing.shape


def test_surroundings_follow_joints_that_are_moved_and_made_larger() -> None:
    """The same as looking again, along the ray, where the surface is one plane."""
    look = plane_m(2.0)
    size, moved_m = 1.1, torch.zeros(1, N_JOINTS, 3)
    moved_m[..., 2] = 0.04
    joints_m = np.tile([0.0, 0, 2.1], (N_JOINTS, 1))
    before = torch.from_numpy(around([look], joints_m[None]))
    after = varied_around(before, torch.tensor([[size]]), moved_m)
    again = around([plane_m(size * 2.0)], joints_m[None] * size + moved_m.numpy())
    # The network's offset, which grows with people, is 0 here.
    torch.testing.assert_close(after, torch.from_numpy(again), rtol=0, atol=1e-4)
    nothing = torch.zeros(1, N_JOINTS, 0)
    assert varied_around(nothing, torch.tensor([[size]]), moved_m).shape == nothing.shape


def plane_m(depth_m: float) -> Look:
    """A look at a plane."""
    camera = Camera(20.0, 20.0, 31.5, 23.5)
    maps = Maps(np.full((15, 48, 64), 0.5, np.float32), np.zeros((28, 48, 64), np.float32), None, 2)
    return Look(maps, np.full((48, 64), depth_m, np.float32), camera)


@pytest.mark.parametrize("width", [0, 2, 30])
def test_a_width_that_heads_cannot_share_is_told(width: int) -> None:
    with pytest.raises(UsageError, match=f"multiple of 4, got {width}"):
        RefinerNetwork(width, blocks=1)
