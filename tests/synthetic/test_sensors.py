from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from residualpose.synthetic import noise_fields  # noqa: E402
from residualpose.synthetic.materials import Material  # noqa: E402
from residualpose.synthetic.sensors import (  # noqa: E402
    Sensor,
    Strengths,
    draw_strengths,
    sample_sensors,
    simulate,
    stereo,
    structured_light,
    time_of_flight,
)
from residualpose.synthetic.sensors.driver import coarser, fill_holes  # noqa: E402

BASES = {
    Sensor.STRUCTURED_LIGHT: structured_light,
    Sensor.TIME_OF_FLIGHT: time_of_flight,
    Sensor.STEREO: stereo,
}
FOCAL_PX = 144.0


def strengths(batch: int, **values: float) -> Strengths:
    typical = {
        "noise": 1.0, "holes": 1.0, "edges": 1.0, "hair_loss": 0.0, "dark_loss": 0.0,
        "speckle": 0.0, "averaging": 0.0, "smoothing": 0.0, "mirror": 0.0,
    }  # fmt: skip
    return Strengths(**{k: torch.full((batch,), v) for k, v in (typical | values).items()})


def run(depth_m, material, sensor: Sensor, seed: int = 0, focal_px: float = FOCAL_PX, **values):
    batch = len(depth_m)
    return simulate(
        depth_m,
        material,
        torch.full((batch,), focal_px),
        torch.full((batch,), int(sensor)),
        torch.Generator().manual_seed(seed),
        strengths=strengths(batch, **values),
    )


def plane(z_m: float, material: Material = Material.CLOTH, batch: int = 6):
    shape = (batch, 128, 160)
    return torch.full(shape, z_m), torch.full(shape, int(material), dtype=torch.uint8)


def figure(batch: int = 6):
    depth_m, material = plane(3.5, Material.BACKGROUND, batch)
    depth_m[:, 30:, 60:100] = 2.0
    material[:, 30:, 60:100] = Material.CLOTH
    material[:, 80:, 60:100] = Material.DARK_CLOTH
    material[:, 30:50, 70:90] = Material.HAIR
    return depth_m, material


@pytest.mark.parametrize("sensor", BASES)
@pytest.mark.parametrize("z_m", [1.5, 3.0, 4.5])
def test_noise_on_a_plane_has_the_sd_of_the_formula(sensor: Sensor, z_m: float):
    depth_m, material = plane(z_m)
    noisy_m = run(depth_m, material, sensor)[:, 32:96, 40:120]
    seen = noisy_m > 0
    assert seen.float().mean() > 0.97
    # Each frame has its own scale error and multi-path offset; the sd is that inside a small block.
    blocks = noisy_m.unfold(1, 16, 16).unfold(2, 16, 16).flatten(-2)
    sd_m = blocks[(blocks > 0).all(-1)].std(-1).square().mean().sqrt().item()
    expected_m = BASES[sensor].axial_sd_m(torch.tensor(z_m)).item()
    assert 0.75 * expected_m < sd_m < 1.35 * expected_m + 0.001


def test_sensor_noise_has_the_documented_size():
    z_m = torch.tensor([2.0, 3.0, 4.0])
    assert torch.allclose(
        structured_light.axial_sd_m(z_m), torch.tensor([0.0061, 0.0140, 0.0258]), atol=1e-3
    )
    assert torch.allclose(stereo.axial_sd_m(z_m), torch.tensor([0.015, 0.034, 0.060]), atol=1e-3)
    assert (time_of_flight.axial_sd_m(torch.linspace(0.3, 20, 50)) <= 0.017).all()


def test_structured_light_reads_only_steps_of_inverse_depth():
    depth_m, material = plane(3.0, batch=1)
    chosen = strengths(1)
    noisy_m = structured_light.structured_light(
        depth_m, material, torch.tensor([FOCAL_PX]), chosen, torch.Generator().manual_seed(0)
    )
    levels = noisy_m[noisy_m > 0].unique()
    assert levels.diff().min().item() == pytest.approx(0.026, abs=0.003)


@pytest.mark.parametrize("sensor", BASES)
def test_hair_and_dark_cloth_vanish_only_at_full_loss(sensor: Sensor):
    depth_m, material = figure()
    inner = torch.zeros_like(material, dtype=torch.bool)
    inner[:, 34:46, 74:86] = True
    inner[:, 84:124, 66:94] = True
    kept = run(depth_m, material, sensor)[inner]
    gone = run(depth_m, material, sensor, hair_loss=1.0, dark_loss=1.0)[inner]
    assert (kept > 0).float().mean() > 0.97
    assert (gone > 0).float().mean() < (0.05 if sensor != Sensor.STEREO else 0.2)


@pytest.mark.parametrize("mirror", [0.0, 1.0])
def test_shadow_falls_on_one_side_with_the_width_of_the_baseline(mirror: float):
    depth_m = torch.full((1, 4, 160), 4.0)
    depth_m[:, :, 60:100] = 1.0
    focal_px, baseline_m = torch.tensor([FOCAL_PX]), torch.tensor([0.075 * (1 - 2 * mirror)])
    hidden = structured_light.shadow(depth_m, focal_px, baseline_m, torch.zeros(1))
    width_px = FOCAL_PX * 0.075 * (1 / 1.0 - 1 / 4.0)
    left, right = hidden[0, 0, :60].sum().item(), hidden[0, 0, 100:].sum().item()
    assert not hidden[0, 0, 60:100].any()
    shadow, other = (right, left) if mirror else (left, right)
    assert other == 0
    assert abs(shadow - width_px) <= 1


def test_shadow_is_missing_in_the_simulated_frame():
    depth_m, material = figure()
    depth_m[:, 30:, 60:100] = 1.0
    noisy_m = run(depth_m, material, Sensor.STRUCTURED_LIGHT)
    assert (noisy_m[:, 60:120, 54:59] == 0).float().mean() > 0.6
    assert (noisy_m[:, 60:120, 101:106] == 0).float().mean() < 0.1


def test_stereo_is_blind_on_the_left_and_fattens_silhouettes():
    depth_m, material = figure(16)
    noisy_m = run(depth_m, material, Sensor.STEREO, smoothing=1.0, edges=1.5)
    band = int(FOCAL_PX * stereo.BASELINE_M / 3.5)
    blind = (noisy_m[:, :, :band] == 0).flatten(1).all(1)
    # Where it is not blind, the image was cropped or laid over a colour camera's.
    assert 0 < blind.sum() < len(blind)
    assert (noisy_m[:, :, 4:8] > 0).float().mean() > 0.8
    row = noisy_m[:, 60:120]
    near = ((row > 0) & (row < 2.7)).float().sum(2).mean()
    assert near > 41


def test_time_of_flight_edges_fly_or_are_removed():
    depth_m, material = figure(24)
    noisy_m = run(depth_m, material, Sensor.TIME_OF_FLIGHT)[:, 60:100, 57:63]
    flying = ((noisy_m > 2.2) & (noisy_m < 3.3)).flatten(1).any(1)
    removed = (noisy_m == 0).float().flatten(1).mean(1) > 0.08
    assert flying.any() and removed.any()
    assert not (flying & removed).any()


def test_frames_of_one_time_of_flight_camera_share_its_field_of_view():
    depth_m, material = plane(2.0, batch=2)
    six_sided = torch.tensor([[1.0, 0.0, 0.0, 0.9]]).T.repeat(1, 2)
    noisy_m = time_of_flight.time_of_flight(
        depth_m, material, torch.full((2,), FOCAL_PX), strengths(2),
        torch.Generator().manual_seed(0), six_sided,
    )  # fmt: skip
    outside = noisy_m == 0
    assert outside[0, 0, 0] and not outside[0, 64, 80]
    assert (outside[0] == outside[1]).float().mean() > 0.98
    assert (noisy_m[0] != noisy_m[1]).float().mean() > 0.5


@pytest.mark.parametrize("sensor", Sensor)
def test_output_is_sane_and_repeatable(sensor: Sensor):
    depth_m, material = figure()
    depth_m[:, :20, :] = 0
    before = depth_m.clone()
    first, again = run(depth_m, material, sensor, 5), run(depth_m, material, sensor, 5)
    assert torch.equal(first, again)
    assert torch.equal(depth_m, before)
    assert first.shape == depth_m.shape and first.dtype == torch.float32
    assert torch.isfinite(first).all()
    assert ((first == 0) | ((first > 0.2) & (first < 18))).all()
    if sensor != Sensor.CLEAN:
        assert not torch.equal(first, run(depth_m, material, sensor, 6))
        assert ((first * 1000 - (first * 1000).round()).abs() < 1e-2).all()
    if sensor not in (Sensor.FILTERED, Sensor.STEREO):
        # A ragged edge may move by a pixel or two, nothing more appears out of nothing.
        assert (first[:, :16] == 0).all()


def test_cutout_keeps_people_only_and_a_given_mask_wins():
    depth_m, material = figure()
    noisy_m = run(depth_m, material, Sensor.CUTOUT)
    assert (noisy_m[:, :, :50] == 0).all() and (noisy_m[:, 60:75, 65:95] > 0).float().mean() > 0.9
    nobody = torch.zeros_like(material, dtype=torch.bool)
    empty = simulate(
        depth_m,
        material,
        torch.full((6,), FOCAL_PX),
        torch.full((6,), int(Sensor.CUTOUT)),
        torch.Generator().manual_seed(0),
        person=nobody,
    )
    assert (empty == 0).all()


def test_range_limit_never_takes_people_away():
    depth_m, material = figure(64)
    depth_m[:, 30:, 60:100] = 4.9
    depth_m[depth_m == 3.5] = 5.5
    generator = torch.Generator().manual_seed(1)
    sensor = torch.full((64,), int(Sensor.TIME_OF_FLIGHT))
    noisy_m = simulate(
        depth_m, material, torch.full((64,), FOCAL_PX), sensor, generator,
        strengths=strengths(64, holes=0.3),
    )  # fmt: skip
    cut = (noisy_m[:, 55:75, 20:50] == 0).float().mean((1, 2)) > 0.95
    assert 0 < cut.sum() < 32
    assert (noisy_m[cut][:, 60:78, 66:94] > 0).float().mean() > 0.8


def test_fill_holes_reaches_only_so_far_to_the_left():
    row = torch.tensor([[[0.0, 2.0, 0.0, 0.0, 0.0, 3.0, 0.0]]])
    filled = fill_holes(row, torch.tensor([2.0]))
    assert filled.tolist() == [[[0.0, 2.0, 2.0, 2.0, 0.0, 3.0, 3.0]]]


def test_coarser_frames_repeat_their_readings_and_stay_in_place():
    row = torch.arange(1.0, 161.0).expand(64, 128, 160)
    generator = torch.Generator().manual_seed(0)
    assert torch.equal(coarser(row, generator, share=0.0), row)
    coarse = coarser(row, generator, share=1.0)
    assert ((coarse - row).abs() <= 1.0).all()
    levels = torch.tensor([len(frame.unique()) for frame in coarse])
    assert 110 <= levels.min() < 120 and 145 < levels.max() <= 160


@pytest.mark.parametrize(
    "focal_px, shape", [(144, (128, 160)), (286, (240, 320)), (575, (480, 640))]
)
def test_a_mixed_batch_runs_at_every_resolution(focal_px: float, shape: tuple[int, int]):
    depth_m = torch.full((8, *shape), 3.0)
    material = torch.randint(0, 10, depth_m.shape, dtype=torch.uint8)
    sensor = torch.arange(8) % len(Sensor)
    generator = torch.Generator().manual_seed(0)
    noisy_m = simulate(depth_m, material, torch.full((8,), focal_px), sensor, generator)
    assert noisy_m.shape == depth_m.shape and torch.isfinite(noisy_m).all()


def test_lateral_jitter_spans_the_same_angle_at_every_resolution():
    moved = []
    for focal_px, size in ((144.0, 1), (576.0, 4)):
        depth_m = torch.full((4, 100 * size, 120 * size), 4.0)
        depth_m[:, :, 60 * size :] = 3.6
        material = torch.zeros_like(depth_m, dtype=torch.uint8)
        noisy_m = structured_light.structured_light(
            depth_m,
            material,
            torch.full((4,), focal_px),
            strengths(4, edges=2.0, noise=0.3),
            torch.Generator().manual_seed(0),
        )
        near = ((noisy_m > 0) & (noisy_m < 3.8)).float().sum(2)
        moved.append(near.std().item() / focal_px)
    assert 0.5 < moved[0] / moved[1] < 2.0


def test_sample_sensors_has_every_look_and_follows_the_seed():
    sensors = sample_sensors(4000, torch.Generator().manual_seed(3))
    share = torch.bincount(sensors, minlength=len(Sensor)) / 4000
    assert sensors.dtype == torch.int64 and (share > 0.03).all()
    assert share[Sensor.STRUCTURED_LIGHT] > share[Sensor.TIME_OF_FLIGHT] > 0.15
    assert torch.equal(sensors, sample_sensors(4000, torch.Generator().manual_seed(3)))


def test_draw_strengths_stays_in_range():
    drawn = draw_strengths(2000, torch.Generator().manual_seed(0))
    for factor in (drawn.holes, drawn.edges):
        assert 0.3 <= factor.min() < 0.35 and 1.9 < factor.max() <= 2.0
    assert 0.4 <= drawn.noise.min() < 0.45 and 2.6 < drawn.noise.max() <= 2.8
    assert (drawn.hair_loss == 0).float().mean() > 0.3 and drawn.hair_loss.max() > 0.95
    assert not torch.equal(drawn.hair_loss, drawn.dark_loss)


@pytest.mark.parametrize("length_px", [1.0, 2.0, 3.0, 8.0, 24.0])
def test_smooth_noise_has_unit_sd_and_the_asked_length(length_px: float):
    generator = torch.Generator().manual_seed(0)
    length = torch.full((16,), length_px)
    field = noise_fields.smooth_noise((16, 128, 160), length, generator, torch.device("cpu"))
    assert field.std().item() == pytest.approx(1.0, abs=0.06)
    lag = round(length_px)
    together = (field[:, :, lag:] * field[:, :, :-lag]).mean().item()
    inside = (field[:, :, 1:] * field[:, :, :-1]).mean().item()
    assert together < 0.55
    assert inside > 0.6 if length_px >= 3 else inside < 0.7


def test_blur_has_the_asked_sd():
    image = torch.zeros(4, 101, 101)
    image[:, 50, 50] = 1
    sd_px = torch.tensor([0.0, 0.5, 1.5, 4.0])
    blurred = noise_fields.blur(image, sd_px)
    x = torch.arange(101) - 50.0
    spread = (blurred.sum(1) * x**2).sum(1) / blurred.sum((1, 2))
    assert torch.allclose(spread.sqrt(), sd_px, atol=0.02)


def test_a_generator_elsewhere_gives_the_same_frame():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    depth_m, material = figure()
    chosen = strengths(6)
    frames = []
    for device in ("cpu", "cuda"):
        arguments = (depth_m.to(device), material.to(device), torch.full((6,), FOCAL_PX))
        generator = torch.Generator().manual_seed(0)
        on_device = Strengths(
            **{name: getattr(chosen, name).to(device) for name in Strengths.__slots__}
        )
        frames.append(simulate(*arguments, torch.arange(6), generator, strengths=on_device).cpu())
    # Rounding may tip a pixel over a threshold, not more.
    assert ((frames[0] - frames[1]).abs() > 2e-3).float().mean() < 1e-3
