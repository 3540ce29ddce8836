"""The benchmark: the recipe's turns and checksum, the same bytes twice, files that are damaged."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from residualpose.camera import PRESETS
from residualpose.errors import ResidualPoseError, UsageError
from residualpose.evaluation.benchmark import (
    MAX_PEOPLE,
    VIEWS,
    Recipe,
    Setup,
    benchmark_folder,
    frame_path,
    identity,
    load_frame,
    missing_frames,
)
from residualpose.evaluation.labelled import open_benchmark
from residualpose.settings import build, read_section

ROOT = Path(__file__).parents[2]
SMALL = Recipe(
    name="small", seed=5, frames=3, bodies=3, poses=300, attempts=3, people=(1, 2),
    setups=tuple(
        replace(setup, width=setup.width // 4, height=setup.height // 4)
        for setup in Recipe().setups[:3]
    ),
)  # fmt: skip


def test_the_recipe_meets_every_sensor_with_every_number_of_people() -> None:
    recipe = Recipe()
    first = Counter((s.camera, n) for s, n, _ in (recipe.wanted(i) for i in range(60)))
    cameras = {setup.camera for setup in recipe.setups}
    assert set(first) == {(camera, n) for camera in cameras for n in (1, 2, 3, 4, 5)}
    everything = [recipe.wanted(i) for i in range(recipe.frames)]
    met = {(setup.camera, people, view) for setup, people, view in everything}
    assert len(met) == 6 * 5 * len(VIEWS)
    assert {setup.sensor for setup, _, _ in everything} == {
        "structured_light", "time_of_flight", "stereo"
    }  # fmt: skip
    assert Counter(n for _, n, _ in everything) == {1: 90, 2: 90, 3: 60, 4: 30, 5: 30}


def test_cameras_keep_their_shape() -> None:
    for setup in Recipe().setups:
        width, height = PRESETS[setup.camera][:2]
        assert setup.width / setup.height == pytest.approx(width / height, rel=1e-3)
        assert setup.width <= 512 and setup.height <= 424


def test_the_shipped_settings_are_the_recipe() -> None:
    shipped = build(Recipe, read_section(ROOT / "configs/benchmark.toml", "benchmark"), "shipped")
    assert shipped == Recipe()
    assert shipped.checksum == Recipe().checksum


def test_a_frozen_recipe_keeps_its_checksum() -> None:
    # A recipe that changes gets another name: figures of two recipes must never meet in a table.
    assert Recipe().name == "benchmark-1"
    assert Recipe().checksum[:16] == "42b7e924946cc12a"
    assert replace(Recipe(), seed=1).checksum != Recipe().checksum
    assert set(identity(Recipe())) == {"name", "recipe_sha256", "generator_sha256", "version"}
    folder = benchmark_folder(Path("cache"), Recipe()).name
    assert folder.startswith(f"benchmark-1_{Recipe().checksum[:8]}_")


def test_the_scenes_can_give_what_a_recipe_may_ask_for() -> None:
    pytest.importorskip("torch", reason="needs the synthetic extra")
    from residualpose.synthetic import people, viewpoints

    assert VIEWS == viewpoints.KINDS
    assert MAX_PEOPLE <= people.MAX_PEOPLE


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"people": (0, 1)}, "people"),
        ({"people": (6,)}, "1 to 5"),
        ({"views": ("side",)}, "eye, fixed, low, high, overhead"),
        ({"setups": ()}, "setups"),
        ({"frames": 0}, "frames"),
        ({"seed": -1}, "seed"),
    ],
)
def test_impossible_recipes_are_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        replace(Recipe(), **values)  # type: ignore[arg-type]


def test_unknown_sensors_and_cameras_are_refused() -> None:
    with pytest.raises(UsageError, match="structured_light"):
        Setup("radar", "kinect1", 320, 240)
    with pytest.raises(UsageError, match="kinect2"):
        Setup("stereo", "kinect9", 320, 240)


def test_the_same_machine_gives_the_same_bytes(tmp_path: Path) -> None:
    pytest.importorskip("anny", reason="needs the synthetic extra")
    import torch

    from residualpose.synthetic.benchmark import benchmark_cast, write_frame

    cast, threads = benchmark_cast(SMALL), torch.get_num_threads()
    again = benchmark_cast(SMALL)
    folders = tmp_path / "first", tmp_path / "second"
    for folder in folders:
        folder.mkdir()
    for i in range(3):
        write_frame(folders[0], SMALL, i, cast)
    torch.set_num_threads(1)
    try:
        for i in (2, 0, 1):  # the order does not matter, nor do threads
            write_frame(folders[1], SMALL, i, again)
    finally:
        torch.set_num_threads(threads)
    for i in range(3):
        first, second = (frame_path(folder, i).read_bytes() for folder in folders)
        assert first == second
    assert frame_path(folders[0], 0).read_bytes() != frame_path(folders[0], 1).read_bytes()
    _check_frames(folders[0])


def _check_frames(folder: Path) -> None:
    labelled = open_benchmark(folder, SMALL)
    assert len(labelled) == 3
    for i, one in enumerate(labelled):
        setup, _, _ = SMALL.wanted(i)
        assert one.frame.depth_m.shape == (setup.height, setup.width)
        assert one.sensor == setup.sensor and one.view in VIEWS
        assert one.asked.any() and one.visible is not None
        assert (one.frame.depth_m > 0).mean() > 0.05
        seen = np.flatnonzero(one.visible[one.asked][0])
        u, v = one.truth_px[one.asked][0][seen[0]].round().astype(int)
        behind_m = one.truth_m[one.asked][0][seen[0], 2] - one.frame.depth_m[v, u]
        assert one.frame.depth_m[v, u] == 0 or abs(behind_m) < 0.6


def test_workers_render_what_is_missing_and_leave_no_scraps(tmp_path: Path) -> None:
    pytest.importorskip("anny", reason="needs the synthetic extra")
    from residualpose.synthetic.benchmark import benchmark_cast, render_benchmark, write_frame

    folder = tmp_path / "frames"
    assert missing_frames(folder, 3) == [0, 1, 2]
    made = sorted(path.name for path in render_benchmark(folder, SMALL, 2, 1))
    assert made == ["frame_0000.npz", "frame_0001.npz"]
    assert missing_frames(folder, 3) == [2]
    write_frame(tmp_path, SMALL, 1, benchmark_cast(SMALL))
    assert frame_path(folder, 1).read_bytes() == frame_path(tmp_path, 1).read_bytes()
    assert not list(folder.glob(".*"))


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("anny", reason="needs the synthetic extra")
    from residualpose.synthetic.benchmark import render_benchmark

    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="found a file"):
        next(render_benchmark(tmp_path / "file", SMALL, 1, 1))


def test_a_damaged_frame_is_named(tmp_path: Path) -> None:
    frame_path(tmp_path, 0).write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(ResidualPoseError, match=r"frame_0000\.npz.*delete it"):
        load_frame(frame_path(tmp_path, 0))
    with pytest.raises(ResidualPoseError, match="frame_0001"):
        load_frame(frame_path(tmp_path, 1))
