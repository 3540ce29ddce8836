"""The refiner learns a bias of the earlier stages away, and left is as good as right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from residualpose.learning import train_refiner as train_refiner_module  # noqa: E402
from residualpose.learning.export import export_refiner  # noqa: E402
from residualpose.learning.refiner_data import RefinerData  # noqa: E402
from residualpose.learning.refiner_network import mirrored_joints  # noqa: E402
from residualpose.learning.train_refiner import (  # noqa: E402
    Examples,
    RefinerConfig,
    calibrate,
    inputs_of,
    refiner_loss,
    train_refiner,
    varied,
)
from residualpose.pipeline.around import N_AROUND, PATCH  # noqa: E402
from residualpose.pipeline.refine import (  # noqa: E402
    N_FEATURES,
    POSITION_SCALE_M,
    RESIDUAL_SCALE_M,
    Refiner,
)
from residualpose.poses import Origin  # noqa: E402
from residualpose.skeleton import ITOP15  # noqa: E402
from residualpose.uncertainty import ellipsoid_radius  # noqa: E402

SMALL = RefinerConfig(width=32, blocks=1, dropout=0.0, steps=250, batch=64, learning_rate=3e-3)


@pytest.fixture
def data(standing_m: np.ndarray) -> RefinerData:
    """People all over the image whose lifted joints are 6 cm too near, hands noisier."""
    rng = np.random.default_rng(0)
    people = standing_m - standing_m.mean(0) + rng.normal(0, 0.03, (200, 15, 3))
    truth = people + rng.uniform([-1.5, -0.5, 2], [1.5, 0.5, 5], (200, 3))[:, None]
    found = truth * (1 - 0.06 / np.linalg.norm(truth, axis=-1, keepdims=True))
    found[:, 6:8] += rng.normal(0, 0.08, (200, 2, 3))
    found[rng.random((200, 15)) < 0.1] = np.nan
    known = np.isfinite(found).all(-1)
    return RefinerData(*(a.astype(np.float32) for a in (
        found, np.where(known, 0.9, 0), np.where(known, Origin.MEASURED, Origin.ABSENT),
        np.where(known[..., None, None], np.eye(3) * 1e-3, np.nan), truth,
        np.where(rng.random((200, 1)) < 0.7, [0, 1, 0, 1.5], np.nan),
    )), around=np.zeros((200, 15, 0), np.float16))  # fmt: skip


def mirrored(data: RefinerData) -> RefinerData:
    """The people as a mirror shows them."""
    partner = list(ITOP15.mirror)
    flip = np.array([-1.0, 1.0, 1.0], np.float32)
    return RefinerData(
        data.joints_m[:, partner] * flip,
        data.joint_score[:, partner],
        data.origin[:, partner],
        data.covariance_m2[:, partner] * np.outer(flip, flip),
        data.truth_m[:, partner] * flip,
        data.floor * np.append(flip, np.float32(1)),
        data.around[:, partner],
    )


def error_m(joints_m: np.ndarray, truth_m: np.ndarray) -> float:
    return float(np.nanmedian(np.linalg.norm(joints_m - truth_m, axis=-1)))


def test_a_bias_is_learnt_away_wherever_people_stand(data: RefinerData, tmp_path: Path) -> None:
    losses: list[float] = []
    network = train_refiner(data, SMALL, lambda _, loss: losses.append(loss))
    assert len(losses) == SMALL.steps and np.mean(losses[-20:]) < 0.5 * np.mean(losses[:20])
    export_refiner(network, tmp_path / "refiner.onnx")
    refined = Refiner(tmp_path / "refiner.onnx")(
        data.joints_m, data.joint_score, data.origin, data.covariance_m2
    )
    body = [0, 1, 2, 3, 8, 9, 10, 11, 12]
    before, after = (error_m(j[:, body], data.truth_m[:, body])
                     for j in (data.joints_m, refined.joints_m))  # fmt: skip
    assert before == pytest.approx(0.06, abs=0.01) and after < 0.03
    sd_m = np.sqrt(np.trace(refined.covariance_m2, axis1=-2, axis2=-1))
    assert np.nanmedian(sd_m[:, 6:8]) > 1.5 * np.nanmedian(sd_m[:, body])


def test_what_only_the_surroundings_tell_is_learnt_too(data: RefinerData) -> None:
    """Half of the people lie 6 cm behind where they were found, half 6 cm before: one number tells.

    There are enough people for some to be held back, and the mirror image is of no help.
    """
    rng = np.random.default_rng(1)
    many = RefinerData.joined([data] * 5)
    behind = rng.random(len(many)) < 0.5
    off_m = np.where(behind, 0.06, -0.06)[:, None, None].astype(np.float32)
    ray = many.truth_m / np.linalg.norm(many.truth_m, axis=-1, keepdims=True)
    around = np.zeros((len(many), 15, N_AROUND), np.float16)
    around[..., PATCH // 2] = behind[:, None]
    puzzle = replace(many, joints_m=many.truth_m - off_m * ray, around=around)
    config = replace(SMALL, look_around=True, jitter_m=0.0, size_sd=0.0)
    network = train_refiner(puzzle, config, lambda *_: None)
    with torch.no_grad():
        residual, _ = network(*map(torch.from_numpy, inputs_of(puzzle).values()))
    residual_m = residual[..., 2].numpy() * RESIDUAL_SCALE_M
    assert np.median(residual_m[behind]) > 0.04 and np.median(residual_m[~behind]) < -0.04


class Killed(Exception):
    pass


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(
    data: RefinerData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(SMALL, steps=12, dropout=0.3)
    whole = train_refiner(data, config, lambda *_: None).state_dict()
    monkeypatch.setattr(train_refiner_module, "_SECONDS_BETWEEN_CHECKPOINTS", 0.0)

    def killed(step: int, _: float) -> None:
        if step == 6:
            raise Killed

    checkpoint = tmp_path / "checkpoint.pt"
    with pytest.raises(Killed):
        train_refiner(data, config, killed, checkpoint)
    steps: list[int] = []
    rest = train_refiner(data, config, lambda step, _: steps.append(step), checkpoint).state_dict()
    assert steps == [7, 8, 9, 10, 11]
    for name, value in whole.items():
        torch.testing.assert_close(rest[name], value, rtol=0, atol=0)


def test_onnx_equals_torch_for_any_number_of_people(data: RefinerData, tmp_path: Path) -> None:
    network = train_refiner(data, replace(SMALL, steps=3), lambda *_: None)
    export_refiner(network, tmp_path / "refiner.onnx")
    session = Refiner(tmp_path / "refiner.onnx")._session
    for people in (1, 5):
        x = np.random.default_rng(people).normal(size=(people, N_FEATURES)).astype(np.float32)
        with torch.no_grad():
            expected = network(torch.from_numpy(x))
        for a, b in zip(session.run(None, {"features": x}), expected, strict=True):
            np.testing.assert_allclose(np.asarray(a), b.numpy(), atol=1e-4)


def test_somebody_larger_and_farther_away_is_the_same_pose(data: RefinerData) -> None:
    size = 1.2
    data = replace(data, floor=data.floor * [1, 1, 1, 0.5])  # nobody's floor is out of reach
    larger = replace(
        data, joints_m=data.joints_m * size, truth_m=data.truth_m * size,
        covariance_m2=data.covariance_m2 * size**2, floor=data.floor * [1, 1, 1, size],
    )  # fmt: skip
    people, expected = Examples.of(data), Examples.of(larger)
    config = replace(SMALL, size_sd=np.log(size), jitter_m=0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "randn", lambda *shape, **_: torch.ones(*shape))
        found = varied(people, config)
    # Weiszfeld's iteration, which finds the root, is not of scale altogether.
    torch.testing.assert_close(found.features, expected.features, rtol=0, atol=0.02)
    torch.testing.assert_close(found.target, expected.target, rtol=0, atol=0.02)


def test_joints_found_elsewhere_still_end_at_the_truth(data: RefinerData) -> None:
    people = Examples.of(data)
    found = varied(people, replace(SMALL, size_sd=0.0, jitter_m=0.05))
    moved_m = (found.features - people.features)[:, :45].reshape(-1, 15, 3) * POSITION_SCALE_M
    torch.testing.assert_close(
        moved_m * people.known + found.target * RESIDUAL_SCALE_M, people.target * RESIDUAL_SCALE_M,
        rtol=0, atol=1e-6,
    )  # fmt: skip
    assert not (moved_m * (1 - people.known)).any()
    per_person = moved_m.abs().sum((1, 2)) / people.known.sum((1, 2))
    assert per_person.max() > 3 * per_person.min() > 0


def test_doubt_is_set_by_people_never_met(
    data: RefinerData, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = RefinerData.joined([data] * 5)  # 1000
    met: list[int] = []
    real = Examples.of
    monkeypatch.setattr(Examples, "of", lambda of: (met.append(len(of)), real(of))[1])
    network = train_refiner(many, replace(SMALL, steps=3), lambda *_: None)
    assert met == [950, 50]
    unsure = network.leave.bias.detach().clone()
    network.widen(4.5)
    calibrate(network, many.part(slice(950, None)))
    torch.testing.assert_close(network.leave.bias.detach(), unsure, rtol=0, atol=1e-4)
    people = real(many.part(slice(950, None)))
    with torch.no_grad():
        residual, log_sd = network(people.features)
    error = (people.target - residual) / log_sd.exp()
    distance2 = (error**2).sum(-1)[people.known[..., 0] > 0]
    assert float((distance2 < ellipsoid_radius(0.68) ** 2).float().mean()) == pytest.approx(
        0.68, abs=0.01
    )


def test_the_mirror_image_of_somebody_is_refined_to_the_mirror_image(data: RefinerData) -> None:
    network = train_refiner(data, replace(SMALL, steps=30), lambda *_: None)
    people, images = Examples.of(data), Examples.of(mirrored(data))
    x, image = people.features, images.features
    torch.testing.assert_close(network.mirrored(x), image, rtol=0, atol=1e-4)
    torch.testing.assert_close(mirrored_joints(people.target), images.target, rtol=0, atol=1e-4)
    with torch.no_grad():
        (residual, log_sd), (other, other_sd) = network(x), network(image)
    partner = list(ITOP15.mirror)
    flip = torch.tensor([-1.0, 1, 1])
    assert residual.abs().max() > 0.01
    torch.testing.assert_close(other[:, partner] * flip, residual, rtol=0, atol=1e-3)
    torch.testing.assert_close(other_sd[:, partner], log_sd, rtol=0, atol=1e-3)


def test_wild_and_unknown_joints_do_not_count() -> None:
    zero = torch.zeros(2, 15, 3)
    target = zero.clone()
    target[0, 3] = 50.0
    weight = torch.ones(2, 15, 1)
    weight[0, 3] = 0
    assert refiner_loss(zero, zero, target, weight) == pytest.approx(0.0, abs=1e-6)


def test_joints_of_others_move_nothing_but_widen_the_doubt() -> None:
    residual, log_sd = (torch.zeros(1, 15, 3, requires_grad=True) for _ in range(2))
    target = torch.zeros(1, 15, 3)
    target[0, 3, 0] = 10.0  # a metre
    refiner_loss(residual, log_sd, target, torch.ones(1, 15, 1)).backward()
    assert residual.grad is not None and log_sd.grad is not None
    assert not residual.grad[0, 3].any()
    assert log_sd.grad[0, 3, 0] < 0 < log_sd.grad[0, 4, 0]  # gradient descent: wider, narrower


def test_the_best_guess_is_where_most_are_not_their_mean() -> None:
    target = torch.zeros(10, 15, 3)
    target[:3, :, 2] = 5.0  # three in ten are half a metre off, and nothing tells which
    loss = {
        z: refiner_loss(
            torch.tensor([0.0, 0, z]).expand(10, 15, 3), torch.zeros(10, 15, 3), target,
            torch.ones(10, 15, 1),
        ) - 0.1 / 3 * ((target[..., 2] - z) ** 2).mean()  # the likelihood at sds of 1
        for z in (0.0, 0.3, 1.5, 5.0)
    }  # fmt: skip
    assert loss[0.0] < loss[0.3] < loss[1.5] and loss[0.0] < loss[5.0]
