"""Depth cameras' faults, added to clean rendered depth while training."""

from residualpose.synthetic.materials import Material
from residualpose.synthetic.sensors.simulate import simulate
from residualpose.synthetic.sensors.strengths import (
    Sensor,
    Strengths,
    draw_strengths,
    sample_sensors,
)

__all__ = ["Material", "Sensor", "Strengths", "draw_strengths", "sample_sensors", "simulate"]
