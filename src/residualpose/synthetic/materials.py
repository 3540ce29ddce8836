"""What surfaces are made of, as far as depth sensors tell them apart."""

from __future__ import annotations

from enum import IntEnum


class Material(IntEnum):
    """Surface classes; 1 to 6 belong to people."""

    BACKGROUND = 0
    SKIN = 1
    HAIR = 2
    CLOTH = 3
    DARK_CLOTH = 4
    SHOES = 5
    HELD = 6
    DARK_FURNITURE = 7
    GLASS = 8
    FOLIAGE = 9
