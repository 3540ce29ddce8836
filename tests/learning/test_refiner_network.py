"""The residual network begins by doing nothing, and its joints look at one another."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from residualpose.errors import UsageError  # noqa: E402
from residualpose.learning.refiner_network import RefinerNetwork, _tokens  # noqa: E402
from residualpose.pipeline.refine import (  # noqa: E402
    DISTANCE,
    KNOWN,
    N_FEATURES,
    N_JOINTS,
    POSITIONS,
    SPREADS,
)

R_ELBOW, R_HAND = 4, 6


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


@pytest.mark.parametrize("width", [0, 2, 30])
def test_a_width_that_heads_cannot_share_is_told(width: int) -> None:
    with pytest.raises(UsageError, match=f"multiple of 4, got {width}"):
        RefinerNetwork(width, blocks=1)
