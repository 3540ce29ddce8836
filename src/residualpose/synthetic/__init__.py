"""Rendered people to train on: poses, bodies, rooms, sensors."""
