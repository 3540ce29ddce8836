"""Colours: one hue a person (safe for colour-blind readers), light for right and deep for left."""

from __future__ import annotations

from residualpose.skeleton import Skeleton

Rgb = tuple[int, int, int]

# Okabe and Ito's set, ordered so that the first few people differ most on grey.
PERSON_RGB: tuple[Rgb, ...] = (
    (240, 140, 0),
    (58, 160, 230),
    (214, 96, 168),
    (0, 168, 122),
    (240, 224, 56),
    (206, 70, 20),
    (110, 100, 220),
)
INK: Rgb = (22, 26, 38)
"""Outlines and text."""
PAPER: Rgb = (250, 250, 251)
"""Background of pictures that are not a depth image."""
WHITE: Rgb = (255, 255, 255)


def person_rgb(person: int) -> Rgb:
    """Colour of a person by number, which is its id or its place in a list; repeats after seven."""
    return PERSON_RGB[person % len(PERSON_RGB)]


def mix(colour: Rgb, other: Rgb, share: float) -> Rgb:
    """`colour` with a share (0..1) of `other`."""
    red, green, blue = (round(a + share * (b - a)) for a, b in zip(colour, other, strict=True))
    return red, green, blue


def right_rgb(person: int) -> Rgb:
    """The lighter colour of the person's own right side."""
    return mix(person_rgb(person), WHITE, 0.52)


def left_rgb(person: int) -> Rgb:
    """The deeper colour of the person's own left side."""
    return mix(person_rgb(person), (0, 0, 0), 0.30)


def joint_rgb(person: int, joint: int, skeleton: Skeleton) -> Rgb:
    """Colour of a joint: the person's own hue, light on the right and deep on the left."""
    name = skeleton.joints[joint]
    if name.startswith("right_"):
        return right_rgb(person)
    return left_rgb(person) if name.startswith("left_") else person_rgb(person)
