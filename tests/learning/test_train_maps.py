"""The training loop: it learns, and a resumed run is the straight run, bit for bit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from residualpose.errors import ResidualPoseError  # noqa: E402
from residualpose.learning.batches import FrameStore, make_batch  # noqa: E402
from residualpose.learning.mix import Share  # noqa: E402
from residualpose.learning.network import NetworkConfig, PoseNetwork  # noqa: E402
from residualpose.learning.train_maps import (  # noqa: E402
    MapsConfig,
    rate,
    train_maps,
    train_step,
)

TINY = NetworkConfig(stem=4, widths=(8, 8, 8), blocks=(1, 1, 1), head=8)


def config(data: Path, out: Path) -> MapsConfig:
    return MapsConfig(
        (Share(data),), out, steps=5, batch=2, shards=2, first_shards=1, steps_per_shard=2,
        minutes_between_checkpoints=0.0, network=TINY,
    )  # fmt: skip


class Killed(Exception):
    pass


@pytest.mark.parametrize("integers", [False, True])
def test_a_killed_and_resumed_run_equals_the_straight_one(
    tiny_shards: Path, tmp_path: Path, integers: bool
) -> None:
    losses: dict[str, list] = {"straight": [], "killed": []}
    whole = replace(config(tiny_shards, tmp_path / "straight"), integers=integers)
    straight = train_maps(whole, lambda _, loss: losses["straight"].append(loss))

    def until_the_fourth(step: int, loss: dict[str, float]) -> None:
        if step == 3:
            raise Killed
        losses["killed"].append(loss)

    killed = replace(whole, out=tmp_path / "killed")
    with pytest.raises(Killed):
        train_maps(killed, until_the_fourth)
    assert torch.load(killed.out / "checkpoint.pt", weights_only=True)["step"] == 3
    steps: list[int] = []
    torch.rand(7)  # the state of torch's own generator must not matter

    def note(step: int, loss: dict[str, float]) -> None:
        steps.append(step)
        losses["killed"].append(loss)

    resumed = train_maps(killed, note)
    assert steps == [3, 4]
    assert losses["killed"] == losses["straight"] and len(losses["straight"]) == 5
    one, two = (torch.load(path, weights_only=True) for path in (straight, resumed))
    assert one["step"] == two["step"] == 5
    for kind in ("network", "average"):
        for name, value in one[kind].items():
            assert torch.equal(value, two[kind][name]), name
    moments = [state["optimiser"]["state"] for state in (one, two)]
    assert all(torch.equal(moments[0][k]["exp_avg"], moments[1][k]["exp_avg"]) for k in moments[0])


def test_the_log_and_the_checkpoint_tell_how(tiny_shards: Path, tmp_path: Path) -> None:
    checkpoint = train_maps(replace(config(tiny_shards, tmp_path), steps=1), lambda *_: None)
    (line,) = (tmp_path / "log.jsonl").read_text().splitlines()
    record = json.loads(line)
    assert record["step"] == 0
    assert {f"{s}_{k}" for s in ("early", "final") for k in ("part", "limb", "depth")} < set(record)
    saved = json.loads(torch.load(checkpoint, weights_only=True)["config"])
    assert saved["network"]["widths"] == [8, 8, 8] and saved["batch"] == 2
    assert not list(tmp_path.glob("*.part*"))


def test_a_damaged_checkpoint_or_another_network_is_explained(
    tiny_shards: Path, tmp_path: Path
) -> None:
    run = replace(config(tiny_shards, tmp_path), steps=1)
    checkpoint = train_maps(run, lambda *_: None)
    other = replace(run, steps=2, network=replace(TINY, head=12))
    with pytest.raises(ResidualPoseError, match="checkpoint"):
        train_maps(other, lambda *_: None)
    checkpoint.write_bytes(checkpoint.read_bytes()[:5000])
    with pytest.raises(ResidualPoseError, match="checkpoint"):
        train_maps(replace(run, steps=2), lambda *_: None)


def test_the_loss_falls_on_a_batch_seen_again_and_again(tiny_shards: Path) -> None:
    torch.manual_seed(0)
    batch = make_batch(FrameStore(tiny_shards, 1, 1, 1), 0, 4, 0, torch.device("cpu"))
    network = PoseNetwork(TINY)
    optimiser = torch.optim.AdamW(network.parameters(), 5e-3)
    losses = [sum(train_step(network, optimiser, batch).values()) for _ in range(40)]
    assert losses[-1] < 0.35 * losses[0]


def test_the_learning_rate_warms_up_stays_and_falls() -> None:
    run = MapsConfig((Share(Path()),), Path(), steps=1000, fall=0.4)
    rates = [rate(step, run) for step in range(1000)]
    assert rates[0] < 0.01 and rates[300] == 1.0 and rates[590] == 1.0
    assert rates[800] == pytest.approx(0.5) and rates[999] == pytest.approx(0.02)
