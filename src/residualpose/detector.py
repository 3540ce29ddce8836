"""Detector: the people of a frame with the depth of their joints, all that comes before completion.

frame -> normalise -> maps -> peaks -> lift -> group, and the floor. A model that looks closer does
all that again for each person, and for people whom only a closer look at somebody else shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np

from residualpose.frames import DepthFrame
from residualpose.model import ModelFolder
from residualpose.pipeline.around import Look
from residualpose.pipeline.body_frame import trunk_down
from residualpose.pipeline.closer import closer_look, same_person
from residualpose.pipeline.floor import NO_FLOOR, find_floor
from residualpose.pipeline.group import group, not_covered
from residualpose.pipeline.lift import lift
from residualpose.pipeline.maps import Maps, MapsModel
from residualpose.pipeline.normalise import NetworkInput, normalise
from residualpose.pipeline.peaks import find_peaks
from residualpose.pipeline.sides import settle_sides
from residualpose.poses import Origin

MIN_PERSON_SCORE = 0.28
FIRST_SIGHT_SCORE = 0.2
"""The same at first sight, where a closer look will judge."""
SURE_SCORE = 0.5
"""Whom a closer look does not find again is nobody, unless they had scored as much as that."""
MIN_MEASURED = 3
"""A person with fewer joints whose depth was measured is not believed."""
_ABSENT, _MEASURED = int(Origin.ABSENT), int(Origin.MEASURED)


@dataclass(frozen=True, slots=True)
class Lifted:
    """The P people of one frame between grouping and completion."""

    joints_px: np.ndarray
    """(P, 15, 2) float32 pixels of the frame; NaN where not found."""
    joints_m: np.ndarray
    """(P, 15, 3) float32 metres, camera frame; NaN where not found or without depth."""
    joint_score: np.ndarray
    """(P, 15) float32 in 0..1; 0 where not found."""
    person_score: np.ndarray
    """(P,) float32 in 0..1."""
    origin: np.ndarray
    """(P, 15) uint8 of `Origin`."""
    covariance_m2: np.ndarray
    """(P, 15, 3, 3) float32 square metres, camera frame; NaN where not found."""
    floor: np.ndarray = field(default_factory=NO_FLOOR.copy)
    """(4,) as `find_floor` returns it."""
    looks: tuple[Look, ...] = ()
    """What the network saw of each person, P of them, where the detector keeps it."""

    def of(self, rows: np.ndarray) -> Lifted:
        """Some of the people, by places (N,) or a mask (P,)."""
        looks = self.looks and tuple(self.looks[i] for i in np.arange(len(self.looks))[rows])
        return Lifted(
            self.joints_px[rows], self.joints_m[rows], self.joint_score[rows],
            self.person_score[rows], self.origin[rows], self.covariance_m2[rows], self.floor,
            looks,
        )  # fmt: skip

    def copy(self) -> Lifted:
        """The same in memory of its own."""
        return self.of(np.arange(len(self.joints_m)))

    def put(self, person: int, closer: Lifted, row: int) -> None:
        """Put in what a closer look has found of somebody: the joints that it has.

        Args:
            person: who of these people.
            closer: the people of the closer look.
            row: who of those it is.
        """
        have = closer.origin[row] != _ABSENT
        for name in ("joints_px", "joints_m", "joint_score", "origin", "covariance_m2"):
            getattr(self, name)[person, have] = getattr(closer, name)[row, have]
        self.person_score[person] = closer.person_score[row]

    @classmethod
    def joined(cls, parts: Sequence[Lifted]) -> Lifted:
        """One after the other, at least one; the floor is the first one's."""
        names = [part.name for part in fields(cls) if part.name not in ("floor", "looks")]
        columns = (np.concatenate([getattr(people, name) for people in parts]) for name in names)
        looks = tuple(look for people in parts for look in people.looks)
        return cls(*columns, floor=parts[0].floor, looks=looks)


class Detector:
    """The stages up to lifting, which need no refiner: what a refiner is trained on."""

    def __init__(self, model: ModelFolder, threads: int | None = None) -> None:
        self._focal_px = model.focal_px
        self._maps = MapsModel(model.path / "maps.onnx", model.stride, threads)
        closer = model.closer_path
        self._closer = MapsModel(closer, model.stride, threads) if closer else None
        self._enough = FIRST_SIGHT_SCORE if closer else MIN_PERSON_SCORE

    @property
    def looks_closer(self) -> bool:
        """Whether the model looks at people a second time."""
        return self._closer is not None

    def __call__(self, frame: DepthFrame) -> tuple[Maps, Lifted]:
        """What the 2D network saw, and the people in it with their depth."""
        view, maps = self.see(frame)
        return maps, self.lift(frame, view, maps)

    def see(self, frame: DepthFrame) -> tuple[NetworkInput, Maps]:
        """What the 2D network is shown and what it saw; several threads may ask at once."""
        view = normalise(frame, self._focal_px)
        return view, self._maps(view)

    def lift(self, frame: DepthFrame, view: NetworkInput, maps: Maps) -> Lifted:
        """The people in what was seen of a frame, with their depth."""
        look = Look.of(view, maps)
        people = self.look_closer(frame, _grouped(frame, look, self._enough))
        floor = find_floor(look.surface_m, look.camera, trunk_down(people.joints_m))
        return replace(people, floor=floor)

    def at_first_sight(self, frame: DepthFrame, view: NetworkInput, maps: Maps) -> Lifted:
        """The people before closer looks, without the floor."""
        return _grouped(frame, Look.of(view, maps), self._enough)

    def look_closer(self, frame: DepthFrame, people: Lifted) -> Lifted:
        """The people as a closer look at each shows them, if the model has closer looks.

        Whom it does not find again is nobody, unless they were beyond doubt, and so is the worse of
        two who turn out to be one. Whom only a closer look at somebody else shows is looked at too.
        """
        if self._closer is None:
            return people
        found, beside = self._looked_at(frame, people)
        known = _each_once(found)
        newly, _ = self._looked_at(frame, _newcomers(known, beside))
        return _each_once(Lifted.joined([known, newly]))

    def _looked_at(self, frame: DepthFrame, people: Lifted) -> tuple[Lifted, Lifted]:
        """The people after a closer look at each, and whoever else it shows."""
        assert self._closer is not None
        looked, beside = people.copy(), [people.of(np.zeros(0, dtype=int))]
        looks: list[Look] = []
        kept = people.person_score >= SURE_SCORE
        for person, joints_m in enumerate(people.joints_m):
            window = closer_look(frame, joints_m, self._focal_px)
            view, shown = window.shown()
            look = Look.of(view, self._closer(shown))
            looks.append(look)
            found = _grouped(window.frame, look)
            found = replace(found, joints_px=found.joints_px + window.corner_px.astype(np.float32))
            row = same_person(joints_m, found.joints_m)
            if row is not None:
                looked.put(person, found, row)
                kept[person] = True
            beside.append(found.of(np.arange(len(found.joints_m)) != row))
        return replace(looked, looks=tuple(looks)).of(kept), Lifted.joined(beside)


def _each_once(people: Lifted) -> Lifted:
    """Best first; of two who lie on each other, the better."""
    best_first = people.of(np.argsort(-people.person_score, kind="stable"))
    return best_first.of(not_covered(best_first.joints_px, best_first.joints_m))


def _newcomers(known: Lifted, others: Lifted) -> Lifted:
    """Those of others who lie on nobody known, each of them once."""
    best_first = others.of(np.argsort(-others.person_score, kind="stable"))
    everybody = Lifted.joined([known, best_first])
    kept = np.flatnonzero(not_covered(everybody.joints_px, everybody.joints_m))
    return everybody.of(kept[len(known.joints_m) :])


def _grouped(frame: DepthFrame, look: Look, enough: float = MIN_PERSON_SCORE) -> Lifted:
    """The people in what was seen of a frame who score enough; no floor."""
    peaks = find_peaks(look.maps.part_maps)
    points = lift(peaks, look.maps.part_maps, look.maps.offset_m, look.surface_m, look.camera)
    people = settle_sides(group(peaks, look.maps.limb_fields, points.points_m), points.points_m)
    index, absent = people.peak_index, people.peak_index < 0
    found_px = frame.camera.project(look.camera.rays(people.joints_px))
    joints_px = np.where(absent[..., None], np.nan, found_px)
    origin = np.where(absent, _ABSENT, _take(points.origin, index))
    believed = (people.person_score >= enough) & ((origin == _MEASURED).sum(1) >= MIN_MEASURED)
    joints_m = np.where(absent[..., None], np.nan, _take(points.points_m, index))
    covariance = np.where(absent[..., None, None], np.nan, _take(points.covariance_m2, index))
    return Lifted(
        joints_px[believed].astype(np.float32),
        joints_m[believed].astype(np.float32),
        people.joint_score[believed].astype(np.float32),
        people.person_score[believed],
        origin[believed].astype(np.uint8),
        covariance[believed].astype(np.float32),
        looks=(look,) * int(believed.sum()),
    )


def _take(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Rows of (N, ...) by (P, 15) indices, of which -1 may point anywhere."""
    if not len(values):
        return np.zeros((*index.shape, *values.shape[1:]), values.dtype)
    return values[index]
