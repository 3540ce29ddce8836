"""Where recorded frames lie within what the sensors produce (docs/sensors.md has the figures)."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from residualpose.synthetic.materials import Material  # noqa: E402
from residualpose.synthetic.sensors import Sensor, simulate  # noqa: E402

FOCAL_PX = 144.0
SCRIPT = Path(__file__).parents[2] / "scripts" / "sensor_measures.py"


@pytest.fixture(scope="module")
def measuring() -> ModuleType:
    if not SCRIPT.exists():
        pytest.skip("scripts are not part of an installed package")
    spec = importlib.util.spec_from_file_location("sensor_measures", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def wall(z_m: float, count: int = 1) -> np.ndarray:
    return np.full((count, 96, 128), z_m, np.float32)


def spread(measuring: ModuleType, sensor: Sensor, depth_m: np.ndarray, name: str) -> np.ndarray:
    """The 10th and 90th percentile of a measure over the simulated frames."""
    depth = torch.from_numpy(depth_m)
    noisy = simulate(
        depth,
        torch.full(depth.shape, int(Material.BACKGROUND), dtype=torch.uint8),
        torch.full((len(depth),), FOCAL_PX),
        torch.full((len(depth),), int(sensor)),
        torch.Generator().manual_seed(0),
    ).numpy()
    return np.nanpercentile([measuring.measures(f, FOCAL_PX)[name] for f in noisy], (10, 90))


def test_noise_on_a_known_wall_is_measured(measuring: ModuleType) -> None:
    rng = np.random.default_rng(0)
    noisy = wall(3.5)[0] + rng.normal(0, 0.02, (96, 128)).astype(np.float32)
    found = measuring.measures(noisy, FOCAL_PX)
    assert found["noise at 3-4 m, mm"] == pytest.approx(20, rel=0.1)
    assert abs(found["neighbours' errors alike, correlation"]) < 0.1
    assert found["missing, %"] == 0 and np.isnan(found["noise at 1-2 m, mm"])


@pytest.mark.parametrize("degrees", [30.0, 55.0, 72.0])
def test_holes_on_a_tilted_plane_are_counted_at_its_angle(
    measuring: ModuleType, degrees: float
) -> None:
    tangents = (np.arange(128) - 63.5) / FOCAL_PX
    normal = np.radians(degrees)
    z_m = 2.0 * np.cos(normal) / (np.cos(normal) + np.sin(normal) * tangents)
    depth_m = np.tile(z_m.astype(np.float32), (96, 1))
    depth_m[::5, ::4] = 0
    middle = depth_m[:, 50:78]
    found = measuring.flat_places(middle, FOCAL_PX)
    band = "0-45" if degrees < 45 else "45-65" if degrees < 65 else "65-80"
    name = f"holes on planes at {band} degrees, %"
    assert found[name] == pytest.approx(5.0, abs=0.8)
    assert sum(np.isfinite(found[key]) for key in found if "degrees" in key) == 1


def test_width_gap_and_flying_pixels_of_a_known_edge(measuring: ModuleType) -> None:
    sharp = wall(4.0)[0]
    sharp[:, 64:] = 2.0
    found = measuring.edges(sharp)
    assert found["edge width 10-90 %, px"] == pytest.approx(0.8)
    assert found["edges with flying pixels, %"] == 0 and found["edges with a gap, %"] == 0
    soft = sharp.copy()
    soft[:, 62:66] = [3.6, 3.2, 2.8, 2.4]
    assert measuring.edges(soft)["edge width 10-90 %, px"] == pytest.approx(4.0)
    assert measuring.edges(soft)["edges with flying pixels, %"] == 100
    shadowed = sharp.copy()
    shadowed[:, 61:64] = 0
    shadowed[:, 90:] = 4.0
    found = measuring.edges(shadowed)
    assert found["gap on the shadow side of edges, px"] == pytest.approx(3.0)
    assert found["gap on their other side, px"] == 0


@pytest.mark.parametrize(
    "sensor, z_m, name, recorded",
    [
        (Sensor.STRUCTURED_LIGHT, 2.6, "noise at 2-3 m, mm", 11.0),
        (Sensor.STRUCTURED_LIGHT, 3.6, "noise at 3-4 m, mm", 30.0),
        (Sensor.STRUCTURED_LIGHT, 3.6, "quantisation step at 3 m, mm", 26.0),
        (Sensor.STRUCTURED_LIGHT, 3.6, "neighbours' errors alike, correlation", 0.39),
        (Sensor.TIME_OF_FLIGHT, 4.5, "noise at 4-5.5 m, mm", 11.0),
        (Sensor.TIME_OF_FLIGHT, 4.5, "missing in the corners, %", 65.0),
        (Sensor.FILTERED, 3.5, "noise at 3-4 m, mm", 47.0),
        (Sensor.FILTERED, 3.5, "lumps at 3-4 m, mm", 140.0),
        (Sensor.FILTERED, 3.5, "missing, %", 0.15),
    ],
)
def test_recorded_walls_lie_inside_the_spread(
    measuring: ModuleType, sensor: Sensor, z_m: float, name: str, recorded: float
) -> None:
    low, high = spread(measuring, sensor, wall(z_m, 32), name)
    assert low <= recorded * 1.05 and recorded * 0.95 <= high


def test_recorded_edges_lie_inside_the_spread(measuring: ModuleType) -> None:
    depth_m = wall(3.6, 32)
    depth_m[:, :, 40:90] = 2.4
    low, high = spread(measuring, Sensor.FILTERED, depth_m, "edge width 10-90 %, px")
    assert low < 7.5 and high > 5.0
    least, most = spread(measuring, Sensor.STRUCTURED_LIGHT, depth_m, "edges with a gap, %")
    assert least < 15 < most
