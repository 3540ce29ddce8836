"""Turn clean rendered depth into what a depth camera would have delivered."""

from __future__ import annotations

import torch
from torch import Tensor

from residualpose.synthetic import noise_fields as fields
from residualpose.synthetic.sensors import driver
from residualpose.synthetic.sensors.stereo import stereo
from residualpose.synthetic.sensors.strengths import Sensor, Strengths, draw_strengths
from residualpose.synthetic.sensors.structured_light import structured_light
from residualpose.synthetic.sensors.time_of_flight import time_of_flight

_MODELS = {
    Sensor.STRUCTURED_LIGHT: structured_light,
    Sensor.TIME_OF_FLIGHT: time_of_flight,
    Sensor.STEREO: stereo,
}


def simulate(
    depth_m: Tensor,
    material: Tensor,
    focal_px: Tensor,
    sensor: Tensor,
    generator: torch.Generator,
    person: Tensor | None = None,
    strengths: Strengths | None = None,
) -> Tensor:
    """Depth (B, H, W) float32 metres with a sensor's faults; 0 where there is no reading.

    Depth (B, H, W) is z, 0 = nothing seen; material (B, H, W) uint8 as in `Material`; focal length
    (B,) pixels of these images; sensor (B,) as in `Sensor`; person (B, H, W) bool, by default what
    the materials tell. Random strengths are drawn unless given.
    """
    device = depth_m.device
    focal_px, sensor = focal_px.to(device, torch.float32), sensor.to(device)
    if person is None:
        person = driver.is_person(material)
    if strengths is None:
        strengths = draw_strengths(len(depth_m), generator, device)
    base = _base_sensor(sensor, generator)
    noisy_m = depth_m.clone()
    for kind, model in _MODELS.items():
        index = (base == kind).nonzero()[:, 0]
        if len(index):
            chosen = strengths.select(index)
            noisy_m[index] = model(
                depth_m[index], material[index], focal_px[index], chosen, generator
            )
    index = (sensor == Sensor.FILTERED).nonzero()[:, 0]
    if len(index):
        chosen = strengths.select(index)
        noisy_m[index] = driver.filtered(
            noisy_m[index], person[index], focal_px[index], chosen, generator
        )
    index = (sensor == Sensor.CUTOUT).nonzero()[:, 0]
    if len(index):
        chosen = strengths.select(index)
        noisy_m[index] = driver.cut_out(
            noisy_m[index], person[index], focal_px[index], chosen, generator
        )
    noisy_m = driver.coarser(driver.common_faults(noisy_m, person, generator), generator)
    return torch.where(sensor[:, None, None] == Sensor.CLEAN, depth_m, noisy_m)


def _base_sensor(sensor: Tensor, generator: torch.Generator) -> Tensor:
    """The sensor below a composite look: mostly stereo is filtered, mostly Kinect v1 cut out."""
    u = fields.uniform(sensor.shape, generator, sensor.device)
    order = {
        Sensor.FILTERED: (Sensor.STEREO, Sensor.STRUCTURED_LIGHT, Sensor.TIME_OF_FLIGHT),
        Sensor.CUTOUT: (Sensor.STRUCTURED_LIGHT, Sensor.TIME_OF_FLIGHT, Sensor.STEREO),
    }
    base = sensor
    for composite, (first, second, third) in order.items():
        drawn = torch.full_like(sensor, int(first))
        drawn = torch.where(u > 0.6, int(second), drawn)
        drawn = torch.where(u > 0.85, int(third), drawn)
        base = torch.where(sensor == composite, drawn, base)
    return base
